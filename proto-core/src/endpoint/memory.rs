//! One budget of memory for all connections of a server (docs/spec/connection.md, section 5).

use alloc::vec::Vec;

use super::sleeper::Sleeper;
use super::{Address, Endpoint};
use crate::{Connection, Drop, Timestamp};

/// Percents of the budget: from when on connections are granted less, until when, from when on some are ended, and down to what.
const SHRINK_OVER: usize = 80;
const SHRINK_UNTIL: usize = 70;
const EVICT_OVER: usize = 95;
const EVICT_TO: usize = 90;

/// What the connections of a server hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    total: usize,
    /// Connections are granted less.
    is_pressed: bool,
    /// Nobody is left whose end would help; it is tried again when this much is held.
    futile_until: usize,
}

impl Memory {
    pub(super) const fn forget(&mut self, cost: usize) {
        self.total -= cost;
    }
}

/// What a connection costs: its messages, and itself.
fn cost(conn: &Sleeper) -> usize {
    match conn.awake() {
        Some(conn) if conn.is_client() => 0,
        Some(conn) => size_of::<Connection>() + conn.budgeted_bytes(),
        None => conn.asleep_bytes(),
    }
}

impl<A: Address> Endpoint<A> {
    /// Bytes that the connections of clients hold, themselves included, and may come to hold of what has begun to come.
    pub fn held_bytes(&self) -> usize {
        let unfiled = self.unfiled.and_then(|slot| self.slots[slot as usize].entry.as_deref());
        self.memory.total + unfiled.map_or(0, |entry| cost(&entry.conn))
            - unfiled.map_or(0, |entry| entry.cost)
    }

    fn share(&self, percent: usize) -> usize {
        self.config.max_bytes / 100 * percent
    }

    /// A connection may hold more than before, or less.
    pub(super) fn account(&mut self, slot: u32) {
        let Some(entry) = self.slots[slot as usize].entry.as_deref_mut() else { return };
        let cost = cost(&entry.conn);
        self.memory.total = self.memory.total + cost - core::mem::replace(&mut entry.cost, cost);
        let is_over = self.memory.total > self.share(SHRINK_OVER);
        let is_under = self.memory.total <= self.share(SHRINK_UNTIL);
        self.memory.is_pressed = is_over || self.memory.is_pressed && !is_under;
    }

    /// A connection is about to grant credit, perhaps.
    pub(super) fn press(&mut self, slot: u32) {
        let is_pressed = self.memory.is_pressed;
        if let Some(conn) = self.awake(slot).filter(|conn| !conn.is_client()) {
            conn.press(is_pressed);
        }
    }

    /// Ends connections when all together hold too much: first those that have proven nothing, then those without a link, then
    /// those that hold most.
    #[inline]
    pub(super) fn relieve(&mut self, now: Timestamp) {
        if self.memory.is_pressed {
            self.relieve_pressed(now);
        }
    }

    #[inline(never)]
    fn relieve_pressed(&mut self, now: Timestamp) {
        if let Some(slot) = self.unfiled {
            self.account(slot);
        }
        if self.memory.total > self.share(EVICT_OVER).max(self.memory.futile_until) {
            self.evict_some(now);
        }
    }

    fn evict_some(&mut self, now: Timestamp) {
        let target = self.share(EVICT_TO);
        self.file();
        while self.memory.total > target
            && let Some(waiter) = self.incoming.waiting.first()
        {
            self.show_out(waiter);
        }
        while self.memory.total > target
            && let Some(slot) = self.sessions.first_to_end()
        {
            self.evict(slot);
            self.account(slot);
        }
        if self.memory.total > target {
            self.crowd_out(now, target);
        }
        let is_futile = self.memory.total > self.share(EVICT_OVER);
        self.memory.futile_until = if is_futile { self.memory.total + self.share(1) } else { 0 };
    }

    fn crowd_out(&mut self, now: Timestamp, target: usize) {
        let entries = self.slots.iter().zip(0..).filter_map(|(slot, index)| {
            let entry = slot.entry.as_deref()?;
            Some((entry.cost.checked_sub(size_of::<Connection>() + 1)?, index))
        });
        let mut largest: Vec<(usize, u32)> = entries.collect();
        largest.sort_unstable_by(|a, b| b.cmp(a));
        for (_, slot) in largest {
            if self.memory.total <= target {
                return;
            }
            let Some(conn) = self.awake(slot) else { continue };
            if conn.crowd_out(now) {
                self.count(Drop::MemoryEvicted);
            }
            self.refile(slot);
            self.account(slot);
        }
    }
}
