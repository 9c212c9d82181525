//! One room: its log's end, its clients, and who listens.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::tail::Tail;
use crate::chat::identity::{BodyHash, ClientId, Kind, RoomSalt};
use crate::chat::message::WireEntry;
use crate::chat::persist::{ClientTable, RoomState, StoredEntry};
use crate::{ConnectionId, Timestamp};

/// An index into the server's rooms. Of one that is gone it is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoomKey(pub(super) usize);

#[derive(Clone, Debug)]
pub(super) struct Room {
    pub(super) name: Arc<str>,
    pub(super) epoch: u64,
    pub(super) salt: RoomSalt,
    /// Whether its record is durable: nobody joins before.
    pub(super) durable: bool,
    /// The highest durable slot.
    pub(super) latest: u64,
    /// The highest slot given to an entry: `latest` and what is with the store.
    pub(super) placed: u64,
    /// When the room was used last: milliseconds since 1970; 0 if that is not known.
    pub(super) last_ms: u64,
    /// When it was used last since this server runs.
    pub(super) used: Option<Timestamp>,
    pub(super) members: BTreeMap<ClientId, Member>,
    pub(super) tail: Tail,
    /// Whether something was said in it since this server runs.
    pub(super) has_words: bool,
    /// Whether what is committed is to be told by `poll_committed`.
    pub(super) watched: bool,
    /// The connections that have joined; made again after a change.
    audience: Option<Arc<[ConnectionId]>>,
}

/// A client of the room: connected, or remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    pub(super) table: ClientTable,
    /// Appends that are not durable, in the client's order; the first `in_flight` are with the store.
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) in_flight: usize,
    /// The effective time of the append accepted last.
    pub(super) previous: Timestamp,
    /// The connection that speaks for the client, and whether it has joined yet.
    pub(super) connection: Option<ConnectionId>,
    pub(super) joined: bool,
    /// Which of the client's connections that is, as the client counts them.
    pub(super) incarnation: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) sequence: u64,
    pub(super) body_hash: BodyHash,
    pub(super) name: Arc<str>,
    pub(super) author_ms: u64,
    pub(super) kind: Kind,
    pub(super) body: Bytes,
    pub(super) effective: Timestamp,
}

impl Member {
    /// The highest sequence that was accepted, durable or not; 0 when there is none.
    pub(super) fn last_accepted(&self) -> u64 {
        self.waiting.back().map_or(self.table.last_sequence, |append| append.sequence)
    }

    /// The append that is next to get a slot.
    pub(super) fn head(&self) -> Option<&Waiting> {
        self.waiting.get(self.in_flight)
    }

    fn is_idle(&self, unix_ms: u64, remember_ms: u64) -> bool {
        self.connection.is_none()
            && self.waiting.is_empty()
            && (self.table.last_sequence == 0
                || unix_ms.saturating_sub(self.table.last_active_ms) >= remember_ms)
    }
}

impl Room {
    pub(super) fn new(name: Arc<str>, epoch: u64, salt: RoomSalt) -> Self {
        Self {
            name,
            epoch,
            salt,
            durable: false,
            latest: 0,
            placed: 0,
            last_ms: 0,
            used: None,
            members: BTreeMap::new(),
            tail: Tail::default(),
            has_words: false,
            watched: false,
            audience: None,
        }
    }

    /// A room that the store has; its tail is left to the caller, who keeps the budget of all tails.
    pub(super) fn restored(state: RoomState) -> Self {
        let members =
            state.clients.into_iter().map(|(client, table)| (client, Member { table, ..Member::default() }));
        Self {
            durable: true,
            latest: state.latest,
            placed: state.latest,
            last_ms: state.last_ms,
            members: members.collect(),
            ..Self::new(state.room, state.epoch, state.salt)
        }
    }

    /// Forgets `client` if it has been idle for its time; says whether it did.
    pub(super) fn forget(&mut self, client: ClientId, unix_ms: u64, remember_ms: u64) -> bool {
        let idle = self.members.get(&client).is_some_and(|member| member.is_idle(unix_ms, remember_ms));
        if idle {
            self.members.remove(&client);
        }
        idle
    }

    /// Forgets every client that has been idle for its time, and says how many.
    pub(super) fn forget_idle(&mut self, unix_ms: u64, remember_ms: u64) -> usize {
        let before = self.members.len();
        self.members.retain(|_, member| !member.is_idle(unix_ms, remember_ms));
        before - self.members.len()
    }

    /// Somebody has used it; `unix_ms` is 0 where nobody can tell.
    pub(super) fn is_used(&mut self, now: Timestamp, unix_ms: u64) {
        self.last_ms = self.last_ms.max(unix_ms);
        self.used = Some(now);
    }

    /// Whether nobody is in it, and nothing of it is under way.
    pub(super) fn is_idle(&self) -> bool {
        let is_idle = |member: &Member| member.connection.is_none() && member.waiting.is_empty();
        self.durable && !self.watched && self.members.values().all(is_idle)
    }

    /// `connection` speaks for `client` no longer.
    pub(super) fn depart(&mut self, client: ClientId, connection: ConnectionId) {
        let Some(member) = self.members.get_mut(&client) else { return };
        if member.connection != Some(connection) {
            return;
        }
        member.connection = None;
        member.joined = false;
        if member.table.last_sequence == 0 && member.waiting.is_empty() {
            self.members.remove(&client);
        }
        self.audience = None;
    }

    /// The client's connection has been let in.
    pub(super) fn admit(&mut self, client: ClientId) {
        if let Some(member) = self.members.get_mut(&client) {
            member.joined = true;
        }
        self.audience = None;
    }

    pub(super) fn audience(&mut self) -> Arc<[ConnectionId]> {
        let members = &self.members;
        let joined =
            || members.values().filter(|member| member.joined).filter_map(|member| member.connection);
        self.audience.get_or_insert_with(|| joined().collect::<Vec<_>>().into()).clone()
    }

    /// What everybody may know of `entry`.
    pub(super) fn public<'a>(&self, entry: &'a StoredEntry) -> WireEntry<'a> {
        WireEntry {
            author: self.salt.author(entry.client),
            sequence: entry.sequence,
            name: &entry.name,
            author_ms: entry.author_ms,
            commit_ms: entry.commit_ms,
            kind: entry.kind,
            body: &entry.body,
        }
    }
}
