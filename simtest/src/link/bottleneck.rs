//! A narrow place: so many bytes a second, and a queue before it.

use crate::time::Time;

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
}

impl Bottleneck {
    /// `rate` in bytes a second; `queue` in bytes, those of the datagram that is just passing included.
    ///
    /// # Panics
    /// If `rate` is 0.
    pub const fn new(rate: u64, queue: u64) -> Self {
        assert!(rate > 0, "nothing ever passes a bottleneck of 0 bytes a second");
        Self { name: None, rate, queue, mark: u64::MAX }
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

/// A bottleneck in a run.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    rate: u64,
    queue: u64,
    mark: u64,
    /// When the last datagram that was let in will have passed, and what of a nanosecond is left over, in `1 / rate` ns.
    free_at: Time,
    rest: u64,
    pub(crate) passage: Passage,
}

impl Gate {
    pub(crate) const fn new(bottleneck: &Bottleneck, name: String) -> Self {
        let Bottleneck { rate, queue, mark, .. } = *bottleneck;
        Self { rate, queue, mark, free_at: Time::ZERO, rest: 0, passage: Passage::new(name) }
    }

    /// When a datagram of `len` bytes will have passed, and whether its queue was long enough for a mark; `None` when it is
    /// lost.
    pub(crate) fn pass(&mut self, now: Time, len: usize) -> Option<(Time, bool)> {
        if self.free_at <= now {
            self.free_at = now;
            self.rest = 0;
        }
        let ahead = u128::from(self.free_at.as_nanos() - now.as_nanos());
        let queued = (ahead * u128::from(self.rate)).div_ceil(1_000_000_000) as u64;
        if queued + len as u64 > self.queue {
            self.passage.dropped += 1;
            return None;
        }
        let work = len as u128 * 1_000_000_000 + u128::from(self.rest);
        self.rest = (work % u128::from(self.rate)) as u64;
        self.free_at = self.free_at.plus((work / u128::from(self.rate)) as u64);
        self.count((self.free_at.as_nanos() - now.as_nanos()) / 1_000_000, len);
        Some((self.free_at, queued > self.mark))
    }

    /// When bytes of a stream will have passed: they wait as long as they must, and are never lost.
    pub(crate) fn squeeze(&mut self, now: Time, len: usize) -> Time {
        let queue = std::mem::replace(&mut self.queue, u64::MAX);
        let passed = self.pass(now, len);
        self.queue = queue;
        passed.map_or(now, |(at, _)| at)
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
