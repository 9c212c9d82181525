//! What waits to be sent in one class of one channel, and what was sent and is not settled.

use alloc::collections::VecDeque;

use bytes::Bytes;

use super::Piece;
use crate::range_set::RangeSet;
use crate::wire::{Kind, WireId};
use crate::{ChannelId, Class};

/// A receiver expands 16 bits to a number at most this far above the largest it has received (docs/spec/wire.md, section 5).
pub(super) const LOW16_AHEAD: u64 = 8192;

#[derive(Clone, Debug)]
struct Slot {
    payload: Bytes,
    kind: Kind,
    total: u32,
    /// Bytes from the start that have been written at least once.
    sent: u32,
    /// What the peer has of a message that was cut.
    acked: RangeSet,
    receipt: bool,
    settled: bool,
    /// Its number on the wire, given when it is first written: a message that is dropped before leaves no gap.
    number: u64,
}

/// A message that is settled: what its owner must account for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled {
    pub(crate) id: u64,
    pub(crate) len: u32,
    pub(crate) receipt: bool,
    /// Whether anything of it was ever written.
    pub(crate) written: bool,
}

/// The next bytes to write.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: u64,
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) total: u32,
    pub(crate) kind: Kind,
    /// Nothing of this message was written before: it must be charged.
    pub(crate) is_first: bool,
    /// Its number on the wire.
    pub(crate) number: u64,
}

/// The queue of one (channel, class).
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox {
    /// Local number of the first slot.
    base: u64,
    slots: VecDeque<Slot>,
    /// Local number of the first message of which something was never written.
    fresh: u64,
    /// Number on the wire of the next message.
    next_number: u64,
    /// Pieces to be written again, oldest first.
    lost: VecDeque<Piece>,
    /// One above the largest number on the wire of which the peer is known to have something.
    arrived: u64,
}

impl Outbox {
    pub(crate) fn push(&mut self, payload: Bytes, kind: Kind, receipt: bool) -> u64 {
        let total = payload.len() as u32;
        self.slots.push_back(Slot {
            payload,
            kind,
            total,
            sent: 0,
            acked: RangeSet::default(),
            receipt,
            settled: false,
            number: 0,
        });
        self.base + self.slots.len() as u64 - 1
    }

    fn slot(&mut self, id: u64) -> Option<&mut Slot> {
        let index = usize::try_from(id.checked_sub(self.base)?).ok()?;
        self.slots.get_mut(index).filter(|slot| !slot.settled)
    }

    /// What to write next: lost pieces first. `window` bounds how far beyond the oldest unsettled message a new one may be.
    pub(crate) fn candidate(&mut self, window: u64) -> Option<Candidate> {
        while let Some(&piece) = self.lost.front() {
            let wanted = u64::from(piece.offset)..u64::from(piece.offset + piece.len);
            match self.slot(piece.id) {
                Some(slot) if piece.len == 0 || !slot.acked.contains(&wanted) => {
                    let (total, kind, number) = (slot.total, slot.kind, slot.number);
                    let Piece { id, offset, len, .. } = piece;
                    return Some(Candidate { id, offset, len, total, kind, is_first: false, number });
                }
                _ => self.lost.pop_front(),
            };
        }
        let id = self.fresh;
        let slot = self.slots.get((id - self.base) as usize)?;
        let (offset, total, kind) = (slot.sent, slot.total, slot.kind);
        let is_first = offset == 0;
        let number = if is_first { self.next_number } else { slot.number };
        if is_first && id - self.base >= window {
            return None;
        }
        Some(Candidate { id, offset, len: total - offset, total, kind, is_first, number })
    }

    /// Writes `len` bytes of `candidate`, which must be the present one. `keep` says that they may have to be written again.
    pub(crate) fn take(&mut self, candidate: &Candidate, len: u32, keep: bool) -> Bytes {
        let (start, end) = (candidate.offset as usize, (candidate.offset + len) as usize);
        if let Some(piece) = self.lost.front_mut()
            && piece.id == candidate.id
            && piece.offset == candidate.offset
        {
            piece.offset += len;
            piece.len -= len;
            if piece.len == 0 {
                self.lost.pop_front();
            }
            return self.slots[(candidate.id - self.base) as usize].payload.slice(start..end);
        }
        let slot = &mut self.slots[(candidate.id - self.base) as usize];
        let bytes = slot.payload.slice(start..end);
        slot.sent = end as u32;
        slot.number = candidate.number;
        self.next_number = self.next_number.max(candidate.number + 1);
        if slot.sent == slot.total {
            if !keep {
                slot.payload = Bytes::new();
            }
            self.fresh += 1;
            self.skip_settled();
        }
        bytes
    }

    fn skip_settled(&mut self) {
        while self.slots.get((self.fresh - self.base) as usize).is_some_and(|slot| slot.settled) {
            self.fresh += 1;
        }
    }

    /// The peer has `piece`; the message when that was the last of it.
    pub(crate) fn on_acked(&mut self, piece: &Piece) -> Option<Settled> {
        let slot = self.slot(piece.id)?;
        let arrived = slot.number + 1;
        let mut is_whole = piece.len == slot.total;
        if !is_whole {
            slot.acked.insert(u64::from(piece.offset)..u64::from(piece.offset + piece.len));
            is_whole = slot.acked.contains(&(0..u64::from(slot.total)));
        }
        self.arrived = self.arrived.max(arrived);
        if is_whole { self.settle(piece.id) } else { None }
    }

    /// `piece` is lost and must be written again.
    pub(crate) fn requeue(&mut self, piece: Piece) {
        if self.slot(piece.id).is_some() {
            self.lost.push_back(piece);
        }
    }

    /// Ends the life of a message, wherever it is.
    pub(crate) fn settle(&mut self, id: u64) -> Option<Settled> {
        let slot = self.slot(id)?;
        slot.settled = true;
        slot.payload = Bytes::new();
        slot.acked = RangeSet::default();
        let settled =
            Settled { id, len: slot.total, receipt: slot.receipt, written: slot.sent > 0 || id < self.fresh };
        if id == self.fresh {
            self.skip_settled();
        }
        while self.slots.front().is_some_and(|slot| slot.settled) {
            self.slots.pop_front();
            self.base += 1;
        }
        self.fresh = self.fresh.max(self.base);
        Some(settled)
    }

    /// The oldest message of which nothing was written.
    pub(crate) fn oldest_unwritten(&self) -> Option<u64> {
        let fresh = (self.fresh - self.base) as usize;
        let unwritten =
            self.slots.iter().enumerate().skip(fresh).find(|(_, slot)| !slot.settled && slot.sent == 0);
        unwritten.map(|(index, _)| self.base + index as u64)
    }

    /// The first message longer than `max` of which nothing was written.
    pub(crate) fn first_longer_than(&self, max: u64) -> Option<u64> {
        let longer = |slot: &Slot| !slot.settled && slot.sent == 0 && u64::from(slot.total) > max;
        self.slots.iter().position(longer).map(|index| self.base + index as u64)
    }

    /// The oldest message that is not settled.
    pub(crate) fn first_unsettled(&self) -> Option<u64> {
        (!self.slots.is_empty()).then_some(self.base)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn has_written(&self, id: u64) -> bool {
        id < self.fresh || self.slots.get((id - self.base.min(id)) as usize).is_some_and(|slot| slot.sent > 0)
    }

    /// How to send a number so that every receiver expands it rightly, however late the packet comes.
    pub(crate) fn wire_id(&self, number: u64) -> WireId {
        if number <= self.arrived + LOW16_AHEAD {
            WireId::Low16(number as u16)
        } else {
            WireId::Low32(number as u32)
        }
    }

    pub(crate) fn shrink(&mut self) {
        self.slots.shrink_to(0);
        self.lost.shrink_to(0);
    }
}

impl Piece {
    pub(crate) const fn new(channel: ChannelId, class: Class, candidate: &Candidate, len: u32) -> Self {
        Self { channel, class, id: candidate.id, offset: candidate.offset, len }
    }
}
