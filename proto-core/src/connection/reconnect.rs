//! When to dial: bounds that double from `first` to `cap` with the delay drawn anywhere below them, a spread after a loss,
//! and a reset only after a connection that lasted (docs/spec/connection.md, section 4).

use core::time::Duration;

use crate::rng::Rng;
use crate::time::nanos;
use crate::{Reconnect, Timestamp};

/// No server can keep a client away for longer.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// The attempts of one side to reach another, over any number of connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attempts {
    /// Failures since the last connection that lasted.
    failures: u32,
    /// Number of the attempt under way, counted since the last connection that was established.
    pub(crate) number: u32,
    established: Option<Timestamp>,
}

impl Attempts {
    pub(crate) fn on_established(&mut self, now: Timestamp) {
        self.number = 0;
        self.established = Some(now);
    }

    /// An attempt failed, or the connection was lost: when to begin the next one, if ever.
    pub(crate) fn next(
        &mut self,
        now: Timestamp,
        policy: &Reconnect,
        retry_after: Option<Duration>,
        rng: &mut Rng,
    ) -> Option<Timestamp> {
        let established = self.established.take();
        if established.is_some_and(|at| now.since(at) >= policy.min_uptime) {
            self.failures = 0;
        }
        if policy.max_attempts.is_some_and(|max| self.number >= max) {
            return None;
        }
        self.number += 1;
        let bound = match (established, self.failures) {
            (Some(_), 0) => policy.spread,
            (_, failures) => {
                let doublings = failures.saturating_sub(1).min(31);
                policy.first.saturating_mul(1 << doublings).min(policy.cap)
            }
        };
        self.failures = self.failures.saturating_add(1);
        let drawn = Duration::from_nanos(rng.below(nanos(bound).saturating_add(1)));
        Some(now + retry_after.map_or(drawn, |wait| wait.min(LONGEST_WAIT) + drawn.min(policy.spread)))
    }
}

crate::sleep::saved!(Attempts { failures, number, established });

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::{Attempts, LONGEST_WAIT};
    use crate::rng::Rng;
    use crate::{Reconnect, Timestamp};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn delays(count: usize, seed: u8) -> Vec<Duration> {
        let (mut attempts, mut rng) = (Attempts::default(), Rng::new(&[seed; 32], "test"));
        attempts.number = 1;
        (0..count)
            .map(|_| attempts.next(NOW, &Reconnect::default(), None, &mut rng).expect("no limit").since(NOW))
            .collect()
    }

    #[test]
    fn bounds_double_up_to_the_cap_with_full_jitter_below() {
        let runs: Vec<_> = (0..200).map(|seed| delays(12, seed)).collect();
        for step in 0..12 {
            let bound = Duration::from_millis((250 << step.max(1) >> 1).min(30_000));
            let bound = if step == 0 { Duration::from_millis(250) } else { bound };
            let longest = runs.iter().map(|run| run[step]).max().unwrap();
            let shortest = runs.iter().map(|run| run[step]).min().unwrap();
            assert!(longest <= bound && longest > bound * 9 / 10, "step {step}: {longest:?} of {bound:?}");
            assert!(shortest < bound / 10, "step {step}: {shortest:?}");
        }
    }

    #[test]
    fn only_a_connection_that_lasted_resets_them() {
        let policy = Reconnect::default();
        let mut rng = Rng::new(&[1; 32], "test");
        let mut longest = |uptime: Duration| {
            (0..300)
                .map(|_| {
                    let mut attempts = Attempts { failures: 9, number: 0, established: None };
                    attempts.on_established(NOW);
                    let now = NOW + uptime;
                    attempts.next(now, &policy, None, &mut rng).unwrap().since(now)
                })
                .max()
                .unwrap()
        };
        assert!(longest(Duration::from_secs(4)) > Duration::from_secs(20));
        assert!(longest(Duration::from_secs(5)) <= policy.spread);
    }

    #[test]
    fn attempts_can_be_limited_and_the_server_has_the_last_word() {
        let policy = Reconnect { max_attempts: Some(3), ..Reconnect::default() };
        let (mut attempts, mut rng) =
            (Attempts { number: 1, ..Attempts::default() }, Rng::new(&[1; 32], "test"));
        let wait = Duration::from_secs(20);
        let at = attempts.next(NOW, &policy, Some(wait), &mut rng).unwrap();
        assert!(at >= NOW + wait && at <= NOW + wait + policy.spread);
        let at = Attempts::default().next(NOW, &policy, Some(Duration::MAX), &mut rng).unwrap();
        assert!(at >= NOW + LONGEST_WAIT && at <= NOW + LONGEST_WAIT + policy.spread, "within limits");
        assert!(attempts.next(NOW, &policy, None, &mut rng).is_some());
        assert_eq!(attempts.next(NOW, &policy, None, &mut rng), None);
    }
}
