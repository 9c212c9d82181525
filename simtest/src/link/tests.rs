use super::*;
use crate::time::{Time, ms, secs, us};

fn numbers(link: &Link) -> String {
    let Link { delay, rates: r, mtu, .. } = link;
    format!(
        "{delay:?} mtu {mtu} loss {} duplicate {} {:?} reorder {} {:?} corrupt {} resealed {}",
        r.loss, r.duplicate, r.duplicate_extra, r.reorder, r.reorder_extra, r.corrupt, r.resealed
    )
}

#[test]
fn presets() {
    insta::assert_snapshot!(numbers(&Link::lan()), @"Dist(Uniform { min: 200000, span: 200000 }) mtu 1472 loss 0 duplicate 0 (0, 0) reorder 0 (0, 0) corrupt 0 resealed 0");
    insta::assert_snapshot!(numbers(&Link::wifi()), @"Dist(Exp { min: 2000000, mean: 3000000 }) mtu 1472 loss 10000 duplicate 2000 (100000, 5000000) reorder 5000 (1000000, 20000000) corrupt 0 resealed 0");
    insta::assert_snapshot!(numbers(&Link::lte()), @"Dist(Exp { min: 25000000, mean: 10000000 }) mtu 1400 loss 5000 duplicate 0 (0, 0) reorder 10000 (5000000, 80000000) corrupt 0 resealed 0");
    assert_eq!(
        numbers(&Link::satellite()),
        "Dist(Uniform { min: 270000000, span: 20000000 }) mtu 1400 loss 0 duplicate 0 (0, 0) reorder 0 (0, 0) corrupt 0 resealed 0"
    );
    assert_eq!(Link::satellite().rates.bursts, Some(Bursts::new(secs(10), ms(100), 500_000)));
    assert_eq!(Link::satellite().bottleneck, Some(Bottleneck::new(250_000, 125_000)));
    assert_eq!(
        numbers(&Link::mars()),
        "Dist(Fixed(480000000000)) mtu 1400 loss 1000 duplicate 0 (0, 0) reorder 0 (0, 0) corrupt 10000 resealed 0"
    );
    assert_eq!(Link::mars().bottleneck, Some(Bottleneck::new(64_000, 1_000_000)));
    let Rates { splice, splice_resealed, replay, replay_extra, .. } = Link::hostile().rates;
    assert_eq!((splice, splice_resealed, replay), (5_000, 0, 5_000));
    assert_eq!(replay_extra, (1_000_000_000, 10_000_000_000));
    assert_eq!(Link::cellular().delay, Dist::pareto(ms(25), 4_000, ms(300)));
    assert_eq!(Link::cellular().bottleneck, Some(Bottleneck::traced(RateTrace::cell(), 200_000)));
    assert_eq!((Link::cellular().rates.loss, Link::cellular().mtu), (1_000, 1_400));
    insta::assert_snapshot!(numbers(&Link::hostile()), @"Dist(Uniform { min: 5000000, span: 55000000 }) mtu 1280 loss 300000 duplicate 100000 (0, 100000000) reorder 200000 (1000000, 200000000) corrupt 10000 resealed 0");
}

#[test]
fn presets_as_data() {
    let near = [Link::lan(), Link::wifi(), Link::lte()];
    let far = [Link::cellular(), Link::satellite(), Link::mars(), Link::hostile()];
    assert_eq!(Preset::ALL.map(Preset::link)[..], [near.as_slice(), &far].concat());
    let names = ["lan", "wifi", "lte", "cellular", "satellite", "mars", "hostile"];
    assert_eq!(Preset::ALL.map(Preset::name), names);
    assert!(Preset::ALL.is_sorted());
}

#[test]
fn jitter_is_on_top_of_the_least_delay() {
    let link = Link::new().delay(Dist::fixed(ms(5))).jitter(us(700));
    assert_eq!(link.delay, Dist::uniform(ms(5)..us(5_700)));
}

/// Datagrams of these sizes, one every 100 us: when each has passed, in microseconds, and whether it was marked.
fn pass(bottleneck: &Bottleneck, sizes: &[usize]) -> (Vec<Option<(u64, bool)>>, Passage) {
    let mut gate = Gate::new(bottleneck, "gate".into());
    let passed = (0..).zip(sizes).map(|(i, &size)| {
        let (at, marked) = gate.pass(Time::from_nanos(i * 100_000), size, false)?;
        Some((at.as_nanos() / 1000, marked))
    });
    (passed.collect(), gate.passage)
}

#[test]
fn a_bottleneck_lets_one_datagram_after_the_other_through() {
    // A byte a microsecond.
    let (passed, passage) = pass(&Bottleneck::new(1_000_000, 2500), &[1000, 1000, 1000, 100, 50]);
    assert_eq!(
        passed,
        [Some((1000, false)), Some((2000, false)), None, Some((2100, false)), Some((2150, false))]
    );
    assert_eq!((passage.passed, passage.bytes, passage.dropped, passage.marked), (4, 2150, 1, 0));
    assert_eq!(passage.waits, [0, 4], "1000, 1900, 1800 and 1750 us");
    assert_eq!((passage.wait_exceeded_by(0), passage.wait_exceeded_by(1_000_000)), (2, 1));
}

#[test]
fn an_idle_bottleneck_earns_nothing() {
    let mut gate = Gate::new(&Bottleneck::new(1_000_000, 2000), "gate".into());
    gate.pass(Time::ZERO, 1000, false);
    assert_eq!(gate.pass(Time::from_millis(60_000), 1000, false), Some((Time::from_millis(60_001), false)));
}

#[test]
fn fractions_of_a_nanosecond_are_kept() {
    // 3 bytes a second: each takes a third of a second.
    let mut gate = Gate::new(&Bottleneck::new(3, 1000), "gate".into());
    for _ in 0..299 {
        gate.pass(Time::ZERO, 1, false);
    }
    assert_eq!(gate.pass(Time::ZERO, 1, false), Some((Time::from_millis(100_000), false)));
}

#[test]
fn a_long_queue_marks() {
    let (passed, _) = pass(&Bottleneck::new(1_000_000, 5000).mark_over(1000), &[1000, 1000, 1000]);
    assert_eq!(passed, [Some((1000, false)), Some((2000, false)), Some((3000, true))]);
}

#[test]
fn a_bucket_lets_bursts_through_and_headers_cost() {
    let (passed, _) = pass(&Bottleneck::new(1_000_000, 9_000).burst(1_500), &[1000, 1000, 1000]);
    // 500 bytes of the second have room in the bucket, which fills by 100 in between.
    let at: Vec<u64> = passed.into_iter().flatten().map(|(at, _)| at).collect();
    assert_eq!(at, [0, 500, 1500]);
    let (passed, passage) = pass(&Bottleneck::new(1_000_000, 9_000).overhead(28), &[1000, 1000]);
    assert_eq!(passed, [Some((1028, false)), Some((2056, false))]);
    assert_eq!(passage.bytes, 2_000, "those of the datagrams");
}

/// A tenth more than passes, for 30 s: how long the last fifth waits at most, and what was lost and marked.
fn overloaded(bottleneck: &Bottleneck, capable: bool) -> (u64, u64, u64) {
    let mut gate = Gate::new(bottleneck, "gate".into());
    let (mut longest, mut lost, mut marked) = (0, 0, 0);
    for i in 0..33_000_u64 {
        let now = Time::from_nanos(i * 909_091);
        match gate.pass(now, 1_000, capable) {
            None => lost += 1,
            Some((passed, mark)) => {
                marked += u64::from(mark);
                longest = longest.max(if i > 26_000 { (passed - now).as_millis() as u64 } else { 0 });
            }
        }
    }
    (longest, lost, marked)
}

#[test]
fn codel_keeps_the_queue_short() {
    let plain = Bottleneck::new(1_000_000, 1_000_000);
    let (longest, lost, _) = overloaded(&plain, false);
    assert!(longest > 900 && lost > 1_000, "a queue that is full: {longest} ms, {lost} lost");
    let (longest, lost, marked) = overloaded(&plain.clone().codel(ms(5), ms(100)), false);
    assert!(longest < 150 && lost > 1_000, "{longest} ms, {lost} lost");
    assert_eq!(marked, 0);
    let (_, lost, marked) = overloaded(&Bottleneck::new(1_000_000, u64::MAX).codel(ms(5), ms(100)), true);
    assert!(lost == 0 && marked > 100, "{lost} lost, {marked} marked");

    // One that is not overloaded loses nothing, however long a burst waits.
    let mut gate = Gate::new(&plain.codel(ms(5), ms(100)), "gate".into());
    for i in 0..100_u64 {
        for _ in 0..50 {
            assert!(gate.pass(Time::from_millis(i * 100), 1_000, false).is_some());
        }
    }
}
