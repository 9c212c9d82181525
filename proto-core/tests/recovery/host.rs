//! One end of a measured flow: a client that sends, or a server that takes.

use std::sync::Arc;
use std::time::Duration;

use proto_core::{ChannelId, Config, ConnectionId, ConnectionRef, Endpoint, Event, Link, Message, Stats};
use simtest::{Addr, Dissect, Node, Now, RecvMeta, Time, Transmit, hash_bytes};

use crate::net::{At, dissect, ecn_from, ecn_to, time, timestamp};

const ZERO: ChannelId = ChannelId::DEFAULT;
/// Bytes of a measured message.
pub(crate) const SIZE: usize = 1024;

/// What a client sends once it is connected.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// One message each `every`.
    Paced { every: Duration },
    /// As much as is taken.
    Bulk,
}

/// What a test tells a client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cmd {
    Start(Load),
    Stop,
}

#[derive(Clone, Debug)]
pub(crate) struct Host {
    endpoint: Endpoint<At>,
    server: Option<Addr>,
    conn: Option<ConnectionId>,
    established: bool,
    load: Option<Load>,
    next: Time,
    sent: u64,
    /// For each message in order: when it was sent and when it was taken, in microseconds.
    pub(crate) taken: Vec<(u64, u64)>,
    pub(crate) closed: bool,
}

impl Host {
    pub(crate) fn new(
        config: &Arc<Config>,
        link: Link,
        server: Option<Addr>,
        seed: [u8; 32],
        now: Time,
    ) -> Self {
        Self {
            endpoint: Endpoint::new(Arc::clone(config), link, seed, timestamp(now)),
            server,
            conn: None,
            established: false,
            load: None,
            next: now,
            sent: 0,
            taken: Vec::new(),
            closed: false,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.endpoint.stats()
    }

    pub(crate) fn connection(&self) -> Option<ConnectionRef<'_>> {
        self.endpoint.get(self.conn?)
    }

    fn payload(&mut self, now: Time) -> Vec<u8> {
        let mut payload = vec![0; SIZE];
        payload[..8].copy_from_slice(&now.as_nanos().to_be_bytes());
        payload[8..16].copy_from_slice(&self.sent.to_be_bytes());
        let check = hash_bytes(7, &payload[..16]);
        payload[SIZE - 8..].copy_from_slice(&check.to_be_bytes());
        payload
    }

    fn send(&mut self, now: Time) {
        let Some(conn) = self.conn.filter(|_| self.established) else { return };
        loop {
            let due = match self.load {
                Some(Load::Paced { .. }) => self.next <= now,
                Some(Load::Bulk) => true,
                None => false,
            };
            if !due {
                return;
            }
            let payload = self.payload(now);
            let Some(mut conn) = self.endpoint.connection(conn) else { return };
            if conn.channel(ZERO).send(timestamp(now), Message::new(payload)).is_err() {
                assert!(matches!(self.load, Some(Load::Bulk)), "the queue of a paced sender is full");
                return;
            }
            self.sent += 1;
            if let Some(Load::Paced { every }) = self.load {
                self.next = Time::from_nanos(self.next.as_nanos() + every.as_nanos() as u64);
            }
        }
    }

    fn take(&mut self, now: Time, id: ConnectionId) {
        let Some(mut conn) = self.endpoint.connection(id) else { return };
        while let Some(message) = conn.channel(ZERO).recv(timestamp(now)) {
            let word =
                |at: usize| u64::from_be_bytes(message.payload[at..at + 8].try_into().expect("8 bytes"));
            assert_eq!(message.payload.len(), SIZE);
            assert_eq!(
                word(SIZE - 8),
                hash_bytes(7, &message.payload[..16]),
                "another message than was sent"
            );
            assert_eq!(word(8), self.taken.len() as u64, "out of order");
            self.taken.push((word(0) / 1000, now.as_nanos() / 1000));
        }
    }

    fn drain(&mut self, now: Time) {
        while let Some((id, event)) = self.endpoint.poll_event() {
            match event {
                Event::Established { .. } => {
                    self.established = true;
                    self.conn = Some(id);
                    self.next = self.next.max(now);
                }
                Event::Readable(_) => self.take(now, id),
                Event::Closed(_) | Event::ConnectFailed(_) => self.closed = true,
                _ => {}
            }
        }
        self.send(now);
    }
}

impl Dissect for Host {
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        dissect(bytes, text)
    }
}

impl Node for Host {
    type Cmd = Cmd;
    type Event = ();

    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], meta: RecvMeta) {
        let meta = proto_core::Meta { path: At::Datagrams(from), ecn: ecn_from(meta.ecn) };
        self.endpoint.handle_packet(timestamp(now.mono), meta, bytes);
        self.drain(now.mono);
    }

    fn on_timeout(&mut self, now: Now) {
        self.endpoint.handle_timeout(timestamp(now.mono));
        self.drain(now.mono);
    }

    fn on_cmd(&mut self, now: Now, cmd: Cmd) {
        match cmd {
            Cmd::Start(load) => {
                self.load = Some(load);
                self.next = now.mono;
                if let Some(server) = self.server.filter(|_| self.conn.is_none()) {
                    self.conn = self.endpoint.connect(timestamp(now.mono), At::Datagrams(server)).ok();
                }
            }
            Cmd::Stop => self.load = None,
        }
        self.drain(now.mono);
    }

    fn poll_transmit(&mut self, now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = self.endpoint.poll_transmit(timestamp(now.mono), out)?;
        Some(Transmit { dst: transmit.path.addr(), ecn: ecn_to(transmit.ecn), len: transmit.len })
    }

    fn poll_timeout(&self) -> Option<Time> {
        let paced = matches!(self.load, Some(Load::Paced { .. })) && self.established;
        paced.then_some(self.next).into_iter().chain(self.endpoint.poll_timeout().map(time)).min()
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }
}
