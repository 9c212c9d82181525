//! Messages that newer ones take the place of.

use super::Outbox;
use crate::{Class, Fate};

impl Outbox {
    /// Message `id` is no longer wanted. `true` when something of it is still to be written; in any case it gets this fate if a
    /// piece of it is lost.
    pub(crate) fn doom(&mut self, id: u64, fate: Fate) -> bool {
        let Some(index) = self.index(id) else { return false };
        self.slots[index].terms.get_or_insert_default().doom = Some(fate);
        !self.is_in_flight(index)
    }

    /// Message `id` takes the place of `older`, which goes on.
    pub(crate) fn set_overtook(&mut self, id: u64, older: Option<(Class, u64)>) {
        if let Some(terms) = self.slot(id).and_then(|slot| slot.terms.as_mut()) {
            terms.overtook = older;
        }
    }

    /// The message that message `id` has overtaken.
    pub(crate) fn overtook(&self, id: u64) -> Option<(Class, u64)> {
        self.slots[self.index(id)?].terms.as_ref()?.overtook
    }

    /// No newer message takes the place of message `id` after all; `false` when it is settled.
    pub(crate) fn reinstate(&mut self, id: u64) -> bool {
        let Some(slot) = self.slot(id) else { return false };
        if let Some(terms) = slot.terms.as_mut().filter(|terms| terms.doom == Some(Fate::Superseded)) {
            terms.doom = None;
        }
        true
    }
}
