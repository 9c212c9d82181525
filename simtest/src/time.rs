//! Virtual time: nanoseconds since the start of a run, and the wall clock that goes with it.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Wall clock of every node at the start of a run: 2026-01-01T00:00:00Z, in milliseconds.
pub const START_UNIX_MS: u64 = 1_767_225_600_000;

/// An instant of virtual time, in nanoseconds since the start of the run. All arithmetic saturates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The start of the run.
    pub const ZERO: Self = Self(0);
    /// Later than everything.
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `millis` milliseconds after the start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the start.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The time that has passed since `earlier`, or zero if it lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    pub(crate) const fn plus(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

impl From<Duration> for Time {
    fn from(since_start: Duration) -> Self {
        Self(nanos(since_start))
    }
}

impl Add<Duration> for Time {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        self.plus(nanos(span))
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// Seconds with three decimals, as in traces: `0.011`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.as_millis();
        f.pad(&format!("{}.{:03}", millis / 1000, millis % 1000))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Span(self.0))
    }
}

/// What a node is told about time: a monotonic clock for its timers and a wall clock for what it stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Monotonic: nanoseconds since the start of the run, never going back.
    pub mono: Time,
    /// Wall clock: milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

impl Now {
    pub(crate) const fn at(mono: Time) -> Self {
        Self { mono, unix_ms: START_UNIX_MS + mono.as_millis() }
    }

    /// With a wall clock that is wrong by so many milliseconds.
    pub(crate) const fn wrong_by(self, ms: i64) -> Self {
        Self { unix_ms: self.unix_ms.saturating_add_signed(ms), ..self }
    }
}

/// `n` microseconds.
pub const fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// `n` milliseconds.
pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// `n` seconds.
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A span in nanoseconds, printed with the largest unit that needs no fraction: `50ms`, `1500us`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) u64);

const UNITS: [(&str, u64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

impl Span {
    /// The inverse of `Display`; any number of any unit is accepted.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(digits);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        number.parse::<u64>().ok()?.checked_mul(*scale).map(Self)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale) =
            UNITS.iter().find(|(_, scale)| self.0.is_multiple_of(*scale)).unwrap_or(&("ns", 1));
        write!(f, "{}{unit}", self.0 / scale)
    }
}
