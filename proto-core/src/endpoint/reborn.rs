//! Another endpoint in the place of one that is at rest, so that a recording can begin with its birth.

use alloc::sync::Arc;

use super::dial::Dials;
use super::{Address, Endpoint};
use crate::Timestamp;

impl<A: Address> Endpoint<A> {
    /// Whether it has no connections, no streams and nothing to say, and takes connections as configured: all that it knows is what it
    /// has counted, and what protects it for some seconds from those who were there.
    pub fn is_at_rest(&self) -> bool {
        self.is_empty()
            && self.links.is_empty()
            && self.dials.is_empty()
            && self.answers.is_empty()
            && self.refusals.deadline().is_none()
            && self.draining.is_none()
            && self.is_accepting == self.config.accept
    }

    /// A generation of ids that it has given to nobody.
    pub fn next_generation(&self) -> u32 {
        let latest = self.slots.iter().map(|slot| slot.generation).max();
        let next = latest.map_or(self.generation, |latest| latest.max(self.generation)).wrapping_add(1);
        next.max(self.links.next_generation())
    }

    /// A new endpoint with the same settings, whose ids begin with `generation`: a stale handle of this one never meets a stranger.
    #[must_use]
    pub fn reborn(&self, seed: [u8; 32], now: Timestamp, generation: u32) -> Self {
        let mut new = Self::new(Arc::clone(&self.config), self.link, seed, now);
        new.generation = generation;
        new.links.generation = generation;
        new.dials = Dials::of_generation(generation);
        new
    }
}
