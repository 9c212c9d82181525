//! What should happen in some run.

use std::ops::BitOrAssign;

use crate::time::Time;

/// Which of at most 64 marks were hit, which of as many triggers have fired, and the latest moment that was reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Marks {
    hit: u64,
    fired: u64,
    pub(crate) latest: Time,
}

impl Marks {
    /// The most marks, and the most triggers, of one test.
    pub(crate) const MOST: usize = 64;

    pub(crate) const fn has(self, index: usize) -> bool {
        self.hit & 1 << index != 0
    }

    pub(crate) const fn hit(&mut self, index: usize) {
        self.hit |= 1 << index;
    }

    pub(crate) const fn has_fired(self, trigger: usize) -> bool {
        self.fired & 1 << trigger != 0
    }

    pub(crate) const fn fire(&mut self, trigger: usize) {
        self.fired |= 1 << trigger;
    }
}

impl BitOrAssign for Marks {
    fn bitor_assign(&mut self, other: Self) {
        self.hit |= other.hit;
        self.fired |= other.fired;
        self.latest = self.latest.max(other.latest);
    }
}
