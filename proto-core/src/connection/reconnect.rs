//! When to dial: bounds that double from `first` to `cap` with the delay drawn anywhere below them, a spread after a loss that
//! also keeps the attempts behind it apart, and a reset only after a connection that lasted (docs/spec/connection.md, section 4).

use core::time::Duration;

use crate::rng::Rng;
use crate::time::nanos;
use crate::{Reconnect, Timestamp};

/// No server can keep a client away for longer.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// How long a server that said that it is going away is thought to be back soon, from when it was to be gone.
const SOON: Duration = Duration::from_secs(30);

/// The attempts of one side to reach another, over any number of connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attempts {
    /// Failures since the last connection that lasted.
    failures: u16,
    /// Number of the attempt under way, counted since the last connection that was established.
    pub(crate) number: u32,
    established: Option<Timestamp>,
    /// Whoever owns the connection takes a new one in its place.
    pub(crate) is_replaceable: bool,
    /// An established connection was lost, maybe together with many others: no attempt follows another one within the spread,
    /// or those that find the server still down would come back in a crowd.
    is_spaced: bool,
    /// The server has said that it is going away: until then, in nanoseconds, it is thought to be back soon. Its clients have left it
    /// one by one. 0: it has not said so.
    soon_until: u64,
}

impl Attempts {
    pub(crate) fn on_established(&mut self, now: Timestamp) {
        self.number = 0;
        self.is_spaced = false;
        self.soon_until = 0;
        self.established = Some(now);
    }

    /// Whether another connection is looked for in place of one that was established.
    pub(crate) const fn is_return(&self) -> bool {
        self.is_spaced
    }

    /// The server has said that it is going away, and will be gone by `until`.
    pub(crate) fn on_going_away(&mut self, until: Timestamp) {
        self.soon_until = self.soon_until.max((until + SOON).as_nanos());
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
        let is_soon = now.as_nanos() < self.soon_until;
        if !is_soon && self.soon_until > 0 {
            // Only from here on it is a server that is lost.
            (self.failures, self.soon_until) = (0, 0);
        }
        let least = if self.is_spaced && !is_soon { policy.spread } else { Duration::ZERO };
        self.is_spaced |= established.is_some();
        let bound = match (established, self.failures) {
            (Some(_), 0) => policy.spread,
            (_, failures) => {
                let doublings = failures.saturating_sub(1).min(31);
                policy.first.saturating_mul(1 << doublings).min(policy.cap)
            }
        };
        let bound = if is_soon { bound.min(policy.spread) } else { bound };
        self.failures = self.failures.saturating_add(1);
        let drawn = Duration::from_nanos(rng.below(nanos(bound).saturating_add(1)));
        // A server that says when has drawn it for this client, unless it is at once.
        let told = |wait: Duration| wait.min(LONGEST_WAIT).max(drawn.min(policy.spread));
        Some(now + retry_after.map_or(least + drawn, told))
    }
}

crate::sleep::saved!(Attempts { failures, number, established, is_replaceable, is_spaced, soon_until });

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::{Attempts, LONGEST_WAIT};
    use crate::rng::Rng;
    use crate::{Reconnect, Timestamp};

    /// The largest part of `clients` that dials within any 100 ms, in hundredths of a percent.
    fn largest_share(mut dials: Vec<Timestamp>, clients: usize) -> usize {
        dials.sort_unstable();
        let mut first = 0;
        let in_window = |(last, at): (usize, &Timestamp)| {
            while at.since(dials[first]) >= Duration::from_millis(100) {
                first += 1;
            }
            last + 1 - first
        };
        dials.iter().enumerate().map(in_window).max().unwrap_or(0) * 10_000 / clients
    }

    /// 10,000 clients whose connections are all lost at once. The server is back after `outage`; until then each dial fails
    /// at once. `told` draws what the server tells each of them to wait.
    fn storm(outage: Duration, mut told: impl FnMut(&mut Rng) -> Option<Duration>) -> usize {
        const CLIENTS: usize = 10_000;
        let policy = Reconnect::default();
        let mut dials = Vec::new();
        for client in 0..CLIENTS {
            let mut seed = [3; 32];
            seed[..8].copy_from_slice(&client.to_be_bytes());
            let mut rng = Rng::new(&seed, "test");
            let mut attempts = Attempts::default();
            attempts.on_established(Timestamp::ZERO);
            let mut now = NOW;
            let mut wait = told(&mut rng);
            loop {
                now = attempts.next(now, &policy, wait.take(), &mut rng).expect("no limit");
                dials.push(now);
                if now >= NOW + outage {
                    break;
                }
            }
        }
        largest_share(dials, CLIENTS)
    }

    #[test]
    fn ten_thousand_clients_of_a_restarted_server_come_back_spread_out() {
        for outage in [0, 50, 300, 700, 1500, 5000, 20_000] {
            let share = storm(Duration::from_millis(outage), |_| None);
            assert!(share <= 1200, "an outage of {outage} ms: {share} in 10,000 dial within 100 ms");
        }
    }

    #[test]
    fn ten_thousand_clients_that_were_told_when_come_back_one_by_one() {
        let drawn = |rng: &mut Rng| Some(rng.around(Duration::from_secs(20)));
        let share = storm(Duration::ZERO, drawn);
        assert!(share <= 100, "{share} in 10,000 dial within 100 ms");
    }

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
    fn a_server_that_said_that_it_goes_is_asked_often_for_half_a_minute_and_seldom_then() {
        let policy = Reconnect::default();
        let mut rng = Rng::new(&[1; 32], "test");
        let mut attempts = Attempts::default();
        attempts.on_established(Timestamp::ZERO);
        let gone = NOW + Duration::from_secs(3);
        attempts.on_going_away(gone);
        let (mut now, mut waits) = (NOW, Vec::new());
        while now < gone + Duration::from_mins(10) {
            let next = attempts.next(now, &policy, None, &mut rng).unwrap();
            waits.push((now, next.since(now)));
            now = next;
        }
        let (soon, late): (Vec<_>, Vec<_>) =
            waits.into_iter().partition(|&(at, _)| at < gone + Duration::from_secs(30));
        assert!(soon.iter().all(|&(_, wait)| wait <= policy.spread), "{soon:?}");
        assert!(late[0].1 <= policy.spread + policy.first, "they double from the beginning");
        assert!(late.iter().any(|&(_, wait)| wait > policy.cap / 2), "{late:?}");
        assert!(late.iter().all(|&(_, wait)| wait >= policy.spread), "and are kept apart");
    }

    #[test]
    fn only_a_connection_that_lasted_resets_them() {
        let policy = Reconnect::default();
        let mut rng = Rng::new(&[1; 32], "test");
        let mut longest = |uptime: Duration| {
            (0..300)
                .map(|_| {
                    let mut attempts = Attempts { failures: 9, ..Attempts::default() };
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
