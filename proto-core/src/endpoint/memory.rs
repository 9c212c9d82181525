//! One budget of memory for all connections of a server (docs/spec/connection.md, section 9).

use alloc::vec::Vec;
use core::time::Duration;

use super::sleeper::Sleeper;
use super::waiting::Waiter;
use super::{Address, Endpoint};
use crate::{Connection, Drop, Timestamp};

/// Percents of the budget: from when on connections are granted less, until when, from when on some are ended, and down to what.
const SHRINK_OVER: usize = 80;
const SHRINK_UNTIL: usize = 70;
const EVICT_OVER: usize = 95;
const EVICT_TO: usize = 90;
/// While more than that is claimed, it is looked so often how much of it has come.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the connections of a server hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    total: usize,
    /// Connections are granted less.
    is_pressed: bool,
    /// It was looked whose end would help, and what is claimed was still too much: it is looked again when it is this much.
    looked_until: usize,
    looked_at: Timestamp,
}

impl Memory {
    pub(super) const fn forget(&mut self, cost: usize) {
        self.total -= cost;
    }
}

/// What a connection holds by now, itself included; what a peer only claims that it will send is no reason to end anybody.
fn present(conn: &Sleeper) -> usize {
    match conn.awake() {
        Some(conn) if conn.is_client() => 0,
        Some(conn) => size_of::<Connection>() + conn.present_bytes(),
        None => conn.asleep_bytes(),
    }
}

/// What a connection costs: itself, its messages, and those of them that have begun to come.
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
        let memory = &self.memory;
        let is_over = memory.total > self.share(EVICT_OVER);
        if is_over && (memory.total > memory.looked_until || now.since(memory.looked_at) >= LOOK_EVERY) {
            self.evict_some(now);
        }
    }

    fn evict_some(&mut self, now: Timestamp) {
        self.file();
        let present: usize =
            self.slots.iter().filter_map(|slot| Some(present(&slot.entry.as_deref()?.conn))).sum();
        if present > self.share(EVICT_OVER) {
            self.free(now, present - self.share(EVICT_TO));
        }
        let is_over = self.memory.total > self.share(EVICT_OVER);
        self.memory.looked_until = if is_over { self.memory.total + self.share(1) } else { 0 };
        self.memory.looked_at = now;
    }

    /// Ends connections until so many bytes are free.
    fn free(&mut self, now: Timestamp, bytes: usize) {
        let mut freed = 0;
        for slot in self.incoming.waiting.overdue_connections(now) {
            if freed >= bytes {
                return;
            }
            freed += self.present(slot);
            self.show_out(now, Waiter::Connection(slot));
        }
        while freed < bytes
            && let Some(slot) = self.sessions.first_to_end()
        {
            freed += self.present(slot);
            self.evict(slot);
            self.account(slot);
        }
        if freed < bytes {
            self.crowd_out(now, bytes - freed);
        }
    }

    fn present(&self, slot: u32) -> usize {
        self.slots[slot as usize].entry.as_deref().map_or(0, |entry| present(&entry.conn))
    }

    /// Ends those that hold more than one of them does on average, those first that hold most.
    fn crowd_out(&mut self, now: Timestamp, bytes: usize) {
        let entries = self.slots.iter().zip(0..).filter_map(|(slot, index)| {
            let held = present(&slot.entry.as_deref()?.conn);
            (held > size_of::<Connection>()).then_some((held, index))
        });
        let mut largest: Vec<(usize, u32)> = entries.collect();
        largest.sort_unstable_by(|a, b| b.cmp(a));
        let average = largest.iter().map(|&(held, _)| held).sum::<usize>() / largest.len().max(1);
        let mut freed = 0;
        for (held, slot) in largest {
            if freed >= bytes || held < average {
                return;
            }
            let Some(conn) = self.awake(slot) else { continue };
            if conn.crowd_out(now) {
                self.count(Drop::MemoryEvicted);
            }
            self.refile(slot);
            self.account(slot);
            freed += held.saturating_sub(self.present(slot));
        }
    }
}
