//! Reliable messages that come whole, in their turn, and say nothing beside their payload: most of them.

use core::mem;

use super::Inbox;
use crate::Class;
use crate::arena::Arena;
use crate::channel::Plain;
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

    /// The next message, when it is a reliable one that says nothing beside its payload.
    #[expect(clippy::inline_always, reason = "every message goes through here, and would be moved each time")]
    #[inline(always)]
    pub(crate) fn pop_plain(&mut self) -> Option<Plain> {
        if self.sequenced().next().is_some() {
            return None;
        }
        let mut plain = self.ready.pop_plain()?;
        if plain.class == Class::ReliableOrdered && self.expired > 0 {
            plain.gap = plain.gap.saturating_add(mem::take(&mut self.expired));
        }
        Some(plain)
    }
}
