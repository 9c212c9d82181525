//! The only place that reads the clocks.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "somebody has to read the clock; everybody else is told the time"
)]

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use proto_core::{Now, Timestamp};

/// What timestamps of this process are counted from.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The time of both clocks: nanoseconds since the first call of this process, and milliseconds since 1970-01-01 UTC (0 when the
/// system's clock stands before that).
pub fn now() -> Now {
    let mono = Timestamp::ZERO + EPOCH.elapsed();
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { mono, unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX) }
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
