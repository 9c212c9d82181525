//! A narrow place: so many bytes a second, and a queue before it.

use std::time::Duration;

use super::RateTrace;
use super::service::Pace;
use crate::time::nanos;

/// A place that lets `rate` bytes a second through, one datagram after the other, with a queue before it. A datagram that
/// finds too little room is lost (tail drop), unless the oldest are to [make room](Self::drop_head). What a fault loses does not
/// come into the queue.
///
/// The bottleneck is no fault: nothing of it is in a schedule, and it stays in the quiet phase. It costs nothing while it is idle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bottleneck {
    pub(crate) name: Option<String>,
    pub(crate) pace: Pace,
    pub(crate) queue: u64,
    pub(crate) mark: u64,
    pub(crate) burst: u64,
    pub(crate) overhead: u64,
    pub(crate) codel: Option<(u64, u64)>,
    pub(crate) drop_head: bool,
}

impl Bottleneck {
    /// `rate` in bytes a second; `queue` in bytes, those of the datagram that is just passing included.
    ///
    /// # Panics
    /// If `rate` is 0.
    pub const fn new(rate: u64, queue: u64) -> Self {
        assert!(rate > 0, "nothing ever passes a bottleneck of 0 bytes a second");
        Self::at_pace(Pace::Rate(rate), queue)
    }

    /// As fast as `trace` was; `queue` in bytes. A [burst](Self::burst) is of no effect: what was not used is wasted.
    pub const fn traced(trace: RateTrace, queue: u64) -> Self {
        Self::at_pace(Pace::Trace(trace), queue)
    }

    const fn at_pace(pace: Pace, queue: u64) -> Self {
        Self { name: None, pace, queue, mark: u64::MAX, burst: 0, overhead: 0, codel: None, drop_head: false }
    }

    /// Makes room in a full queue by losing the oldest of those that wait, not those that come: what arrives is fresh. What is just
    /// passing stays, and counts whole until it has passed. A datagram for which there can be no room is lost itself.
    #[must_use]
    pub const fn drop_head(mut self) -> Self {
        self.drop_head = true;
        self
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
    /// A datagram that is lost so takes no time to pass. What a real queue decides when it sends is decided on arrival here
    /// (unless it [drops the oldest](Self::drop_head)), with the same outcome, for both are in order; but the last datagram of a
    /// queue is not spared.
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
    /// Datagrams that found the queue full, made room in it, or that CoDel lost.
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

    pub(super) fn count(&mut self, wait_ms: u64, len: usize) {
        self.passed += 1;
        self.bytes += len as u64;
        let index = (wait_ms as usize).min(LONGEST_WAIT);
        if self.waits.len() <= index {
            self.waits.resize(index + 1, 0);
        }
        self.waits[index] += 1;
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
