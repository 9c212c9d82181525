//! Taking back the answer to losses that were none (RFC 9438, section 4.9).

use crate::Timestamp;

/// The losses of one congestion event, and what was before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undo<T> {
    before: T,
    began: Timestamp,
    open: u64,
}

impl<T: Copy> Undo<T> {
    /// An event that began at `began` with `packets` lost, when the state was `before`.
    pub(super) const fn new(before: T, began: Timestamp, packets: u64) -> Self {
        Self { before, began, open: packets }
    }

    /// More packets of the same event are lost.
    pub(super) const fn lost(&mut self, packets: u64) {
        self.open += packets;
    }

    /// `packets` sent by `sent` had arrived: the state before the event when none of its losses is left.
    pub(super) fn spurious(&mut self, sent: Timestamp, packets: u64) -> Option<T> {
        if sent > self.began || self.open == 0 {
            return None;
        }
        self.open = self.open.saturating_sub(packets);
        (self.open == 0).then_some(self.before)
    }
}
