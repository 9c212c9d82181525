//! Guests that say anything, for `hub::fuzzing`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto_core::chat::{ChatConfig, Record, StoredEntry};
use proto_core::room::RoomConfig;
use proto_core::{ConfigBuilder, Now, Server, Timestamp};
use serde_json::Value;

use super::limits::{MAX_QUEUE, MAX_QUEUE_BYTES, MAX_TEXT};
use super::{Gateway, GatewayConfig, GuestId};
use crate::store::fuzzing::written_and_read;

const GUESTS: usize = 4;

struct World {
    server: Server<SocketAddr>,
    gateway: Gateway,
    logs: BTreeMap<Arc<str>, Vec<StoredEntry>>,
    guests: [Option<GuestId>; GUESTS],
    now: Now,
}

impl World {
    fn new() -> Self {
        let now = Now { mono: Timestamp::from_millis(1_000), unix_ms: 1_700_000_000_000 };
        let endpoint = ConfigBuilder { accept: true, max_channels: 0, ..ConfigBuilder::chat() };
        let endpoint = endpoint.build().expect("a sound configuration");
        let server = Server::new(endpoint, adapter_tokio::LINK, ChatConfig::default(), [7; 32], now);
        Self {
            server: server.with_rooms(now, RoomConfig::default()),
            gateway: Gateway::new(GatewayConfig::default()),
            logs: BTreeMap::new(),
            guests: [None; GUESTS],
            now,
        }
    }

    /// Until nothing happens any more; the disk does at once what it is asked.
    fn run(&mut self) {
        loop {
            let mut is_quiet = true;
            while let Some(batch) = self.server.poll_persist(self.now) {
                for record in written_and_read(&batch) {
                    if let Record::Entry { room, entry, .. } = record {
                        self.logs.entry(room).or_default().push(entry);
                    }
                }
                self.server.handle_persisted(self.now, batch.number);
                is_quiet = false;
            }
            while let Some(read) = self.server.poll_read() {
                let log = self.logs.get(&read.room).map_or(&[][..], Vec::as_slice);
                let page = log.iter().filter(|entry| (read.from..=read.upto).contains(&entry.slot));
                let page: Vec<_> = page.cloned().collect();
                self.server.handle_read(self.now, read.id, &page);
                is_quiet = false;
            }
            while let Some(output) = self.server.poll_guest() {
                self.gateway.handle_output(self.now, self.server.hall(), &output);
                is_quiet = false;
            }
            if is_quiet {
                break;
            }
        }
        let most = self.gateway.guests() * (MAX_QUEUE_BYTES + 2 * MAX_TEXT);
        assert!(self.gateway.queued_bytes() <= most, "{} bytes wait", self.gateway.queued_bytes());
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.unix_ms += time.as_millis() as u64;
        self.server.handle_timeout(self.now);
        self.gateway.handle_timeout(self.now);
        self.run();
        assert!(self.gateway.poll_timeout().is_none_or(|at| at > self.now.mono), "a deadline in the past");
    }

    fn text(&mut self, id: GuestId, text: &str) {
        let (gateway, now) = (&mut self.gateway, self.now);
        self.server.with_hall(now, |hall| gateway.handle_text(now, hall, id, text));
        self.run();
    }

    fn close(&mut self, id: GuestId) {
        let (gateway, now) = (&mut self.gateway, self.now);
        self.server.with_hall(now, |hall| gateway.close(now, hall, id));
        self.run();
    }

    /// What waits for a guest: each text is a list of messages with a name.
    fn take(&mut self, id: GuestId) -> Vec<Value> {
        let (gateway, now, mut texts) = (&mut self.gateway, self.now, Vec::new());
        let end = self.server.with_hall(now, |hall| gateway.take(hall, id, &mut texts));
        assert!(texts.len() <= MAX_QUEUE, "{} texts wait", texts.len());
        self.run();
        let mut messages = Vec::new();
        for text in texts {
            let list: Vec<Value> = serde_json::from_slice(&text).expect("a list in JSON");
            assert!(list.iter().all(|message| message["m"].is_string()), "each has a name");
            messages.extend(list);
        }
        if end.is_some() {
            self.close(id);
            self.guests.iter_mut().filter(|guest| **guest == Some(id)).for_each(|guest| *guest = None);
        }
        messages
    }
}

fn address(guest: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, guest as u8], 5000))
}

/// A line is a letter and what belongs to it: `a` to `d`, a guest, and what it says; `+`, `-` or `<` and a guest: it comes, it goes,
/// it takes what waits for it; `.`: time passes, as many tenths of a second as the line is long.
pub(crate) fn texts(bytes: &[u8]) {
    let mut world = World::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        let Some((&letter, rest)) = line.split_first() else { continue };
        let which = |letter: u8| usize::from(letter.wrapping_sub(b'a')) % GUESTS;
        let other = which(rest.first().copied().unwrap_or(b'a'));
        match letter {
            b'+' => {
                if let Some(old) = world.guests[other].take() {
                    world.close(old);
                }
                world.guests[other] = world.gateway.open(world.now, address(other));
            }
            b'-' => {
                if let Some(id) = world.guests[other].take() {
                    world.close(id);
                }
            }
            b'<' => drop(world.guests[other].map(|id| world.take(id))),
            b'.' => world.pass(Duration::from_millis(100 * rest.len() as u64)),
            letter => {
                let guest = which(letter);
                if world.guests[guest].is_none() {
                    world.guests[guest] = world.gateway.open(world.now, address(guest));
                }
                if let Some(id) = world.guests[guest] {
                    world.text(id, &String::from_utf8_lossy(rest));
                }
            }
        }
    }
    // Whoever means no harm is served as ever.
    let id =
        world.gateway.open(world.now, SocketAddr::from(([198, 51, 100, 7], 5000))).expect("there is room");
    world.text(id, r#"[{"m":"hi"},{"m":"ch","_id":"a room of its own"}]"#);
    let told = world.take(id);
    assert!(["hi", "ch"].iter().all(|name| told.iter().any(|message| message["m"] == *name)), "{told:?}");
    for guest in world.guests.into_iter().flatten() {
        world.close(guest);
    }
    world.close(id);
    assert_eq!((world.gateway.guests(), world.gateway.queued_bytes()), (0, 0), "nothing is left of them");
}
