//! How fast the bytes of a channel leave, and so how long what is queued will take.

use core::time::Duration;

use crate::Timestamp;
use crate::time::{mul_div, nanos};

/// The rate is measured over spans of this length, each of which counts for a quarter.
const SPAN: Duration = Duration::from_millis(100);
/// What leaves at once says nothing about how fast the next bytes will.
const SHORTEST: Duration = Duration::from_millis(1);

/// Measures only while something waits: an idle channel is not a slow one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    since: Timestamp,
    /// Bytes that left since then.
    bytes: u64,
    /// Bytes a second; 0 before any were measured.
    rate: u64,
}

impl Meter {
    /// Bytes wait again where none did.
    pub(crate) const fn start(&mut self, now: Timestamp) {
        self.since = now;
        self.bytes = 0;
    }

    /// `len` bytes left; `is_empty` when no more wait.
    pub(crate) fn on_left(&mut self, now: Timestamp, len: usize, is_empty: bool) {
        self.bytes += len as u64;
        let span = now.since(self.since);
        if span < SPAN && !(is_empty && span >= SHORTEST) {
            return;
        }
        let measured = per_second(self.bytes, span).max(1);
        self.rate = if self.rate == 0 { measured } else { (self.rate * 3 + measured) / 4 };
        self.start(now);
    }

    /// How long it will take until `queued` bytes have left. While nothing leaves, at least as long as nothing has.
    pub(crate) fn predict(&self, now: Timestamp, queued: usize) -> Duration {
        if queued == 0 {
            return Duration::ZERO;
        }
        let span = now.since(self.since);
        let at_rate = |rate| Duration::from_nanos(ratio(queued as u64, rate));
        let current = match per_second(self.bytes, span) {
            _ if span < SHORTEST => Duration::ZERO,
            0 => span,
            rate => at_rate(rate),
        };
        match self.rate {
            0 => current,
            rate if span >= SPAN => at_rate(rate).max(current),
            rate => at_rate(rate),
        }
    }
}

fn per_second(bytes: u64, span: Duration) -> u64 {
    mul_div(bytes, 1_000_000_000, nanos(span).max(1))
}

fn ratio(bytes: u64, rate: u64) -> u64 {
    mul_div(bytes, 1_000_000_000, rate)
}

crate::sleep::saved!(Meter { since, bytes, rate });

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::Meter;
    use crate::Timestamp;

    const fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_steady_queue_is_predicted() {
        let mut meter = Meter::default();
        meter.start(at(0));
        for step in 1..=1000 {
            meter.on_left(at(step * 10), 1000, false);
        }
        // 100 kB a second.
        let predicted = meter.predict(at(10_000), 50_000).as_millis();
        assert!((450..=550).contains(&predicted), "{predicted} ms");
        assert_eq!(meter.predict(at(10_000), 0), Duration::ZERO);
    }

    /// Where nothing leaves for longer than a span, what is known of the rate still counts.
    #[test]
    fn a_slow_queue_is_predicted_between_two_messages() {
        let mut meter = Meter::default();
        meter.start(at(0));
        for step in 1..=10 {
            meter.on_left(at(step * 500), 500, false);
        }
        for millis in [1, 99, 100, 308, 499] {
            assert_eq!(meter.predict(at(5000 + millis), 8500), Duration::from_millis(8500), "after {millis}");
        }
    }

    #[test]
    fn a_stall_shows() {
        let mut meter = Meter::default();
        meter.start(at(0));
        assert_eq!(meter.predict(at(0), 1000), Duration::ZERO, "nothing is known yet");
        assert_eq!(meter.predict(at(700), 1000), Duration::from_millis(700));
        for step in 1..=100 {
            meter.on_left(at(700 + step * 10), 1000, false);
        }
        assert!(meter.predict(at(1700), 1000) < Duration::from_millis(60));
        assert!(meter.predict(at(11_700), 1000) >= Duration::from_millis(60), "nothing left for 10 s");
    }

    #[test]
    fn what_left_long_ago_and_an_idle_channel_do_not_make_it_slow() {
        let mut meter = Meter::default();
        meter.start(at(0));
        meter.on_left(at(10), 10_000, true);
        meter.start(at(3_600_000));
        assert_eq!(meter.predict(at(3_600_000), 10_000), Duration::from_millis(10));
    }
}
