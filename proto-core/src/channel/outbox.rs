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
    /// Its number here, in the order of `push`.
    id: u64,
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
    /// Ascending by id, the first one not settled. Settled ones stay only between others that were written.
    slots: VecDeque<Slot>,
    next_id: u64,
    /// Index of the first message of which something was never written.
    fresh: usize,
    /// Number on the wire of the next message.
    next_number: u64,
    /// Pieces to be written again, oldest first.
    lost: VecDeque<Piece>,
    /// One above the largest number on the wire of which the peer is known to have something.
    arrived: u64,
}

impl Outbox {
    pub(crate) fn push(&mut self, payload: Bytes, kind: Kind, receipt: bool) -> u64 {
        let (id, total) = (self.next_id, payload.len() as u32);
        self.next_id += 1;
        self.slots.push_back(Slot {
            id,
            payload,
            kind,
            total,
            sent: 0,
            acked: RangeSet::default(),
            receipt,
            settled: false,
            number: 0,
        });
        id
    }

    fn index(&self, id: u64) -> Option<usize> {
        let index = self.slots.binary_search_by_key(&id, |slot| slot.id).ok()?;
        (!self.slots[index].settled).then_some(index)
    }

    fn slot(&mut self, id: u64) -> Option<&mut Slot> {
        self.index(id).map(|index| &mut self.slots[index])
    }

    /// Whether pieces wait to be written again. Some of them may have arrived since.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
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
        let slot = self.slots.get(self.fresh)?;
        let (id, offset, total, kind) = (slot.id, slot.sent, slot.total, slot.kind);
        let is_first = offset == 0;
        let number = if is_first { self.next_number } else { slot.number };
        if is_first && self.fresh as u64 >= window {
            return None;
        }
        Some(Candidate { id, offset, len: total - offset, total, kind, is_first, number })
    }

    /// Writes `len` bytes of `candidate`, which must be the present one. `keep` says that they may have to be written again.
    pub(crate) fn take(&mut self, candidate: &Candidate, len: u32, keep: bool) -> Option<Bytes> {
        let (start, end) = (candidate.offset as usize, (candidate.offset + len) as usize);
        let slot = self.slot(candidate.id)?;
        let bytes = slot.payload.slice(start..end);
        if let Some(piece) = self.lost.front_mut()
            && piece.id == candidate.id
            && piece.offset == candidate.offset
        {
            piece.offset += len;
            piece.len -= len;
            if piece.len == 0 {
                self.lost.pop_front();
            }
            return Some(bytes);
        }
        let slot = self.slots.get_mut(self.fresh)?;
        slot.sent = end as u32;
        slot.number = candidate.number;
        self.next_number = self.next_number.max(candidate.number + 1);
        if slot.sent == slot.total {
            if !keep {
                slot.payload = Bytes::new();
            }
            self.fresh += 1;
        }
        Some(bytes)
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
        let index = self.index(id)?;
        let slot = &mut self.slots[index];
        let written = index < self.fresh || slot.sent > 0;
        let settled = Settled { id, len: slot.total, receipt: slot.receipt, written };
        if !written {
            self.slots.remove(index);
            return Some(settled);
        }
        slot.settled = true;
        slot.payload = Bytes::new();
        slot.acked = RangeSet::default();
        self.fresh += usize::from(index == self.fresh);
        while self.slots.front().is_some_and(|slot| slot.settled) {
            self.slots.pop_front();
            self.fresh -= 1;
        }
        Some(settled)
    }

    /// Number and length of the messages of which nothing was written, oldest first.
    pub(crate) fn unwritten(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        let is_begun = self.slots.get(self.fresh).is_some_and(|slot| slot.sent > 0);
        self.slots.range(self.fresh + usize::from(is_begun)..).map(|slot| (slot.id, slot.total as usize))
    }

    /// The first message longer than `max` of which nothing was written.
    pub(crate) fn first_longer_than(&self, max: u64) -> Option<u64> {
        self.unwritten().find(|&(_, len)| len as u64 > max).map(|(id, _)| id)
    }

    /// The oldest message that is not settled.
    pub(crate) fn first_unsettled(&self) -> Option<u64> {
        self.slots.front().map(|slot| slot.id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether anything of message `id` may have been written; what is settled may.
    pub(crate) fn has_written(&self, id: u64) -> bool {
        self.unwritten().all(|(unwritten, _)| unwritten != id)
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Candidate, Outbox, Piece};
    use crate::wire::Kind;
    use crate::{ChannelId, Class};

    const MESSAGE: Bytes = Bytes::from_static(b"a message");

    fn write(outbox: &mut Outbox, len: u32) -> Candidate {
        let candidate = outbox.candidate(u64::MAX).expect("something to write");
        outbox.take(&candidate, len, true).expect("the present candidate");
        candidate
    }

    #[test]
    fn what_is_dropped_unwritten_leaves_nothing_behind() {
        let mut outbox = Outbox::default();
        let first = outbox.push(MESSAGE, Kind::OneWay, false);
        write(&mut outbox, 4);
        for _ in 0..1000 {
            outbox.push(MESSAGE, Kind::OneWay, false);
            let (oldest, len) = outbox.unwritten().next().expect("it was pushed");
            assert_eq!(len, MESSAGE.len());
            assert!(outbox.settle(oldest).is_some_and(|settled| !settled.written && settled.id == oldest));
        }
        assert_eq!(outbox.slots.len(), 1, "the one that was begun");
        assert_eq!(outbox.candidate(u64::MAX).map(|next| (next.id, next.offset)), Some((first, 4)));
    }

    #[test]
    fn numbers_on_the_wire_have_no_gaps() {
        let mut outbox = Outbox::default();
        let ids: [u64; 6] = core::array::from_fn(|_| outbox.push(MESSAGE, Kind::OneWay, false));
        for dropped in [ids[0], ids[2], ids[5]] {
            outbox.settle(dropped).expect("it waits");
        }
        let written: [_; 3] = core::array::from_fn(|_| write(&mut outbox, 9));
        assert_eq!(written.clone().map(|candidate| candidate.number), [0, 1, 2]);
        assert_eq!(written.clone().map(|candidate| candidate.id), [ids[1], ids[3], ids[4]]);
        assert!(outbox.candidate(u64::MAX).is_none());
        // Settled in any order, each once.
        for at in [1, 2, 0] {
            let piece = Piece::new(ChannelId::DEFAULT, Class::Unreliable, &written[at], 9);
            assert!(outbox.on_acked(&piece).is_some());
            assert!(outbox.on_acked(&piece).is_none());
        }
        assert!(outbox.is_empty());
        assert_eq!(outbox.push(MESSAGE, Kind::OneWay, false), 6);
        assert_eq!(outbox.candidate(u64::MAX).map(|next| next.number), Some(3));
    }

    #[test]
    fn a_new_message_stays_within_the_window() {
        let mut outbox = Outbox::default();
        for _ in 0..5 {
            outbox.push(MESSAGE, Kind::OneWay, false);
        }
        let first = write(&mut outbox, 9);
        write(&mut outbox, 9);
        assert!(outbox.candidate(2).is_none(), "2 beyond the oldest that is open");
        let piece = Piece::new(ChannelId::DEFAULT, Class::ReliableOrdered, &first, 9);
        assert!(outbox.on_acked(&piece).is_some());
        assert!(outbox.candidate(2).is_some());
    }
}
