//! How far the peer's clock is ahead of this side's: from samples that ride on heartbeats and their ACKs
//! (docs/spec/connection.md, section 1). It is for the application; nothing here depends on it.

use core::time::Duration;

use super::Connection;
use crate::time::nanos;
use crate::wire::TimeSample;
use crate::{ClockOffset, Timestamp};

/// Clocks may drift apart by one in this.
const DRIFT: u64 = 10_000;
/// What rounding may add to an error, in microseconds.
const ROUNDING: u64 = 2;
/// Samples sent that may still be answered.
const SENT: usize = 4;

/// One exchange.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    offset_us: i64,
    error_us: u64,
    at: Timestamp,
}

impl Estimate {
    /// How wrong it may be at `now`.
    fn error(&self, now: Timestamp) -> u64 {
        self.error_us.saturating_add(micros(now.since(self.at)) / DRIFT)
    }
}

/// What has been said and heard of both clocks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// When the next sample is to be asked for.
    next: Timestamp,
    /// `sent` of the last samples of this side, the newest first.
    sent: [u64; SENT],
    /// `sent` of the last sample of the peer, and when it came.
    heard: Option<(u64, Timestamp)>,
    answer_due: bool,
    best: Option<Estimate>,
}

fn micros(time: Duration) -> u64 {
    nanos(time) / 1000
}

impl Clock {
    /// Asks for nothing before `at`.
    pub(super) const fn wait(&mut self, at: Timestamp) {
        self.next = at;
    }

    /// Whether a packet that asks for an ACK should ask for a sample as well.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        now >= self.next
    }

    /// Whether the next ACK should bring a sample.
    pub(super) const fn owes_answer(&self) -> bool {
        self.answer_due
    }

    /// A sample to write; `here` is the time by this side's clock, in microseconds.
    pub(super) fn sample(&mut self, now: Timestamp, here: u64, ask: bool) -> TimeSample {
        self.answer_due = false;
        self.sent.rotate_right(1);
        self.sent[0] = here;
        let (origin, came) = self.heard.unwrap_or((0, now));
        TimeSample { ask, sent: here, origin, held: micros(now.since(came)) }
    }

    /// The peer's sample came.
    pub(super) fn hear(&mut self, now: Timestamp, here: u64, sample: &TimeSample) {
        self.heard = Some((sample.sent, now));
        self.answer_due |= sample.ask;
        if sample.origin == 0 || !self.sent.contains(&sample.origin) {
            return;
        }
        let away = here.checked_sub(sample.origin).and_then(|away| away.checked_sub(sample.held));
        let Some(away) = away else { return };
        // Half way there and back: the peer's clock, less half of the time away, against this side's at the end.
        let ahead = i128::from(sample.sent) - i128::from(here) + i128::from(away / 2);
        let Ok(offset_us) = i64::try_from(ahead) else { return };
        let error_us = away / 2 + sample.held / DRIFT + ROUNDING;
        if self.best.is_none_or(|best| error_us <= best.error(now)) {
            self.best = Some(Estimate { offset_us, error_us, at: now });
        }
    }

    fn offset(&self, now: Timestamp) -> Option<ClockOffset> {
        let best = self.best?;
        Some(ClockOffset { offset_us: best.offset_us, error_us: best.error(now) })
    }
}

impl Connection {
    /// How far the peer's clock is ahead of this side's at `now`; `None` before the first heartbeat was answered, and without
    /// `ConfigBuilder::wall_epoch`, which makes wall clocks of both sides' timestamps.
    pub fn clock_offset(&self, now: Timestamp) -> Option<ClockOffset> {
        self.wall.offset(now)
    }

    /// This side's clock in microseconds.
    pub(super) fn here(&self, now: Timestamp) -> u64 {
        micros(self.config.wall_epoch).saturating_add(now.as_nanos() / 1000)
    }
}

crate::sleep::saved!(Clock { next, sent, heard, answer_due, best });

crate::sleep::saved!(Estimate { offset_us, error_us, at });

#[cfg(test)]
mod tests {
    use super::Clock;
    use crate::{ClockOffset, Timestamp};

    /// Clocks `skew` microseconds apart exchange samples over a path that takes `there` and `back`.
    fn exchange(skew: i64, trips: &[(u64, u64)]) -> Option<ClockOffset> {
        let (mut asks, mut answers) = (Clock::default(), Clock::default());
        let mut us = 5_000_000;
        let at = |us: u64| Timestamp::from_nanos(us * 1000);
        let theirs = |us: u64| us.saturating_add_signed(skew);
        for &(there, back) in trips {
            let question = asks.sample(at(us), us, true);
            us += there;
            answers.hear(at(us), theirs(us), &question);
            assert!(answers.owes_answer());
            us += 700;
            let answer = answers.sample(at(us), theirs(us), false);
            us += back;
            asks.hear(at(us), us, &answer);
            assert!(!asks.owes_answer(), "an answer is not answered");
            us += 1_000_000;
        }
        asks.offset(at(us))
    }

    quickcheck::quickcheck! {
        fn the_truth_lies_within_the_error(skew: i32, trips: alloc::vec::Vec<(u16, u16)>) -> bool {
            let trips: alloc::vec::Vec<_> =
                trips.into_iter().map(|(there, back)| (u64::from(there), u64::from(back))).collect();
            let skew = i64::from(skew.max(-4_000_000));
            let Some(offset) = exchange(skew, &trips) else { return trips.is_empty() };
            skew.abs_diff(offset.offset_us) <= offset.error_us
        }
    }

    #[test]
    fn the_shortest_round_trip_counts() {
        let offset = exchange(40_000, &[(30_000, 90_000), (1000, 1000), (80_000, 2000)]).expect("answered");
        assert!(offset.error_us < 2000 && offset.offset_us.abs_diff(40_000) < 10, "{offset:?}");
    }

    #[test]
    fn lies_and_strangers_are_not_believed() {
        let mut clock = Clock::default();
        let now = Timestamp::from_millis(10);
        let question = clock.sample(now, 10_000, true);
        let later = Timestamp::from_millis(20);
        for (origin, held, sent) in [(0, 0, 5), (9_999, 0, 5), (10_000, 10_001, 5), (10_000, 0, u64::MAX)] {
            let lie = crate::wire::TimeSample { ask: false, sent, origin, held };
            clock.hear(later, 20_000, &lie);
            assert_eq!(clock.offset(later), None, "{origin} {held}");
        }
        assert_eq!(question.sent, 10_000);
    }
}
