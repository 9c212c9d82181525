//! Logs for who builds on them within the server: entries of its own, and word of what was committed.

use alloc::sync::Arc;

use bytes::Bytes;

use super::Server;
use super::room::{Room, RoomKey, Waiting};
use super::sequencer::effective_time;
use crate::Now;
use crate::chat::identity::{BodyHash, ClientId, Kind};
use crate::chat::message::{MAX_BODY, MAX_UNACKNOWLEDGED, RejectReason, cut_name};
use crate::chat::persist::StoredEntry;

impl Server {
    /// Sees to it that the log of `room` is there, and has what is committed to it told by
    /// [`poll_committed`](Self::poll_committed) from now on. Gives its epoch and latest slot.
    ///
    /// # Errors
    /// When the store is broken, or there are as many rooms as there may be, unless there `has_place` for this one in any case.
    pub fn open_log(&mut self, room: &str, has_place: bool) -> Result<(u64, u64), RejectReason> {
        if self.disk.is_broken() {
            self.stats.stopped += 1;
            return Err(RejectReason::Stopped);
        }
        let key = self.room(room, has_place)?;
        let room = &mut self.rooms[key.0];
        room.watched = true;
        Ok((room.epoch, room.latest))
    }

    /// What is committed to this log is told no more.
    pub fn close_log(&mut self, now: Now, room: &str) {
        let now = self.observe(now);
        if let Some(&key) = self.names.get(room) {
            let room = &mut self.rooms[key.0];
            room.watched = false;
            room.is_used(now.mono, now.unix_ms);
        }
    }

    /// Whether this log is not there, and there are as many as there may be.
    pub fn is_full_for(&self, room: &str) -> bool {
        self.names.len() >= self.config.max_rooms && !self.names.contains_key(room)
    }

    /// How many logs there are.
    pub fn logs(&self) -> usize {
        self.names.len()
    }

    /// The logs that the store had at the start, that nobody has used since, and of which no client is remembered that wrote to it.
    pub fn untouched(&self) -> impl Iterator<Item = &Arc<str>> {
        let is_untouched = |room: &Room| room.used.is_none() && !room.watched && room.members.is_empty();
        self.names.iter().filter(move |(_, key)| is_untouched(&self.rooms[key.0])).map(|(name, _)| name)
    }

    /// From now on an untouched log is unused; says whether it was untouched.
    pub fn age_from(&mut self, now: Now, room: &str) -> bool {
        let now = self.observe(now);
        let Some(&key) = self.names.get(room) else { return false };
        let room = &mut self.rooms[key.0];
        let is_untouched = room.used.is_none() && !room.watched && room.members.is_empty();
        if is_untouched {
            room.used = Some(now.mono);
        }
        is_untouched
    }

    /// The epoch and the latest slot of a log, if there is one of that name.
    pub fn end_of(&self, room: &str) -> Option<(u64, u64)> {
        self.names.get(room).map(|key| (self.rooms[key.0].epoch, self.rooms[key.0].latest))
    }

    /// The epoch of a log, if there is one of that name.
    pub fn epoch_of(&self, room: &str) -> Option<u64> {
        self.names.get(room).map(|key| self.rooms[key.0].epoch)
    }

    /// The next entry that was committed to a log which is watched. Poll until there is none after each call that commits.
    pub fn poll_committed(&mut self) -> Option<(Arc<str>, StoredEntry)> {
        self.committed.pop_front()
    }

    /// Appends an entry for an author [within](ClientId::within) the server. Its entries get their places in the order of the calls,
    /// one author's behind each other, and it is remembered only for as long as one of them waits. The name is cut to what a name may have.
    ///
    /// # Errors
    /// When the body is too large, the log is not there or takes nothing, or 64 entries of this author wait. Nothing has changed
    /// then.
    pub fn append_own(
        &mut self,
        now: Now,
        room: &str,
        client: ClientId,
        name: &str,
        kind: Kind,
        body: &Bytes,
    ) -> Result<(), RejectReason> {
        let now = self.observe(now);
        if self.disk.is_broken() {
            self.stats.stopped += 1;
            return Err(RejectReason::Stopped);
        }
        if body.len() > MAX_BODY {
            self.stats.too_large += 1;
            return Err(RejectReason::TooLarge);
        }
        let key = self.names.get(room).copied().ok_or(RejectReason::NotJoined)?;
        let member = self.rooms[key.0].members.entry(client).or_default();
        if member.waiting.len() >= MAX_UNACKNOWLEDGED {
            self.stats.own_refused += 1;
            return Err(RejectReason::Full);
        }
        let waiting = Waiting {
            // It is its slot.
            sequence: 0,
            body_hash: BodyHash::of(kind, body),
            name: Arc::from(cut_name(name)),
            author_ms: now.unix_ms,
            kind,
            body: body.clone(),
            effective: effective_time(now, now.unix_ms, self.config.overtake, member.previous),
        };
        self.enqueue(key, client, waiting);
        self.tell_full(key);
        Ok(())
    }

    pub(super) fn tell_watcher(&mut self, key: RoomKey, entry: &StoredEntry) {
        let room = &self.rooms[key.0];
        if room.watched {
            self.committed.push_back((Arc::clone(&room.name), entry.clone()));
        }
    }
}
