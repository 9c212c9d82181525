//! Pages of the log, from memory or from the store (spec: chat.md, section 8).

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::Server;
use super::output::Delivery;
use super::room::{Room, RoomKey};
use crate::chat::message::{
    ClientUpdate, MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, Message, RejectReason, ServerReply, WireEntry,
};
use crate::chat::persist::{Read, ReadFailure, ReadId, StoredEntry};
use crate::{ConnectionId, Now};

/// How many reads of one connection may be outstanding.
const READS_PER_CONNECTION: usize = 2;

/// Reads that the store has been asked for, or will be.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    last_id: u64,
    /// Not polled yet, oldest first.
    queue: VecDeque<(ReadId, Wanted)>,
    /// With the store. Those of a connection that is gone stay until the store answers, so that their number is bounded.
    with_store: BTreeMap<ReadId, Wanted>,
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    connection: ConnectionId,
    room: RoomKey,
    from: u64,
    upto: u64,
}

impl Wanted {
    /// The highest slot that fits into one page.
    fn page_end(&self) -> u64 {
        self.upto.min(self.from.saturating_add(MAX_PAGE_ENTRIES as u64 - 1))
    }

    fn page_len(&self) -> usize {
        (self.page_end() - self.from + 1) as usize
    }
}

impl Reads {
    /// Whether somebody waits for entries of this room, or did.
    pub(super) fn concern(&self, room: RoomKey) -> bool {
        let mut wanted = self.queue.iter().map(|(_, wanted)| wanted).chain(self.with_store.values());
        wanted.any(|wanted| wanted.room == room)
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.queue.retain(|(_, wanted)| wanted.connection != connection);
    }
}

impl Server {
    pub(super) fn handle_update(&mut self, from: ConnectionId, update: &ClientUpdate<'_>) {
        let joined = self.connections.get(&from).and_then(|state| state.joined());
        let key = joined.map(|membership| membership.room);
        let Some(key) = key.filter(|key| *self.rooms[key.0].name == *update.room) else {
            self.stats.not_joined += 1;
            self.reject(from, update.room, 0, RejectReason::NotJoined);
            return;
        };
        let latest = self.rooms[key.0].latest;
        let asked = if update.upto == ClientUpdate::LATEST { latest } else { update.upto };
        let first = asked.saturating_sub(update.n) + 1;
        self.page(from, key, first, asked.min(latest));
    }

    /// Answers with as much of slots `from` to `upto` as a page holds; with nothing if there is no such slot.
    pub(super) fn page(&mut self, connection: ConnectionId, key: RoomKey, from: u64, upto: u64) {
        let room = &self.rooms[key.0];
        if from > upto {
            self.reply(connection, key, upto, &[]);
            return;
        }
        let wanted = Wanted { connection, room: key, from, upto };
        let remembered: Option<Vec<StoredEntry>> =
            room.tail.from(from).map(|entries| entries.take(wanted.page_len()).cloned().collect());
        if let Some(entries) = remembered {
            self.reply(connection, key, upto, &entries);
            return;
        }
        let Some(state) = self.connections.get_mut(&connection) else { return };
        if state.reads >= READS_PER_CONNECTION {
            self.stats.updates_dropped += 1;
            return;
        }
        state.reads += 1;
        self.reads.last_id += 1;
        self.reads.queue.push_back((ReadId(self.reads.last_id), wanted));
    }

    /// The next read for the store. At most `max_reads` are with it at once.
    pub fn poll_read(&mut self) -> Option<Read> {
        if self.reads.with_store.len() >= self.config.max_reads {
            return None;
        }
        let (id, wanted) = self.reads.queue.pop_front()?;
        self.reads.with_store.insert(id, wanted);
        let room = &self.rooms[wanted.room.0];
        Some(Read {
            id,
            room: room.name.clone(),
            epoch: room.epoch,
            from: wanted.from,
            upto: wanted.page_end(),
            max_bytes: MAX_PAGE_BYTES,
        })
    }

    /// The store's answer: the entries of the read's slots from its first on, at least one.
    pub fn handle_read(&mut self, now: Now, id: ReadId, entries: &[StoredEntry]) {
        self.observe(now);
        let Some(wanted) = self.answered(id) else { return };
        let slots = wanted.from..=wanted.page_end();
        let dense = entries.iter().map(|entry| entry.slot).eq(slots.take(entries.len()));
        if entries.is_empty() || !dense {
            self.stats.reads_failed += 1;
            return;
        }
        if !self.is_in(wanted.connection, wanted.room) {
            self.stats.reads_stale += 1;
            return;
        }
        self.reply(wanted.connection, wanted.room, wanted.upto, entries);
    }

    /// The store could not read. The client asks again in its own time.
    pub fn handle_read_failed(&mut self, now: Now, id: ReadId, failure: ReadFailure) {
        self.observe(now);
        let Some(wanted) = self.answered(id) else { return };
        self.stats.reads_failed += 1;
        if failure == ReadFailure::Unreadable && self.is_in(wanted.connection, wanted.room) {
            let room = self.rooms[wanted.room.0].name.clone();
            self.reject(wanted.connection, &room, 0, RejectReason::Unreadable);
        }
    }

    fn is_in(&self, connection: ConnectionId, room: RoomKey) -> bool {
        let state = self.connections.get(&connection).and_then(|state| state.joined());
        state.is_some_and(|membership| membership.room == room)
    }

    fn answered(&mut self, id: ReadId) -> Option<Wanted> {
        let Some(wanted) = self.reads.with_store.remove(&id) else {
            self.stats.reads_stale += 1;
            return None;
        };
        if let Some(state) = self.connections.get_mut(&wanted.connection) {
            state.reads -= 1;
        }
        Some(wanted)
    }

    fn reply(&mut self, connection: ConnectionId, key: RoomKey, upto: u64, entries: &[StoredEntry]) {
        self.stats.pages += 1;
        let room = &self.rooms[key.0];
        let entries = page_of(room, entries);
        let first = entries.first().map_or(0, |&(slot, _)| slot);
        let limited = entries.last().is_some_and(|&(slot, _)| slot < upto);
        let entries = entries.into_iter().map(|(_, entry)| entry).collect();
        let name = room.name.clone();
        let reply = Message::ServerReply(ServerReply {
            room: &name,
            epoch: room.epoch,
            latest: room.latest,
            limited,
            first,
            entries,
        });
        let payload = reply.to_bytes();
        self.send_bytes(connection, payload, Delivery::Essential);
    }
}

/// The lowest slots that fit into a page.
fn page_of<'a>(room: &Room, entries: &'a [StoredEntry]) -> Vec<(u64, WireEntry<'a>)> {
    let mut bytes = 0;
    let public = entries.iter().take(MAX_PAGE_ENTRIES).map(|entry| (entry.slot, room.public(entry)));
    public
        .take_while(|(_, entry)| {
            bytes += entry.encoded_len();
            bytes <= MAX_PAGE_BYTES
        })
        .collect()
}
