//! What matters when the link is given up, or heard again after all.

use super::{Carried, Recovery};

impl Recovery {
    /// The peer, given up before, has been heard again.
    pub(crate) fn forgive(&mut self) {
        if let Some(flight) = &mut self.flight {
            flight.probes = 0;
            flight.forgiven = flight.forgiven.saturating_add(1);
        }
    }

    /// What is in flight and not thought lost.
    pub(crate) fn all_carried(&self) -> impl Iterator<Item = Carried> + '_ {
        self.flight.iter().flat_map(|flight| flight.sent.all_carried())
    }
}
