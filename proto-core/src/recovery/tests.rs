//! Loss recovery against a clock and a wire that each test holds in its hands.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::{Carried, GIVE_UP_PROBES, Mark, Outcome, Received, Recovery, Rtt, Timeout};
use crate::rng::Rng;
use crate::wire::{Ack, Frame, Record, RecordWriter};
use crate::{Config, ConfigBuilder, Congestion, Link, Stats, Timestamp};

const START: Timestamp = Timestamp::from_millis(1_000_000);
const SIZE: usize = 1200;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A sender, and what came of what it sent.
struct Sender {
    now: Timestamp,
    config: Arc<Config>,
    rng: Rng,
    recovery: Recovery,
    outcome: Outcome,
    stats: Stats,
}

impl Sender {
    fn new(link: Link, congestion: Congestion) -> Self {
        let config = ConfigBuilder { congestion, ..ConfigBuilder::default() };
        let config = config.build().expect("the defaults are sound");
        let mut rng = Rng::new(&[3; 32], "test");
        let recovery = Recovery::new(START, &config, link, &mut rng);
        Self { now: START, config, rng, recovery, outcome: Outcome::default(), stats: Stats::default() }
    }

    fn datagram() -> Self {
        Self::new(Link::datagram(1200), Congestion::default())
    }

    /// Sends one packet that carries `Carried::Ack` of its own number, to be recognized by.
    fn send(&mut self) -> u64 {
        let (number, _) = self.recovery.next_number();
        self.recovery.on_sent(self.now, SIZE, true, Mark::default(), &[Carried::Ack(number)]);
        number
    }

    fn wait(&mut self, span: Duration) {
        self.now += span;
    }

    fn try_ack(&mut self, delay: Duration, ranges: &[RangeInclusive<u64>]) -> bool {
        let mut record = Vec::new();
        let delay = delay.as_micros() as u64 / 8;
        RecordWriter::new(&mut record).write_ack(delay, ranges.iter().cloned());
        let Some(Ok(Frame::Ack(ack))) = Record::new(&record).next() else { panic!("an ACK was written") };
        self.on_ack(&ack)
    }

    fn on_ack(&mut self, ack: &Ack<'_>) -> bool {
        let Self { now, rng, recovery, outcome, stats, .. } = self;
        recovery.on_ack(*now, ack, rng, outcome, stats).is_ok()
    }

    fn ack(&mut self, number: u64) {
        assert!(self.try_ack(Duration::ZERO, &[number..=number]));
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.recovery.deadline(&self.config)
    }

    /// Goes on to the next deadline and fires it.
    fn fire(&mut self) -> Timeout {
        self.now = self.deadline().expect("a timer is armed");
        self.recovery.on_timeout(self.now, &self.config, &mut self.outcome, &mut self.stats)
    }

    fn lost(&mut self) -> Vec<u64> {
        numbers(self.outcome.lost.drain(..))
    }

    fn acked(&mut self) -> Vec<u64> {
        numbers(self.outcome.acked.drain(..))
    }

    /// One round trip of `rtt`, so that there is an estimate.
    fn measure(&mut self, rtt: Duration) {
        let number = self.send();
        self.wait(rtt);
        self.ack(number);
        self.acked();
    }

    fn window(&mut self) -> u64 {
        self.recovery.flight(self.now).controller.window()
    }
}

fn numbers(carried: impl Iterator<Item = Carried>) -> Vec<u64> {
    carried
        .map(|carried| match carried {
            Carried::Ack(number) => number,
            other => panic!("{other:?} was never sent"),
        })
        .collect()
}

#[test]
fn the_estimate_is_that_of_rfc_9002() {
    let at = |millis| START + ms(millis);
    let mut rtt = Rtt::new(ms(333));
    assert_eq!(rtt.smoothed(), ms(333));
    rtt.sample(at(100), START, ms(20));
    assert_eq!((rtt.smoothed(), rtt.pto_base()), (ms(100), ms(300)), "the first sample takes no delay off");
    // smoothed = 7/8 * 100 + 1/8 * (180 - 20), variation = 3/4 * 50 + 1/4 * |100 - 160|
    rtt.sample(at(180), START, ms(20));
    assert_eq!(rtt.smoothed(), Duration::from_micros(107_500));
    assert_eq!(rtt.pto_base(), rtt.smoothed() + Duration::from_micros(52_500) * 4);
    assert_eq!(rtt.longest(), ms(180), "the latest counts, its delay included");
    // A delay that would bring the sample below the minimum is a lie.
    let before = rtt.smoothed();
    rtt.sample(at(101), START, ms(20));
    assert_eq!(rtt.smoothed(), (before * 7 + ms(101)) / 8);
}

#[test]
fn samples_stay_in_their_range() {
    let mut rtt = Rtt::new(ms(333));
    rtt.sample(START, START + ms(5), Duration::MAX);
    assert_eq!(rtt.smoothed(), Duration::from_micros(1), "sent after it was acknowledged");
    assert!(rtt.pto_base() >= ms(1));
    let mut rtt = Rtt::new(ms(333));
    rtt.sample(START + Duration::from_hours(1000), START, Duration::ZERO);
    assert_eq!(rtt.smoothed(), Duration::from_mins(1));
}

#[test]
fn only_the_largest_newly_acknowledged_packet_is_a_sample() {
    let mut sender = Sender::datagram();
    sender.measure(ms(50));
    let (first, second) = (sender.send(), sender.send());
    sender.wait(ms(50));
    sender.ack(second);
    let rtt = sender.recovery.rtt.smoothed();
    sender.wait(ms(900));
    assert!(sender.try_ack(Duration::ZERO, &[first..=second]), "the first came late");
    assert_eq!(sender.recovery.rtt.smoothed(), rtt);
}

#[test]
fn a_packet_three_behind_is_lost() {
    let mut sender = Sender::datagram();
    sender.measure(ms(50));
    let sent: Vec<_> = (0..5).map(|_| sender.send()).collect();
    sender.wait(ms(50));
    sender.ack(sent[2]);
    assert!(sender.lost().is_empty(), "two behind is reordering");
    sender.ack(sent[4]);
    assert_eq!(sender.lost(), [sent[0], sent[1]]);
    assert_eq!(sender.acked(), [sent[2], sent[4]]);
    assert_eq!(sender.stats.packets_lost, 2);
}

#[test]
fn a_packet_is_lost_nine_eighths_of_a_round_trip_after_a_later_one_arrived() {
    let mut sender = Sender::datagram();
    sender.measure(ms(80));
    let first = sender.send();
    let sent_at = sender.now;
    sender.wait(ms(1));
    let second = sender.send();
    sender.wait(ms(80));
    sender.ack(second);
    assert!(sender.lost().is_empty());
    assert_eq!(sender.deadline(), Some(sent_at + ms(80) * 9 / 8));
    assert_eq!(sender.fire(), Timeout::Lost);
    assert_eq!(sender.lost(), [first]);
    assert!(sender.deadline().is_none(), "nothing is in flight");
    assert_eq!(sender.stats.probes, 0);
}

#[test]
fn a_late_acknowledgement_of_a_lost_packet_is_counted() {
    let mut sender = Sender::datagram();
    sender.measure(ms(50));
    let sent: Vec<_> = (0..4).map(|_| sender.send()).collect();
    sender.wait(ms(50));
    sender.ack(sent[3]);
    assert_eq!(sender.lost(), [sent[0]]);
    let window = sender.window();
    sender.wait(ms(5));
    assert!(sender.try_ack(Duration::ZERO, &[sent[0]..=sent[3]]));
    assert_eq!(sender.stats.spurious_losses, 1);
    assert_eq!(sender.acked(), [sent[3], sent[0], sent[1], sent[2]], "it settles what it carried");
    assert_eq!(sender.recovery.flight(sender.now).sent.bytes_in_flight(), 0);
    assert!(sender.window() >= window);
}

#[test]
fn a_packet_that_was_overtaken_teaches_patience() {
    let mut sender = Sender::datagram();
    sender.measure(ms(50));
    let sent: Vec<_> = (0..7).map(|_| sender.send()).collect();
    sender.wait(ms(50));
    sender.ack(sent[6]);
    assert_eq!(sender.lost(), sent[..4]);
    assert!(sender.try_ack(Duration::ZERO, &[sent[0]..=sent[6]]));
    assert_eq!(sender.stats.spurious_losses, 4);
    let again: Vec<_> = (0..9).map(|_| sender.send()).collect();
    sender.wait(ms(50));
    sender.ack(again[6]);
    assert!(sender.lost().is_empty(), "six behind were not lost the last time");
    sender.ack(again[8]);
    assert_eq!(sender.lost(), again[..2], "more than six are");
}

#[test]
fn losses_that_span_three_probe_timeouts_are_persistent_congestion() {
    for (gap, expected) in [(ms(300), 0), (ms(700), 1)] {
        let mut sender = Sender::datagram();
        sender.measure(ms(50));
        // 50 + 4 * 25 + 25, three times: 525 ms.
        sender.send();
        sender.wait(gap);
        sender.send();
        let last: Vec<_> = (0..3).map(|_| sender.send()).collect();
        sender.wait(ms(60));
        sender.ack(last[2]);
        assert_eq!(sender.stats.persistent_congestion, expected, "{gap:?}");
    }
}

#[test]
fn what_arrived_in_between_means_that_nothing_is_persistent() {
    let mut sender = Sender::datagram();
    sender.measure(ms(50));
    let first = sender.send();
    sender.wait(ms(400));
    let between = sender.send();
    sender.wait(ms(400));
    let last: Vec<_> = (0..4).map(|_| sender.send()).collect();
    sender.wait(ms(60));
    assert!(sender.try_ack(Duration::ZERO, &[last[3]..=last[3], between..=between]));
    assert_eq!(sender.lost(), [first, last[0]]);
    assert_eq!(sender.stats.persistent_congestion, 0);
}

#[test]
fn a_second_copy_follows_where_nothing_else_does() {
    let mut sender = Sender::datagram();
    sender.measure(ms(80));
    let lost = Carried::Ack(7);
    sender.send();
    sender.recovery.set_app_limited(false);
    sender.recovery.plan_repair(sender.now, lost);
    assert!(
        sender.recovery.pop_repair(sender.now + ms(100)).is_none(),
        "the capacity is wanted for something else"
    );
    sender.recovery.set_app_limited(true);
    sender.recovery.plan_repair(sender.now, lost);
    assert_eq!(sender.deadline(), Some(sender.now + ms(5)));
    assert!(sender.recovery.pop_repair(sender.now + ms(4)).is_none());
    assert_eq!(sender.fire(), Timeout::Repair);
    assert_eq!(sender.recovery.pop_repair(sender.now), Some(lost));
    assert!(sender.recovery.pop_repair(sender.now).is_none());
    // Where a round trip takes no time a copy gains none.
    let mut near = Sender::datagram();
    near.measure(ms(2));
    near.send();
    near.recovery.set_app_limited(true);
    near.recovery.plan_repair(near.now, lost);
    assert!(near.recovery.pop_repair(near.now + ms(100)).is_none());
}

#[test]
fn what_is_settled_or_lost_long_ago_is_forgotten() {
    let mut sender = Sender::datagram();
    sender.measure(ms(50));
    assert_eq!(sender.recovery.flight(sender.now).sent.len(), 0);
    let sent: Vec<_> = (0..10).map(|_| sender.send()).collect();
    sender.wait(ms(50));
    assert!(sender.try_ack(Duration::ZERO, &[sent[5]..=sent[9]]));
    assert_eq!(sender.lost(), sent[..5]);
    assert_eq!(sender.recovery.flight(sender.now).sent.len(), 10, "lost ones may still turn up");
    sender.wait(ms(2000));
    sender.measure(ms(50));
    assert_eq!(sender.recovery.flight(sender.now).sent.len(), 0);
    assert!(sender.try_ack(Duration::ZERO, &[sent[0]..=sent[9]]), "it was sent, if long ago");
    assert_eq!(sender.stats.spurious_losses, 0);
}

#[test]
fn packets_that_ask_for_nothing_leave_no_trace() {
    let mut sender = Sender::datagram();
    sender.send();
    for _ in 0..100_000 {
        sender.recovery.next_number();
        sender.recovery.on_sent(sender.now, 30, false, Mark::default(), &[]);
    }
    sender.send();
    assert_eq!(sender.recovery.flight(sender.now).sent.len(), 2);
}

#[test]
fn the_probe_timeout_doubles_up_to_its_cap() {
    let mut sender = Sender::datagram();
    sender.measure(ms(100));
    sender.send();
    // 100 + 4 * 50 + the peer's 25
    let mut expected = ms(325);
    for _ in 0..6 {
        let before = sender.now;
        assert_eq!(sender.fire(), Timeout::Probe);
        assert_eq!(sender.now.since(before), expected);
        expected = (expected * 2).min(ms(3000));
        sender.send();
    }
    assert_eq!(expected, ms(3000));
    assert_eq!(sender.stats.probes, 6);
    let number = sender.send();
    sender.wait(ms(100));
    sender.ack(number);
    let armed = sender.send();
    assert!(armed > number);
    assert!(sender.deadline().expect("in flight").since(sender.now) < ms(700), "an answer ends the backoff");
}

#[test]
fn before_a_round_trip_was_measured_it_is_guessed() {
    let mut sender = Sender::datagram();
    sender.send();
    let guess = ms(333) + ms(333) / 2 * 4 + ms(25);
    assert_eq!(sender.deadline(), Some(START + guess));
}

#[test]
fn a_monstrous_round_trip_does_not_lengthen_the_probe_timeout_over_its_cap() {
    let mut sender = Sender::datagram();
    sender.measure(Duration::from_mins(10));
    assert_eq!(sender.recovery.pto(), ms(3000));
    sender.send();
    assert_eq!(sender.deadline(), Some(sender.now + ms(3000)));
}

#[test]
fn a_peer_that_answers_no_probe_is_given_up() {
    for (rtt, shortest) in [(ms(1), ms(5000)), (ms(300), ms(5000))] {
        let mut sender = Sender::datagram();
        sender.measure(rtt);
        let last_heard = sender.now;
        sender.send();
        let mut probes = 0;
        while sender.fire() == Timeout::Probe {
            probes += 1;
            sender.send();
            assert!(probes < 100, "it never gives up");
        }
        assert!(probes >= GIVE_UP_PROBES, "{probes}");
        let waited = sender.now.since(last_heard);
        assert!(waited >= shortest && waited <= ms(35_000), "{waited:?}");
        assert!(sender.lost().is_empty(), "silence is not loss");
    }
}

#[test]
fn a_timer_that_fires_early_does_nothing() {
    let mut sender = Sender::datagram();
    sender.send();
    let Sender { now, config, recovery, outcome, stats, .. } = &mut sender;
    assert_eq!(recovery.on_timeout(*now, config, outcome, stats), Timeout::Nothing);
    assert_eq!(stats.probes, 0);
}

#[test]
fn a_reliable_link_has_no_timers_but_settles_all_the_same() {
    let mut sender = Sender::new(Link::stream(1200), Congestion::default());
    let sent: Vec<_> = (0..6).map(|_| sender.send()).collect();
    assert_eq!(sender.deadline(), None);
    sender.ack(sent[5]);
    assert!(sender.lost().is_empty());
    assert_eq!(sender.deadline(), None);
    assert!(sender.try_ack(Duration::ZERO, &[sent[0]..=sent[5]]));
    assert_eq!(sender.acked().len(), 6);
}

#[test]
fn loss_halves_the_window_once_a_round_trip() {
    let mut sender = Sender::new(Link::datagram(1200), Congestion::NewReno);
    sender.measure(ms(50));
    let window = sender.window();
    let sent: Vec<_> = (0..9).map(|_| sender.send()).collect();
    sender.wait(ms(50));
    sender.ack(sent[4]);
    sender.ack(sent[8]);
    assert!(sender.lost().len() > 2);
    assert!(sender.window() >= window / 2 && sender.window() < window);
    assert!(sender.recovery.window_has_room());
}

#[test]
fn the_window_bounds_what_is_in_flight() {
    let mut sender = Sender::datagram();
    let mut sent = 0;
    while sender.recovery.window_has_room() {
        sender.send();
        sent += 1;
    }
    assert_eq!(sent, 10, "the initial window");
}

#[test]
fn pacing_spreads_a_window_over_a_round_trip_in_steps_of_a_millisecond() {
    let mut sender = Sender::new(Link::datagram(1200), Congestion::NewReno);
    sender.measure(ms(100));
    let granularity = sender.config.timer_granularity;
    let begun = sender.now;
    let (mut sent, mut waits) = (0, 0);
    while sent < 60 {
        match sender.recovery.paced_until(sender.now, granularity) {
            None => {
                sender.send();
                sent += 1;
            }
            Some(at) => {
                assert!(at >= sender.now + granularity, "no timer finer than a millisecond");
                assert!(at <= sender.now + ms(20), "nor one that wastes the window");
                sender.now = at;
                waits += 1;
            }
        }
    }
    // 10 packets at once, then 1.25 windows (of 11 packets) in each 100 ms.
    let took = sender.now.since(begun);
    assert!(took >= ms(300) && took <= ms(400), "{took:?}");
    assert!(waits <= 60);
}

#[test]
fn pacing_survives_any_clock_and_any_estimate() {
    let mut sender = Sender::datagram();
    let granularity = sender.config.timer_granularity;
    for rtt in [Duration::from_nanos(1), ms(50), Duration::from_hours(10_000)] {
        sender.measure(rtt);
        for _ in 0..100 {
            sender.send();
            let until = sender.recovery.paced_until(sender.now, granularity);
            assert!(until.is_none_or(|at| at >= sender.now + granularity));
        }
        sender.wait(Duration::from_hours(24 * 365 * 200));
        assert_eq!(sender.recovery.paced_until(sender.now, granularity), None);
    }
}

#[test]
fn impossible_acknowledgements_change_nothing() {
    let mut sender = Sender::datagram();
    sender.measure(ms(50));
    let number = sender.send();
    let before = (sender.window(), sender.recovery.rtt.smoothed());
    let first = sender.recovery.first;
    for range in [number..=number + 1, number + 1..=number + 1, 0..=number, first.saturating_sub(1)..=first] {
        if *range.start() >= first && *range.end() <= number {
            continue;
        }
        assert!(!sender.try_ack(Duration::ZERO, core::slice::from_ref(&range)), "{range:?}");
    }
    assert_eq!((sender.window(), sender.recovery.rtt.smoothed()), before);
    assert!(sender.acked().is_empty());
}

#[test]
fn numbers_are_skipped_one_at_a_time_and_each_only_when_the_last_was_passed() {
    let mut sender = Sender::datagram();
    let mut previous = sender.send();
    let mut skipped = Vec::new();
    for step in 0..2000 {
        let number = sender.send();
        if number != previous + 1 {
            assert_eq!(number, previous + 2, "one at a time");
            skipped.push(previous + 1);
        }
        previous = number;
        // Nothing is acknowledged for the first thousand.
        if step >= 1000 {
            sender.ack(number);
        }
        assert!(step >= 1000 || skipped.len() <= 1);
    }
    assert!(skipped.len() > 5, "{skipped:?}");
    let last = *skipped.last().expect("some were skipped");
    assert!(!sender.try_ack(Duration::ZERO, &[last - 1..=last]));
}

/// The ranges of an ACK that a receiver writes.
fn written(received: &mut Received, now: Timestamp) -> Vec<RangeInclusive<u64>> {
    let mut record = Vec::new();
    received.write_ack(now, &mut RecordWriter::new(&mut record));
    match Record::new(&record).next() {
        Some(Ok(Frame::Ack(ack))) => ack.ranges().collect(),
        other => panic!("{other:?} instead of an ACK"),
    }
}

#[test]
fn an_acknowledgement_is_due_after_two_packets_or_a_while_or_at_once_after_a_gap() {
    let mut received = Received::default();
    received.insert(START, 7, true, false, ms(25));
    assert_eq!((received.is_due(), received.deadline()), (false, Some(START + ms(25))));
    received.insert(START + ms(5), 8, true, false, ms(25));
    assert!(received.is_due() && received.deadline().is_none());
    assert_eq!(written(&mut received, START + ms(5)), [7..=8]);
    assert!(!received.is_due() && !received.has_news());
    received.insert(START, 10, true, false, ms(25));
    assert!(received.is_due(), "9 is missing");
    assert_eq!(written(&mut received, START), [10..=10, 7..=8]);
    received.insert(START, 11, true, true, ms(25));
    assert!(received.is_due(), "a PING wants its answer now");
    written(&mut received, START);
    received.insert(START, 12, false, false, ms(25));
    assert!(!received.is_due() && received.deadline().is_none() && !received.has_news());
}

#[test]
fn the_list_of_ranges_is_bounded_and_keeps_the_newest() {
    let mut received = Received::default();
    for number in 0..1000 {
        received.insert(START, 2 * number, true, false, ms(25));
    }
    let ranges = written(&mut received, START);
    assert_eq!(ranges.len(), 64);
    assert_eq!(ranges[0], 1998..=1998);
    assert!(received.wants_pruning());
    received.on_ack_acked(1990);
    assert_eq!(written(&mut received, START).last(), Some(&(1990..=1990)));
    assert!(!received.wants_pruning());
}

#[test]
fn what_arrived_long_ago_is_not_acknowledged_for_ever() {
    let mut received = Received::default();
    let mut now = START;
    // Every tenth number is skipped, and nothing acknowledges the acknowledgements.
    for number in (0..10_000).filter(|number| number % 10 != 0) {
        received.insert(now, number, true, true, ms(25));
        assert!(written(&mut received, now).len() <= 7, "packet {number}");
        now += ms(3000);
    }
}
