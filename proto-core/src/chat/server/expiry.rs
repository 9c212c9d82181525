//! The end of logs that nobody needs any more (spec: chat.md, section 10).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::Server;
use super::room::{Room, RoomKey};
use crate::chat::identity::RoomSalt;
use crate::{Now, Timestamp};

/// What a store has is not ended before its server has run for so long, or for as long as logs are kept: who was there when it
/// stopped, and said nothing, left no trace.
const GRACE: Duration = Duration::from_hours(24);

/// The time by which rooms grow old: that of the latest use which the store knows, and what the server has run since. So neither
/// the time for which it did not run counts, nor a wall clock that is set forward.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Served {
    /// The latest use of any room that was restored: milliseconds since 1970; 0 if that is not known.
    restored_ms: Option<u64>,
    /// When it was asked for first, and what time that was.
    began: Option<(Timestamp, u64)>,
}

impl Served {
    pub(super) fn on_restored(&mut self, last_ms: u64) {
        self.restored_ms = self.restored_ms.max(Some(last_ms));
    }

    /// The time in milliseconds since 1970.
    fn at(&mut self, now: Now) -> u64 {
        let from_ms = self.restored_ms.filter(|&known| known != 0).unwrap_or(now.unix_ms);
        let &mut (began, from_ms) = self.began.get_or_insert((now.mono, from_ms));
        let ran_ms = u64::try_from(now.mono.since(began).as_millis()).unwrap_or(u64::MAX);
        now.unix_ms.min(from_ms.saturating_add(ran_ms))
    }

    /// Whether it has run too short for anything to end.
    fn is_grace(&self, now: Now, keep: Duration) -> bool {
        let ran = self.began.map_or(Duration::ZERO, |(began, _)| now.mono.since(began));
        self.restored_ms.is_some() && ran < keep.min(GRACE)
    }
}

impl Server {
    /// Ends up to `at_most` rooms in which nobody is, and to whose logs nothing was committed for `keep`; those that `is_kept` names
    /// stay. Says how many. Nothing is ended while the store has no room, or has not been asked to end the last ones.
    ///
    /// Their logs are gone at once: who enters one of them begins another, with another epoch, behind the end of the first in the
    /// store.
    pub fn expire(
        &mut self,
        now: Now,
        keep: Duration,
        at_most: usize,
        is_kept: impl Fn(&str) -> bool,
    ) -> usize {
        let now = self.observe(now);
        if !self.disk.may_end() {
            return 0;
        }
        let now_ms = self.served.at(now);
        let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let oldest = now_ms.saturating_sub(keep_ms);
        for room in &mut self.rooms {
            if room.last_ms == 0 {
                room.last_ms = now_ms;
            }
        }
        if self.served.is_grace(now, keep) {
            return 0;
        }
        let is_old = |room: &Room| {
            #[cfg(planted)]
            if self.config.planted == Some(crate::chat::Planted::AgesByWallClock) {
                return room.last_ms < oldest;
            }
            // What was written about it says less: the wall clock may have been wrong.
            room.used.map_or(room.last_ms < oldest, |used| now.mono.since(used) > keep)
        };
        let is_over = |key: RoomKey| {
            let room = &self.rooms[key.0];
            is_old(room) && room.is_idle() && !self.reads.concern(key) && !is_kept(&room.name)
        };
        let over: Vec<RoomKey> =
            self.names.values().copied().filter(|key| is_over(*key)).take(at_most).collect();
        for &key in &over {
            self.end_room(key);
        }
        over.len()
    }

    /// Ends those of these rooms in which nobody is and nothing was said since this server runs, and that were not used for `keep`: who
    /// calls knows that nothing was said before. Says whether it could; the store may be too busy.
    pub fn end_silent(&mut self, now: Now, keep: Duration, rooms: &[Arc<str>]) -> bool {
        let now = self.observe(now);
        if !self.disk.may_end() {
            return false;
        }
        for name in rooms {
            let Some(&key) = self.names.get(name) else { continue };
            let room = &self.rooms[key.0];
            let is_unused = room.used.is_some_and(|used| now.mono.since(used) >= keep);
            if is_unused && !room.has_words && room.is_idle() && !self.reads.concern(key) {
                self.end_room(key);
                if keep.is_zero() {
                    self.stats.expired_early += 1;
                } else {
                    self.stats.expired_silent += 1;
                }
            }
        }
        true
    }

    fn end_room(&mut self, key: RoomKey) {
        self.stats.expired += 1;
        self.forget_tail(key);
        self.disk.forget_told(key);
        let nobody = Room::new(Arc::from(""), 0, RoomSalt([0; 32]));
        let room = core::mem::replace(&mut self.rooms[key.0], nobody);
        self.names.remove(&room.name);
        self.disk.end(room.name, room.epoch);
        self.free.push(key);
    }
}
