//! A small protocol to test the simulator with: clients put amounts into one ledger, a server orders them,
//! keeps them on disk and hands them out. Puts are repeated until acknowledged, reads until answered. Bugs
//! can be switched on.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use simtest::{
    Addr, Boot, DiskOp, Dissect, Ecn, Node, Now, OpId, RecvMeta, StoreError, StoreOp, Time, Transmit,
    hash_bytes, ms,
};

const LOG: &str = "log";
const RECORD: usize = 16;
const RETRY: std::time::Duration = ms(100);

/// What is wrong with the implementation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bug {
    None,
    /// A repeated put is taken for a new one.
    NoDedup,
    /// Puts are acknowledged before they are on disk.
    AckBeforeSync,
    /// A failed sync is taken for a good one.
    SyncBlind,
    /// The checksum of datagrams is not looked at.
    NoChecksum,
    /// Entries are delivered as they come, over gaps.
    OverGaps,
    /// A lost put is never repeated.
    NoRetry,
}

#[derive(Clone, Debug)]
pub(crate) struct Put(pub(crate) u32);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// This put has this number from now on.
    Invoked {
        client: u32,
        seq: u32,
        amount: u32,
    },
    Acked {
        client: u32,
        seq: u32,
        slot: u32,
    },
    Deliver {
        slot: u32,
        client: u32,
        seq: u32,
        amount: u32,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) client: u32,
    pub(crate) seq: u32,
    pub(crate) amount: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Message {
    Put(Entry),
    Ack { client: u32, seq: u32, slot: u32 },
    Fetch { next: u32 },
    Entry { slot: u32, entry: Entry },
}

impl Message {
    fn encode(self) -> Vec<u8> {
        let (kind, words) = match self {
            Self::Put(e) => (1, [0, e.client, e.seq, e.amount]),
            Self::Ack { client, seq, slot } => (2, [slot, client, seq, 0]),
            Self::Fetch { next } => (3, [next, 0, 0, 0]),
            Self::Entry { slot, entry: e } => (4, [slot, e.client, e.seq, e.amount]),
        };
        let mut out = Vec::with_capacity(21);
        out.push(kind);
        for word in words {
            out.extend_from_slice(&u32::to_le_bytes(word));
        }
        let sum = checksum(&out);
        out.extend_from_slice(&sum);
        out
    }

    fn decode(bytes: &[u8], check: bool) -> Option<Self> {
        if bytes.len() != 21 || (check && checksum(&bytes[..17]) != bytes[17..]) {
            return None;
        }
        let word = |i: usize| u32::from_le_bytes(bytes[1 + 4 * i..5 + 4 * i].try_into().expect("4 bytes"));
        let entry = Entry { client: word(1), seq: word(2), amount: word(3) };
        Some(match bytes[0] {
            1 => Self::Put(entry),
            2 => Self::Ack { client: word(1), seq: word(2), slot: word(0) },
            3 => Self::Fetch { next: word(0) },
            4 => Self::Entry { slot: word(0), entry },
            _ => return None,
        })
    }
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    (hash_bytes(7, bytes) as u32).to_le_bytes()
}

impl Entry {
    fn record(self) -> [u8; RECORD] {
        let mut out = [0; RECORD];
        out[0..4].copy_from_slice(&self.client.to_le_bytes());
        out[4..8].copy_from_slice(&self.seq.to_le_bytes());
        out[8..12].copy_from_slice(&self.amount.to_le_bytes());
        let sum = checksum(&out[..12]);
        out[12..].copy_from_slice(&sum);
        out
    }

    fn from_record(record: &[u8]) -> Option<Self> {
        let word = |i: usize| u32::from_le_bytes(record[4 * i..4 * i + 4].try_into().expect("4 bytes"));
        (checksum(&record[..12]) == record[12..]).then(|| Self {
            client: word(0),
            seq: word(1),
            amount: word(2),
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    role: Role,
    bug: Bug,
    out: VecDeque<(Addr, Message)>,
    events: VecDeque<Event>,
    ops: VecDeque<StoreOp>,
}

#[derive(Clone, Debug)]
enum Role {
    Server(Server),
    Client(Client),
}

#[derive(Clone, Debug, Default)]
struct Server {
    log: Vec<Entry>,
    slots: BTreeMap<(u32, u32), u32>,
    /// How many entries are on disk for sure.
    durable: usize,
    /// How many entries the write under way will make durable, and whether any part of it has failed.
    writing: Option<(usize, bool)>,
    retry_at: Option<Time>,
    next_op: u64,
    /// Acknowledgements owed when the entry of that slot is durable.
    owed: Vec<(Addr, u32)>,
}

#[derive(Clone, Debug)]
struct Client {
    server: Addr,
    id: u32,
    next_seq: u32,
    open: VecDeque<Entry>,
    next_slot: u32,
    held: BTreeMap<u32, Entry>,
    retry_at: Time,
}

impl Ledger {
    fn new(role: Role, bug: Bug) -> Self {
        Self { role, bug, out: VecDeque::new(), events: VecDeque::new(), ops: VecDeque::new() }
    }

    pub(crate) fn server(boot: &Boot<'_>, bug: Bug) -> Self {
        let bytes = boot.disk.read(LOG).unwrap_or_default();
        let log: Vec<Entry> = bytes.chunks_exact(RECORD).map_while(Entry::from_record).collect();
        let slots = (0..).zip(&log).map(|(slot, e)| ((e.client, e.seq), slot)).collect();
        let durable = log.len();
        Self::new(Role::Server(Server { log, slots, durable, ..Server::default() }), bug)
    }

    pub(crate) fn client(boot: &Boot<'_>, server: Addr, bug: Bug) -> Self {
        let client = Client {
            server,
            id: boot.addr.number() | boot.life << 8,
            next_seq: 0,
            open: VecDeque::new(),
            next_slot: 0,
            held: BTreeMap::new(),
            retry_at: boot.now.mono + RETRY,
        };
        Self::new(Role::Client(client), bug)
    }

    /// On a server: the entries that are durable. On a client: how many were delivered.
    pub(crate) fn len(&self) -> usize {
        match &self.role {
            Role::Server(server) => server.durable,
            Role::Client(client) => client.next_slot as usize,
        }
    }

    /// Puts of a client that wait for their acknowledgement.
    pub(crate) fn open(&self) -> usize {
        match &self.role {
            Role::Server(_) => 0,
            Role::Client(client) => client.open.len(),
        }
    }
}

impl Server {
    fn put(&mut self, from: Addr, entry: Entry, bug: Bug, out: &mut VecDeque<(Addr, Message)>) {
        let known = self.slots.get(&(entry.client, entry.seq)).copied().filter(|_| bug != Bug::NoDedup);
        let slot = known.unwrap_or_else(|| {
            self.log.push(entry);
            let slot = self.log.len() as u32 - 1;
            self.slots.insert((entry.client, entry.seq), slot);
            slot
        });
        if (slot as usize) < self.durable || bug == Bug::AckBeforeSync {
            out.push_back((from, Message::Ack { client: entry.client, seq: entry.seq, slot }));
        } else {
            self.owed.push((from, slot));
        }
    }

    fn write(&mut self, ops: &mut VecDeque<StoreOp>) {
        if self.writing.is_some() || self.retry_at.is_some() || self.durable == self.log.len() {
            return;
        }
        let mut push = |op| {
            self.next_op += 1;
            ops.push_back(StoreOp { id: OpId(self.next_op), op });
        };
        push(DiskOp::Truncate { file: LOG.into(), len: (self.durable * RECORD) as u64 });
        let bytes = self.log[self.durable..].iter().flat_map(|entry| entry.record()).collect();
        push(DiskOp::Append { file: LOG.into(), bytes });
        push(DiskOp::Sync { file: LOG.into() });
        self.writing = Some((self.log.len(), false));
    }

    fn stored(&mut self, now: Now, op: OpId, failed: bool, out: &mut VecDeque<(Addr, Message)>) {
        let Some((upto, any_failed)) = &mut self.writing else { return };
        *any_failed |= failed;
        if op.0 != self.next_op {
            return;
        }
        let (upto, failed) = (*upto, *any_failed);
        self.writing = None;
        if failed {
            self.retry_at = Some(now.mono + RETRY);
            return;
        }
        self.durable = upto;
        let (due, owed) = self.owed.drain(..).partition(|(_, slot)| (*slot as usize) < upto);
        self.owed = owed;
        for (to, slot) in due {
            let Entry { client, seq, .. } = self.log[slot as usize];
            out.push_back((to, Message::Ack { client, seq, slot }));
        }
    }
}

impl Client {
    fn acked(&mut self, seq: u32) -> bool {
        let before = self.open.len();
        self.open.retain(|entry| entry.seq != seq);
        self.open.len() < before
    }

    fn entry(&mut self, slot: u32, entry: Entry, bug: Bug, events: &mut VecDeque<Event>) {
        if slot < self.next_slot {
            return;
        }
        self.held.insert(slot, entry);
        if bug == Bug::OverGaps {
            self.next_slot = slot;
        }
        while let Some(Entry { client, seq, amount }) = self.held.remove(&self.next_slot) {
            events.push_back(Event::Deliver { slot: self.next_slot, client, seq, amount });
            self.next_slot += 1;
        }
    }
}

impl Node for Ledger {
    type Cmd = Put;
    type Event = Event;

    fn on_datagram(&mut self, _now: Now, from: Addr, bytes: &[u8], _meta: RecvMeta) {
        let Some(message) = Message::decode(bytes, self.bug != Bug::NoChecksum) else { return };
        match (&mut self.role, message) {
            (Role::Server(server), Message::Put(entry)) => {
                server.put(from, entry, self.bug, &mut self.out);
                server.write(&mut self.ops);
            }
            (Role::Server(server), Message::Fetch { next }) => {
                let upto = if self.bug == Bug::AckBeforeSync { server.log.len() } else { server.durable };
                for (slot, entry) in (0..).zip(&server.log[..upto]).skip(next as usize).take(8) {
                    self.out.push_back((from, Message::Entry { slot, entry: *entry }));
                }
            }
            (Role::Client(client), Message::Ack { client: id, seq, slot }) if id == client.id => {
                let acked = client.acked(seq).then_some(Event::Acked { client: id, seq, slot });
                self.events.extend(acked);
            }
            (Role::Client(client), Message::Entry { slot, entry }) => {
                client.entry(slot, entry, self.bug, &mut self.events);
            }
            _ => {}
        }
    }

    fn on_timeout(&mut self, now: Now) {
        match &mut self.role {
            Role::Server(server) => {
                if server.retry_at.is_some_and(|at| at <= now.mono) {
                    server.retry_at = None;
                    server.write(&mut self.ops);
                }
            }
            Role::Client(client) => {
                if now.mono >= client.retry_at {
                    client.retry_at = now.mono + RETRY;
                    for entry in client.open.iter().take(4).filter(|_| self.bug != Bug::NoRetry) {
                        self.out.push_back((client.server, Message::Put(*entry)));
                    }
                    self.out.push_back((client.server, Message::Fetch { next: client.next_slot }));
                }
            }
        }
    }

    fn on_cmd(&mut self, _now: Now, Put(amount): Put) {
        let Role::Client(client) = &mut self.role else { return };
        let entry = Entry { client: client.id, seq: client.next_seq, amount };
        client.next_seq += 1;
        client.open.push_back(entry);
        self.events.push_back(Event::Invoked { client: entry.client, seq: entry.seq, amount });
        self.out.push_back((client.server, Message::Put(entry)));
    }

    fn on_stored(&mut self, now: Now, op: OpId, result: Result<(), StoreError>) {
        let Role::Server(server) = &mut self.role else { return };
        server.stored(now, op, result.is_err() && self.bug != Bug::SyncBlind, &mut self.out);
        server.write(&mut self.ops);
    }

    fn poll_transmit(&mut self, _now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        let (dst, message) = self.out.pop_front()?;
        out.extend_from_slice(&message.encode());
        Some(Transmit { dst, ecn: Ecn::NotEct, len: out.len() })
    }

    fn poll_store(&mut self) -> Option<StoreOp> {
        self.ops.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        match &self.role {
            Role::Server(server) => server.retry_at,
            Role::Client(client) => Some(client.retry_at),
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

impl Dissect for Ledger {
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        let (kind, result) = match Message::decode(bytes, true)? {
            Message::Put(e) => ("Put", write!(text, "{}.{} {}", e.client, e.seq, e.amount)),
            Message::Ack { client, seq, slot } => ("Ack", write!(text, "{client}.{seq} slot={slot}")),
            Message::Fetch { next } => ("Fetch", write!(text, "{next}")),
            Message::Entry { slot, entry: e } => {
                ("Entry", write!(text, "slot={slot} {}.{} {}", e.client, e.seq, e.amount))
            }
        };
        result.ok().map(|()| kind)
    }

    fn reseal(_original: &[u8], corrupted: &mut [u8]) {
        if corrupted.len() == 21 {
            let sum = checksum(&corrupted[..17]);
            corrupted[17..].copy_from_slice(&sum);
        }
    }
}
