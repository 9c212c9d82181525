//! Messages that come whole, in their turn, and say nothing beside their payload: most of them.

use core::mem;

use super::{Inbox, Limits};
use crate::Class;
use crate::arena::Arena;
use crate::channel::{Plain, cost};
use crate::wire::PlainRun;

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

    /// Takes in that message and those behind it, which are charged for: whether nothing was ready before.
    #[inline]
    pub(crate) fn accept(&mut self, class: Class, first: u64, run: &PlainRun<'_>, arena: &mut Arena) -> bool {
        let was_empty = self.ready.is_empty() && self.sequenced().next().is_none();
        let ordered = class == Class::ReliableOrdered;
        let window = if ordered { &mut self.ordered } else { &mut self.unordered };
        window.base += u64::from(run.count);
        let mut gap = mem::take(&mut window.gap);
        if ordered {
            gap = gap.saturating_add(mem::take(&mut self.diverted));
        }
        self.ready.push_run(class, first, gap, run, arena);
        was_empty
    }

    /// Takes in unreliable messages that `cost` so much, if they follow all that came before and there is room for every one of them:
    /// whether nothing was ready before.
    pub(crate) fn accept_unreliable(
        &mut self,
        first: u64,
        run: &PlainRun<'_>,
        cost: usize,
        limits: &Limits,
        arena: &mut Arena,
    ) -> Option<bool> {
        let messages = self.ready_unreliable.0 + run.count as usize;
        let bytes = self.ready_unreliable.1 + cost;
        let seen = self.unreliable.get_or_insert_default();
        let is_usual = first == seen.next()
            && self.unreliable_partials == 0
            && messages <= limits.receive_messages
            && bytes <= limits.receive_bytes;
        if !is_usual {
            return None;
        }
        seen.insert_next(run.count.into());
        self.ready_unreliable = (messages, bytes);
        let was_empty = self.ready.is_empty() && self.sequenced().next().is_none();
        self.ready.push_run(Class::Unreliable, first, 0, run, arena);
        Some(was_empty)
    }

    /// The next message, when it says nothing beside its payload and is none of those of which only the newest counts.
    #[expect(clippy::inline_always, reason = "every message goes through here, and would be moved each time")]
    #[inline(always)]
    pub(crate) fn pop_plain(&mut self) -> Option<Plain> {
        if self.sequenced().next().is_some() {
            return None;
        }
        let mut plain = self.ready.pop_plain()?;
        match plain.class {
            Class::ReliableOrdered if self.expired > 0 => {
                plain.gap = plain.gap.saturating_add(mem::take(&mut self.expired));
            }
            Class::Unreliable => {
                self.ready_unreliable.0 -= 1;
                self.ready_unreliable.1 -= cost(plain.payload.len() as u64) as usize;
            }
            _ => {}
        }
        Some(plain)
    }
}
