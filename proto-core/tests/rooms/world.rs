//! A room with a log that commits when it is told to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use proto_core::chat::{BodyHash, ClientId, Kind, StoredEntry};
use proto_core::room::fact::{Fact, ROOM, ROOM_AUTHOR};
use proto_core::room::*;
use proto_core::{Now, Timestamp};

/// A user by a small number.
pub(crate) fn user(number: u8) -> UserId {
    UserId([number; 12])
}

/// The log's entry at `slot` with this fact.
pub(crate) fn entry(slot: u64, commit_ms: u64, fact: &Fact) -> StoredEntry {
    raw(slot, commit_ms, ROOM_AUTHOR, ROOM, fact.to_bytes())
}

pub(crate) fn raw(slot: u64, commit_ms: u64, client: ClientId, kind: Kind, body: Bytes) -> StoredEntry {
    let body_hash = BodyHash::of(kind, &body);
    let name = Arc::from("");
    StoredEntry { slot, client, sequence: slot, body_hash, name, author_ms: 0, commit_ms, kind, body }
}

/// One room, its log, and what was told.
pub(crate) struct World {
    pub(crate) config: RoomConfig,
    pub(crate) room: Room,
    pub(crate) now: Now,
    pub(crate) log: Vec<StoredEntry>,
    in_flight: VecDeque<Fact>,
    pub(crate) effects: Effects,
}

impl World {
    pub(crate) fn new(name: &str) -> Self {
        let now = Now { mono: Timestamp::from_millis(1000), unix_ms: 1_700_000_000_000 };
        let config = RoomConfig::default();
        let room = Room::new(name.into(), State::new(RoomKind::of(name)), &config, now);
        Self { config, room, now, log: Vec::new(), in_flight: VecDeque::new(), effects: Effects::default() }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.unix_ms += time.as_millis() as u64;
        self.room.handle_timeout(self.now, &self.config, &mut self.effects);
    }

    /// Everything proposed is committed.
    pub(crate) fn settle(&mut self) {
        loop {
            while let Some(fact) = self.room.poll_fact() {
                self.in_flight.push_back(fact);
            }
            let Some(fact) = self.in_flight.pop_front() else { return };
            let slot = self.log.len() as u64 + 1;
            let entry = entry(slot, self.now.unix_ms, &fact);
            self.log.push(entry.clone());
            self.room.apply(self.now, &self.config, &entry, &mut self.effects).expect("the next slot");
        }
    }

    pub(crate) fn try_join(&mut self, number: u8, tab: u64) -> Result<(), Reason> {
        let newcomer = Newcomer {
            peer: Peer::Guest(u64::from(number) * 100 + tab),
            user: user(number),
            prefix: Some(u64::from(number / 10)),
            name: format!("user {number}").into(),
            color: Color::default(),
            online_since: self.now.mono,
            is_plain: false,
        };
        self.room.join(self.now, &self.config, newcomer, None, &mut self.effects)
    }

    pub(crate) fn join(&mut self, number: u8) {
        self.try_join(number, 0).expect("there is room");
        self.settle();
    }

    pub(crate) fn leave(&mut self, number: u8, how: Departure) {
        let peer = Peer::Guest(u64::from(number) * 100);
        self.room.leave(self.now, &self.config, user(number), peer, how, &mut self.effects);
        self.settle();
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.room.state().crown.epoch
    }

    pub(crate) fn holder(&self) -> Option<UserId> {
        self.room.state().crown.holder
    }

    pub(crate) fn by(&self, number: u8) -> By {
        By::User(user(number), self.epoch())
    }

    pub(crate) fn give(&mut self, number: u8, to: u8) -> Result<(), Reason> {
        let result = self.room.give_crown(self.now, user(number), self.epoch(), user(to));
        self.settle();
        result
    }

    pub(crate) fn drop_crown(&mut self, number: u8) -> Result<(), Reason> {
        let result = self.room.drop_crown(self.now, user(number), self.epoch(), Position::default());
        self.settle();
        result
    }

    pub(crate) fn kick(&mut self, number: u8, whom: u8, ms: Option<u32>) -> Result<(), Reason> {
        let by = self.by(number);
        let result = self.room.kick_ban(self.now, &self.config, by, user(whom), ms);
        self.settle();
        result
    }

    /// What has been told since the last call, and to whom.
    pub(crate) fn told(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.effects.outgoing)
    }

    pub(crate) fn notices(&mut self) -> Vec<String> {
        let words = |outgoing: Outgoing| match outgoing.event {
            Event::Notification(words) => Some(String::from(&*words.text)),
            _ => None,
        };
        self.told().into_iter().filter_map(words).collect()
    }
}
