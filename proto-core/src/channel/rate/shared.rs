//! Buckets that all have to be paid: a connection's own, and those that it shares with others.

use super::Bucket;
use crate::Timestamp;
use crate::wire::Rate;

/// Those of the prefix of addresses and of the user that a connection is one of several of.
pub(crate) type Shared = [Option<Bucket>; 2];

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Buckets {
    own: Option<Bucket>,
    shared: Shared,
}

impl Buckets {
    pub(crate) fn set_own(&mut self, now: Timestamp, rate: Option<Rate>) {
        self.own = rate.map(|rate| Bucket::new(now, rate));
    }

    pub(crate) const fn set_shared(&mut self, shared: Shared) {
        self.shared = shared;
    }

    /// Takes back what it was lent.
    pub(crate) fn take_shared(&mut self) -> Shared {
        core::mem::take(&mut self.shared)
    }

    fn each(&self) -> impl Iterator<Item = &Bucket> {
        self.own.iter().chain(self.shared.iter().flatten())
    }

    fn each_mut(&mut self) -> impl Iterator<Item = &mut Bucket> {
        self.own.iter_mut().chain(self.shared.iter_mut().flatten())
    }

    fn least(&self, of: impl Fn(&Bucket) -> (u64, u64)) -> (u64, u64) {
        let lesser = |a: (u64, u64), b: (u64, u64)| (a.0.min(b.0), a.1.min(b.1));
        self.each().map(of).fold((u64::MAX, u64::MAX), lesser)
    }

    pub(crate) fn fill(&mut self, now: Timestamp) {
        self.each_mut().for_each(|bucket| bucket.fill(now));
    }

    /// When these may pass, as of the last [`Self::fill`].
    pub(crate) fn ready_at(&self, messages: u64, bytes: u64) -> Timestamp {
        self.each().map(|bucket| bucket.ready_at(messages, bytes)).max().unwrap_or_default()
    }

    pub(crate) fn charge(&mut self, messages: u64, bytes: u64) {
        self.each_mut().for_each(|bucket| bucket.charge(messages, bytes));
    }

    /// Messages and bytes that are there.
    pub(crate) fn available(&self) -> (u64, u64) {
        self.least(Bucket::available)
    }

    /// The most that can be there.
    pub(crate) fn burst(&self) -> (u64, u64) {
        self.least(Bucket::burst)
    }
}

crate::sleep::awake!(Buckets);
