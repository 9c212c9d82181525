//! The end of logs that nobody needs any more (spec: chat.md, section 10).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::Server;
use super::room::{Room, RoomKey};
use crate::Now;
use crate::chat::identity::RoomSalt;

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
        let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let oldest = now.unix_ms.saturating_sub(keep_ms);
        for room in &mut self.rooms {
            if room.last_ms == 0 {
                room.last_ms = now.unix_ms;
            }
        }
        let is_over = |key: RoomKey| {
            let room = &self.rooms[key.0];
            room.last_ms < oldest && room.is_idle() && !self.reads.concern(key) && !is_kept(&room.name)
        };
        let over: Vec<RoomKey> =
            self.names.values().copied().filter(|key| is_over(*key)).take(at_most).collect();
        for &key in &over {
            self.end_room(key);
        }
        over.len()
    }

    fn end_room(&mut self, key: RoomKey) {
        self.forget_tail(key);
        self.disk.forget_told(key);
        let nobody = Room::new(Arc::from(""), 0, RoomSalt([0; 32]));
        let room = core::mem::replace(&mut self.rooms[key.0], nobody);
        self.names.remove(&room.name);
        self.disk.end(room.name, room.epoch);
        self.free.push(key);
    }
}
