//! A bottleneck in a run.

use std::collections::VecDeque;

use super::bottleneck::{Bottleneck, Passage};
use super::codel::{CoDel, Way};
use super::line::Line;
use super::service::{Pace, Service};
use crate::time::Time;

/// What a bottleneck promises: how fast it is, bytes in its queue, bytes in its bucket, bytes that each datagram costs besides its
/// own, and who goes when it is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    pub(crate) pace: Pace,
    pub(crate) queue: u64,
    pub(crate) burst: u64,
    pub(crate) overhead: u64,
    pub(crate) drop_head: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Gate {
    promise: Promise,
    mark: u64,
    pub(super) service: Service,
    pub(super) codel: Option<CoDel>,
    /// Of a traced bottleneck, whose queue cannot be told from the time that it takes: when what was let in will have passed, its
    /// size, and the sum of these.
    ahead: VecDeque<(Time, u64)>,
    queued: u64,
    /// What waits where the oldest are dropped.
    pub(super) line: Line,
    pub(crate) passage: Passage,
}

impl Gate {
    pub(crate) fn new(bottleneck: &Bottleneck, name: String) -> Self {
        let Bottleneck { queue, mark, burst, overhead, drop_head, .. } = *bottleneck;
        let pace = bottleneck.pace.clone();
        Self {
            service: Service::new(&pace, burst),
            mark,
            codel: bottleneck.codel.map(|(target, interval)| CoDel::new(target, interval)),
            ahead: VecDeque::new(),
            queued: 0,
            line: Line::default(),
            passage: Passage::new(name),
            promise: Promise { pace, queue, burst, overhead, drop_head },
        }
    }

    /// Whether datagrams have to [wait in a line](Self::join), for none can know yet whether it will pass.
    pub(crate) const fn has_line(&self) -> bool {
        self.promise.drop_head
    }

    /// When a datagram of `len` bytes will have passed, and whether it is to be marked; `None` when it is lost. One that is
    /// `capable` of ECN is marked where CoDel would lose it.
    pub(crate) fn pass(&mut self, now: Time, len: usize, capable: bool) -> Option<(Time, bool)> {
        let begins = self.service.begins(now);
        let queued = self.waiting(now, begins);
        if queued.saturating_add(len as u64) > self.promise.queue {
            self.passage.dropped += 1;
            return None;
        }
        let way = self.codel.as_mut().map_or(Way::Passes, |codel| codel.judge(now, begins, capable));
        if way == Way::Lost {
            self.passage.dropped += 1;
            return None;
        }
        Some((self.let_in(now, len), queued > self.mark || way == Way::Marked))
    }

    /// When bytes of a stream will have passed: they wait as long as they must, and are never lost.
    pub(crate) fn squeeze(&mut self, now: Time, len: usize) -> Time {
        if !self.line.is_empty() {
            return self.reserve(now, len);
        }
        self.let_in(now, len)
    }

    fn let_in(&mut self, now: Time, len: usize) -> Time {
        let passed = self.service.take(now, self.size(len));
        if matches!(self.promise.pace, Pace::Trace(_)) {
            self.ahead.push_back((passed, len as u64));
            self.queued += len as u64;
        }
        self.passage.count((passed.as_nanos() - now.as_nanos()) / 1_000_000, len);
        passed
    }

    /// How many bytes wait.
    fn waiting(&mut self, now: Time, begins: Time) -> u64 {
        if let Pace::Rate(rate) = self.promise.pace {
            let ahead = u128::from(begins.as_nanos() - now.as_nanos());
            return (ahead * u128::from(rate)).div_ceil(1_000_000_000) as u64;
        }
        while let Some((_, len)) = self.ahead.pop_front_if(|(passed, _)| *passed <= now) {
            self.queued -= len;
        }
        self.queued
    }

    /// What a datagram costs.
    pub(super) const fn size(&self, len: usize) -> u64 {
        len as u64 + self.promise.overhead
    }

    pub(super) const fn queue(&self) -> u64 {
        self.promise.queue
    }

    pub(super) const fn mark(&self) -> u64 {
        self.mark
    }

    pub(crate) fn promise(&self) -> Promise {
        self.promise.clone()
    }
}
