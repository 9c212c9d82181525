//! The server, its wire and its clock.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto_core::{
    CloseReason, Closed, Config, ConfigBuilder, ConnectionId, Drop, Endpoint, Event, Link, Meta, Stats,
    Timestamp,
};

use crate::scenarios;

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Host `index`, in a network of its own.
pub(crate) fn host(index: u32) -> SocketAddr {
    let [_, high, middle, low] = index.to_be_bytes();
    SocketAddr::from(([10 + high, middle, low, 1], 4100))
}

/// What was kept of a scenario, to be replayed by `seeds`.
struct Kept {
    row: String,
    lines: Vec<String>,
    bytes: usize,
    /// Whatever came, which is kept where nothing else was.
    any: Vec<String>,
}

/// Datagrams of a scenario that says of none that it is hostile.
const MAX_ANY: usize = 8;

const MAX_LINES: usize = 24;
const MAX_BYTES: usize = 12_000;

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) server: Endpoint,
    /// Packets of the server, and where they went.
    pub(crate) sent: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) events: Vec<(ConnectionId, Event)>,
    /// Calls of `handle_timeout`.
    pub(crate) timeouts: usize,
    kept: Option<Kept>,
}

fn config(builder: &ConfigBuilder) -> Arc<Config> {
    ConfigBuilder { accept: true, ..builder.clone() }.build().expect("a sound configuration")
}

fn line(kind: &str, bytes: &[u8]) -> String {
    bytes.iter().fold(format!("{kind} "), |mut line, byte| {
        write!(line, "{byte:02x}").expect("a string takes everything");
        line
    })
}

impl World {
    #[expect(clippy::needless_pass_by_value, reason = "a builder is made for it")]
    pub(crate) fn new(builder: ConfigBuilder) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let name = std::thread::current().name().and_then(|name| name.rsplit("::").next()).map(str::to_owned);
        let is_wanted = std::env::var_os("UPDATE_SEEDS").is_some();
        let row = name.filter(|name| is_wanted && name.starts_with("row_")).map(|name| name[..6].to_owned());
        Self {
            now,
            server: Endpoint::new(config(&builder), Link::datagram(1200), [1; 32], now),
            sent: Vec::new(),
            events: Vec::new(),
            timeouts: 0,
            kept: row.map(|row| Kept { row, lines: Vec::new(), bytes: 0, any: Vec::new() }),
        }
    }

    pub(crate) fn keep(&mut self, kind: &str, bytes: &[u8]) {
        let Some(kept) = &mut self.kept else { return };
        let line = line(kind, bytes);
        if kept.lines.len() < MAX_LINES && kept.bytes + bytes.len() < MAX_BYTES && !kept.lines.contains(&line)
        {
            kept.bytes += bytes.len();
            kept.lines.push(line);
        }
    }

    /// A datagram of a stranger.
    pub(crate) fn stranger(&mut self, from: SocketAddr, packet: &[u8]) {
        self.keep("datagram", packet);
        self.hand_in(from, packet);
    }

    pub(crate) fn hand_in(&mut self, from: SocketAddr, packet: &[u8]) {
        if let Some(kept) = self.kept.as_mut().filter(|kept| kept.any.len() < MAX_ANY) {
            kept.any.push(line("datagram", packet));
        }
        self.server.handle_packet(self.now, Meta { path: from, ecn: None }, packet);
    }

    /// Polls everything until nothing comes.
    pub(crate) fn drain(&mut self) {
        let mut buf = Vec::new();
        while let Some(transmit) = self.server.poll_transmit(self.now, &mut buf) {
            scenarios::note_sent(&buf);
            self.sent.push((transmit.path, std::mem::take(&mut buf)));
        }
        self.events.extend(std::iter::from_fn(|| self.server.poll_event()));
    }

    /// Lets `span` pass.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.drain();
        while let Some(at) = self.server.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.timeouts += 1;
            self.server.handle_timeout(self.now);
            assert!(self.server.poll_timeout().is_none_or(|at| at > self.now), "a timer in the past");
            self.drain();
        }
        self.now = end;
    }

    pub(crate) fn stats(&self) -> Stats {
        self.server.stats()
    }

    pub(crate) fn dropped(&self, reason: Drop) -> u64 {
        self.stats().drops.get(reason)
    }

    /// Packets that the server sent to an address.
    pub(crate) fn sent_to(&self, to: SocketAddr) -> impl Iterator<Item = &[u8]> {
        self.sent.iter().filter(move |(path, _)| *path == to).map(|(_, packet)| &packet[..])
    }

    pub(crate) fn closed(&self, id: ConnectionId) -> Option<&Closed> {
        self.events.iter().find_map(|(of, event)| match event {
            Event::Closed(closed) if *of == id => Some(closed),
            _ => None,
        })
    }

    /// How the server says that it was the peer's fault.
    pub(crate) fn blames(&self, id: ConnectionId) -> Option<&'static str> {
        self.closed(id).and_then(|closed| match closed.reason {
            CloseReason::PeerMisbehaved(text) => Some(text),
            _ => None,
        })
    }
}

impl std::ops::Drop for World {
    fn drop(&mut self) {
        scenarios::note_stats(&self.stats());
        let Some(Kept { row, lines, any, .. }) = self.kept.take() else { return };
        let lines = if lines.is_empty() { any } else { lines };
        if lines.is_empty() {
            return;
        }
        let path = crate::seeds::corpus().join(format!("{row}.txt"));
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let mut all: Vec<&str> = before.lines().collect();
        for line in &lines {
            if !all.contains(&line.as_str()) && all.len() < MAX_LINES {
                all.push(line);
            }
        }
        std::fs::write(&path, all.join("\n") + "\n").expect("the corpus can be written");
    }
}
