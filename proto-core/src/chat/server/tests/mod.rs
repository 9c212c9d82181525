//! The rules of the server, one by one.

mod durable;
mod expiry;
mod join;
mod limits;
mod once;
mod order;
mod pages;

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::time::Duration;

use bytes::Bytes;

use super::{Audience, Server};
use crate::chat::{
    Batch, ChatConfig, ClientAppend, ClientJoin, ClientSecret, ClientUpdate, Delivery, Kind, Message, Record,
    StoredEntry,
};
use crate::{ConnectionId, Now, Timestamp};

/// A server, the time, and shorthand for what is said to it.
struct Fixture {
    server: Server,
    now: Now,
}

fn connection(i: u32) -> ConnectionId {
    ConnectionId { slot: i, generation: 0 }
}

fn fixture() -> Fixture {
    with(ChatConfig::default())
}

fn with(config: ChatConfig) -> Fixture {
    let now = Now { mono: Timestamp::from_millis(1000), unix_ms: 1_000_000 };
    Fixture { server: Server::new(config, [1; 32]), now }
}

impl Fixture {
    fn wait(&mut self, millis: u64) {
        self.now.mono += Duration::from_millis(millis);
        self.now.unix_ms += millis;
        self.server.handle_timeout(self.now);
    }

    fn hand_in(&mut self, from: u32, message: &Message<'_>) {
        self.server.handle_message(self.now, connection(from), &message.to_bytes());
    }

    /// Client `client` joins on connection `from`, wanting nothing old.
    fn join_as(&mut self, from: u32, client: u8, incarnation: u64) {
        let secret = ClientSecret([client; 32]);
        let (room, name) = ("r", "n");
        self.hand_in(
            from,
            &Message::ClientJoin(ClientJoin { room, secret, incarnation, name, epoch: 0, has: 0, last: 0 }),
        );
    }

    /// Client `i` joins on connection `i`, and is let in.
    fn join(&mut self, i: u8) {
        self.join_as(u32::from(i), i, 1);
        self.commit();
        self.said();
    }

    fn append_at(&mut self, from: u32, sequence: u64, author_ms: u64, body: &str) {
        self.hand_in(
            from,
            &Message::ClientAppend(ClientAppend {
                room: "r",
                sequence,
                seen: 0,
                author_ms,
                kind: Kind::TEXT,
                body: body.as_bytes(),
            }),
        );
    }

    /// An append written just now.
    fn append(&mut self, from: u32, sequence: u64, body: &str) {
        self.append_at(from, sequence, self.now.unix_ms, body);
    }

    fn update(&mut self, from: u32, n: u64, upto: u64) {
        self.hand_in(from, &Message::ClientUpdate(ClientUpdate { room: "r", n, upto }));
    }

    fn batch(&mut self) -> Option<Batch> {
        self.server.poll_persist(self.now)
    }

    /// Everything becomes durable: the bodies in their order.
    fn commit(&mut self) -> Vec<String> {
        let mut committed = Vec::new();
        while let Some(batch) = self.batch() {
            committed.extend(bodies(&batch));
            self.server.handle_persisted(self.now, batch.number);
        }
        committed
    }

    /// Commits `n` entries of client `i`, which has joined, and polls what is said of it.
    fn fill(&mut self, i: u8, n: u64) {
        for sequence in 1..=n {
            self.append(u32::from(i), sequence, &format!("e{sequence}"));
            self.commit();
            self.said();
        }
    }

    /// All messages that the server has to send, in short.
    fn said(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(outgoing) = self.server.poll_message() {
            let to = match &outgoing.to {
                Audience::One(id) => id.slot.to_string(),
                Audience::Many(ids) => ids.iter().map(|id| id.slot.to_string()).collect::<Vec<_>>().join("+"),
            };
            let droppable = if outgoing.delivery == Delivery::Droppable { "?" } else { "" };
            said.push(format!("{to}{droppable}: {}", short(&outgoing.payload)));
        }
        said
    }
}

fn short(payload: &Bytes) -> String {
    match Message::decode(payload).expect("what the server says decodes") {
        Message::ServerJoined(joined) => format!("joined {} {}", joined.latest, joined.last_sequence),
        Message::ServerAck(ack) => {
            format!("ack {}@{}{}", ack.sequence, ack.slot, if ack.duplicate { " again" } else { "" })
        }
        Message::ServerReply(reply) => {
            let more = if reply.limited { " limited" } else { "" };
            format!("page {}+{} of {}{more}", reply.first, reply.entries.len(), reply.latest)
        }
        Message::ServerEntry(entry) => {
            format!("entry {}={}", entry.slot, String::from_utf8_lossy(entry.entry.body))
        }
        Message::ServerReject(reject) => format!("reject {} {:?}", reject.sequence, reject.reason),
        other => panic!("a client's message: {other:?}"),
    }
}

fn entries(batch: &Batch) -> impl Iterator<Item = &StoredEntry> {
    batch.records.iter().filter_map(|record| match record {
        Record::Entry { entry, .. } => Some(entry),
        Record::Room { .. } | Record::Gone { .. } => None,
    })
}

fn bodies(batch: &Batch) -> Vec<String> {
    entries(batch).map(|entry| String::from_utf8_lossy(&entry.body).to_string()).collect()
}

/// A log of `n` entries by client 1, as a store would give it, with the last `tail` of them.
fn stored(n: u64, tail: usize) -> (crate::chat::RoomState, Vec<StoredEntry>) {
    let client = crate::chat::ClientId::of(&ClientSecret([1; 32]));
    let mut state = crate::chat::RoomState::new(Arc::from("r"), 7, crate::chat::RoomSalt([9; 32]));
    let mut entries = vec![];
    for slot in 1..=n {
        let body = Bytes::from(format!("e{slot}"));
        let body_hash = crate::chat::BodyHash::of(Kind::TEXT, &body);
        let entry = StoredEntry {
            slot,
            client,
            sequence: slot,
            body_hash,
            name: Arc::from("n"),
            author_ms: 1_000_000,
            commit_ms: 1_000_000,
            kind: Kind::TEXT,
            body,
        };
        state.apply(&entry).expect("slots ascend");
        entries.push(entry);
    }
    state.tail = entries[entries.len() - tail..].to_vec();
    (state, entries)
}
