//! What was sent over a link that is gone: what of it arrived, and what must be written again.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Outbox, Piece, Settled, State};
use crate::wire::StateLine;
use crate::{ChannelId, Class, ReceiptKind, Timestamp};

impl Outbox {
    /// How many messages have been given numbers on the wire.
    pub(in crate::channel) const fn sent_numbers(&self) -> u64 {
        self.next_number
    }

    /// Below this number the peer is known to have, or not to wait for, every message.
    pub(in crate::channel) fn settled_numbers(&self) -> u64 {
        let first = self.slots.front().filter(|slot| self.fresh > 0 || slot.sent > 0);
        first.map_or(self.next_number, |slot| slot.number)
    }

    /// The link is another one, and the peer says what it has: `each` gets the messages that are settled by that. Nothing waits
    /// to be written again any more.
    pub(in crate::channel) fn settle_arrived(&mut self, line: &StateLine, mut each: impl FnMut(Settled)) {
        self.lost.clear();
        self.arrived = self.arrived.max(line.largest());
        let begun = self.slots.len().min(self.fresh + 1);
        let mut arrived = Vec::new();
        for slot in self.slots.iter_mut().take(begun).filter(|slot| slot.sent > 0 || slot.total == 0) {
            slot.lost = 0;
            if line.has(slot.number) {
                arrived.push(slot.id);
            }
        }
        for id in arrived {
            self.on_skip_acked(id);
            let Some(index) = self.index(id).filter(|&index| index < self.fresh) else { continue };
            let number = self.slots[index].number;
            let asked = self.extra.as_mut().and_then(|extra| extra.asked.get_mut(&number));
            let waits = asked.map(|asked| asked.arrived = true).is_some();
            let settled = self.leave_at(index, State::Settled);
            if !waits {
                each(settled);
            }
        }
    }

    /// The messages that were written, wholly or in part, and are not settled, each with what of it is not known to have arrived.
    pub(in crate::channel) fn begun(&self, channel: ChannelId, class: Class) -> Vec<(u64, Vec<Piece>)> {
        let begun =
            self.slots.iter().take(self.fresh).chain(self.slots.get(self.fresh).filter(|slot| slot.sent > 0));
        let live = begun.filter(|slot| slot.state == State::Live);
        live.map(|slot| {
            let piece = |offset: u64, end: u64| Piece {
                channel,
                class,
                tries: 0,
                id: slot.id,
                offset: offset as u32,
                len: (end - offset) as u32,
            };
            let (mut pieces, mut at) = (Vec::new(), 0);
            for known in slot.acked.iter() {
                if known.start > at {
                    pieces.push(piece(at, known.start));
                }
                at = known.end;
            }
            if u64::from(slot.sent) > at || slot.total == 0 {
                pieces.push(piece(at, slot.sent.into()));
            }
            (slot.id, pieces)
        })
        .collect()
    }

    /// The messages longer than `max` that are not settled.
    pub(in crate::channel) fn longer_than(&self, max: u64) -> Vec<u64> {
        let live = self.slots.iter().filter(|slot| slot.state == State::Live);
        live.filter(|slot| u64::from(slot.total) > max).map(|slot| slot.id).collect()
    }

    /// Takes the messages that wait for the application's word at the other end, in their order, with what is left of them to ask
    /// for: requests excepted.
    pub(in crate::channel) fn take_unanswered(
        &mut self,
        is_sound: impl Fn(u64) -> bool,
    ) -> Vec<(Settled, Bytes, Option<Timestamp>)> {
        let asks = |settled: &Settled| {
            let is_wanted = settled.batch.is_none_or(|batch| is_sound(batch.number));
            settled.receipt == ReceiptKind::Processing && settled.request.is_none() && is_wanted
        };
        let mut taken = Vec::new();
        let live = self.slots.iter().filter(|slot| slot.state == State::Live);
        let ids: Vec<u64> = live.filter(|slot| asks(&slot.settled(true))).map(|slot| slot.id).collect();
        for index in ids.into_iter().filter_map(|id| self.index(id)).collect::<Vec<_>>().into_iter().rev() {
            let slot = &self.slots[index];
            let deadline = slot.terms.as_ref().and_then(|terms| terms.deadline);
            let payload = slot.payload.clone();
            taken.push((self.leave_at(index, State::Settled), payload, deadline));
        }
        if let Some(extra) = &mut self.extra {
            extra.asked.retain(|_, asked| {
                let stays = !asked.arrived || !asks(&asked.settled);
                if !stays {
                    taken.push((asked.settled, asked.payload.clone(), asked.deadline));
                }
                stays
            });
        }
        taken.sort_by_key(|(settled, ..)| settled.id);
        taken
    }

    /// Whether message `id` is the newest, and still has its content.
    pub(in crate::channel) fn is_newest(&self, id: u64) -> bool {
        let newest = self.slots.back().filter(|slot| slot.id == id);
        newest.is_some_and(|slot| slot.payload.len() == slot.total as usize)
    }
}
