//! What has arrived, for a peer whose link is another one (docs/spec/wire.md, section 4.16).

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::{Inbox, Slot, Window};
use crate::Class;
use crate::channel::resume::extend;

impl Window {
    fn state(&self) -> (u64, Vec<RangeInclusive<u64>>) {
        let mut ranges = Vec::new();
        for (number, slot) in (self.base..).zip(&self.slots) {
            let is_here = matches!(slot, Slot::Waiting(_) | Slot::Done | Slot::Skipped);
            if is_here && !extend(&mut ranges, number) {
                break;
            }
        }
        (self.base, ranges)
    }
}

impl Inbox {
    /// The lowest number of `class` that is waited for, and ranges of those above that are here.
    pub(in crate::channel) fn state(&self, class: Class) -> (u64, Vec<RangeInclusive<u64>>) {
        match class {
            Class::ReliableOrdered => self.ordered.state(),
            Class::ReliableUnordered => self.unordered.state(),
            Class::Unreliable => self.unreliable.as_ref().map_or((0, Vec::new()), |seen| seen.state()),
            Class::Sequenced => (self.newest, Vec::new()),
        }
    }

    /// Forgets that the newest unordered message arrived.
    #[cfg(planted)]
    pub(crate) fn forget_newest(&mut self) {
        if let Some(base) = self.unordered.base.checked_sub(1).filter(|_| self.unordered.slots.is_empty()) {
            self.unordered.base = base;
        }
    }

    /// One above the largest number received in `class`.
    pub(in crate::channel) const fn largest(&self, class: Class) -> u64 {
        self.next[class as usize]
    }
}
