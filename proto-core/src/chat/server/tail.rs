//! The latest entries of each room in memory, within one budget for all rooms.

use alloc::collections::{BTreeSet, VecDeque};

use super::Server;
use super::room::RoomKey;
use crate::chat::persist::StoredEntry;

/// What an entry costs beside its name and body.
pub(super) const ENTRY_OVERHEAD: usize = 128;

/// What an entry is charged.
pub(super) fn charge(name: &str, body: &[u8]) -> usize {
    ENTRY_OVERHEAD + name.len() + body.len()
}

/// The latest entries of one room, oldest first, without a gap.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<StoredEntry>,
    bytes: usize,
    /// When it was last added to, as a count of all additions.
    touched: u64,
}

impl Tail {
    /// The entries from slot `from` on, if all of them are here.
    pub(super) fn from(&self, from: u64) -> Option<impl Iterator<Item = &StoredEntry>> {
        let first = self.entries.front()?.slot;
        let skipped = from.checked_sub(first).filter(|&skipped| skipped < self.entries.len() as u64)?;
        Some(self.entries.range(skipped as usize..))
    }

    fn drop_oldest(&mut self) -> usize {
        let freed = self.entries.pop_front().map_or(0, |entry| charge(&entry.name, &entry.body));
        self.bytes -= freed;
        freed
    }
}

/// What all tails take together.
#[derive(Clone, Debug, Default)]
pub(super) struct TailBudget {
    bytes: usize,
    additions: u64,
    /// The rooms whose tails hold something, longest without an addition first.
    by_age: BTreeSet<(u64, RoomKey)>,
}

impl Server {
    pub(super) fn forget_tail(&mut self, key: RoomKey) {
        let tail = core::mem::take(&mut self.rooms[key.0].tail);
        self.tails.by_age.remove(&(tail.touched, key));
        self.tails.bytes -= tail.bytes;
    }

    pub(super) fn keep_in_tail(&mut self, key: RoomKey, entry: StoredEntry) {
        let budget = &mut self.tails;
        let tail = &mut self.rooms[key.0].tail;
        budget.by_age.remove(&(tail.touched, key));
        budget.additions += 1;
        tail.touched = budget.additions;
        budget.by_age.insert((tail.touched, key));

        let added = charge(&entry.name, &entry.body);
        tail.bytes += added;
        budget.bytes += added;
        tail.entries.push_back(entry);
        while tail.entries.len() > self.config.tail_entries || tail.bytes > self.config.tail_bytes {
            budget.bytes -= tail.drop_oldest();
        }
        while budget.bytes > self.config.tail_total_bytes
            && let Some((_, oldest)) = budget.by_age.pop_first()
        {
            let tail = &mut self.rooms[oldest.0].tail;
            budget.bytes -= tail.bytes;
            *tail = Tail::default();
        }
    }
}
