//! The world of a history: what can happen in it, one step at a time, and what is checked after each.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::store::Store;
use crate::chat::{
    Audience, ChatConfig, Client, ClientConfig, ClientEvent, ClientSecret, Delivery, Entry, Kind,
    MAX_UNACKNOWLEDGED, PersistFailure, Read, ReadFailure, Server, ServerEvent,
};
use crate::rng::Rng;
use crate::{ConnectionId, Now, Timestamp};

/// What a check that fails says.
pub(super) type Outcome = Result<(), String>;

/// How many messages the link to a client holds before the rest is held, or dropped.
const LINK_CAPACITY: usize = 6;
/// How many essential messages a caller can owe to one connection: 64 acknowledgements, 2 pages, 1 joined, 3 refusals.
const MOST_HELD: usize = 64 + 2 + 1 + 3;

pub(super) struct Node {
    pub(super) client: Client,
    room: &'static str,
    connection: Option<ConnectionId>,
    appended: u64,
    pub(super) acked: BTreeMap<u64, u64>,
    /// What was delivered; the first is the entry at slot `start`.
    pub(super) seen: Vec<Entry>,
    start: u64,
    refused: bool,
}

/// The server's end of a connection. It may outlive the client's.
#[derive(Default)]
struct Wire {
    node: usize,
    up: VecDeque<Bytes>,
    down: VecDeque<Bytes>,
    held: VecDeque<Bytes>,
}

pub(super) struct World {
    rng: Rng,
    config: ChatConfig,
    pub(super) server: Server,
    lives: u8,
    pub(super) store: Store,
    reads: Vec<Read>,
    pub(super) nodes: Vec<Node>,
    wires: BTreeMap<ConnectionId, Wire>,
    connections: u32,
    now: Now,
    stopped: bool,
    /// How many dropped messages, failed batches and crashes there were: a history without them shows little.
    pub(super) faults: u64,
}

impl World {
    pub(super) fn new(seed: u64, configure: impl FnOnce(&mut ChatConfig, &mut Vec<ClientConfig>)) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = Rng::new(&key, "history");
        let mut config = ChatConfig {
            tail_entries: rng.below(20) as usize,
            batch_records: 1 + rng.below(6) as usize,
            ..ChatConfig::default()
        };
        let mut clients: Vec<ClientConfig> = (0..2 + rng.below(5) as u8)
            .map(|i| {
                let mut client = ClientConfig::new("lobby", format!("c{i}"), ClientSecret([i; 32]));
                if i % 3 == 2 {
                    client.room = "other".into();
                }
                if rng.below(4) == 0 {
                    client.last = Some(rng.below(6));
                }
                client
            })
            .collect();
        configure(&mut config, &mut clients);
        let nodes = clients.into_iter().map(|config| {
            let room = if &*config.room == "lobby" { "lobby" } else { "other" };
            let client = Client::new(config).expect("the names are short");
            let (acked, seen) = (BTreeMap::new(), Vec::new());
            Node { client, room, connection: None, appended: 0, acked, seen, start: 0, refused: false }
        });
        let nodes = nodes.collect();
        let server = Server::new(config.clone(), rng.bytes());
        let now = Now { mono: Timestamp::from_millis(5), unix_ms: 1_700_000_000_000 };
        Self {
            rng,
            config,
            server,
            lives: 0,
            store: Store::default(),
            reads: Vec::new(),
            nodes,
            wires: BTreeMap::new(),
            connections: 0,
            now,
            stopped: false,
            faults: 0,
        }
    }

    fn pick(&mut self, n: usize) -> usize {
        self.rng.below(n as u64) as usize
    }

    /// One thing happens.
    pub(super) fn step(&mut self) -> Outcome {
        let node = self.pick(self.nodes.len());
        match self.rng.below(100) {
            0..4 => self.connect(node),
            4..6 => self.disconnect(node),
            6..26 => self.append(node),
            26..46 => self.send_up(node),
            46..60 => self.deliver_up(),
            60..72 => self.deliver_down(node)?,
            72..80 => self.poll_server()?,
            80..86 => self.hand_out()?,
            86..91 => self.sync()?,
            91..93 => self.fail_some()?,
            93..96 => self.answer_read(),
            96..99 => self.advance(),
            _ if self.rng.below(3) == 0 => self.crash()?,
            _ => self.advance(),
        }
        self.check()
    }

    pub(super) fn append(&mut self, node: usize) {
        let (now, i) = (self.author_clock(), node);
        let node = &mut self.nodes[node];
        let body = format!("{i}:{}", node.appended + 1);
        if node.client.append(now, Kind::TEXT, body.into()).is_ok() {
            node.appended += 1;
        }
    }

    /// Clocks of authors are off by up to ten seconds.
    fn author_clock(&mut self) -> Now {
        Now { unix_ms: self.now.unix_ms + self.rng.below(20_000) - 10_000, ..self.now }
    }

    fn connect(&mut self, node: usize) {
        if self.nodes[node].connection.is_some() {
            return;
        }
        self.connections += 1;
        let id = ConnectionId { slot: node as u32, generation: self.connections };
        self.wires.insert(id, Wire { node, ..Wire::default() });
        let now = self.now;
        let node = &mut self.nodes[node];
        node.connection = Some(id);
        node.refused = false;
        node.client.handle_connected(now);
    }

    /// The client's end goes at once. The server's goes too, or lives on for a while with what is on its way to it.
    fn disconnect(&mut self, node: usize) {
        let now = self.now;
        let Some(id) = self.nodes[node].connection.take() else { return };
        self.nodes[node].client.handle_disconnected(now);
        if self.rng.below(2) == 0 {
            self.wires.remove(&id);
            self.server.handle_disconnected(now, id);
        }
    }

    fn send_up(&mut self, node: usize) {
        let Some(id) = self.nodes[node].connection else { return };
        let wire = self.wires.get_mut(&id).expect("a client's connection has a wire");
        if wire.up.len() < LINK_CAPACITY
            && let Some(message) = self.nodes[node].client.poll_message()
        {
            wire.up.push_back(message);
        }
    }

    fn deliver_up(&mut self) {
        if self.wires.is_empty() {
            return;
        }
        let at = self.pick(self.wires.len());
        let (&id, wire) = self.wires.iter_mut().nth(at).expect("it is one of them");
        let gone = self.nodes[wire.node].connection != Some(id);
        if gone && wire.up.is_empty() {
            self.wires.remove(&id);
            self.server.handle_disconnected(self.now, id);
        } else if wire.held.is_empty()
            && self.server.is_ready(id)
            && let Some(message) = wire.up.pop_front()
        {
            self.server.handle_message(self.now, id, &message);
        }
    }

    fn deliver_down(&mut self, node: usize) -> Outcome {
        let Some(id) = self.nodes[node].connection else { return Ok(()) };
        let wire = self.wires.get_mut(&id).expect("a client's connection has a wire");
        if self.nodes[node].client.is_ready()
            && let Some(message) = wire.down.pop_front()
        {
            wire.down.extend(wire.held.pop_front());
            self.nodes[node].client.handle_message(self.now, &message);
        }
        if self.rng.below(4) > 0 { self.poll_client(node) } else { Ok(()) }
    }

    fn poll_server(&mut self) -> Outcome {
        while let Some(outgoing) = self.server.poll_message() {
            let receivers = match &outgoing.to {
                Audience::One(id) => core::slice::from_ref(id),
                Audience::Many(ids) => ids,
            };
            for id in receivers {
                let Some(wire) = self.wires.get_mut(id) else { continue };
                if wire.held.is_empty() && wire.down.len() < LINK_CAPACITY {
                    wire.down.push_back(outgoing.payload.clone());
                } else if outgoing.delivery == Delivery::Essential {
                    wire.held.push_back(outgoing.payload.clone());
                } else {
                    self.faults += 1;
                }
                if wire.held.len() > MOST_HELD {
                    return Err(format!("{} essential messages are owed to one connection", wire.held.len()));
                }
            }
        }
        while let Some(event) = self.server.poll_event() {
            if let ServerEvent::Ended(id, reason) = event {
                let alive =
                    self.wires.get(&id).is_some_and(|wire| self.nodes[wire.node].connection == Some(id));
                if alive {
                    return Err(format!("a well-behaved client was ended: {reason:?}"));
                }
            }
        }
        Ok(())
    }

    fn hand_out(&mut self) -> Outcome {
        if let Some(batch) = self.server.poll_persist(self.now) {
            if batch.records.is_empty() || batch.records.len() > self.config.batch_records {
                return Err(format!("a batch of {} records", batch.records.len()));
            }
            self.store.pending.push_back(batch);
            if self.store.pending.len() > self.config.max_batches {
                return Err("too many batches are outstanding".into());
            }
        }
        if let Some(read) = self.server.poll_read() {
            self.reads.push(read);
        }
        Ok(())
    }

    fn sync(&mut self) -> Outcome {
        let mut durable = None;
        for _ in 0..=self.rng.below(2) {
            durable = self.store.sync_one()?.or(durable);
        }
        if let Some(upto) = durable {
            self.server.handle_persisted(self.now, upto);
        }
        Ok(())
    }

    fn fail_some(&mut self) -> Outcome {
        let index = self.pick(4);
        let Some(number) = self.store.fail_from(index) else { return Ok(()) };
        self.faults += 1;
        let broken = self.rng.below(8) == 0;
        let failure = if broken { PersistFailure::Broken } else { PersistFailure::Full };
        self.server.handle_persist_failed(self.now, number, failure);
        self.stopped |= broken;
        if broken && self.rng.below(2) == 0 { self.crash() } else { Ok(()) }
    }

    fn answer_read(&mut self) {
        if self.reads.is_empty() {
            return;
        }
        let at = self.pick(self.reads.len());
        let read = self.reads.swap_remove(at);
        if self.rng.below(5) == 0 {
            self.faults += 1;
            let failures = [ReadFailure::Busy, ReadFailure::Unreadable];
            let failure = failures[self.pick(failures.len())];
            self.server.handle_read_failed(self.now, read.id, failure);
        } else {
            self.server.handle_read(self.now, read.id, &self.store.read(&read));
        }
    }

    /// Time passes; the wall clock sometimes jumps by up to an hour.
    pub(super) fn advance(&mut self) {
        let magnitude = self.rng.below(13);
        let millis = 1 + self.rng.below(1 << magnitude);
        self.now.mono += Duration::from_millis(millis);
        self.now.unix_ms += millis;
        if self.rng.below(10) == 0 {
            self.now.unix_ms = self.now.unix_ms + self.rng.below(7_200_000) - 3_600_000;
        }
        self.server.handle_timeout(self.now);
        let server = self.server.poll_timeout();
        assert!(server.is_none_or(|at| at > self.now.mono), "a timer of the server is overdue");
        for node in &mut self.nodes {
            node.client.handle_timeout(self.now);
            assert!(
                node.client.poll_timeout().is_none_or(|at| at > self.now.mono),
                "a client's timer is overdue"
            );
        }
    }

    /// The server dies and starts again. What it had handed to the store is durable up to some batch, reported or not.
    fn crash(&mut self) -> Outcome {
        self.faults += 1;
        for _ in 0..self.rng.below(5) {
            self.store.sync_one()?;
        }
        self.store.pending.clear();
        self.reads.clear();
        self.stopped = false;
        self.lives += 1;
        let mut seed = [self.lives; 32];
        seed[0] = 1;
        self.server = Server::new(self.config.clone(), seed);
        let tail = self.rng.below(8) as usize;
        for state in self.store.states(tail) {
            self.server.restore(state).map_err(|error| error.to_string())?;
        }
        self.wires.clear();
        for node in &mut self.nodes {
            if node.connection.take().is_some() {
                node.client.handle_disconnected(self.now);
            }
        }
        Ok(())
    }

    fn poll_client(&mut self, index: usize) -> Outcome {
        let node = &mut self.nodes[index];
        while let Some(event) = node.client.poll_event() {
            node.note(event)?;
        }
        Ok(())
    }

    /// What must hold at every moment.
    fn check(&self) -> Outcome {
        for (i, node) in self.nodes.iter().enumerate() {
            if node.client.unacknowledged() > MAX_UNACKNOWLEDGED {
                return Err(format!("client {i} has too much outstanding"));
            }
            let durable = self.store.rooms.get(node.room).map_or(&[][..], |kept| &kept.entries);
            if let Some(last) = node.seen.last()
                && durable.get(last.slot as usize - 1).is_none_or(|entry| entry.body != last.body)
            {
                return Err(format!(
                    "client {i} saw something at slot {} that is not durable there",
                    last.slot
                ));
            }
            if let Some((number, &slot)) = node.acked.last_key_value()
                && durable.get(slot as usize - 1).is_none_or(|entry| entry.body != format!("{i}:{number}"))
            {
                return Err(format!(
                    "append {number} of client {i} is not at slot {slot}, where it was acked"
                ));
            }
        }
        Ok(())
    }

    /// Faults end, and everything must come to rest: every append acknowledged, everybody with the whole log.
    pub(super) fn settle(&mut self) -> Outcome {
        if self.stopped {
            self.crash()?;
        }
        for _ in 0..2000 {
            for node in 0..self.nodes.len() {
                if self.nodes[node].refused {
                    self.disconnect(node);
                }
                self.connect(node);
                for _ in 0..8 {
                    self.send_up(node);
                    self.deliver_up();
                    self.deliver_down(node)?;
                    self.poll_client(node)?;
                }
            }
            self.poll_server()?;
            self.hand_out()?;
            self.sync()?;
            self.answer_read();
            self.advance();
            self.check()?;
            if self.is_settled() {
                return self.check_logs();
            }
        }
        Err(self.unsettled())
    }

    fn is_settled(&self) -> bool {
        self.nodes.iter().all(|node| {
            let latest = self.store.rooms.get(node.room).map_or(0, |kept| kept.state.latest);
            let read = node.start > 0 && node.start + node.seen.len() as u64 == latest + 1;
            node.client.unacknowledged() == 0 && read
        })
    }

    fn unsettled(&self) -> String {
        let states = self.nodes.iter().map(|node| {
            format!(
                "{} unacknowledged, {} of {:?}",
                node.client.unacknowledged(),
                node.start + node.seen.len() as u64,
                self.store.rooms.get(node.room).map(|kept| kept.state.latest)
            )
        });
        format!("does not come to rest: {}", states.collect::<Vec<_>>().join("; "))
    }

    fn check_logs(&self) -> Outcome {
        for kept in self.store.rooms.values() {
            let mut last: BTreeMap<String, u64> = BTreeMap::new();
            for entry in &kept.entries {
                let body = String::from_utf8_lossy(&entry.body).to_string();
                let (author, number) = body.split_once(':').ok_or("a foreign body")?;
                let number: u64 = number.parse().map_err(|_| "a foreign body")?;
                if last.insert(author.into(), number).unwrap_or(0) + 1 != number {
                    return Err(format!("{body} is out of order, missing or there twice"));
                }
            }
        }
        for (i, node) in self.nodes.iter().enumerate() {
            let durable = self.store.rooms.get(node.room).map_or(&[][..], |kept| &kept.entries);
            for entry in &node.seen {
                if durable[entry.slot as usize - 1].body != entry.body {
                    return Err(format!("client {i} has another log"));
                }
            }
            if node.acked.len() as u64 != node.appended {
                return Err(format!("client {i}: {} of {} acked", node.acked.len(), node.appended));
            }
        }
        Ok(())
    }
}

impl Node {
    fn note(&mut self, event: ClientEvent) -> Outcome {
        match event {
            ClientEvent::Joined { next, resumed, .. } => {
                if !resumed {
                    self.start = next;
                }
                if next != self.start + self.seen.len() as u64 {
                    return Err(format!("joined at {next} after {} entries", self.seen.len()));
                }
            }
            ClientEvent::Entry(entry) => {
                if entry.slot != self.start + self.seen.len() as u64 {
                    return Err(format!("slot {} was delivered over a gap or again", entry.slot));
                }
                self.seen.push(entry);
            }
            ClientEvent::Acked { sequence, slot, .. } => {
                if self.acked.insert(sequence, slot).is_some() {
                    return Err(format!("append {sequence} was acked twice"));
                }
            }
            ClientEvent::Refused { .. } => self.refused = true,
            ClientEvent::LogReset { .. } | ClientEvent::Rejected { .. } => {
                return Err(format!("no reason for {event:?}"));
            }
            ClientEvent::Behind { .. }
            | ClientEvent::Live { .. }
            | ClientEvent::Stalled
            | ClientEvent::Unreadable { .. } => {}
        }
        Ok(())
    }
}
