//! Each controller against a path that the test describes.

use alloc::boxed::Box;
use core::time::Duration;

use super::cubic::cube_root;
use super::{Acked, Controller, Lost, Rate, new};
use crate::{Congestion, Timestamp};

const PACKET: u64 = 1200;
const RTT: Duration = Duration::from_millis(40);

/// A controller, and the clock and the counters of the sender around it.
struct Sender {
    controller: Box<dyn Controller>,
    now: Timestamp,
    delivered: u64,
}

/// What one round trip does.
#[derive(Clone, Copy)]
struct Round {
    rtt: Duration,
    /// Bytes a second that the path delivers at most.
    rate: u64,
    /// Packets lost.
    lost: u64,
    app_limited: bool,
}

const EMPTY: Round = Round { rtt: RTT, rate: 10_000_000, lost: 0, app_limited: false };

impl Sender {
    fn new(kind: Congestion) -> Self {
        let now = Timestamp::from_millis(1000);
        Self { controller: new(kind, now, PACKET, 1), now, delivered: 0 }
    }

    fn window(&self) -> u64 {
        self.controller.window()
    }

    fn lose(&mut self, packets: u64) {
        let sent = self.now - RTT;
        self.controller.on_lost(&Lost { now: self.now, sent, packets, bytes: packets * PACKET });
    }

    /// A window goes out and comes back in ten ACKs.
    fn round(&mut self, round: Round) {
        let Round { rtt, rate, lost, app_limited } = round;
        let sent = self.now;
        let at_send = self.delivered;
        let window =
            self.window().min((u128::from(rate) * rtt.as_nanos() / 1_000_000_000) as u64).max(PACKET);
        self.controller.on_sent(self.now, window);
        for part in 1..=10 {
            self.now = sent + rtt + rtt * part / 100;
            if part == 5 && lost > 0 {
                self.controller.on_lost(&Lost { now: self.now, sent, packets: lost, bytes: lost * PACKET });
            }
            self.delivered += window / 10;
            let bytes_per_second = (u128::from(window) * 1_000_000_000 / rtt.as_nanos()) as u64;
            self.controller.on_acked(&Acked {
                now: self.now,
                sent: sent + rtt * part / 100,
                bytes: window / 10,
                in_flight: window - window * u64::from(part) / 10,
                delivered: self.delivered,
                delivered_at_send: at_send,
                rtt: Some(rtt),
                rate: Some(Rate { bytes_per_second, app_limited }),
                app_limited,
            });
        }
    }

    fn rounds(&mut self, count: u32, round: Round) {
        for _ in 0..count {
            self.round(round);
        }
    }
}

const ALL: [Congestion; 3] = [Congestion::Model, Congestion::Cubic, Congestion::NewReno];

#[test]
fn every_window_starts_with_ten_packets_and_doubles() {
    for kind in ALL {
        let mut sender = Sender::new(kind);
        assert_eq!(sender.window(), 12_000, "{kind:?}");
        sender.round(EMPTY);
        assert!((22_000..=34_000).contains(&sender.window()), "{kind:?}: {}", sender.window());
    }
}

#[test]
fn no_window_falls_below_four_packets() {
    for kind in ALL {
        let mut sender = Sender::new(kind);
        for _ in 0..100 {
            sender.round(Round { lost: 5, rtt: RTT * 3, rate: 1000, ..EMPTY });
            sender.controller.on_ecn(sender.now, sender.now - RTT);
            assert!(sender.window() >= 4 * PACKET, "{kind:?}");
            assert!(sender.controller.pacing_rate(RTT) >= 1);
        }
        sender.controller.on_persistent_congestion(sender.now);
        assert_eq!(sender.window(), 4 * PACKET, "{kind:?}");
        sender.rounds(3, EMPTY);
        assert!(sender.window() > 4 * PACKET, "{kind:?}: it recovers");
    }
}

#[test]
fn an_idle_sender_earns_nothing() {
    for kind in ALL {
        let mut sender = Sender::new(kind);
        sender.rounds(5, Round { app_limited: true, ..EMPTY });
        assert_eq!(sender.window(), 12_000, "{kind:?}");
    }
}

#[test]
fn one_congestion_event_is_answered_once() {
    for (kind, tenths) in [(Congestion::Cubic, 7), (Congestion::NewReno, 5)] {
        let mut sender = Sender::new(kind);
        sender.rounds(3, EMPTY);
        let window = sender.window();
        for _ in 0..5 {
            sender.lose(1);
        }
        assert_eq!(sender.window(), window * tenths / 10, "{kind:?}");
        sender.controller.on_ecn(sender.now, sender.now - RTT);
        assert_eq!(sender.window(), window * tenths / 10, "{kind:?}: marks are of the same event");
        sender.now += RTT * 2;
        sender.controller.on_ecn(sender.now, sender.now);
        assert!(sender.window() < window * tenths / 10, "{kind:?}: a mark is as good as a loss");
    }
}

#[test]
fn losses_that_were_none_are_taken_back() {
    for kind in [Congestion::Cubic, Congestion::NewReno] {
        let mut sender = Sender::new(kind);
        sender.rounds(3, EMPTY);
        let (window, sent) = (sender.window(), sender.now - RTT);
        sender.lose(2);
        sender.lose(1);
        sender.controller.on_spurious(sent, 2);
        assert!(sender.window() < window, "{kind:?}: one is still lost");
        sender.controller.on_spurious(sent, 1);
        assert_eq!(sender.window(), window, "{kind:?}");
        sender.controller.on_spurious(sent, 1);
        assert_eq!(sender.window(), window, "{kind:?}: once");
    }
}

#[test]
fn newreno_adds_a_packet_a_window() {
    let mut sender = Sender::new(Congestion::NewReno);
    sender.lose(1);
    let window = sender.window();
    sender.rounds(1, EMPTY);
    sender.rounds(10, EMPTY);
    assert!((9..=11).contains(&((sender.window() - window) / PACKET)), "{}", sender.window());
}

#[test]
fn cubic_follows_its_curve() {
    // 100 packets: K = cbrt(100 * 0.3 / 0.4) = 4.2 s. What is missing shrinks with the cube of the time left: after 0.68 K it
    // is a thirtieth.
    let mut sender = Sender::new(Congestion::Cubic);
    while sender.window() < 100 * PACKET {
        sender.round(EMPTY);
    }
    let window = sender.window();
    sender.lose(1);
    let expected = cube_root(u128::from(window * 3 / 10) * 10_000_000_000 / u128::from(4 * PACKET));
    let begun = sender.now;
    let mut halfway = 0;
    while sender.window() < window * 99 / 100 {
        sender.round(EMPTY);
        if sender.now.since(begun).as_millis() as u64 <= expected / 2 {
            halfway = sender.window();
        }
    }
    let took = sender.now.since(begun).as_millis() as u64;
    assert!((expected * 64 / 100..=expected * 72 / 100).contains(&took), "{took} ms, and K is {expected}");
    assert!(halfway > window * 95 / 100, "an eighth of 30 % is missing after half of K");
}

#[test]
fn slow_start_ends_when_round_trips_grow() {
    let mut sender = Sender::new(Congestion::Cubic);
    sender.rounds(4, EMPTY);
    let mut window = sender.window();
    sender.round(Round { rtt: RTT + Duration::from_millis(6), ..EMPTY });
    for _ in 0..7 {
        let before = sender.window();
        sender.round(Round { rtt: RTT + Duration::from_millis(6), ..EMPTY });
        window = sender.window();
        assert!(window <= before * 5 / 4 + PACKET, "a quarter of slow start's pace at most");
    }
    sender.round(Round { rtt: RTT + Duration::from_millis(6), ..EMPTY });
    assert!(sender.window() < window * 9 / 8, "congestion avoidance");
}

#[test]
fn roots_are_exact() {
    for root in [0_u64, 1, 2, 9, 1000, 123_456, 1 << 40] {
        let cube = u128::from(root).pow(3);
        assert_eq!(cube_root(cube), root);
        assert_eq!(cube_root(cube + 1), root.max(u64::from(root == 0)));
        assert_eq!(cube_root(cube.saturating_sub(1)), root.saturating_sub(1));
    }
    assert_eq!(cube_root(u128::MAX), 6_981_463_658_331);
}

#[test]
fn fixed_stays_what_it_is() {
    let mut sender = Sender::new(Congestion::Fixed { rate: 1_000_000, window: 100_000 });
    sender.rounds(3, Round { lost: 9, ..EMPTY });
    sender.controller.on_persistent_congestion(sender.now);
    assert_eq!((sender.window(), sender.controller.pacing_rate(RTT)), (100_000, 1_000_000));
}

/// After startup: how many bytes a second the model believes in.
fn settled(rate: u64) -> Sender {
    let mut sender = Sender::new(Congestion::Model);
    sender.rounds(30, Round { rate, ..EMPTY });
    sender
}

#[test]
fn the_model_finds_the_rate_and_keeps_two_of_its_products() {
    let sender = settled(1_250_000);
    let bdp = 50_000;
    assert!((bdp * 2..=bdp * 2 + 9000).contains(&sender.window()), "{}", sender.window());
    let pace = sender.controller.pacing_rate(RTT);
    assert!((900_000..=1_600_000).contains(&pace), "{pace}");
    assert!(sender.controller.has_spare());
}

#[test]
fn loss_without_a_queue_does_not_slow_the_model_down() {
    let mut sender = settled(1_250_000);
    let window = sender.window();
    // A fifth.
    sender.rounds(50, Round { rate: 1_250_000, lost: 10, ..EMPTY });
    assert!(sender.window() >= window, "{}", sender.window());
    let mut least = u64::MAX;
    for _ in 0..10 {
        sender.round(Round { rate: 1_250_000, lost: 10, ..EMPTY });
        least = least.min(sender.controller.pacing_rate(RTT));
    }
    assert!(
        least >= 1_250_000 * 3 / 4,
        "it sends as much more as gets lost, the pause after a probe aside: {least}"
    );
}

#[test]
fn loss_in_a_queue_caps_the_model() {
    let mut sender = settled(1_250_000);
    let window = sender.window();
    sender.rounds(2, Round { rate: 1_250_000, rtt: RTT * 3 / 2, lost: 10, app_limited: false });
    assert!(sender.window() < window * 4 / 5, "{}", sender.window());
    assert!(!sender.controller.has_spare());
}

#[test]
fn what_a_policer_takes_is_not_the_paths_own() {
    let mut sender = settled(1_250_000);
    // Only who sends more than the rate loses.
    let mut lost = 0;
    for _ in 0..400 {
        let excess = sender.controller.pacing_rate(RTT).saturating_sub(1_250_000) / 25 / PACKET;
        lost += excess;
        sender.round(Round { rate: 1_250_000, lost: excess, ..EMPTY });
    }
    assert!(lost < 400 * 41 / 10, "{lost} of {}", 400 * 41);
}

#[test]
fn the_model_looks_for_an_empty_path_when_it_sees_none() {
    let mut sender = settled(1_250_000);
    let long = Round { rate: 1_250_000, rtt: RTT * 11 / 10, ..EMPTY };
    sender.rounds(200, long);
    let mut least = u64::MAX;
    for _ in 0..100 {
        sender.round(long);
        least = least.min(sender.window());
    }
    assert!(least <= 30_000, "half a product: {least}");
    // What it saw then is the new measure.
    sender.rounds(20, long);
    assert!(sender.window() >= 2 * 50_000, "{}", sender.window());
}

#[test]
fn a_marked_round_is_congestion_for_the_model() {
    let mut sender = settled(1_250_000);
    let window = sender.window();
    for _ in 0..2 {
        sender.controller.on_ecn(sender.now, sender.now);
        sender.round(Round { rate: 1_250_000, ..EMPTY });
    }
    assert!(sender.window() < window * 4 / 5, "{}", sender.window());
}

#[test]
fn any_numbers_are_survived() {
    for kind in ALL {
        let mut sender = Sender::new(kind);
        let mut draw = 1_u64;
        for _ in 0..2000 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let word = draw >> 16;
            let big =
                |shift: u32| if (word >> shift).is_multiple_of(4) { 1 << 40 } else { word >> shift & 0xFFFF };
            sender.now += Duration::from_nanos(big(2));
            sender.controller.on_lost(&Lost { now: sender.now, sent: sender.now, packets: 1, bytes: big(4) });
            let rate = Rate { bytes_per_second: big(6).saturating_mul(1 << 23), app_limited: word & 1 == 0 };
            sender.delivered += big(3);
            sender.controller.on_acked(&Acked {
                now: sender.now,
                sent: sender.now - Duration::from_nanos(big(5)),
                bytes: big(7),
                in_flight: big(9),
                delivered: sender.delivered,
                delivered_at_send: sender.delivered.saturating_sub(big(8)),
                rtt: Some(Duration::from_nanos(big(10).clamp(1000, 60_000_000_000))),
                rate: Some(rate),
                app_limited: word & 2 == 0,
            });
            sender.controller.set_packet(1200 + word % 60_000);
            assert!(sender.controller.pacing_rate(Duration::ZERO) >= 1);
            assert!(sender.window() > 0);
        }
    }
}
