use super::*;
use crate::time::{Time, ms, us};

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
    insta::assert_snapshot!(numbers(&Link::hostile()), @"Dist(Uniform { min: 5000000, span: 55000000 }) mtu 1280 loss 300000 duplicate 100000 (0, 100000000) reorder 200000 (1000000, 200000000) corrupt 10000 resealed 0");
}

#[test]
fn presets_as_data() {
    assert_eq!(Preset::ALL.map(Preset::link), [Link::lan(), Link::wifi(), Link::lte(), Link::hostile()]);
    assert_eq!(Preset::ALL.map(Preset::name), ["lan", "wifi", "lte", "hostile"]);
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
        let (at, marked) = gate.pass(Time::from_nanos(i * 100_000), size)?;
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
    gate.pass(Time::ZERO, 1000);
    assert_eq!(gate.pass(Time::from_millis(60_000), 1000), Some((Time::from_millis(60_001), false)));
}

#[test]
fn fractions_of_a_nanosecond_are_kept() {
    // 3 bytes a second: each takes a third of a second.
    let mut gate = Gate::new(&Bottleneck::new(3, 1000), "gate".into());
    for _ in 0..299 {
        gate.pass(Time::ZERO, 1);
    }
    assert_eq!(gate.pass(Time::ZERO, 1), Some((Time::from_millis(100_000), false)));
}

#[test]
fn a_long_queue_marks() {
    let (passed, _) = pass(&Bottleneck::new(1_000_000, 5000).mark_over(1000), &[1000, 1000, 1000]);
    assert_eq!(passed, [Some((1000, false)), Some((2000, false)), Some((3000, true))]);
}
