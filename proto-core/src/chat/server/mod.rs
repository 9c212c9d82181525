//! The server: many rooms, many connections, one store.

mod append;
mod budget;
mod catch_up;
mod connection;
mod expiry;
mod join;
mod leave;
mod logs;
mod output;
mod persisting;
mod restore;
mod room;
mod sequencer;
mod stats;
mod tail;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

pub use output::{Audience, Delivery, EndReason, Outgoing, ServerEvent};
pub use restore::RestoreError;
pub use stats::ServerStats;

use super::config::ChatConfig;
use super::identity::Kind;
use super::message::{MAX_BODY, MAX_UNACKNOWLEDGED, Message, RejectReason};
use super::persist::StoredEntry;
use crate::rng::Rng;
use crate::{ConnectionId, Now, Timestamp};
use connection::{Connection, Phase};
use room::{Room, RoomKey};

/// Whether a new append of this kind to the room of this name is taken.
pub type Guard<'a> = dyn FnMut(&str, Kind) -> Result<(), RejectReason> + 'a;

/// The chat log's server.
///
/// Hand in what arrives, then poll messages, batches, reads and events until each gives `None`, in any order. Messages of one
/// connection go out in the order in which they are polled.
///
/// # What a caller owes
/// An [`Essential`](Delivery::Essential) message that its connection cannot take is held until it can, and as long as one is
/// held, no message of that connection is handed in, nor while [`is_ready`](Self::is_ready) is false. Every essential message
/// answers one that was handed in, or is one of two notices (fenced, stopped). So a caller never holds more for one connection
/// than 64 acknowledgements, two pages, one join's answer and three refusals, however hostile its client is.
#[derive(Clone, Debug)]
pub struct Server {
    config: ChatConfig,
    rng: Rng,
    /// The latest monotonic time seen: a clock that runs backwards is clamped to it.
    now: Timestamp,
    rooms: Vec<Room>,
    /// Places of rooms that are gone, for rooms to come.
    free: Vec<RoomKey>,
    names: BTreeMap<Arc<str>, RoomKey>,
    connections: BTreeMap<ConnectionId, Connection>,
    sequencer: sequencer::Sequencer,
    disk: persisting::Disk,
    reads: catch_up::Reads,
    budgets: budget::Budgets,
    tails: tail::TailBudget,
    served: expiry::Served,
    /// What was committed to watched rooms.
    committed: VecDeque<(Arc<str>, StoredEntry)>,
    outbox: output::Outbox,
    events: output::Events,
    stats: ServerStats,
}

impl Server {
    /// A server without rooms. `seed` decides the epochs and salts of new rooms: take it from the operating system, and never
    /// the same twice with the same store.
    pub fn new(mut config: ChatConfig, seed: [u8; 32]) -> Self {
        config.max_body = config.max_body.min(MAX_BODY);
        Self {
            config,
            rng: Rng::new(&seed, "chat server"),
            now: Timestamp::ZERO,
            rooms: Vec::new(),
            free: Vec::new(),
            names: BTreeMap::new(),
            connections: BTreeMap::new(),
            sequencer: sequencer::Sequencer::default(),
            disk: persisting::Disk::default(),
            reads: catch_up::Reads::default(),
            budgets: budget::Budgets::default(),
            tails: tail::TailBudget::default(),
            served: expiry::Served::default(),
            committed: VecDeque::new(),
            outbox: output::Outbox::default(),
            events: output::Events::default(),
            stats: ServerStats::default(),
        }
    }

    /// A message has arrived on a connection. Whatever it is, the answer is a message, an event or a counter.
    pub fn handle_message(&mut self, now: Now, from: ConnectionId, payload: &Bytes) {
        self.handle_guarded(now, from, payload, &mut |_, _| Ok(()));
    }

    /// The same, but an append that is new is accepted only if `guard` says so of its room's name and its kind. The reason that it
    /// gives otherwise is a [final](RejectReason::is_final) one. Repetitions of what was accepted are answered without it.
    pub fn handle_guarded(&mut self, now: Now, from: ConnectionId, payload: &Bytes, guard: &mut Guard<'_>) {
        let now = self.observe(now);
        let state = self.connections.entry(from).or_default();
        if matches!(state.phase, Phase::Ended) {
            self.stats.after_end += 1;
            return;
        }
        if !self.is_ready(from) {
            self.stats.overruns += 1;
            self.end(from, EndReason::Overrun);
            return;
        }
        match Message::decode(payload) {
            Ok(Message::ClientJoin(join)) => self.handle_join(now, from, &join),
            Ok(Message::ClientAppend(append)) => self.handle_append(now, from, &append, guard),
            Ok(Message::ClientUpdate(update)) => self.handle_update(from, &update),
            Ok(Message::ClientLeave(leave)) => self.handle_leave(from, &leave),
            _ => {
                self.stats.malformed += 1;
                self.end(from, EndReason::Malformed);
            }
        }
    }

    /// A connection is gone. What its client has queued is committed all the same.
    pub fn handle_disconnected(&mut self, now: Now, connection: ConnectionId) {
        self.observe(now);
        self.forget_connection(connection);
    }

    /// The next message to send.
    pub fn poll_message(&mut self) -> Option<Outgoing> {
        let outgoing = self.outbox.pop()?;
        if let Audience::One(connection) = outgoing.to {
            self.sent(connection);
        }
        Some(outgoing)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.poll()
    }

    /// To be called at the time that `poll_timeout` gives; earlier or later calls do no harm.
    pub fn handle_timeout(&mut self, now: Now) {
        let now = self.observe(now);
        self.disk.handle_timeout(now.mono);
        self.refill();
    }

    /// When `handle_timeout` has something to do.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.disk.deadline().into_iter().chain(self.budgets.deadline()).min()
    }

    /// Counters since the server was created.
    pub fn stats(&self) -> &ServerStats {
        &self.stats
    }

    fn observe(&mut self, now: Now) -> Now {
        self.now = self.now.max(now.mono);
        Now { mono: self.now, ..now }
    }

    fn add_room(&mut self, room: Room) -> RoomKey {
        let key = self.free.pop().unwrap_or(RoomKey(self.rooms.len()));
        self.names.insert(room.name.clone(), key);
        match self.rooms.get_mut(key.0) {
            Some(place) => *place = room,
            None => self.rooms.push(room),
        }
        key
    }

    fn remember_ms(&self) -> u64 {
        u64::try_from(self.config.remember.as_millis()).unwrap_or(u64::MAX)
    }

    /// How many appends of a client are not durable.
    fn waiting(&self, room: RoomKey, client: super::ClientId) -> usize {
        let member = self.rooms[room.0].members.get(&client);
        member.map_or(0, |member| member.waiting.len()).min(MAX_UNACKNOWLEDGED)
    }
}
