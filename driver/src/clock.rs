//! The only place that reads the clocks.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "somebody has to read the clock; everybody else is told the time"
)]

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use proto_core::{Now, Timestamp};

/// What timestamps of this process are counted from.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

thread_local! {
    /// What the wall clock shows, and until when it shows nothing else.
    static WALL: Cell<(u64, Timestamp)> = const { Cell::new((0, Timestamp::ZERO)) };
}

/// The time of both clocks: nanoseconds since the first call of this process, and milliseconds since 1970-01-01 UTC (0 when the
/// system's clock stands before that). A wall clock that is set is noticed within a millisecond.
pub fn now() -> Now {
    let mono = Timestamp::ZERO + EPOCH.elapsed();
    let (unix_ms, until) = WALL.get();
    if mono < until {
        return Now { mono, unix_ms };
    }
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
    let left = 1_000_000 - unix.subsec_nanos() % 1_000_000;
    WALL.set((unix_ms, mono + Duration::from_nanos(left.into())));
    Now { mono, unix_ms }
}

/// What the wall clock showed when this process began to count, since 1970-01-01 UTC.
pub fn wall_epoch() -> Duration {
    let since_epoch = EPOCH.elapsed();
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    unix.saturating_sub(since_epoch)
}

/// What the platform's clock shows at `at`. What lies beyond its reach is a year away.
pub fn instant(at: Timestamp) -> Instant {
    const FAR: Duration = Duration::from_hours(365 * 24);
    let since_epoch = at.since(Timestamp::ZERO);
    let reachable = since_epoch.min(EPOCH.elapsed() + FAR);
    *EPOCH + reachable
}
