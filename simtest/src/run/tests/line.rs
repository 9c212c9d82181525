use super::texts;
use crate::probe::{Cmd, got, replay, three};
use crate::verify::laws;
use crate::{Bottleneck, FromSchedule, FromSeed, Link, Outcome, RateTrace, ms};

/// `a` sends 10 bytes each 4 ms; a byte passes each millisecond.
fn burst(gate: Bottleneck) -> Outcome<crate::probe::Probe> {
    let (mut sim, [a, b, _]) = three();
    sim.links(Link::new().bottleneck(gate)).workload(|w| {
        for (i, text) in (0..).zip(["0123456789", "1_________", "2_________", "3_________", "4_________"]) {
            w.at(ms(4 * i)).cmd(a, Cmd::Send(b, vec![text]));
        }
    });
    let outcome = replay(&sim, "");
    laws(&outcome.trace).unwrap();
    outcome
}

fn arrived(outcome: &Outcome<crate::probe::Probe>) -> Vec<(u64, char)> {
    let all = got(outcome, crate::NodeId::new(1));
    all.into_iter().map(|(at, text)| (at, text.chars().next().unwrap())).collect()
}

#[test]
fn the_oldest_make_room() {
    // A datagram passes, and one waits.
    let tail = burst(Bottleneck::new(1_000, 20));
    assert_eq!(arrived(&tail), [(11, '0'), (21, '1'), (31, '3')]);
    let head = burst(Bottleneck::new(1_000, 20).drop_head());
    assert_eq!(arrived(&head), [(11, '0'), (21, '2'), (31, '4')]);
    assert_eq!((head.stats.lost_narrow, head.bottlenecks[0].dropped, head.bottlenecks[0].passed), (2, 2, 3));
    assert_eq!(head.bottlenecks[0].bytes, 30);
    let waits: u64 = head.bottlenecks[0].waits.iter().sum();
    assert_eq!(waits, 3);
    assert!(head.trace.view(crate::TraceView::messages()).contains("bottleneck full"));
}

#[test]
fn what_is_too_large_for_the_queue_is_lost_itself() {
    let none = burst(Bottleneck::new(1_000, 9).drop_head());
    assert_eq!((arrived(&none), none.stats.lost_narrow), (vec![], 5));
    let one = burst(Bottleneck::new(1_000, 10).drop_head());
    assert_eq!(arrived(&one), [(11, '0'), (23, '3')], "nobody is thrown out while passing");
}

#[test]
fn copies_of_what_made_room_are_gone_too() {
    let (mut sim, [a, b, _]) = three();
    sim.links(Link::new().bottleneck(Bottleneck::new(1_000, 3).drop_head())).workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Send(b, vec!["A", "B", "C", "D"]));
    });
    let lines = "f1 duplicate a>b \"Text B\" occ=1 by=9ms\nf2 duplicate a>b \"Text C\" occ=1 by=9ms\nf3 delay a>b \"Text A\" \
                 occ=1 by=6ms";
    let outcome = replay(&sim, lines);
    laws(&outcome.trace).unwrap();
    assert_eq!(got(&outcome, b), texts(&[(3, "C"), (4, "D"), (8, "A"), (12, "C")]));
    assert_eq!(sim.run(FromSchedule::new(&outcome.schedule())).hash, outcome.hash);
}

#[test]
fn codel_in_a_line_that_drops_the_oldest() {
    let gate = |gate: Bottleneck| {
        let (mut sim, [a, b, _]) = three();
        sim.links(Link::new().bottleneck(gate)).run_for(ms(8_000)).workload(|w| {
            for i in 0..1_000 {
                w.at(ms(i * 5)).cmd(a, Cmd::Send(b, vec!["six by"]));
            }
        });
        let outcome = sim.run(FromSeed::new(1));
        laws(&outcome.trace).unwrap();
        outcome.bottlenecks[0].clone()
    };
    let plain = gate(Bottleneck::new(1_000, 600).drop_head());
    let short = gate(Bottleneck::new(1_000, 600).drop_head().codel(ms(20), ms(100)));
    assert!(plain.wait_exceeded_by(500_000) > 400, "{}", plain.wait_exceeded_by(500_000));
    assert!(short.wait_exceeded_by(500_000) < 100, "{} {short:?}", short.wait_exceeded_by(500_000));
    assert!(short.dropped > 100, "{short:?}");
}

#[test]
fn a_trace_says_when_datagrams_pass() {
    // Two opportunities at 5 ms, one at 30 ms; again each 30 ms.
    let trace = RateTrace::parse("5\n5\n30\n").unwrap();
    let sent = |gate: Bottleneck, list: &'static [(u64, usize)]| {
        let (mut sim, [a, b, _]) = three();
        sim.links(Link::new().bottleneck(gate)).workload(|w| {
            for (at, len) in list {
                let text: &'static str = Box::leak("x".repeat(*len).into_boxed_str());
                w.at(ms(*at)).cmd(a, Cmd::Send(b, vec![text]));
            }
        });
        let outcome = replay(&sim, "");
        laws(&outcome.trace).unwrap();
        let arrived = got(&outcome, b).into_iter().map(|(at, text)| (at, text.len())).collect::<Vec<_>>();
        (arrived, outcome.stats.lost_narrow)
    };
    let list: &[(u64, usize)] = &[(0, 1_500), (0, 700), (0, 700), (0, 200), (40, 4_000)];
    let (arrived, lost) = sent(Bottleneck::traced(trace.clone(), 10_000), list);
    // 1,500 and both 700 pass at 5 ms, and 100 bytes of the next, which ends at 30; the last takes three, 60, 65 and 65.
    assert_eq!(arrived, [(6, 1_500), (6, 700), (6, 700), (31, 200), (66, 4_000)]);
    assert_eq!(lost, 0);
    let full: &[(u64, usize)] = &[(0, 1_500), (0, 1_500), (0, 1_500), (6, 1_500), (7, 100), (31, 1_500)];
    let (arrived, lost) = sent(Bottleneck::traced(trace.clone(), 3_000), full);
    assert_eq!((arrived, lost), (vec![(6, 1_500), (6, 1_500), (31, 1_500), (36, 100), (36, 1_500)], 1));
    let (arrived, lost) = sent(Bottleneck::traced(trace.clone(), 3_000).drop_head(), full);
    assert_eq!((arrived, lost), (vec![(6, 1_500), (6, 1_500), (31, 1_500), (36, 100), (36, 1_500)], 1));
    let (arrived, _) =
        sent(Bottleneck::traced(trace, 9_000).overhead(28), &[(0, 1_490), (0, 1_000), (10, 1_000)]);
    assert_eq!(arrived, [(6, 1_490), (6, 1_000), (31, 1_000)]);
}

#[test]
fn a_cell_lets_through_what_it_has() {
    let (mut sim, [a, b, _]) = three();
    sim.links(Link::cellular()).run_for(ms(40_000)).workload(|w| {
        for i in 0..3_000 {
            w.at(ms(i * 10)).cmd(a, Cmd::Flood(b, 1)).cmd(a, Cmd::Send(b, vec![LARGE, LARGE, LARGE, LARGE]));
        }
    });
    let outcome = sim.run(FromSeed::new(1));
    laws(&outcome.trace).unwrap();
    let passage = &outcome.bottlenecks[0];
    // 560 KB a second come, 427 pass, for 30 s.
    assert!((11_000_000..13_000_000).contains(&passage.bytes), "{}", passage.bytes);
    assert!(
        (1_000..2_500).contains(&passage.wait_exceeded_by(10_000)),
        "{}",
        passage.wait_exceeded_by(10_000)
    );
}

const LARGE: &str = match str::from_utf8(&[b'x'; 1_400]) {
    Ok(large) => large,
    Err(_) => "",
};
