//! A chat server between a store and connections that say anything. Slots are dense, nothing is acknowledged that is not durable, and
//! nobody waits for somebody else's mischief.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use proto_core::chat::{
    Audience, Batch, ChatConfig, Client, ClientConfig, ClientId, ClientSecret, Kind, MAX_PAGE_BYTES,
    MAX_PAGE_ENTRIES, Message, PersistFailure, Read, ReadFailure, Record, Server, ServerEvent, StoredEntry,
};
use proto_core::{ConfigBuilder, ConnectionId, Endpoint, Link, Now, Timestamp};

use crate::input::Input;

/// Connections that are not to be trusted.
const PEERS: usize = 3;
/// As many connections as one input may have. The first is that of who means no harm.
static IDS: LazyLock<Vec<ConnectionId>> = LazyLock::new(|| {
    let config = ConfigBuilder::default().build().expect("a sound configuration");
    let mut endpoint = Endpoint::new(config, Link::datagram(1200), [7; 32], Timestamp::ZERO);
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    (1..=256).map(|port| endpoint.connect(Timestamp::ZERO, address(port)).expect("there is room")).collect()
});

fn client(room: &str, number: u8) -> Client {
    let config = ClientConfig::new(room, format!("c{number}"), ClientSecret([number; 32]));
    Client::new(config).expect("the names are short")
}

/// A client whose messages may be changed on their way, and the life that its connection has.
struct Peer {
    client: Client,
    id: ConnectionId,
    is_connected: bool,
    to_it: VecDeque<Bytes>,
}

struct World {
    now: Now,
    server: Server,
    logs: BTreeMap<Arc<str>, Vec<StoredEntry>>,
    /// The last sequence of each client in each room.
    sequences: BTreeMap<(Arc<str>, ClientId), u64>,
    pending: VecDeque<Batch>,
    reads: VecDeque<Read>,
    peers: Vec<Peer>,
    /// How many connections there have been.
    connections: usize,
    honest: Client,
    to_honest: VecDeque<Bytes>,
}

impl World {
    fn new() -> Self {
        let config = ChatConfig { tail_entries: 4, max_rooms: 8, ..ChatConfig::default() };
        let peers = (0..PEERS as u8).map(|number| Peer {
            client: client(if number == 2 { "other" } else { "lobby" }, number),
            id: IDS[1 + usize::from(number)],
            is_connected: false,
            to_it: VecDeque::new(),
        });
        Self {
            now: Now { mono: Timestamp::from_millis(5), unix_ms: 1_700_000_000_000 },
            server: Server::new(config, [7; 32]),
            logs: BTreeMap::new(),
            sequences: BTreeMap::new(),
            pending: VecDeque::new(),
            reads: VecDeque::new(),
            peers: peers.collect(),
            connections: 1 + PEERS,
            honest: client("lobby", 200),
            to_honest: VecDeque::new(),
        }
    }

    fn say(&mut self, from: usize, payload: &Bytes) {
        let one = &mut self.peers[from];
        one.is_connected = true;
        self.server.handle_message(self.now, one.id, payload);
    }

    /// Its connection ends, and the next one may begin.
    fn disconnect(&mut self, which: usize) {
        let Some(&next) = IDS.get(self.connections) else { return };
        self.connections += 1;
        let one = &mut self.peers[which];
        one.client.handle_disconnected(self.now);
        one.to_it.clear();
        let id = std::mem::replace(&mut one.id, next);
        if std::mem::take(&mut one.is_connected) {
            self.server.handle_disconnected(self.now, id);
        }
    }

    fn keep(&mut self, record: Record) {
        match record {
            Record::Room { room, epoch, .. } => {
                assert_ne!(epoch, 0, "an epoch is never 0");
                assert!(self.logs.insert(room, Vec::new()).is_none(), "a room is made once");
            }
            Record::Entry { room, entry, .. } => {
                let log = self.logs.get_mut(&room).expect("its room comes first");
                assert_eq!(entry.slot, log.len() as u64 + 1, "slots are dense");
                let last = self.sequences.entry((room, entry.client)).or_default();
                assert!(entry.sequence > *last, "nothing is committed twice");
                *last = entry.sequence;
                log.push(entry);
            }
            Record::Gone { room, .. } => {
                assert!(self.logs.remove(&room).is_some(), "a room that ends is there");
            }
        }
    }

    fn sync(&mut self) {
        while let Some(batch) = self.server.poll_persist(self.now) {
            assert!((1..=256).contains(&batch.records.len()), "{} records", batch.records.len());
            self.pending.push_back(batch);
        }
        if let Some(batch) = self.pending.pop_front() {
            for record in batch.records {
                self.keep(record);
            }
            self.server.handle_persisted(self.now, batch.number);
        }
    }

    fn fail(&mut self) {
        if let Some(batch) = self.pending.front() {
            self.server.handle_persist_failed(self.now, batch.number, PersistFailure::Full);
            self.pending.clear();
        }
    }

    fn read(&mut self, fails: bool) {
        self.reads.extend(std::iter::from_fn(|| self.server.poll_read()));
        assert!(self.reads.len() <= ChatConfig::default().max_reads, "{} reads", self.reads.len());
        let Some(read) = self.reads.pop_front() else { return };
        if fails {
            return self.server.handle_read_failed(self.now, read.id, ReadFailure::Busy);
        }
        let log = &self.logs[&read.room];
        let (from, upto) = (read.from as usize - 1, (read.upto as usize).min(log.len()));
        self.server.handle_read(self.now, read.id, &log[from..upto]);
    }

    /// What the server says goes to whom it is for.
    fn deliver(&mut self) {
        let durable = self.logs.values().map(Vec::len).max().unwrap_or_default() as u64;
        while let Some(outgoing) = self.server.poll_message() {
            match Message::decode(&outgoing.payload).expect("what it says can be read") {
                Message::ServerAck(ack) => assert!(ack.slot <= durable, "{} is not durable", ack.slot),
                Message::ServerEntry(entry) => assert!(entry.slot <= durable, "nor is this entry"),
                Message::ServerReply(reply) => {
                    assert!(reply.entries.len() <= MAX_PAGE_ENTRIES, "a page has a limit");
                    assert!(outgoing.payload.len() <= 2 * MAX_PAGE_BYTES, "in bytes as well");
                }
                _ => {}
            }
            let receivers = match &outgoing.to {
                Audience::One(id) => std::slice::from_ref(id),
                Audience::Many(ids) => ids,
            };
            for id in receivers {
                if *id == IDS[0] {
                    self.to_honest.push_back(outgoing.payload.clone());
                } else if let Some(one) = self.peers.iter_mut().find(|one| one.id == *id)
                    && one.to_it.len() < 64
                {
                    one.to_it.push_back(outgoing.payload.clone());
                }
            }
        }
        while let Some(event) = self.server.poll_event() {
            if let ServerEvent::Ended(id, reason) = event {
                assert_ne!(id, IDS[0], "{reason:?}");
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.unix_ms += time.as_millis() as u64;
        self.server.handle_timeout(self.now);
        assert!(self.server.poll_timeout().is_none_or(|at| at >= self.now.mono), "a timer in the past");
    }

    /// The client says its next message, with this change, and hears one.
    fn talk(&mut self, which: usize, change: Option<(u8, u8)>) {
        let now = self.now;
        let one = &mut self.peers[which];
        if !one.is_connected {
            one.client.handle_connected(now);
        }
        if one.client.is_ready()
            && let Some(heard) = one.to_it.pop_front()
        {
            one.client.handle_message(now, &heard);
        }
        while one.client.poll_event().is_some() {}
        if !self.server.is_ready(one.id) {
            return;
        }
        if let Some(message) = one.client.poll_message() {
            let mut message = message.to_vec();
            if let Some((at, change)) = change {
                let at = usize::from(at) % message.len();
                message[at] ^= change;
            }
            self.say(which, &message.into());
        }
    }
}

pub(crate) fn server(bytes: &[u8]) {
    let (mut world, mut input) = (World::new(), Input::new(bytes));
    while !input.is_empty() {
        let op = input.byte();
        let which = usize::from(op >> 4) % PEERS;
        match op % 16 {
            0..3 => {
                let len = usize::from(input.byte());
                let payload = Bytes::copy_from_slice(input.bytes(len));
                // Sometimes although it is not ready: then the connection ends.
                if op > 0xC0 || world.server.is_ready(world.peers[which].id) {
                    world.say(which, &payload);
                }
            }
            3 | 4 => {
                let (kind, len) = (Kind(op >> 6), usize::from(input.byte()) * 8);
                let now = world.now;
                // There may be too many.
                let _ = world.peers[which].client.append(now, kind, vec![op; len].into());
            }
            5..8 => world.talk(which, None),
            8 => {
                let change = (input.byte(), input.byte());
                world.talk(which, Some(change));
            }
            9 => world.disconnect(which),
            10 | 11 => world.sync(),
            12 if op > 0xC0 => world.fail(),
            12 => drop(world.server.poll_persist(world.now).map(|batch| world.pending.push_back(batch))),
            13 => world.read(op > 0xC0),
            14 => world.deliver(),
            _ => world.pass(Duration::from_millis(u64::from(input.byte()) * 40)),
        }
    }
    // Whoever means no harm is served as ever.
    let id = IDS[0];
    world.honest.handle_connected(world.now);
    for number in 0..8 {
        world.honest.append(world.now, Kind::TEXT, vec![number].into()).expect("there is room");
    }
    let mut rounds = 0;
    while world.honest.unacknowledged() > 0 {
        assert!(
            rounds < 1000,
            "an honest client is served: {} are not acknowledged",
            world.honest.unacknowledged()
        );
        rounds += 1;
        while world.server.is_ready(id)
            && let Some(message) = world.honest.poll_message()
        {
            world.server.handle_message(world.now, id, &message);
        }
        world.pass(Duration::from_millis(500));
        world.sync();
        world.read(false);
        world.deliver();
        while world.honest.is_ready()
            && let Some(heard) = world.to_honest.pop_front()
        {
            world.honest.handle_message(world.now, &heard);
        }
        while world.honest.poll_event().is_some() {}
    }
}
