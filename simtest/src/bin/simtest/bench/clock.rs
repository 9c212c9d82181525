//! How long something takes.

use std::fs;
use std::time::Instant;

/// The processor time of this thread where the system tells (Linux), so that other work on the machine does not count; else the
/// time on the wall.
pub(super) struct Clock {
    processor: Option<u64>,
    wall: Instant,
}

impl Clock {
    pub(super) fn now() -> Self {
        Self { processor: processor(), wall: Instant::now() }
    }

    /// In nanoseconds, at least 1.
    pub(super) fn elapsed(&self) -> u64 {
        let processor = self.processor.zip(processor()).map(|(from, to)| to - from);
        processor.unwrap_or_else(|| self.wall.elapsed().as_nanos() as u64).max(1)
    }
}

fn processor() -> Option<u64> {
    fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}
