//! What arrives on one channel: order, duplicates, joining, and what waits for the application.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;

use super::credit::{ReceiveCredit, cost};
use super::fragment::Partial;
use super::outbox::LOW16_AHEAD;
use crate::arena::Arena;
use crate::seen::{Seen, SeenWindow};
use crate::wire::{Kind, WireId};
use crate::{Class, Config, Drop, Timestamp, code};

/// Reliable messages that may be under way above the lowest one missing.
pub(crate) const RECEIVE_WINDOW: u64 = 4096;

/// A message as it came in, or a piece of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) class: Class,
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    /// Length of the whole message, and where this piece of it starts.
    pub(crate) total: u64,
    pub(crate) offset: u64,
    pub(crate) payload: &'a [u8],
}

/// What the parts of a connection lend while an arrival is taken in.
pub(crate) struct Intake<'a> {
    pub(crate) now: Timestamp,
    pub(crate) config: &'a Config,
    pub(crate) arena: &'a mut Arena,
    /// Gets the messages that the arrival completes or sets free, in order.
    pub(crate) out: &'a mut Vec<Delivery>,
}

/// A whole message.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) class: Class,
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) payload: Bytes,
}

/// What became of an arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refused {
    /// It is dropped.
    Dropped(Drop),
    /// The peer broke a rule.
    Violation(u64, &'static str),
}

#[derive(Clone, Debug)]
enum Slot {
    Missing,
    /// Charged, and not whole yet.
    Partial,
    /// Waits for those before it; boxed, as a peer that leaves one out can make thousands of slots.
    Waiting(Box<Delivery>),
    /// Delivered out of order.
    Done,
}

/// The numbers of one reliable class from the lowest one missing.
#[derive(Clone, Debug, Default)]
struct Window {
    base: u64,
    slots: VecDeque<Slot>,
}

impl Window {
    fn slot(&mut self, id: u64) -> Result<&mut Slot, Refused> {
        let ahead = id.checked_sub(self.base).ok_or(Refused::Dropped(Drop::DuplicateMessage))?;
        if ahead >= RECEIVE_WINDOW {
            return Err(Refused::Violation(code::FLOW_CONTROL, "a message beyond the receive window"));
        }
        let index = ahead as usize;
        if self.slots.len() <= index {
            self.slots.resize(index + 1, Slot::Missing);
        }
        Ok(&mut self.slots[index])
    }

    /// Moves past what is done, appending to `out` what waited for it.
    fn advance(&mut self, out: &mut Vec<Delivery>) {
        while let Some(Slot::Waiting(_) | Slot::Done) = self.slots.front() {
            if let Some(Slot::Waiting(delivery)) = self.slots.pop_front() {
                out.push(*delivery);
            }
            self.base += 1;
        }
    }
}

/// The receiving half of a channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inbox {
    ordered: Window,
    unordered: Window,
    unreliable: SeenWindow,
    /// One above the largest number received in each class.
    next: [u64; 3],
    partials: BTreeMap<(Class, u64), Partial>,
    /// Incomplete unreliable messages, and what they will cost.
    unreliable_partials: usize,
    partial_cost: usize,
    ready: VecDeque<Delivery>,
    /// Unreliable messages among them, and their cost.
    ready_unreliable: (usize, usize),
}

impl Inbox {
    /// The whole number behind what was sent; `previous` is that of the message before it in the record.
    pub(crate) fn expand(&self, class: Class, id: WireId, previous: u64) -> u64 {
        let expected = self.next[class as usize];
        match id {
            WireId::Next => previous + 1,
            WireId::Low8(low) => expand(expected, low.into(), 8, 1 << 5),
            WireId::Low16(low) => expand(expected, low.into(), 16, LOW16_AHEAD),
            WireId::Low32(low) => expand(expected, low.into(), 32, 1 << 31),
        }
    }

    /// A message of this number came, whatever becomes of it: later ones are expanded around it.
    pub(crate) fn note(&mut self, class: Class, id: u64) {
        let next = &mut self.next[class as usize];
        *next = (*next).max(id + 1);
    }

    /// Takes in one arrival. `credit` is charged for the first piece of a reliable message: the channel's and the session's.
    pub(crate) fn receive(
        &mut self,
        arrival: &Arrival<'_>,
        credit: [&mut ReceiveCredit; 2],
        intake: &mut Intake<'_>,
    ) -> Result<(), Refused> {
        if arrival.total > intake.config.max_message as u64 {
            return Err(Refused::Violation(code::MESSAGE_TOO_LARGE, "a message larger than was agreed"));
        }
        match arrival.class {
            Class::Unreliable => self.receive_unreliable(arrival, intake),
            _ => self.receive_reliable(arrival, credit, intake),
        }
    }

    fn receive_reliable(
        &mut self,
        arrival: &Arrival<'_>,
        credit: [&mut ReceiveCredit; 2],
        intake: &mut Intake<'_>,
    ) -> Result<(), Refused> {
        let Intake { now, config, arena, out } = intake;
        let Arrival { class, id, kind, total, .. } = *arrival;
        let ordered = class == Class::ReliableOrdered;
        let window = if ordered { &mut self.ordered } else { &mut self.unordered };
        #[cfg(planted)]
        if config.planted == Some(crate::planted::Planted::DedupOff) && id < window.base {
            out.push(Delivery { class, id, kind, payload: arena.copy(arrival.payload) });
            return Ok(());
        }
        let waits = ordered && id > window.base && !is_planted_over_gap(config);
        let slot = window.slot(id)?;
        match slot {
            Slot::Missing => {
                for credit in credit {
                    if !credit.charge(cost(total)) {
                        return Err(Refused::Violation(
                            code::FLOW_CONTROL,
                            "a message beyond the credit given",
                        ));
                    }
                }
                *slot = Slot::Partial;
            }
            Slot::Partial => {}
            Slot::Waiting(_) | Slot::Done => return Err(Refused::Dropped(Drop::DuplicateMessage)),
        }
        // What may wait for long gets a buffer of its own, or it would keep a whole block of the arena from being used again.
        let copy = |payload: &[u8]| if waits { Bytes::copy_from_slice(payload) } else { arena.copy(payload) };
        let Some(payload) = join(&mut self.partials, *now, arrival, copy)? else {
            return Ok(());
        };
        let delivery = Delivery { class, id, kind, payload };
        if waits {
            *slot = Slot::Waiting(Box::new(delivery));
        } else {
            *slot = Slot::Done;
            out.push(delivery);
        }
        window.advance(out);
        Ok(())
    }

    fn receive_unreliable(&mut self, arrival: &Arrival<'_>, intake: &mut Intake<'_>) -> Result<(), Refused> {
        let Intake { now, config, arena, out } = intake;
        let Arrival { class, id, kind, total, .. } = *arrival;
        match self.unreliable.check(id) {
            Seen::New => {}
            Seen::Before => return Err(Refused::Dropped(Drop::DuplicateMessage)),
            Seen::TooOld => return Err(Refused::Dropped(Drop::StaleMessage)),
        }
        let mut made_room = false;
        let is_cut = (arrival.payload.len() as u64) < total;
        let is_known = self.partials.contains_key(&(class, id));
        if is_cut && !is_known {
            if self.unreliable_partials >= config.max_partials {
                made_room = self.give_up_oldest_partial();
            }
            self.unreliable_partials += 1;
            self.partial_cost += cost(total) as usize;
        }
        let (messages, bytes) = self.ready_unreliable;
        let is_full =
            messages >= config.receive_messages || bytes + cost(total) as usize > config.receive_bytes;
        let copy = |payload: &[u8]| if is_full { Bytes::new() } else { arena.copy(payload) };
        let whole = join(&mut self.partials, *now, arrival, copy)?;
        if let Some(payload) = whole {
            if is_cut || is_known {
                self.unreliable_partials -= 1;
                self.partial_cost -= cost(total) as usize;
            }
            self.unreliable.insert(id);
            if is_full {
                return Err(Refused::Dropped(Drop::ReceiveQueueFull));
            }
            out.push(Delivery { class, id, kind, payload });
        }
        if made_room { Err(Refused::Dropped(Drop::ReassemblyFull)) } else { Ok(()) }
    }

    fn give_up_oldest_partial(&mut self) -> bool {
        let oldest = self.partials.range((Class::Unreliable, 0)..).map(|(&key, _)| key).next();
        let Some(partial) = oldest.and_then(|key| self.partials.remove(&key)) else { return false };
        self.unreliable_partials -= 1;
        self.partial_cost -= cost(partial.total()) as usize;
        true
    }

    /// What the unreliable messages cost that it holds, whole or not.
    pub(crate) const fn unreliable_cost(&self) -> usize {
        self.ready_unreliable.1 + self.partial_cost
    }

    /// Puts a message where `recv` finds it; `true` when nothing was there before.
    pub(crate) fn make_ready(&mut self, delivery: Delivery) -> bool {
        if delivery.class == Class::Unreliable {
            self.ready_unreliable.0 += 1;
            self.ready_unreliable.1 += cost(delivery.payload.len() as u64) as usize;
        }
        self.ready.push_back(delivery);
        self.ready.len() == 1
    }

    pub(crate) fn pop_ready(&mut self) -> Option<Delivery> {
        let delivery = self.ready.pop_front()?;
        if delivery.class == Class::Unreliable {
            self.ready_unreliable.0 -= 1;
            self.ready_unreliable.1 -= cost(delivery.payload.len() as u64) as usize;
        }
        Some(delivery)
    }

    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Whether unreliable messages are incomplete.
    pub(crate) const fn is_assembling(&self) -> bool {
        self.unreliable_partials > 0
    }

    /// When the next incomplete unreliable message must be given up.
    pub(crate) fn reassembly_deadline(&self, config: &Config) -> Option<Timestamp> {
        if self.unreliable_partials == 0 {
            return None;
        }
        let unreliable = self.partials.range((Class::Unreliable, 0)..);
        unreliable.map(|(_, partial)| expiry(partial, config)).min()
    }

    /// Gives up the incomplete unreliable messages whose time has passed, and returns how many.
    pub(crate) fn expire_partials(&mut self, now: Timestamp, config: &Config) -> usize {
        let (mut gone, mut freed) = (0, 0);
        self.partials.retain(|&(class, _), partial| {
            let keep = class != Class::Unreliable || expiry(partial, config) > now;
            if !keep {
                gone += 1;
                freed += cost(partial.total()) as usize;
            }
            keep
        });
        self.unreliable_partials -= gone;
        self.partial_cost -= freed;
        gone
    }

    /// Bytes of whole and incomplete messages.
    pub(crate) fn held_bytes(&self) -> usize {
        let waiting = self.ordered.slots.iter().map(|slot| match slot {
            Slot::Waiting(delivery) => delivery.payload.len(),
            _ => 0,
        });
        let ready = self.ready.iter().map(|delivery| delivery.payload.len());
        waiting.chain(ready).sum::<usize>() + self.partials.values().map(Partial::held_bytes).sum::<usize>()
    }

    pub(crate) fn shrink(&mut self) {
        self.ordered.slots.shrink_to(0);
        self.unordered.slots.shrink_to(0);
        self.ready.shrink_to(0);
    }
}

fn expiry(partial: &Partial, config: &Config) -> Timestamp {
    (partial.touched + config.reassembly_idle).min(partial.begun + config.reassembly_total)
}

/// The whole payload, once all pieces are there; `copy` keeps one that came in one piece.
fn join(
    partials: &mut BTreeMap<(Class, u64), Partial>,
    now: Timestamp,
    arrival: &Arrival<'_>,
    copy: impl FnOnce(&[u8]) -> Bytes,
) -> Result<Option<Bytes>, Refused> {
    let Arrival { class, id, kind, total, offset, payload } = *arrival;
    let key = (class, id);
    let is_whole = payload.len() as u64 == total;
    if is_whole && !partials.contains_key(&key) {
        return Ok(Some(copy(payload)));
    }
    let partial = partials.entry(key).or_insert_with(|| Partial::new(now, total, kind));
    partial
        .insert(now, total, kind, offset, payload)
        .map_err(|text| Refused::Violation(code::PROTOCOL_VIOLATION, text))?;
    if !partial.is_complete() {
        return Ok(None);
    }
    Ok(partials.remove(&key).map(|partial| Bytes::from(partial.into_parts().1)))
}

/// The number whose low `bits` are `low` and that lies in `(expected + ahead - 2^bits, expected + ahead]`.
fn expand(expected: u64, low: u64, bits: u32, ahead: u64) -> u64 {
    let window = 1_u64 << bits;
    let highest = expected + ahead;
    let candidate = highest & !(window - 1) | low;
    if candidate > highest { candidate.checked_sub(window).unwrap_or(candidate) } else { candidate }
}

#[cfg(planted)]
fn is_planted_over_gap(config: &Config) -> bool {
    config.planted == Some(crate::planted::Planted::DeliverOverGap)
}

#[cfg(not(planted))]
const fn is_planted_over_gap(_: &Config) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::{LOW16_AHEAD, expand};

    quickcheck::quickcheck! {
        fn a_number_in_the_window_survives(expected: u64, back: u16) -> bool {
            let expected = expected >> 2;
            let highest = expected + LOW16_AHEAD;
            let id = highest.saturating_sub(back.into());
            expand(expected, id & 0xFFFF, 16, LOW16_AHEAD) == id
        }
    }
}
