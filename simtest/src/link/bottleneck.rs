//! A narrow place: so many bytes a second, and a queue before it.

use std::time::Duration;

use super::codel::{CoDel, Way};
use crate::time::{Time, nanos};

/// A place that lets `rate` bytes a second through, one datagram after the other, with a queue before it. A datagram that
/// finds too little room is lost (tail drop). What a fault loses does not come into the queue.
///
/// The bottleneck is no fault: nothing of it is in a schedule, and it stays in the quiet phase. It costs no events of its
/// own, and nothing while it is idle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bottleneck {
    pub(crate) name: Option<String>,
    pub(crate) rate: u64,
    pub(crate) queue: u64,
    pub(crate) mark: u64,
    pub(crate) burst: u64,
    pub(crate) overhead: u64,
    pub(crate) codel: Option<(u64, u64)>,
}

impl Bottleneck {
    /// `rate` in bytes a second; `queue` in bytes, those of the datagram that is just passing included.
    ///
    /// # Panics
    /// If `rate` is 0.
    pub const fn new(rate: u64, queue: u64) -> Self {
        assert!(rate > 0, "nothing ever passes a bottleneck of 0 bytes a second");
        Self { name: None, rate, queue, mark: u64::MAX, burst: 0, overhead: 0, codel: None }
    }

    /// All links whose bottlenecks have this name go through one place with one queue: that of the first that is used.
    /// Without a name each direction of each link has its own.
    #[must_use]
    pub fn shared(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Marks ECN-capable datagrams with [`Ce`](crate::Ecn::Ce) that find more than `bytes` in the queue.
    #[must_use]
    pub const fn mark_over(mut self, bytes: u64) -> Self {
        self.mark = bytes;
        self
    }

    /// A token bucket: after a while of silence up to `bytes` pass at once.
    #[must_use]
    pub const fn burst(mut self, bytes: u64) -> Self {
        self.burst = bytes;
        self
    }

    /// Counts so many bytes more for each datagram, as the headers below it do.
    #[must_use]
    pub const fn overhead(mut self, bytes: u64) -> Self {
        self.overhead = bytes;
        self
    }

    /// Keeps the queue short as CoDel does (RFC 8289): when every datagram has waited for longer than `target` during an
    /// `interval`, one is lost (or marked, if it is ECN-capable), and then others, ever more often, until one has waited for
    /// less. RFC 8289 recommends 5 ms and 100 ms. Streams are only slowed down.
    ///
    /// A datagram that is lost so takes no time to pass. What a real queue decides when it sends is decided on arrival here,
    /// with the same outcome, for both are in order; but the last datagram of a queue is not spared.
    #[must_use]
    pub fn codel(mut self, target: Duration, interval: Duration) -> Self {
        self.codel = Some((nanos(target), nanos(interval)));
        self
    }
}

/// What went through a bottleneck in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The name of a shared bottleneck; of another `a>b`.
    pub name: String,
    /// Datagrams that passed.
    pub passed: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Datagrams that found the queue full.
    pub dropped: u64,
    /// Datagrams that were marked.
    pub marked: u64,
    /// How many of those that passed waited for 0 ms or more, 1 ms or more ..., the time of their own passing included. The
    /// last entry counts all that waited longer.
    pub waits: Vec<u64>,
}

/// Longest wait in milliseconds that is told from others.
const LONGEST_WAIT: usize = 4095;

impl Passage {
    pub(crate) const fn new(name: String) -> Self {
        Self { name, passed: 0, bytes: 0, dropped: 0, marked: 0, waits: Vec::new() }
    }

    /// The least number of whole milliseconds that at most `ppm` of a million datagrams waited longer than; 0 when none passed.
    pub fn wait_exceeded_by(&self, ppm: u64) -> u64 {
        let allowed = self.passed * ppm / 1_000_000;
        let mut longer = self.passed;
        for (ms, count) in (1..).zip(&self.waits) {
            longer -= count;
            if longer <= allowed {
                return ms;
            }
        }
        0
    }
}

/// What a bottleneck promises: bytes a second, bytes in its queue, how long its bucket takes to fill in nanoseconds, and bytes
/// that each datagram costs besides its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    pub(crate) rate: u64,
    pub(crate) queue: u64,
    pub(crate) burst: u64,
    pub(crate) overhead: u64,
}

/// A bottleneck in a run.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    rate: u64,
    queue: u64,
    mark: u64,
    /// How long the bucket takes to fill, in nanoseconds.
    burst: u64,
    overhead: u64,
    codel: Option<CoDel>,
    /// When the last datagram that was let in will have passed, later by what the bucket holds; and what of a nanosecond is
    /// left over, in `1 / rate` ns.
    free_at: Time,
    rest: u64,
    pub(crate) passage: Passage,
}

impl Gate {
    pub(crate) fn new(bottleneck: &Bottleneck, name: String) -> Self {
        let Bottleneck { rate, queue, mark, burst, overhead, codel, .. } = *bottleneck;
        let burst = (u128::from(burst) * 1_000_000_000 / u128::from(rate)) as u64;
        let codel = codel.map(|(target, interval)| CoDel::new(target, interval));
        let passage = Passage::new(name);
        Self { rate, queue, mark, burst, overhead, codel, free_at: Time::ZERO, rest: 0, passage }
    }

    /// When a datagram of `len` bytes will have passed, and whether it is to be marked; `None` when it is lost. One that is
    /// `capable` of ECN is marked where CoDel would lose it.
    pub(crate) fn pass(&mut self, now: Time, len: usize, capable: bool) -> Option<(Time, bool)> {
        if self.free_at <= now {
            self.free_at = now;
            self.rest = 0;
        }
        let begins = self.without_bucket().max(now);
        let ahead = u128::from(begins.as_nanos() - now.as_nanos());
        let queued = (ahead * u128::from(self.rate)).div_ceil(1_000_000_000) as u64;
        if queued.saturating_add(len as u64) > self.queue {
            self.passage.dropped += 1;
            return None;
        }
        let way = self.codel.as_mut().map_or(Way::Passes, |codel| codel.judge(now, begins, capable));
        if way == Way::Lost {
            self.passage.dropped += 1;
            return None;
        }
        let size = len as u128 + u128::from(self.overhead);
        let work = size * 1_000_000_000 + u128::from(self.rest);
        self.rest = (work % u128::from(self.rate)) as u64;
        self.free_at = self.free_at.plus((work / u128::from(self.rate)) as u64);
        let passed = self.without_bucket().max(now);
        self.count((passed.as_nanos() - now.as_nanos()) / 1_000_000, len);
        Some((passed, queued > self.mark || way == Way::Marked))
    }

    fn without_bucket(&self) -> Time {
        Time::from_nanos(self.free_at.as_nanos().saturating_sub(self.burst))
    }

    /// When bytes of a stream will have passed: they wait as long as they must, and are never lost.
    pub(crate) fn squeeze(&mut self, now: Time, len: usize) -> Time {
        let queue = std::mem::replace(&mut self.queue, u64::MAX);
        let codel = self.codel.take();
        let passed = self.pass(now, len, false);
        (self.queue, self.codel) = (queue, codel);
        passed.map_or(now, |(at, _)| at)
    }

    pub(crate) const fn promise(&self) -> Promise {
        Promise { rate: self.rate, queue: self.queue, burst: self.burst, overhead: self.overhead }
    }

    fn count(&mut self, wait_ms: u64, len: usize) {
        self.passage.passed += 1;
        self.passage.bytes += len as u64;
        let index = (wait_ms as usize).min(LONGEST_WAIT);
        if self.passage.waits.len() <= index {
            self.passage.waits.resize(index + 1, 0);
        }
        self.passage.waits[index] += 1;
    }
}
