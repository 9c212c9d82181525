//! Round trip estimate (RFC 9002, section 5).

use core::time::Duration;

use crate::Timestamp;
use crate::time::nanos;

pub(crate) const GRANULARITY: Duration = Duration::from_millis(1);
/// Samples outside this range are lies or stalls.
const SAMPLE_MIN: Duration = Duration::from_micros(1);
const SAMPLE_MAX: Duration = Duration::from_mins(1);

/// Smoothed round trip time and its variation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rtt {
    smoothed: Duration,
    variation: Duration,
    latest: Duration,
    min: Duration,
    measured: bool,
    /// Follows from the others, and is asked for much more often than they change.
    pto_base: Duration,
}

impl Rtt {
    pub(crate) fn new(initial: Duration) -> Self {
        let mut rtt = Self {
            smoothed: initial,
            variation: initial / 2,
            latest: initial,
            min: initial,
            measured: false,
            pto_base: Duration::ZERO,
        };
        rtt.derive();
        rtt
    }

    fn derive(&mut self) {
        self.pto_base = self.smoothed + (self.variation * 4).max(GRANULARITY);
    }

    /// Takes in the time from `sent` to `now`, of which the peer says that it waited `ack_delay`; returns what the path took.
    pub(crate) fn sample(&mut self, now: Timestamp, sent: Timestamp, ack_delay: Duration) -> Duration {
        let sample = now.since(sent).clamp(SAMPLE_MIN, SAMPLE_MAX);
        self.latest = sample;
        let path = sample.saturating_sub(ack_delay);
        if !self.measured {
            self.measured = true;
            (self.smoothed, self.variation, self.min) = (sample, sample / 2, sample);
            self.derive();
            return path.max(SAMPLE_MIN);
        }
        self.min = self.min.min(sample);
        let adjusted =
            sample.checked_sub(ack_delay).filter(|adjusted| *adjusted >= self.min).unwrap_or(sample);
        let (smoothed, adjusted) = (nanos(self.smoothed), nanos(adjusted));
        let variation = (nanos(self.variation) * 3 + smoothed.abs_diff(adjusted)) / 4;
        self.variation = Duration::from_nanos(variation);
        self.smoothed = Duration::from_nanos((smoothed * 7 + adjusted) / 8);
        self.derive();
        path.max(self.min)
    }

    /// The smoothed round trip time.
    pub(crate) const fn smoothed(&self) -> Duration {
        self.smoothed
    }

    /// Probe timeout without the peer's delay and without backoff.
    pub(crate) const fn pto_base(&self) -> Duration {
        self.pto_base
    }

    /// The larger of the smoothed and the latest.
    pub(crate) fn longest(&self) -> Duration {
        self.smoothed.max(self.latest)
    }

    /// The shortest that was measured; the guess before.
    pub(crate) const fn min(&self) -> Duration {
        self.min
    }

    /// Whether there was a sample.
    pub(crate) const fn is_measured(&self) -> bool {
        self.measured
    }
}

crate::sleep::saved!(Rtt { smoothed, variation, latest, min, measured, pto_base });
