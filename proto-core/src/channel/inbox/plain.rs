//! Reliable messages that come whole, in their turn, and say nothing beside their payload: most of them.

use core::mem;

use bytes::Bytes;

use super::Inbox;
use crate::Class;
use crate::channel::Delivery;
use crate::wire::Kind;

impl Inbox {
    /// Whether `id` is the reliable message that everything of its class waits for, and nothing came before its turn.
    #[inline]
    pub(crate) fn awaits(&self, class: Class, id: u64) -> bool {
        let window = match class {
            Class::ReliableOrdered => &self.ordered,
            Class::ReliableUnordered => &self.unordered,
            Class::Unreliable | Class::Sequenced => return false,
        };
        id == window.base && window.slots.is_empty()
    }

    /// Takes in that message, whole and charged for: whether nothing was ready before.
    #[inline]
    pub(crate) fn accept(&mut self, class: Class, id: u64, payload: Bytes) -> bool {
        let was_empty = self.ready.is_empty() && self.sequenced().next().is_none();
        let ordered = class == Class::ReliableOrdered;
        let window = if ordered { &mut self.ordered } else { &mut self.unordered };
        window.base += 1;
        let mut gap = mem::take(&mut window.gap);
        if ordered {
            gap = gap.saturating_add(mem::take(&mut self.diverted));
        }
        self.ready.push_back(Delivery { class, id, kind: Kind::OneWay, payload, gap, said: None });
        was_empty
    }

    /// The next message, when it is a reliable one that says nothing beside its payload.
    #[inline]
    pub(crate) fn pop_plain(&mut self) -> Option<Delivery> {
        let next = self.ready.front()?;
        let is_plain = next.class.is_reliable() && next.said.is_none() && next.kind == Kind::OneWay;
        if !is_plain || self.sequenced().next().is_some() {
            return None;
        }
        let mut delivery = self.ready.pop_front()?;
        if delivery.class == Class::ReliableOrdered {
            delivery.gap = delivery.gap.saturating_add(mem::take(&mut self.expired));
        }
        Some(delivery)
    }
}
