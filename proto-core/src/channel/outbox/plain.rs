//! Messages that say nothing beside their payload, and of which nothing is cut or lost: most of them.

use bytes::Bytes;

use super::{Outbox, State};
use crate::channel::Piece;
use crate::channel::window::RECEIVE_WINDOW;
use crate::{Class, ReceiptKind};

/// A message that is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peeked {
    Nothing,
    /// One that says nothing beside its payload of this length, and of which nothing was written.
    Plain(u32),
    /// Another one, or it must wait.
    Other,
}

impl Outbox {
    /// Whether something waits to be written, for the first time or again.
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.fresh < self.slots.len() || self.has_lost()
    }

    /// The message of `class` that is `ahead` of the next new one.
    #[inline]
    pub(crate) fn peek_plain(&self, ahead: usize, class: Class) -> Peeked {
        let index = self.fresh + ahead;
        match self.slots.get(index) {
            None => Peeked::Nothing,
            Some(slot) if !slot.is_plain || slot.sent > 0 => Peeked::Other,
            Some(_) if class.is_reliable() && index as u64 >= RECEIVE_WINDOW => Peeked::Other,
            Some(slot) => Peeked::Plain(slot.total),
        }
    }

    /// Lets `write` have the next new message, which must be plain, and returns its id. `keep` says that it may have to be
    /// written again.
    #[inline]
    pub(crate) fn write_plain(&mut self, keep: bool, write: impl FnOnce(&[u8])) -> u64 {
        let slot = &mut self.slots[self.fresh];
        slot.sent = slot.total;
        slot.number = self.next_number;
        self.unsent -= slot.total as usize;
        self.next_number += 1;
        self.fresh += 1;
        write(&slot.payload);
        if !keep {
            slot.payload = Bytes::new();
        }
        slot.id
    }

    /// Number on the wire of the next new message.
    pub(crate) const fn next_number(&self) -> u64 {
        self.next_number
    }

    /// The peer has `piece`: settles its message if that is all of it, and it neither says anything beside its payload nor has a
    /// receipt.
    #[inline]
    pub(crate) fn settle_plain(&mut self, piece: &Piece) -> bool {
        let Some(ahead) = self.slots.front().and_then(|oldest| piece.id.checked_sub(oldest.id)) else {
            return false;
        };
        let index = ahead as usize;
        if index >= self.fresh {
            return false;
        }
        let slot = &mut self.slots[index];
        let is_usual = slot.id == piece.id
            && slot.total == piece.len
            && slot.is_plain
            && slot.receipt == ReceiptKind::None
            && slot.state == State::Live
            && slot.terms.is_none();
        if !is_usual {
            return false;
        }
        self.arrived = self.arrived.max(slot.number + 1);
        slot.state = State::Settled;
        if index > 0 {
            slot.payload = Bytes::new();
            return true;
        }
        self.slots.pop_front();
        self.fresh -= 1;
        if self.slots.front().is_some_and(|slot| slot.state == State::Settled) {
            self.forget();
        }
        true
    }
}
