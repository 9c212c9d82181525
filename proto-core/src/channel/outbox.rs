//! What waits to be sent in one class of one channel, and what was sent and is not settled.

mod candidate;
mod keys;
mod plain;
mod resume;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::ops::RangeInclusive;

use bytes::Bytes;

pub(crate) use self::candidate::{Begins, Candidate};
use super::Piece;
use super::terms::{Says, Terms};
use crate::range_set::RangeSet;
use crate::wire::{Batch, Kind, Skipped, WireId};
use crate::{Class, Fate, Phase, ReceiptKind, Timestamp};

/// A receiver expands 16 bits to a number at most this far above the largest it has received (docs/spec/wire.md, section 5).
pub(super) const LOW16_AHEAD: u64 = 8192;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Live,
    /// Its fate is told; the peer does not yet know that it must not wait for it.
    Skipped,
    Settled,
    /// It was given up, and the peer need not know.
    GivenUp,
}

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
    receipt: ReceiptKind,
    /// It says nothing beside its payload.
    is_plain: bool,
    state: State,
    /// Its pieces in `lost`.
    lost: u16,
    /// Its number on the wire, given when it is first written: a message that is dropped before leaves no gap.
    number: u64,
    terms: Option<Box<Terms>>,
}

impl Slot {
    /// What else it says at `now`.
    fn says(&self, now: Timestamp) -> Says {
        let terms = self.terms.as_deref();
        Says {
            ttl: terms.and_then(|terms| terms.ttl(now)),
            receipt: self.receipt == ReceiptKind::Processing,
            batch: terms.and_then(|terms| terms.batch),
        }
    }

    fn settled(&self, written: bool) -> Settled {
        Settled {
            id: self.id,
            len: self.total,
            receipt: self.receipt,
            written,
            key: self.terms.as_ref().and_then(|terms| terms.key),
            batch: self.terms.as_ref().and_then(|terms| terms.batch),
            request: match self.kind {
                Kind::Request(request) => Some(request),
                _ => None,
            },
        }
    }
}

/// A message that is settled: what its owner must account for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled {
    pub(crate) id: u64,
    pub(crate) len: u32,
    pub(crate) receipt: ReceiptKind,
    /// Whether anything of it was ever written.
    pub(crate) written: bool,
    pub(crate) key: Option<u64>,
    pub(crate) batch: Option<Batch>,
    /// The request that it is.
    pub(crate) request: Option<u64>,
}

/// A message that was given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abandoned {
    pub(crate) settled: Settled,
    /// The peer may have a part of it, which is to be named by this number.
    pub(crate) part: Option<u64>,
    /// The older message whose place it was to take.
    pub(crate) overtook: Option<(Class, u64)>,
}

/// A message that waits for the application's word at the other end.
#[derive(Clone, Debug)]
struct Asked {
    settled: Settled,
    /// The peer's transport has all of it.
    arrived: bool,
    /// For whoever takes the receiver's place.
    payload: Bytes,
    deadline: Option<Timestamp>,
}

/// What only some messages need.
#[derive(Clone, Debug, Default)]
struct Extra {
    /// When the lifetimes end of those that have one.
    deadlines: BTreeSet<(Timestamp, u64)>,
    /// Messages given up that the next SKIP names.
    skips: BTreeSet<u64>,
    /// Messages whose MSG_ACK has not come, by number on the wire.
    asked: BTreeMap<u64, Asked>,
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
    /// Bytes that were never written.
    unsent: usize,
    extra: Option<Box<Extra>>,
}

impl Outbox {
    pub(crate) const fn new() -> Self {
        Self {
            slots: VecDeque::new(),
            next_id: 0,
            fresh: 0,
            next_number: 0,
            lost: VecDeque::new(),
            arrived: 0,
            unsent: 0,
            extra: None,
        }
    }

    #[inline]
    pub(crate) fn push(
        &mut self,
        payload: Bytes,
        kind: Kind,
        receipt: ReceiptKind,
        terms: Option<Box<Terms>>,
    ) -> u64 {
        let (id, total) = (self.next_id, payload.len() as u32);
        let is_plain = kind == Kind::OneWay && receipt != ReceiptKind::Processing && terms.is_none();
        self.next_id += 1;
        self.unsent += payload.len();
        if let Some(at) = terms.as_ref().and_then(|terms| terms.lapses()) {
            self.extra.get_or_insert_default().deadlines.insert((at, id));
        }
        self.slots.push_back(Slot {
            id,
            payload,
            kind,
            total,
            sent: 0,
            acked: RangeSet::default(),
            receipt,
            is_plain,
            state: State::Live,
            lost: 0,
            number: 0,
            terms,
        });
        id
    }

    fn index(&self, id: u64) -> Option<usize> {
        let index = self.find(id)?;
        (self.slots[index].state == State::Live).then_some(index)
    }

    fn find(&self, id: u64) -> Option<usize> {
        // Where none was dropped unwritten, ids have no gaps.
        let guess = id.checked_sub(self.slots.front()?.id)? as usize;
        match self.slots.get(guess) {
            Some(slot) if slot.id == id => Some(guess),
            _ => self.slots.binary_search_by_key(&id, |slot| slot.id).ok(),
        }
    }

    /// Whether all of it was written and nothing of it waits to be written again.
    fn is_in_flight(&self, index: usize) -> bool {
        index < self.fresh && self.slots[index].lost == 0
    }

    fn slot(&mut self, id: u64) -> Option<&mut Slot> {
        self.index(id).map(|index| &mut self.slots[index])
    }

    /// Whether pieces wait to be written again. Some of them may have arrived since.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// The peer has `piece`; the message when that was the last of it and it waits for nothing more.
    pub(crate) fn on_acked(&mut self, piece: &Piece) -> Option<Settled> {
        let index = self.index(piece.id)?;
        let slot = &mut self.slots[index];
        let number = slot.number;
        let mut is_whole = piece.len == slot.total;
        if !is_whole {
            slot.acked.insert(u64::from(piece.offset)..u64::from(piece.offset + piece.len));
            is_whole = slot.acked.contains(&(0..u64::from(slot.total)));
        }
        self.arrived = self.arrived.max(number + 1);
        if !is_whole {
            return None;
        }
        if let Some(asked) = self.extra.as_mut().and_then(|extra| extra.asked.get_mut(&number)) {
            asked.arrived = true;
            self.leave_at(index, State::Settled);
            return None;
        }
        Some(self.leave_at(index, State::Settled))
    }

    /// `piece` is lost: its message's fate, unless the piece must be written again. `is_stale` says that a newer message, unless
    /// it was dropped before it was written, makes it worthless.
    pub(crate) fn verdict(&self, piece: &Piece, now: Timestamp, is_stale: bool) -> Option<Fate> {
        let slot = self.index(piece.id).map(|index| &self.slots[index])?;
        let mut newer = self.slots.iter().rev().filter(|slot| slot.state != State::GivenUp);
        if is_stale && newer.next().is_some_and(|newest| newest.id > piece.id) {
            return Some(Fate::Superseded);
        }
        let terms = slot.terms.as_ref()?;
        if terms.doom.is_some() {
            return terms.doom;
        }
        if terms.has_lapsed(now) {
            return Some(Fate::Expired { phase: Phase::Sent });
        }
        let is_spent = terms.max_retransmits.is_some_and(|max| u32::from(piece.tries) >= max);
        is_spent.then_some(Fate::Lost)
    }

    /// Whether a second copy of `piece` may go out: it is still wanted, and nobody counts how often it was sent.
    pub(crate) fn may_copy(&self, piece: &Piece) -> bool {
        let wanted = u64::from(piece.offset)..u64::from(piece.offset + piece.len);
        self.index(piece.id).map(|index| &self.slots[index]).is_some_and(|slot| {
            let is_counted = slot.terms.as_ref().is_some_and(|terms| terms.max_retransmits.is_some());
            !is_counted && (piece.len == 0 || !slot.acked.contains(&wanted))
        })
    }

    /// `piece` is lost and must be written again.
    pub(crate) fn requeue(&mut self, piece: Piece) {
        if let Some(slot) = self.slot(piece.id) {
            slot.lost = slot.lost.saturating_add(1);
            self.lost.push_back(Piece { tries: piece.tries.saturating_add(1), ..piece });
        }
    }

    /// Ends the life of a message, wherever it is.
    pub(crate) fn settle(&mut self, id: u64) -> Option<Settled> {
        self.leave(id, State::Settled)
    }

    /// Gives a message up, wherever it is; `is_charged` says that the peer must be told not to wait for it, and what it cost.
    pub(crate) fn abandon(&mut self, id: u64, is_charged: bool) -> Option<Abandoned> {
        let slot = self.slot(id)?;
        let is_partial = slot.sent > 0 && (slot.sent < slot.total || !slot.acked.is_empty());
        let part = is_partial.then_some(slot.number);
        let overtook = slot.terms.as_ref().and_then(|terms| terms.overtook);
        let state = if is_charged { State::Skipped } else { State::GivenUp };
        let settled = self.leave(id, state)?;
        if settled.written && is_charged {
            self.extra.get_or_insert_default().skips.insert(id);
        }
        Some(Abandoned { settled, part, overtook })
    }

    fn leave(&mut self, id: u64, state: State) -> Option<Settled> {
        self.index(id).map(|index| self.leave_at(index, state))
    }

    fn leave_at(&mut self, index: usize, state: State) -> Settled {
        let slot = &mut self.slots[index];
        let id = slot.id;
        let written = index < self.fresh || slot.sent > 0;
        let settled = slot.settled(written);
        self.unsent -= (slot.total - slot.sent) as usize;
        let lapses = slot.terms.take().and_then(|terms| terms.lapses());
        if let Some(extra) = &mut self.extra {
            if let Some(at) = lapses {
                extra.deadlines.remove(&(at, id));
            }
            if extra.asked.get(&slot.number).is_some_and(|asked| asked.settled.id == id && !asked.arrived) {
                extra.asked.remove(&slot.number);
            }
        }
        if !written {
            self.slots.remove(index);
            return settled;
        }
        slot.state = state;
        self.fresh += usize::from(index == self.fresh);
        if index == 0 && state != State::Skipped {
            self.forget();
        } else {
            slot.payload = Bytes::new();
            slot.acked = RangeSet::default();
        }
        settled
    }

    fn forget(&mut self) {
        while self.slots.front().is_some_and(|slot| matches!(slot.state, State::Settled | State::GivenUp)) {
            self.slots.pop_front();
            self.fresh -= 1;
        }
    }

    /// Whether nothing of message `id`, which is not settled, was written; `None` when it is settled or unknown.
    pub(crate) fn is_unwritten(&self, id: u64) -> Option<bool> {
        let index = self.index(id)?;
        Some(index >= self.fresh && self.slots[index].sent == 0)
    }

    /// Length of message `id`, which is not settled.
    pub(crate) fn len_of(&self, id: u64) -> usize {
        self.index(id).map_or(0, |index| self.slots[index].total as usize)
    }

    /// Whether a piece of message `id` waits to be written again.
    pub(crate) fn is_lost(&self, id: u64) -> bool {
        self.index(id).is_some_and(|index| self.slots[index].lost > 0)
    }

    /// The next message whose lifetime is over and of which something would have to be written.
    pub(crate) fn next_expired(&mut self, now: Timestamp) -> Option<u64> {
        loop {
            let deadlines = &mut self.extra.as_mut()?.deadlines;
            let &(_, id) = deadlines.first().filter(|&&(at, _)| at <= now)?;
            deadlines.pop_first();
            if self.index(id).is_some_and(|index| !self.is_in_flight(index)) {
                return Some(id);
            }
        }
    }

    /// When the next lifetime ends.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.extra.as_ref()?.deadlines.first().map(|&(at, _)| at)
    }

    /// Messages with lost pieces older than the newest one.
    pub(crate) fn oldest_stale(&self) -> Option<u64> {
        self.lost.iter().map(|piece| piece.id).find(|&id| id + 1 < self.next_id && self.index(id).is_some())
    }

    /// Takes up to `max` messages that a SKIP must name, ascending: their numbers here and what it says of them.
    pub(crate) fn take_skips(&mut self, max: usize, mut each: impl FnMut(u64, Skipped)) {
        let Some(extra) = &mut self.extra else { return };
        for _ in 0..max {
            let Some(id) = extra.skips.pop_first() else { return };
            let found = self.slots.binary_search_by_key(&id, |slot| slot.id);
            if let Ok(index) = found {
                let slot = &self.slots[index];
                each(id, Skipped { number: slot.number, total: slot.total.into() });
            }
        }
    }

    pub(crate) fn has_skips(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| !extra.skips.is_empty())
    }

    /// The peer knows that message `id` was given up.
    pub(crate) fn on_skip_acked(&mut self, id: u64) {
        if let Some(index) = self.find(id)
            && self.slots[index].state == State::Skipped
        {
            self.slots[index].state = State::Settled;
            self.forget();
        }
    }

    /// The SKIP that named message `id` is lost.
    pub(crate) fn on_skip_lost(&mut self, id: u64) {
        if self.find(id).is_some_and(|index| self.slots[index].state == State::Skipped) {
            self.extra.get_or_insert_default().skips.insert(id);
        }
    }

    /// The peer answers for the numbers in `range`: hands `each` the messages among them that asked. `false` when a number was
    /// never given.
    pub(crate) fn on_receipts(&mut self, range: RangeInclusive<u64>, mut each: impl FnMut(Settled)) -> bool {
        if *range.end() >= self.next_number {
            return false;
        }
        while let Some(extra) = &mut self.extra
            && let Some((&number, asked)) = extra.asked.range(range.clone()).next()
        {
            let Asked { settled, arrived, .. } = *asked;
            extra.asked.remove(&number);
            if !arrived {
                self.settle(settled.id);
            }
            each(settled);
        }
        true
    }

    /// Whether there is a message of which nothing was written.
    #[inline]
    pub(crate) fn has_unwritten(&self) -> bool {
        self.unwritten_slots().next().is_some()
    }

    fn unwritten_slots(&self) -> impl Iterator<Item = &Slot> {
        let is_begun = self.slots.get(self.fresh).is_some_and(|slot| slot.sent > 0);
        self.slots.range(self.fresh + usize::from(is_begun)..)
    }

    /// Number and length of the messages of which nothing was written, oldest first.
    pub(crate) fn unwritten(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        self.unwritten_slots().map(|slot| (slot.id, slot.total as usize))
    }

    /// Those of them that a policy may push out: not the answers to requests.
    pub(crate) fn replaceable(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        let slots = self.unwritten_slots().filter(|slot| !slot.kind.is_answer());
        slots.map(|slot| (slot.id, slot.total as usize))
    }

    /// The first message longer than `max` of which nothing was written.
    pub(crate) fn first_longer_than(&self, max: u64) -> Option<u64> {
        self.unwritten().find(|&(_, len)| len as u64 > max).map(|(id, _)| id)
    }

    /// Ends the life of the oldest message that has no fate yet.
    pub(crate) fn settle_oldest(&mut self) -> Option<Settled> {
        if let Some(slot) = self.slots.iter().find(|slot| slot.state == State::Live) {
            return self.settle(slot.id);
        }
        self.extra.as_mut()?.asked.pop_first().map(|(_, asked)| asked.settled)
    }

    /// Whether the peer has, or knows to have been given up, everything that was sent, and has answered for it where it was asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty() && !self.awaits_word()
    }

    /// Whether the peer's application has still to answer for a message.
    pub(crate) fn awaits_word(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| !extra.asked.is_empty())
    }

    /// Whether anything of message `id` may have been written; what is settled may.
    pub(crate) fn has_written(&self, id: u64) -> bool {
        self.unwritten().all(|(unwritten, _)| unwritten != id)
    }

    /// Bytes that were never written.
    pub(crate) const fn unsent(&self) -> usize {
        self.unsent
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
        self.extra
            .take_if(|extra| extra.deadlines.is_empty() && extra.skips.is_empty() && extra.asked.is_empty());
    }
}

crate::sleep::saved!(Outbox { slots, next_id, fresh, next_number, lost, arrived, unsent, extra });

crate::sleep::awake!(Extra);

#[cfg(test)]
mod tests;
