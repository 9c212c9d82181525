//! A register that clients read and write, kept by three replicas of which any two are enough (after Attiya,
//! Bar-Noy and Dolev, 1995). It has nothing to do with the protocols around it: it shows that the simulator
//! needs no more of a protocol than `Node` and `Dissect`.
//!
//! Each operation has two rounds. In the first the client asks the replicas which value has the highest tag,
//! and takes the highest of two answers; in the second it hands a value with its tag to the replicas (a
//! reader the one it has found, a writer its own with a higher tag), and is done when two have it on disk.

use std::collections::VecDeque;
use std::fmt::Write as _;

use simtest::{
    Addr, Boot, DiskOp, Dissect, Ecn, Node, Now, OpId, RecvMeta, StoreError, StoreOp, Time, Transmit,
    hash_bytes, ms,
};

const FILE: &str = "register";
const RETRY: std::time::Duration = ms(100);

/// What is wrong with the implementation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bug {
    /// Nothing.
    None,
    /// A reader does not hand on what it has found.
    NoWriteBack,
    /// One answer is enough.
    OneIsEnough,
    /// A replica takes every value, also one with a lower tag.
    NoCompare,
    /// A replica answers before the value is on disk.
    AnswerBeforeSync,
    /// A replica begins anew after a crash.
    Amnesia,
    /// Two answers of the same replica count as two.
    CountTwice,
    /// An answer of an earlier round is taken for one of this round.
    StaleAnswers,
}

/// All bugs.
pub(crate) const BUGS: [Bug; 7] = [
    Bug::NoWriteBack,
    Bug::OneIsEnough,
    Bug::NoCompare,
    Bug::AnswerBeforeSync,
    Bug::Amnesia,
    Bug::CountTwice,
    Bug::StaleAnswers,
];

/// A version of the value: the greater wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Tag {
    /// One more than that of the version before.
    pub(crate) seq: u32,
    /// Who wrote it.
    pub(crate) client: u32,
}

/// What a client is told to do.
#[derive(Clone, Debug)]
pub(crate) enum Cmd {
    /// Tell the value.
    Read,
    /// Change the value.
    Write(u32),
}

/// What a client tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// An operation has begun.
    Begun {
        /// Its number.
        op: u32,
    },
    /// An operation is done.
    Done {
        /// Its number.
        op: u32,
        /// The version that was read or written.
        tag: Tag,
        /// Its value.
        value: u32,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Ask = 1,
    Have = 2,
    Put = 3,
    Stored = 4,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    kind: Kind,
    op: u32,
    tag: Tag,
    value: u32,
}

fn sum(bytes: &[u8]) -> [u8; 4] {
    (hash_bytes(11, bytes) as u32).to_le_bytes()
}

fn pack(kind: u8, words: [u32; 4]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    let sum = sum(&out);
    out.extend_from_slice(&sum);
    out
}

fn unpack(bytes: &[u8]) -> Option<(u8, [u32; 4])> {
    let (body, check) = bytes.split_at_checked(17)?;
    let word = |i: usize| u32::from_le_bytes([body[i], body[i + 1], body[i + 2], body[i + 3]]);
    (sum(body) == check).then(|| (body[0], [word(1), word(5), word(9), word(13)]))
}

impl Message {
    fn encode(self) -> Vec<u8> {
        pack(self.kind as u8, [self.op, self.tag.seq, self.tag.client, self.value])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, [op, seq, client, value]) = unpack(bytes)?;
        let kinds = [Kind::Ask, Kind::Have, Kind::Put, Kind::Stored];
        let kind = kinds.into_iter().find(|k| *k as u8 == kind)?;
        Some(Self { kind, op, tag: Tag { seq, client }, value })
    }
}

/// A replica or a client.
#[derive(Clone, Debug)]
pub(crate) struct Register {
    bug: Bug,
    role: Role,
    out: VecDeque<(Addr, Message)>,
    ops: VecDeque<StoreOp>,
    events: VecDeque<Event>,
}

#[derive(Clone, Debug)]
enum Role {
    Replica(Replica),
    Client(Client),
}

#[derive(Clone, Debug, Default)]
struct Replica {
    tag: Tag,
    value: u32,
    next_op: u64,
    /// Answers that wait for their sync.
    waiting: VecDeque<(OpId, Addr, Message)>,
}

#[derive(Clone, Debug)]
struct Client {
    id: u32,
    replicas: Vec<Addr>,
    next: u32,
    todo: VecDeque<(u32, Cmd)>,
    current: Option<Round>,
}

#[derive(Clone, Debug)]
struct Round {
    op: u32,
    cmd: Cmd,
    kind: Kind,
    tag: Tag,
    value: u32,
    answered: Vec<Addr>,
    retry_at: Time,
}

impl Register {
    fn new(bug: Bug, role: Role) -> Self {
        Self { bug, role, out: VecDeque::new(), ops: VecDeque::new(), events: VecDeque::new() }
    }

    /// A replica, with what its disk says.
    pub(crate) fn replica(boot: &Boot<'_>, bug: Bug) -> Self {
        let bytes = boot.disk.read(FILE).filter(|_| bug != Bug::Amnesia).unwrap_or_default();
        let records = bytes.chunks(21).map_while(unpack);
        let (tag, value) = records
            .map(|(_, [seq, client, value, _])| (Tag { seq, client }, value))
            .max()
            .unwrap_or_default();
        Self::new(bug, Role::Replica(Replica { tag, value, ..Replica::default() }))
    }

    /// A client of the replicas with these names.
    ///
    /// # Panics
    /// If there is no node of that name.
    pub(crate) fn client(boot: &Boot<'_>, bug: Bug, replicas: &[&str]) -> Self {
        let replicas = replicas.iter().map(|name| boot.addr_of(name).expect("a replica")).collect();
        let id = boot.addr.number() | boot.life << 8;
        Self::new(bug, Role::Client(Client { id, replicas, next: 0, todo: VecDeque::new(), current: None }))
    }

    /// Whether a client has nothing left to do.
    pub(crate) fn is_idle(&self) -> bool {
        match &self.role {
            Role::Replica(_) => true,
            Role::Client(client) => client.current.is_none() && client.todo.is_empty(),
        }
    }
}

impl Replica {
    fn receive(
        &mut self,
        from: Addr,
        message: Message,
        bug: Bug,
        ops: &mut VecDeque<StoreOp>,
    ) -> Option<Message> {
        let Message { kind, op, tag, value } = message;
        match kind {
            Kind::Ask => Some(Message { kind: Kind::Have, op, tag: self.tag, value: self.value }),
            Kind::Put => {
                let answer = Message { kind: Kind::Stored, op, tag, value };
                if tag > self.tag || bug == Bug::NoCompare {
                    (self.tag, self.value) = (tag, value);
                    let bytes = pack(0, [tag.seq, tag.client, value, 0]);
                    let mut push = |op| {
                        self.next_op += 1;
                        ops.push_back(StoreOp { id: OpId(self.next_op), op });
                    };
                    push(DiskOp::Append { file: FILE.into(), bytes });
                    push(DiskOp::Sync { file: FILE.into() });
                } else if self.waiting.is_empty() {
                    return Some(answer);
                }
                if bug == Bug::AnswerBeforeSync {
                    return Some(answer);
                }
                self.waiting.push_back((OpId(self.next_op), from, answer));
                None
            }
            Kind::Have | Kind::Stored => None,
        }
    }
}

impl Client {
    /// Begins the next operation if there is none.
    fn begin(&mut self, now: Now, out: &mut VecDeque<(Addr, Message)>) {
        if self.current.is_none()
            && let Some((op, cmd)) = self.todo.pop_front()
        {
            let round = Round {
                op,
                cmd,
                kind: Kind::Ask,
                tag: Tag::default(),
                value: 0,
                answered: Vec::new(),
                retry_at: now.mono + RETRY,
            };
            self.current = Some(round);
            self.send(out);
        }
    }

    /// Sends this round's message to all who have not answered.
    fn send(&self, out: &mut VecDeque<(Addr, Message)>) {
        let Some(Round { op, kind, tag, value, answered, .. }) = &self.current else { return };
        let message = Message { kind: *kind, op: *op, tag: *tag, value: *value };
        out.extend(self.replicas.iter().filter(|to| !answered.contains(to)).map(|to| (*to, message)));
    }

    fn receive(&mut self, now: Now, from: Addr, message: Message, bug: Bug) -> (Option<Event>, bool) {
        let Some(round) = &mut self.current else { return (None, false) };
        let asked = matches!((round.kind, message.kind), (Kind::Ask, Kind::Have) | (Kind::Put, Kind::Stored));
        let current = asked && message.op == round.op;
        let stale = bug == Bug::StaleAnswers && matches!(message.kind, Kind::Have | Kind::Stored);
        if !(current || stale) || (round.answered.contains(&from) && bug != Bug::CountTwice) {
            return (None, false);
        }
        round.answered.push(from);
        if round.kind == Kind::Ask && message.tag > round.tag {
            (round.tag, round.value) = (message.tag, message.value);
        }
        if round.answered.len() < if bug == Bug::OneIsEnough { 1 } else { 2 } {
            return (None, false);
        }
        let read = matches!(round.cmd, Cmd::Read);
        if round.kind == Kind::Put || (read && bug == Bug::NoWriteBack) {
            let done = Event::Done { op: round.op, tag: round.tag, value: round.value };
            self.current = None;
            return (Some(done), true);
        }
        round.kind = Kind::Put;
        round.answered.clear();
        round.retry_at = now.mono + RETRY;
        if let Cmd::Write(value) = round.cmd {
            (round.tag, round.value) = (Tag { seq: round.tag.seq + 1, client: self.id }, value);
        }
        (None, true)
    }
}

impl Node for Register {
    type Cmd = Cmd;
    type Event = Event;

    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], _meta: RecvMeta) {
        let Some(message) = Message::decode(bytes) else { return };
        match &mut self.role {
            Role::Replica(replica) => {
                let answer = replica.receive(from, message, self.bug, &mut self.ops);
                self.out.extend(answer.map(|answer| (from, answer)));
            }
            Role::Client(client) => {
                let (event, moved) = client.receive(now, from, message, self.bug);
                self.events.extend(event);
                if moved && client.current.is_some() {
                    client.send(&mut self.out);
                }
                client.begin(now, &mut self.out);
            }
        }
    }

    fn on_timeout(&mut self, now: Now) {
        let Role::Client(client) = &mut self.role else { return };
        if let Some(round) = &mut client.current
            && round.retry_at <= now.mono
        {
            round.retry_at = now.mono + RETRY;
            client.send(&mut self.out);
        }
    }

    fn on_cmd(&mut self, now: Now, cmd: Cmd) {
        let Role::Client(client) = &mut self.role else { return };
        client.next += 1;
        let op = client.id << 16 | client.next;
        self.events.push_back(Event::Begun { op });
        client.todo.push_back((op, cmd));
        client.begin(now, &mut self.out);
    }

    fn on_stored(&mut self, _now: Now, op: OpId, result: Result<(), StoreError>) {
        let Role::Replica(replica) = &mut self.role else { return };
        while let Some((waits_for, to, answer)) = replica.waiting.front().copied()
            && waits_for <= op
        {
            replica.waiting.pop_front();
            // A value that could not be stored is not answered for; the client asks again.
            if result.is_ok() {
                self.out.push_back((to, answer));
            }
        }
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
            Role::Replica(_) => None,
            Role::Client(client) => Some(client.current.as_ref()?.retry_at),
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

impl Dissect for Register {
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        let Message { kind, op, tag, value } = Message::decode(bytes)?;
        let (client, n) = (op >> 16, op & 0xffff);
        let written = match kind {
            Kind::Ask => write!(text, "{client}.{n}"),
            _ => write!(text, "{client}.{n}\tv{}.{}={value}", tag.seq, tag.client),
        };
        written.ok()?;
        Some(match kind {
            Kind::Ask => "Ask",
            Kind::Have => "Have",
            Kind::Put => "Put",
            Kind::Stored => "Stored",
        })
    }
}
