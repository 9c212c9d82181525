//! What should happen sometimes.

use std::ops::BitOrAssign;

/// Which of at most 64 marks were hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Marks(u64);

impl Marks {
    /// The most marks of one test.
    pub(crate) const MOST: usize = 64;

    pub(crate) const fn has(self, index: usize) -> bool {
        self.0 & 1 << index != 0
    }

    pub(crate) const fn hit(&mut self, index: usize) {
        self.0 |= 1 << index;
    }
}

impl BitOrAssign for Marks {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
