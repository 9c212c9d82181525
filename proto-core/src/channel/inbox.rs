//! What arrives on one channel: order, duplicates, joining, and what waits for the application.

mod plain;
mod resume;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;

use super::arrival::{
    Arrival, Delivery, Gone, Intake, Refused, Said, is_planted_any_sequence, is_planted_immortal,
    is_planted_over_gap,
};
use super::credit::{ReceiveCredit, cost};
use super::expand::expand;
use super::fragment::Partial;
use super::limits::Limits;
use super::outbox::LOW16_AHEAD;
use super::ready::Ready;
use super::window::{Slot, Window};
use crate::seen::{Seen, SeenWindow};
use crate::wire::{Extras, Skipped, WireId};
use crate::{Class, Config, Refusal, Timestamp, code};

/// The receiving half of a channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inbox {
    ordered: Window,
    unordered: Window,
    unreliable: Option<Box<SeenWindow>>,
    /// One above the newest sequenced message that was whole.
    newest: u64,
    /// Sequenced messages are repeated by the peer until the newest arrives.
    pub(crate) reliable_sequenced: bool,
    /// One above the largest number received in each class.
    next: [u64; 4],
    partials: BTreeMap<(Class, u64), Partial>,
    /// Ends of the lifetimes of incomplete messages.
    lapses: BTreeSet<(Timestamp, Class, u64)>,
    /// Incomplete unreliable messages, and what they will cost.
    unreliable_partials: usize,
    partial_cost: usize,
    ready: Ready,
    /// The newest sequenced message, until it is taken; kept for its memory.
    ready_sequenced: Option<Box<Option<Delivery>>>,
    /// Unreliable messages among those that are ready, and their cost.
    ready_unreliable: (usize, usize),
    /// Those of them that ask for a receipt.
    ready_asking: usize,
    /// Ordered messages that came and that the application does not get, for the next that is made ready.
    diverted: u32,
    /// The same, of those that were ready, for the next that is taken.
    expired: u32,
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
        #[cfg(planted)]
        if intake.config.planted == Some(crate::planted::Planted::PiecesCountTwice)
            && let Some(partial) = self.partials.get_mut(&(arrival.class, arrival.id))
        {
            partial.count_again(arrival.offset, arrival.payload.len() as u64);
        }
        let received = match arrival.class {
            Class::Unreliable => self.receive_unreliable(arrival, intake),
            Class::Sequenced => self.receive_sequenced(arrival, intake),
            _ => self.receive_reliable(arrival, credit, intake),
        };
        if arrival.extras.ttl.is_some() {
            self.note_lapse(arrival);
        }
        received
    }

    /// The lifetime of an incomplete message is to be watched.
    fn note_lapse(&mut self, arrival: &Arrival<'_>) {
        let key @ (class, id) = (arrival.class, arrival.id);
        if let Some(partial) = self.partials.get_mut(&key)
            && let Some(deadline) = partial.said.as_ref().and_then(|said| said.deadline)
            && partial.watched.is_none_or(|watched| deadline < watched)
        {
            if let Some(watched) = partial.watched.replace(deadline) {
                self.lapses.remove(&(watched, class, id));
            }
            self.lapses.insert((deadline, class, id));
        }
    }

    fn take_partial(&mut self, class: Class, id: u64) -> Option<Partial> {
        let partial = self.partials.remove(&(class, id))?;
        self.on_partial_gone(class, id, &partial);
        Some(partial)
    }

    fn on_partial_gone(&mut self, class: Class, id: u64, partial: &Partial) {
        if let Some(watched) = partial.watched {
            self.lapses.remove(&(watched, class, id));
        }
        if class == Class::Unreliable {
            self.unreliable_partials -= 1;
            self.partial_cost -= cost(partial.total()) as usize;
        }
    }

    /// Takes `arrival` in; the whole message, once all of it is there.
    fn join(
        &mut self,
        now: Timestamp,
        arrival: &Arrival<'_>,
        copy: impl FnOnce(&[u8]) -> Bytes,
    ) -> Result<Option<Delivery>, Refused> {
        let Arrival { class, id, kind, total, offset, payload, .. } = *arrival;
        let key = (class, id);
        let said = Said::new(&arrival.extras, now);
        let is_whole = payload.len() as u64 == total;
        if is_whole && !self.partials.contains_key(&key) {
            return Ok(Some(Delivery { class, id, kind, payload: copy(payload), gap: 0, said }));
        }
        let partial = self.partials.entry(key).or_insert_with(|| Partial::new(now, total, kind));
        match (&mut partial.said, said) {
            (Some(known), Some(said)) => known.merge(&said),
            (known @ None, said) => *known = said,
            _ => {}
        }
        partial
            .insert(now, total, kind, offset, payload)
            .map_err(|text| Refused::Violation(code::PROTOCOL_VIOLATION, text))?;
        if !partial.is_complete() {
            return Ok(None);
        }
        let Some(mut partial) = self.take_partial(class, id) else { return Ok(None) };
        let said = partial.said.take();
        Ok(Some(Delivery { class, id, kind, payload: partial.into_payload(), gap: 0, said }))
    }

    fn receive_reliable(
        &mut self,
        arrival: &Arrival<'_>,
        credit: [&mut ReceiveCredit; 2],
        intake: &mut Intake<'_>,
    ) -> Result<(), Refused> {
        let Arrival { class, id, total, .. } = *arrival;
        let ordered = class == Class::ReliableOrdered;
        let window = if ordered { &mut self.ordered } else { &mut self.unordered };
        #[cfg(planted)]
        if intake.config.planted == Some(crate::planted::Planted::DedupOff) && id < window.base {
            let payload = intake.arena.copy(arrival.payload);
            intake.out.push(Delivery { class, id, kind: arrival.kind, payload, gap: 0, said: None });
            return Ok(());
        }
        // The usual case of a message that says more than its payload: whole, and the one that everything waits for.
        if id == window.base
            && window.slots.is_empty()
            && arrival.payload.len() as u64 == total
            && arrival.extras == Extras::default()
        {
            charge(credit, total)?;
            window.base += 1;
            let (payload, gap) = (intake.arena.copy(arrival.payload), mem::take(&mut window.gap));
            intake.out.push(Delivery { class, id, kind: arrival.kind, payload, gap, said: None });
            return Ok(());
        }
        let waits = ordered && id > window.base && !is_planted_over_gap(intake.config);
        let slot = window.slot(id)?;
        match slot {
            Slot::Missing => {
                charge(credit, total)?;
                *slot = Slot::Partial;
            }
            Slot::Partial => {}
            Slot::Waiting(_) | Slot::Done | Slot::Skipped => {
                return Err(Refused::Dropped(Refusal::Duplicate));
            }
        }
        if arrival.extras.ttl == Some(0) {
            self.give_up(class, id, total, arrival.extras.receipt, Some(Refusal::Expired), intake);
            return Ok(());
        }
        // What may wait for long gets a buffer of its own, or it would keep a whole block of the arena from being used again.
        let arena = &mut *intake.arena;
        let copy = |payload: &[u8]| if waits { Bytes::copy_from_slice(payload) } else { arena.copy(payload) };
        let Some(mut delivery) = self.join(intake.now, arrival, copy)? else { return Ok(()) };
        let window = if ordered { &mut self.ordered } else { &mut self.unordered };
        let slot = window.slot(id)?;
        if waits {
            *slot = Slot::Waiting(Box::new(delivery));
        } else {
            *slot = Slot::Done;
            delivery.gap = mem::take(&mut window.gap);
            intake.out.push(delivery);
        }
        window.advance(intake.out);
        Ok(())
    }

    /// A charged message of a reliable class, whole nowhere, will not be waited for any more.
    fn give_up(
        &mut self,
        class: Class,
        id: u64,
        total: u64,
        receipt: bool,
        reason: Option<Refusal>,
        intake: &mut Intake<'_>,
    ) {
        let asked = self.take_partial(class, id).and_then(|partial| partial.said);
        let receipt = receipt || asked.is_some_and(|said| said.receipt);
        intake.gone.push(Gone { class, id, total, receipt, reason, request: None });
        let ordered = class == Class::ReliableOrdered;
        let window = if ordered { &mut self.ordered } else { &mut self.unordered };
        if let Ok(slot) = window.slot(id) {
            *slot = if ordered { Slot::Skipped } else { Slot::Done };
        }
        window.advance(intake.out);
    }

    /// The peer has given up a message of a reliable class; whether a part of it was here.
    pub(crate) fn skip(
        &mut self,
        class: Class,
        skipped: Skipped,
        credit: [&mut ReceiveCredit; 2],
        intake: &mut Intake<'_>,
    ) -> Result<bool, Refused> {
        let Skipped { number, total } = skipped;
        if total > intake.config.max_message as u64 {
            return Err(Refused::Violation(code::MESSAGE_TOO_LARGE, "a message larger than was agreed"));
        }
        let window = if class == Class::ReliableOrdered { &mut self.ordered } else { &mut self.unordered };
        match window.slot(number) {
            Ok(Slot::Missing) => charge(credit, total)?,
            Ok(Slot::Partial) => {
                if self.partials.get(&(class, number)).is_some_and(|partial| partial.total() != total) {
                    let text = "a message is skipped with another length";
                    return Err(Refused::Violation(code::PROTOCOL_VIOLATION, text));
                }
            }
            Ok(_) | Err(Refused::Dropped(_)) => return Ok(false),
            Err(violation) => return Err(violation),
        }
        let next = &mut self.next[class as usize];
        *next = (*next).max(number + 1);
        let is_partial = self.partials.contains_key(&(class, number));
        self.give_up(class, number, total, false, None, intake);
        Ok(is_partial)
    }

    /// The peer writes no more of a message without credit; whether a part of it was here.
    pub(crate) fn abort(&mut self, class: Class, id: u64) -> bool {
        let is_known = self.take_partial(class, id).is_some();
        if class == Class::Unreliable && is_known {
            self.mark_seen(id);
        }
        is_known
    }

    /// No more of an unreliable message is wanted.
    fn mark_seen(&mut self, id: u64) {
        let seen = self.unreliable.get_or_insert_default();
        if seen.check(id) == Seen::New {
            seen.insert(id);
        }
    }

    fn receive_sequenced(&mut self, arrival: &Arrival<'_>, intake: &mut Intake<'_>) -> Result<(), Refused> {
        let Arrival { class, id, total, .. } = *arrival;
        if id < self.newest && !is_planted_any_sequence(intake.config) {
            let is_same = id + 1 == self.newest;
            return Err(Refused::Dropped(if is_same { Refusal::Duplicate } else { Refusal::Superseded }));
        }
        if arrival.extras.ttl == Some(0) {
            let reason = Some(Refusal::Expired);
            intake.gone.push(Gone {
                class,
                id,
                total,
                receipt: arrival.extras.receipt,
                reason,
                request: None,
            });
            return Ok(());
        }
        // Whatever older message is incomplete has been overtaken; a newer one may be on its way already.
        let held = self.partials.range((class, 0)..).next().map(|(&(_, held), _)| held);
        if let Some(held) = held {
            if held > id {
                return Err(Refused::Dropped(Refusal::Superseded));
            }
            if held < id {
                self.drop_partial(class, held, Refusal::Superseded, intake.gone);
            }
        }
        let arena = &mut *intake.arena;
        if let Some(delivery) = self.join(intake.now, arrival, |payload| arena.copy(payload))? {
            self.newest = self.newest.max(id + 1);
            intake.out.push(delivery);
        }
        Ok(())
    }

    fn drop_partial(&mut self, class: Class, id: u64, reason: Refusal, gone: &mut Vec<Gone>) {
        if let Some(partial) = self.take_partial(class, id) {
            if class == Class::Unreliable {
                self.mark_seen(id);
            }
            let receipt = partial.said.as_ref().is_some_and(|said| said.receipt);
            gone.push(Gone {
                class,
                id,
                total: partial.total(),
                receipt,
                reason: Some(reason),
                request: None,
            });
        }
    }

    fn receive_unreliable(&mut self, arrival: &Arrival<'_>, intake: &mut Intake<'_>) -> Result<(), Refused> {
        let Arrival { class, id, total, .. } = *arrival;
        let receipt = arrival.extras.receipt;
        match self.unreliable.get_or_insert_default().check(id) {
            Seen::New => {}
            Seen::Before => return Err(Refused::Dropped(Refusal::Duplicate)),
            Seen::TooOld => return Err(Refused::Dropped(Refusal::Stale)),
        }
        if arrival.extras.ttl == Some(0) {
            self.take_partial(class, id);
            self.unreliable.get_or_insert_default().insert(id);
            intake.gone.push(Gone {
                class,
                id,
                total,
                receipt,
                reason: Some(Refusal::Expired),
                request: None,
            });
            return Ok(());
        }
        let is_cut = (arrival.payload.len() as u64) < total;
        if is_cut && !self.partials.contains_key(&(class, id)) {
            if self.unreliable_partials >= intake.config.max_partials {
                self.give_up_oldest_partial(intake.gone);
            }
            self.unreliable_partials += 1;
            self.partial_cost += cost(total) as usize;
        }
        let (messages, bytes) = self.ready_unreliable;
        let Limits { receive_messages, receive_bytes, .. } = intake.limits;
        let is_full = messages >= receive_messages || bytes + cost(total) as usize > receive_bytes;
        #[cfg(planted)]
        let is_full = is_full && intake.config.planted != Some(crate::planted::Planted::Hoards);
        let arena = &mut *intake.arena;
        let copy = |payload: &[u8]| if is_full { Bytes::new() } else { arena.copy(payload) };
        if let Some(delivery) = self.join(intake.now, arrival, copy)? {
            self.unreliable.get_or_insert_default().insert(id);
            if is_full {
                intake.gone.push(Gone { total, request: None, ..delivery.gone(Refusal::QueueFull) });
            } else {
                intake.out.push(delivery);
            }
        }
        Ok(())
    }

    fn give_up_oldest_partial(&mut self, gone: &mut Vec<Gone>) {
        let oldest = self.partials.range((Class::Unreliable, 0)..).map(|(&key, _)| key).next();
        if let Some((class, id)) = oldest {
            self.drop_partial(class, id, Refusal::ReassemblyFull, gone);
        }
    }

    /// What the unreliable messages cost that it holds, whole or not.
    pub(crate) const fn unreliable_cost(&self) -> usize {
        self.ready_unreliable.1 + self.partial_cost
    }

    /// Messages without credit that wait for the application and ask for a receipt.
    pub(crate) fn asking(&self) -> usize {
        self.ready_asking + self.sequenced().filter(|delivery| delivery.asks()).count()
    }

    /// Puts a message where `recv` finds it; `true` when nothing was there before. A sequenced one takes the place of the last,
    /// which is returned.
    pub(crate) fn make_ready(&mut self, mut delivery: Delivery) -> (bool, Option<Gone>) {
        let was_empty = self.ready.is_empty() && self.sequenced().next().is_none();
        match delivery.class {
            Class::Sequenced => {
                let older = self.ready_sequenced.get_or_insert_default().replace(delivery);
                return (was_empty, older.map(|older| older.gone(Refusal::Superseded)));
            }
            Class::Unreliable => {
                self.ready_unreliable.0 += 1;
                self.ready_unreliable.1 += cost(delivery.payload.len() as u64) as usize;
                self.ready_asking += usize::from(delivery.asks());
            }
            Class::ReliableOrdered => {
                delivery.gap = delivery.gap.saturating_add(mem::take(&mut self.diverted));
            }
            Class::ReliableUnordered => {}
        }
        self.ready.push(delivery);
        (was_empty, None)
    }

    /// A delivery goes elsewhere than to `recv`; `is_gap` says that the application never gets it.
    pub(crate) fn divert(&mut self, delivery: &Delivery, is_gap: bool) {
        if delivery.class == Class::ReliableOrdered {
            self.diverted = self.diverted.saturating_add(delivery.gap).saturating_add(is_gap.into());
        }
    }

    /// The next message whose lifetime is not over; those whose is are appended to `gone`.
    pub(crate) fn pop_live(
        &mut self,
        now: Timestamp,
        gone: &mut Vec<Gone>,
        config: &Config,
    ) -> Option<Delivery> {
        loop {
            let mut delivery = self.pop_ready()?;
            let is_ordered = delivery.class == Class::ReliableOrdered;
            if !delivery.has_expired(now) || is_planted_immortal(config) {
                if is_ordered {
                    delivery.gap = delivery.gap.saturating_add(mem::take(&mut self.expired));
                }
                return Some(delivery);
            }
            if is_ordered {
                self.expired = self.expired.saturating_add(delivery.gap).saturating_add(1);
            }
            gone.push(delivery.gone(Refusal::Expired));
        }
    }

    pub(crate) fn pop_ready(&mut self) -> Option<Delivery> {
        if let Some(delivery) = self.ready_sequenced.as_mut().and_then(|ready| ready.take()) {
            return Some(delivery);
        }
        let delivery = self.ready.pop()?;
        if delivery.class == Class::Unreliable {
            self.ready_unreliable.0 -= 1;
            self.ready_unreliable.1 -= cost(delivery.payload.len() as u64) as usize;
            self.ready_asking -= usize::from(delivery.asks());
        }
        Some(delivery)
    }

    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len() + self.sequenced().count()
    }

    fn sequenced(&self) -> impl Iterator<Item = &Delivery> {
        self.ready_sequenced.iter().flat_map(|ready| ready.iter())
    }

    /// Whether an incomplete message of `class` is given up when its pieces stay away.
    const fn idles(&self, class: Class) -> bool {
        match class {
            Class::Unreliable => true,
            Class::Sequenced => !self.reliable_sequenced,
            Class::ReliableOrdered | Class::ReliableUnordered => false,
        }
    }

    /// The incomplete messages that are given up when their pieces stay away.
    fn idle_partials(&self) -> impl Iterator<Item = (&(Class, u64), &Partial)> {
        self.partials.range((Class::Unreliable, 0)..).filter(|((class, _), _)| self.idles(*class))
    }

    /// When the next incomplete message must be given up.
    #[inline]
    pub(crate) fn reassembly_deadline(&self, config: &Config) -> Option<Timestamp> {
        if self.partials.is_empty() { None } else { self.first_partial_deadline(config) }
    }

    #[inline(never)]
    fn first_partial_deadline(&self, config: &Config) -> Option<Timestamp> {
        let lapse = self.lapses.first().map(|&(at, ..)| at);
        self.idle_partials().map(|(_, partial)| expiry(partial, config)).chain(lapse).min()
    }

    /// Gives up the incomplete messages whose time has passed.
    pub(crate) fn expire_partials(&mut self, intake: &mut Intake<'_>) {
        while let Some(&(_, class, id)) = self.lapses.first().filter(|&&(at, ..)| at <= intake.now) {
            if class.is_reliable() {
                let total = self.partials.get(&(class, id)).map_or(0, Partial::total);
                self.give_up(class, id, total, false, Some(Refusal::Expired), intake);
            } else {
                self.drop_partial(class, id, Refusal::Expired, intake.gone);
            }
        }
        let over = self.idle_partials().filter(|(_, partial)| expiry(partial, intake.config) <= intake.now);
        let over: Vec<_> = over.map(|(&key, _)| key).collect();
        for (class, id) in over {
            self.drop_partial(class, id, Refusal::Reassembly, intake.gone);
        }
    }

    /// The connection is over: what waits for something else to come waits in vain.
    pub(crate) fn drop_incomplete(&mut self) {
        self.partials.clear();
        self.lapses.clear();
        (self.unreliable_partials, self.partial_cost) = (0, 0);
        self.ordered.slots.clear();
    }

    /// Bytes of incomplete messages that have not come.
    pub(crate) fn absent_bytes(&self) -> usize {
        self.partials
            .values()
            .map(|partial| (partial.total() as usize).saturating_sub(partial.held_bytes()))
            .sum()
    }

    /// Bytes of whole and incomplete messages.
    pub(crate) fn held_bytes(&self) -> usize {
        let waiting = self.ordered.slots.iter().map(|slot| match slot {
            Slot::Waiting(delivery) => delivery.payload.len(),
            _ => 0,
        });
        let newest = self.sequenced().map(|delivery| delivery.payload.len());
        self.ready.bytes()
            + waiting.chain(newest).sum::<usize>()
            + self.partials.values().map(Partial::held_bytes).sum::<usize>()
    }

    pub(crate) fn shrink(&mut self) {
        self.ordered.slots.shrink_to(0);
        self.unordered.slots.shrink_to(0);
        self.ready.shrink();
        self.ready_sequenced = self.ready_sequenced.take().filter(|ready| ready.is_some());
    }
}

fn expiry(partial: &Partial, config: &Config) -> Timestamp {
    (partial.touched + config.reassembly_idle).min(partial.begun + config.reassembly_total)
}

/// The first piece of a message of `total` bytes came, or will never come.
fn charge(credit: [&mut ReceiveCredit; 2], total: u64) -> Result<(), Refused> {
    if credit.into_iter().all(|credit| credit.charge(1, cost(total))) {
        Ok(())
    } else {
        Err(Refused::Violation(code::FLOW_CONTROL, "a message beyond the credit given"))
    }
}

crate::sleep::saved!(Inbox {
    ordered,
    unordered,
    unreliable,
    newest,
    reliable_sequenced,
    next,
    partials,
    lapses,
    unreliable_partials,
    partial_cost,
    ready,
    ready_sequenced,
    ready_unreliable,
    ready_asking,
    diverted,
    expired
});
