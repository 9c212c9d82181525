//! Bottlenecks, as far as datagrams tell: what streams send through them only makes the others later.

use crate::link::Promise;

/// One bottleneck.
pub(super) struct Narrow {
    promise: Promise,
    /// When all that was let in will have passed, at the earliest and without the bucket, in nanoseconds.
    free_at: u64,
}

impl Narrow {
    pub(super) const fn new(promise: Promise) -> Self {
        Self { promise, free_at: 0 }
    }

    /// A datagram of `len` bytes comes at `now`: when it has passed at the earliest.
    pub(super) fn pass(&mut self, now: u64, len: usize) -> Result<u64, String> {
        let Promise { rate, queue, burst, overhead } = self.promise;
        let ahead = self.free_at.saturating_sub(burst).saturating_sub(now);
        let waits = u128::from(ahead) * u128::from(rate) / 1_000_000_000;
        if waits + len as u128 > u128::from(queue) {
            return Err(format!("{waits} bytes wait before a bottleneck, and {len} are let in"));
        }
        let takes = (len as u128 + u128::from(overhead)) * 1_000_000_000 / u128::from(rate);
        self.free_at = self.free_at.max(now).saturating_add(takes as u64);
        Ok(self.free_at.saturating_sub(burst).max(now))
    }
}
