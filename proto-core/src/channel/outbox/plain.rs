//! Messages that say nothing beside their payload, and of which nothing is cut or lost: most of them.

use bytes::Bytes;

use super::{Outbox, Slot, State};
use crate::channel::window::RECEIVE_WINDOW;
use crate::{Class, ReceiptKind};

impl Outbox {
    /// Whether something waits to be written, for the first time or again.
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.fresh < self.slots.len() || self.has_lost()
    }

    /// The new messages of `class`, in their order: the length of a plain one of which nothing was written, `None` for another one, or
    /// one that must wait.
    #[inline]
    pub(crate) fn peek_plain(&self, class: Class) -> impl Iterator<Item = Option<u32>> {
        let window = if class.is_reliable() { RECEIVE_WINDOW as usize } else { usize::MAX };
        let new = self.slots.range(self.fresh..).zip(self.fresh..);
        new.map(move |(slot, index)| {
            (slot.is_plain && slot.sent == 0 && index < window).then_some(slot.total)
        })
    }

    /// Lets `write` have the next `count` new messages, which must be plain, with their ids; returns how long they are together.
    /// `keep` says that they may have to be written again.
    #[inline]
    pub(crate) fn write_plain(&mut self, count: usize, keep: bool, mut write: impl FnMut(u64, &[u8])) -> u64 {
        let (mut number, mut bytes) = (self.next_number, 0);
        for slot in self.slots.range_mut(self.fresh..self.fresh + count) {
            slot.sent = slot.total;
            slot.number = number;
            number += 1;
            bytes += u64::from(slot.total);
            write(slot.id, &slot.payload);
            if !keep {
                slot.payload = Bytes::new();
            }
        }
        self.next_number = number;
        self.unsent -= bytes as usize;
        self.fresh += count;
        bytes
    }

    /// Number on the wire of the next new message.
    pub(crate) const fn next_number(&self) -> u64 {
        self.next_number
    }

    /// The peer has all of `count` messages from `first` on: settles them as far as they neither say anything beside their payload
    /// nor have a receipt. How many of them, and their bytes.
    #[inline]
    pub(crate) fn settle_messages(&mut self, first: u64, count: u32) -> (usize, usize) {
        let (at_once, mut bytes) = self.settle_oldest_of(first, count);
        let mut settled = at_once;
        for id in first + at_once as u64..first + u64::from(count) {
            let Some(len) = self.settle_plain(id) else { continue };
            settled += 1;
            bytes += len as usize;
        }
        if self.slots.front().is_some_and(|slot| slot.state == State::Settled) {
            self.forget();
        }
        (settled, bytes)
    }

    /// Where `first` is the oldest message of all: settles it and those behind it.
    #[inline]
    fn settle_oldest_of(&mut self, first: u64, count: u32) -> (usize, usize) {
        let (mut settled, mut bytes) = (0, 0);
        for slot in self.slots.iter().take(self.fresh.min(count as usize)) {
            if slot.id != first + settled as u64 || !slot.is_usual() {
                break;
            }
            settled += 1;
            bytes += slot.total as usize;
            self.arrived = self.arrived.max(slot.number + 1);
        }
        self.slots.drain(..settled);
        self.fresh -= settled;
        (settled, bytes)
    }

    fn settle_plain(&mut self, id: u64) -> Option<u32> {
        let index = id.checked_sub(self.slots.front()?.id)? as usize;
        if index >= self.fresh {
            return None;
        }
        let slot = &mut self.slots[index];
        if slot.id != id || !slot.is_usual() {
            return None;
        }
        self.arrived = self.arrived.max(slot.number + 1);
        slot.state = State::Settled;
        slot.payload = Bytes::new();
        Some(slot.total)
    }

    /// Length of a message that is not forgotten.
    pub(crate) fn total_of(&self, id: u64) -> Option<u32> {
        self.find(id).map(|index| self.slots[index].total)
    }
}

impl Slot {
    /// Whether nobody waits to hear of it.
    #[inline]
    fn is_usual(&self) -> bool {
        self.is_plain
            && self.receipt == ReceiptKind::None
            && self.state == State::Live
            && self.terms.is_none()
    }
}
