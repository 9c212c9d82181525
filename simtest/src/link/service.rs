//! How fast a bottleneck lets through what waits before it.

use super::RateTrace;
use crate::time::Time;

/// What a bottleneck's speed follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Bytes a second.
    Rate(u64),
    Trace(RateTrace),
}

/// One datagram after the other.
#[derive(Clone, Debug)]
pub(super) enum Service {
    /// `bucket`: how long it takes to fill, in nanoseconds. `free_at`: when the last datagram that was let in will have passed, later
    /// by what the bucket holds; and what of a nanosecond is left over, in `1 / rate` ns.
    Rate { rate: u64, bucket: u64, free_at: Time, rest: u64 },
    /// The opportunity that was used last, and what is left of it.
    Trace { trace: RateTrace, opportunity: u64, left: u64 },
}

impl Service {
    /// `burst` in bytes.
    pub(super) fn new(pace: &Pace, burst: u64) -> Self {
        match pace {
            Pace::Rate(rate) => {
                let bucket = (u128::from(burst) * 1_000_000_000 / u128::from(*rate)) as u64;
                Self::Rate { rate: *rate, bucket, free_at: Time::ZERO, rest: 0 }
            }
            Pace::Trace(trace) => {
                Self::Trace { trace: trace.clone(), opportunity: 0, left: RateTrace::OPPORTUNITY }
            }
        }
    }

    /// When what comes now would be begun with: when all before it has passed.
    pub(super) fn begins(&self, now: Time) -> Time {
        match self {
            Self::Rate { bucket, free_at, .. } => without(*free_at, *bucket).max(now),
            Self::Trace { trace, opportunity, left } => {
                let used = opportunity + u64::from(*left == 0);
                trace.at(used.max(trace.first_from(now)))
            }
        }
    }

    /// Lets `size` bytes through after all before them: when they have passed.
    pub(super) fn take(&mut self, now: Time, size: u64) -> Time {
        match self {
            Self::Rate { rate, bucket, free_at, rest } => {
                if *free_at <= now {
                    (*free_at, *rest) = (now, 0);
                }
                let work = u128::from(size) * 1_000_000_000 + u128::from(*rest);
                *rest = (work % u128::from(*rate)) as u64;
                *free_at = free_at.plus((work / u128::from(*rate)) as u64);
                without(*free_at, *bucket).max(now)
            }
            Self::Trace { trace, opportunity, left } => {
                let first = trace.first_from(now);
                if first > *opportunity {
                    (*opportunity, *left) = (first, RateTrace::OPPORTUNITY);
                }
                let more = size.saturating_sub(*left).div_ceil(RateTrace::OPPORTUNITY);
                *opportunity += more;
                *left = *left + more * RateTrace::OPPORTUNITY - size;
                trace.at(*opportunity)
            }
        }
    }
}

const fn without(free_at: Time, bucket: u64) -> Time {
    Time::from_nanos(free_at.as_nanos().saturating_sub(bucket))
}
