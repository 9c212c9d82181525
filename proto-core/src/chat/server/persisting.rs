//! Durable before known: what is handed to the store, and what its answers release (spec: chat.md, section 7).

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::Server;
use super::output::{Audience, Delivery, ServerEvent};
use super::room::RoomKey;
use super::tail::{ENTRY_OVERHEAD, charge};
use crate::chat::identity::{ClientId, Kind};
use crate::chat::message::{Message, RejectReason, ServerEntry};
use crate::chat::persist::{Batch, PersistFailure, Record, StoredEntry};
use crate::{Now, Timestamp};

/// What the server knows of its store.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    health: Health,
    /// Batches with the store, oldest first.
    outstanding: VecDeque<Outstanding>,
    last_number: u64,
    /// Rooms that are gone, which no batch with the store says yet. They come before those to create, for one of those may have the
    /// same name.
    to_end: VecDeque<(Arc<str>, u64)>,
    /// Rooms that no batch with the store creates yet.
    to_create: VecDeque<RoomKey>,
    /// Rooms whose clients know that the disk is full.
    told_full: BTreeSet<RoomKey>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Health {
    #[default]
    Sound,
    /// Nothing is handed out before `retry`.
    Full {
        retry: Timestamp,
        delay: Duration,
    },
    /// The delay is over; the next answer decides.
    Trying {
        delay: Duration,
    },
    Broken,
}

#[derive(Clone, Debug)]
struct Outstanding {
    number: u64,
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
enum Item {
    Gone(Arc<str>, u64),
    Room(RoomKey),
    Entry(RoomKey, StoredEntry),
}

impl Disk {
    pub(super) fn is_broken(&self) -> bool {
        self.health == Health::Broken
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(self.health, Health::Full { .. } | Health::Trying { .. })
    }

    /// Whether a room may end now: one that waits for the disk would only wait longer.
    pub(super) fn may_end(&self) -> bool {
        self.health == Health::Sound && self.to_end.is_empty()
    }

    pub(super) fn end(&mut self, room: Arc<str>, epoch: u64) {
        self.to_end.push_back((room, epoch));
    }

    pub(super) fn forget_told(&mut self, room: RoomKey) {
        self.told_full.remove(&room);
    }

    pub(super) fn create(&mut self, room: RoomKey) {
        self.to_create.push_back(room);
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match self.health {
            Health::Full { retry, .. } => Some(retry),
            _ => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        if let Health::Full { retry, delay } = self.health
            && retry <= now
        {
            self.health = Health::Trying { delay };
        }
    }

    fn may_write(&self, max_batches: usize) -> bool {
        matches!(self.health, Health::Sound | Health::Trying { .. }) && self.outstanding.len() < max_batches
    }
}

impl Server {
    /// The next batch to write. Several may be with the store at once; they become durable, or fail, in the order of their
    /// numbers. `None` while the store is full or broken, while enough are outstanding, and while messages wait to be polled.
    pub fn poll_persist(&mut self, now: Now) -> Option<Batch> {
        if !self.disk.may_write(self.config.max_batches) || self.outbox.is_high() {
            return None;
        }
        let mut items = Vec::new();
        let mut bytes = 0;
        while items.len() < self.config.batch_records {
            let cost = self.next_cost();
            let fits = bytes + cost <= self.config.batch_bytes || items.is_empty();
            let Some(item) = fits.then(|| self.next_item(now)).flatten() else { break };
            items.push(item);
            bytes += cost;
        }
        if items.is_empty() {
            return None;
        }
        self.stats.batches += 1;
        self.disk.last_number += 1;
        let number = self.disk.last_number;
        let records = items.iter().map(|item| self.record(item)).collect();
        self.disk.outstanding.push_back(Outstanding { number, items });
        Some(Batch { number, records })
    }

    /// What the next item is charged; 0 when there is none.
    fn next_cost(&self) -> usize {
        if !self.disk.to_end.is_empty() || !self.disk.to_create.is_empty() {
            return ENTRY_OVERHEAD;
        }
        let head =
            self.sequencer.first().and_then(|(key, client)| self.rooms[key.0].members.get(&client)?.head());
        head.map_or(0, |append| charge(&append.name, &append.body))
    }

    fn next_item(&mut self, now: Now) -> Option<Item> {
        if let Some((room, epoch)) = self.disk.to_end.pop_front() {
            return Some(Item::Gone(room, epoch));
        }
        if let Some(room) = self.disk.to_create.pop_front() {
            return Some(Item::Room(room));
        }
        let (key, client) = self.sequencer.first()?;
        self.unfile_head(key, client);
        let room = &mut self.rooms[key.0];
        let member = room.members.get_mut(&client)?;
        let append = member.head()?.clone();
        member.in_flight += 1;
        room.placed += 1;
        let entry = StoredEntry {
            slot: room.placed,
            client,
            sequence: if client.is_within() { room.placed } else { append.sequence },
            body_hash: append.body_hash,
            name: append.name,
            author_ms: append.author_ms,
            commit_ms: now.unix_ms,
            kind: append.kind,
            body: append.body,
        };
        self.file_head(key, client);
        #[cfg(planted)]
        if self.config.planted == Some(crate::chat::Planted::AckBeforePersist) {
            self.acknowledge(key, client, entry.sequence, entry.slot, false);
        }
        Some(Item::Entry(key, entry))
    }

    fn record(&self, item: &Item) -> Record {
        match item {
            Item::Gone(room, epoch) => Record::Gone { room: room.clone(), epoch: *epoch },
            Item::Room(key) => {
                let room = &self.rooms[key.0];
                Record::Room { room: room.name.clone(), epoch: room.epoch, salt: room.salt }
            }
            Item::Entry(key, entry) => {
                let room = &self.rooms[key.0];
                Record::Entry { room: room.name.clone(), epoch: room.epoch, entry: entry.clone() }
            }
        }
    }

    /// Every outstanding batch up to number `upto` is durable: releases its acknowledgements and entries, in slot order. Batches
    /// that are not outstanding are ignored.
    pub fn handle_persisted(&mut self, now: Now, upto: u64) {
        let now = self.observe(now);
        while let Some(batch) = self.disk.outstanding.pop_front_if(|batch| batch.number <= upto) {
            if matches!(self.disk.health, Health::Trying { .. }) {
                self.disk.health = Health::Sound;
                self.disk.told_full.clear();
                self.events.store(ServerEvent::DiskRecovered);
            }
            for item in batch.items {
                match item {
                    // The room is gone already.
                    Item::Gone(..) => {}
                    Item::Room(key) => {
                        let room = &mut self.rooms[key.0];
                        room.durable = true;
                        room.is_used(now.mono, now.unix_ms);
                        self.admit_all(key);
                    }
                    Item::Entry(key, entry) => self.release(key, entry),
                }
            }
        }
    }

    fn release(&mut self, key: RoomKey, entry: StoredEntry) {
        self.stats.committed += 1;
        let room = &mut self.rooms[key.0];
        room.latest = entry.slot;
        room.has_words |= entry.kind == Kind::TEXT || !entry.client.is_within();
        room.is_used(self.now, entry.commit_ms);
        let mut speaker = None;
        if let Some(member) = room.members.get_mut(&entry.client) {
            member.waiting.pop_front();
            member.in_flight -= 1;
            speaker = member.connection;
            if !entry.client.is_within() {
                member.table.record(&entry);
            } else if member.waiting.is_empty() {
                room.members.remove(&entry.client);
            }
        }
        if !self.acknowledged_early() {
            self.acknowledge(key, entry.client, entry.sequence, entry.slot, false);
        }
        if let Some(connection) = speaker {
            self.refresh_ready(connection);
        }
        self.push_live(key, &entry);
        self.tell_watcher(key, &entry);
        self.keep_in_tail(key, entry);
    }

    #[cfg(not(planted))]
    #[expect(clippy::unused_self, reason = "the planted build looks at the configuration")]
    fn acknowledged_early(&self) -> bool {
        false
    }

    #[cfg(planted)]
    fn acknowledged_early(&self) -> bool {
        self.config.planted == Some(crate::chat::Planted::AckBeforePersist)
    }

    fn push_live(&mut self, key: RoomKey, entry: &StoredEntry) {
        let room = &mut self.rooms[key.0];
        let audience = room.audience();
        if audience.is_empty() {
            return;
        }
        let message =
            ServerEntry { room: &room.name, epoch: room.epoch, slot: entry.slot, entry: room.public(entry) };
        let payload = Message::ServerEntry(message).to_bytes();
        self.outbox.push(Audience::Many(audience), payload, Delivery::Droppable);
    }

    /// Batch `from` and every later one are not durable and never will be. Their entries take their old places in their clients'
    /// queues and their slots are given back. When the store is full it is tried again after a delay; when it is broken, every
    /// room stops for good.
    pub fn handle_persist_failed(&mut self, now: Now, from: u64, failure: PersistFailure) {
        let now = self.observe(now);
        let mut affected = BTreeSet::new();
        let before = self.disk.outstanding.len();
        while let Some(batch) = self.disk.outstanding.pop_back_if(|batch| batch.number >= from) {
            self.stats.batches_failed += 1;
            for item in batch.items.into_iter().rev() {
                affected.extend(self.take_back(item));
            }
        }
        match failure {
            PersistFailure::Full if self.disk.outstanding.len() < before && !self.disk.is_broken() => {
                self.wait_for_room(now, &affected);
            }
            PersistFailure::Full => {}
            PersistFailure::Broken => self.stop(),
        }
    }

    /// Gives the room that waits for it now, if there is one.
    fn take_back(&mut self, item: Item) -> Option<RoomKey> {
        match item {
            Item::Gone(room, epoch) => {
                self.disk.to_end.push_front((room, epoch));
                None
            }
            Item::Room(key) => {
                self.disk.to_create.push_front(key);
                Some(key)
            }
            Item::Entry(key, entry) => {
                self.stats.given_back += 1;
                self.unfile_head(key, entry.client);
                let room = &mut self.rooms[key.0];
                room.placed -= 1;
                if let Some(member) = room.members.get_mut(&entry.client) {
                    member.in_flight -= 1;
                }
                self.file_head(key, entry.client);
                Some(key)
            }
        }
    }

    fn wait_for_room(&mut self, now: Now, affected: &BTreeSet<RoomKey>) {
        let delay = match self.disk.health {
            Health::Trying { delay } | Health::Full { delay, .. } => (delay * 2).min(self.config.retry_max),
            Health::Sound | Health::Broken => {
                self.events.store(ServerEvent::DiskFull);
                self.config.retry_min
            }
        };
        self.disk.health = Health::Full { retry: now.mono + delay, delay };
        for &key in affected {
            self.tell_full(key);
        }
    }

    /// Says once to everybody in a room that appends wait for the disk.
    pub(super) fn tell_full(&mut self, key: RoomKey) {
        if self.disk.is_full() && self.disk.told_full.insert(key) {
            self.tell_room(key, RejectReason::Full);
        }
    }

    fn tell_room(&mut self, key: RoomKey, reason: RejectReason) {
        let room = &self.rooms[key.0];
        let name = room.name.clone();
        let connections: Vec<_> = room.members.values().filter_map(|member| member.connection).collect();
        for connection in connections {
            self.reject(connection, &name, 0, reason);
        }
    }

    fn stop(&mut self) {
        if self.disk.is_broken() {
            return;
        }
        self.disk.health = Health::Broken;
        self.disk.to_end.clear();
        self.disk.to_create.clear();
        self.sequencer.clear();
        self.events.store(ServerEvent::Stopped);
        for key in (0..self.rooms.len()).map(RoomKey) {
            let clients: Vec<ClientId> = self.rooms[key.0].members.keys().copied().collect();
            for client in clients {
                self.abandon(key, client);
            }
            self.tell_room(key, RejectReason::Stopped);
        }
    }

    /// Takes what is not with the store out of a client's queue. The client was not answered and keeps it.
    fn abandon(&mut self, key: RoomKey, client: ClientId) {
        let Some(member) = self.rooms[key.0].members.get_mut(&client) else { return };
        self.stats.abandoned += (member.waiting.len() - member.in_flight) as u64;
        member.waiting.truncate(member.in_flight);
        if let Some(connection) = member.connection {
            self.refresh_ready(connection);
        }
    }
}
