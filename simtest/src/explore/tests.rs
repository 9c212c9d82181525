use std::cell::Cell;

use super::*;
use crate::probe::{Cmd, Event, Probe, three};
use crate::{
    Chaos, Class, Effect, FromSchedule, FromSeed, Kind, Line, LineWhat, Link, NodeId, Schedule, Sim, Time,
    Verdict, ms, on, secs,
};

/// a sends three texts to b, all at once; they arrive after 1 ms.
fn texts() -> Sim<Probe> {
    let (mut sim, [a, b, _]) = three();
    sim.record(false).run_for(ms(50)).workload(|w| {
        w.at(ms(1)).cmd(a, Cmd::Send(b, vec!["X", "Y", "Z"]));
    });
    sim
}

fn got(sim: &mut Sim<Probe>, name: &str, holds: impl Fn(usize) -> bool + 'static) {
    sim.finally(name, move |v| v.node(NodeId::new(1)).is_none_or(|b| holds(b.got)));
}

fn drops(faults: u32) -> Bounds {
    Bounds::faults(faults).weathers(1).kinds([Kind::Drop])
}

#[test]
fn every_set_of_drops_is_a_schedule() {
    let certificate = certify(texts, &drops(3)).unwrap();
    assert_eq!(certificate.schedules, [1, 3, 3, 1]);
    assert_eq!(certificate.checked, 4);
    let text = certificate.to_string();
    assert!(text.starts_with("no schedule with at most 3 faults, in 1 weathers, breaks probe\n"), "{text}");
    assert!(text.contains("8 schedules: 1 with 0, 3 with 1, 3 with 2, 1 with 3; faults: drop"), "{text}");
}

#[test]
fn a_dropped_datagram_has_no_other_fault() {
    let kinds = |kinds: &[Kind]| Bounds::faults(2).weathers(1).kinds(kinds.iter().copied());
    let certificate = certify(texts, &kinds(&[Kind::Drop, Kind::Delay])).unwrap();
    // Two of six, without the three pairs that would drop and delay the same datagram.
    assert_eq!(certificate.schedules, [1, 6, 12]);
    let certificate = certify(texts, &kinds(&[Kind::Duplicate, Kind::Delay])).unwrap();
    assert_eq!(certificate.schedules, [1, 6, 15]);
}

#[test]
fn crashes_begin_in_slots_while_the_run_lasts() {
    let bounds =
        Bounds::faults(2).weathers(2).kinds([Kind::Crash]).victims(["b"]).crashes(ms(10), [ms(2), ms(30)]);
    let certificate = certify(texts, &bounds).unwrap();
    // Slots at 0 and 10 ms of the first; then nothing is left to happen.
    assert_eq!(certificate.schedules[..2], [2, 4]);
}

#[test]
fn the_failure_has_the_least_number_of_faults() {
    let broken = || {
        let mut sim = texts();
        got(&mut sim, "one of them", |got| got > 0);
        sim
    };
    assert_eq!(certify(broken, &drops(2)).unwrap().total(), 7);
    let failure = certify(broken, &drops(4)).unwrap_err();
    assert_eq!(failure.verdict.oracle(), Some("one of them"));
    assert_eq!(failure.schedule.lines.len(), 3);
    assert_eq!(failure.seeds, 8);
    let again = broken().run(FromSchedule::new(&failure.schedule));
    assert_eq!(again.verdict, failure.verdict);
    assert!(failure.report().contains("failed after 8 schedules"));
}

#[test]
fn two_copies_at_once_are_found() {
    let broken = || {
        let mut sim = texts();
        got(&mut sim, "at most four", |got| got <= 4);
        sim
    };
    let failure = certify(broken, &Bounds::faults(3)).unwrap_err();
    let kinds: Vec<Kind> = failure.schedule.lines.iter().map(Line::kind).collect();
    assert_eq!(kinds, [Kind::Duplicate, Kind::Duplicate]);
}

#[test]
fn too_many_schedules_are_undecided() {
    let failure = certify(texts, &drops(3).at_most(5)).unwrap_err();
    assert_eq!(failure.verdict, Verdict::Unknown("more than 5 schedules: undecided".into()));
    assert_eq!(failure.class, Class::Vacuous);
}

#[test]
fn what_fails_once_only_is_not_too_much() {
    let broken = || {
        let mut sim = texts();
        let looks = Cell::new(0);
        sim.finally("the third look", move |_| looks.replace(looks.get() + 1) < 2);
        sim
    };
    let failure = certify(broken, &drops(1)).unwrap_err();
    assert_eq!(failure.class, Class::Determinism);
    let why = "FAIL the third look: does not hold; but when run from the start: UNKNOWN ";
    assert!(failure.verdict.to_string().contains(why), "{}", failure.verdict);
}

/// Y is lost in every run.
fn without_y() -> Sim<Probe> {
    let mut sim = texts();
    sim.on(on("Text Y"), Effect::Drop);
    sim
}

#[test]
fn what_a_datagram_sets_off_is_in_every_schedule() {
    let broken = || {
        let mut sim = without_y();
        got(&mut sim, "three", |got| got == 3);
        sim
    };
    let failure = certify(broken, &drops(1)).unwrap_err();
    assert_eq!(
        (failure.seeds, failure.schedule.lines.len()),
        (1, 1),
        "it fails without a fault of the certificate"
    );
    // Two are left that may be lost.
    assert_eq!(certify(without_y, &drops(2)).unwrap().schedules, [1, 2, 1]);
}

#[test]
fn a_branch_heeds_what_datagrams_set_off() {
    let mut sim = without_y();
    got(&mut sim, "three", |got| got == 3);
    let failing = sim.run(FromSeed::new(1)).schedule();
    assert_eq!(failing.lines.len(), 1);
    let curve = why(&sim, &failing, 4, 3).unwrap();
    assert!(curve.moments.iter().all(|moment| moment.failed == moment.tried), "{curve}");
    // Counted from the start, not from the branch.
    let mut sim = texts();
    sim.on(on("Text").nth(4), Effect::Drop);
    sim.workload(|w| {
        w.at(ms(20)).cmd(NodeId::new(0), Cmd::Send(NodeId::new(1), vec!["X", "Y"]));
    });
    let mut run = sim.start(FromSchedule::new(&Schedule::empty("probe")));
    run.until(ms(10));
    let lines = run.branch(FromSeed::new(1)).finish().schedule().lines;
    assert_eq!(lines.len(), 1);
    assert!(lines[0].to_string().contains("\"Text X\" occ=2"), "{}", lines[0]);
}

#[test]
fn a_panic_is_a_failure() {
    let broken = || {
        let mut sim = texts();
        got(&mut sim, "panics", |got| if got == 2 { panic!("two") } else { true });
        sim
    };
    let failure = certify(broken, &drops(1)).unwrap_err();
    assert_eq!(failure.verdict.oracle(), Some("panic"));
    assert_eq!(failure.schedule.lines.len(), 1);
}

#[test]
fn faults_happen_within_the_span_only() {
    let bounds = Bounds::faults(1).weathers(1).within(ms(3)..ms(40));
    assert_eq!(certify(texts, &bounds).unwrap().schedules, [1, 0]);
}

/// Every schedule of the enumeration, run from its text, is the run that was enumerated.
#[test]
fn schedules_replay() {
    let broken = || {
        let mut sim = texts();
        got(&mut sim, "three", |got| got == 3);
        sim
    };
    let failure = certify(broken, &Bounds::faults(1)).unwrap_err();
    let schedule = Schedule::parse(&failure.schedule.to_text()).unwrap();
    assert_eq!(broken().run(FromSchedule::new(&schedule)).verdict, failure.verdict);
}

#[test]
fn what_led_to_a_failure_is_told_beside_a_run_that_passes() {
    let broken = || {
        let (mut sim, [a, b, c]) = three();
        sim.record(false).run_for(ms(50)).workload(|w| {
            w.at(ms(1)).cmd(c, Cmd::Send(b, vec!["other"])).cmd(a, Cmd::Send(b, vec!["X"]));
            w.at(ms(5)).cmd(a, Cmd::Send(c, vec!["Y"])).cmd(c, Cmd::Send(a, vec!["no matter"]));
        });
        sim.keep_events(true).invariant("once", move |v| {
            v.events(b).filter(|event| **event == Event::Got(0, "X".into())).count() < 2
        });
        sim
    };
    let failure = certify(broken, &Bounds::faults(1)).unwrap_err();
    let shrunk = shrink(&broken(), &failure.schedule, Budget::default()).unwrap();
    assert_eq!(shrunk.slice.beside, "f1");
    assert_eq!(
        shrunk.slice.lines,
        [
            "   0.001 a!1 Send(NodeId(1), [\"X\"])",
            "   0.001 a>b#1    Text X                         f1 duplicate, ok, copy ok",
            "   0.003 b   < a>b#1'",
            "   0.003 b   Got(0, \"X\")"
        ]
    );
    assert!(
        shrunk.to_string().contains("what led to it, beside a run without f1:\n     0.001 a!1"),
        "{shrunk}"
    );
}

/// Loss on every link, and crashes.
fn stormy() -> Sim<Probe> {
    let (mut sim, [a, b, c]) = three();
    sim.links(Link::lan().loss(200_000).reorder(200_000, ms(1)..ms(9)));
    sim.campaign(Chaos::default().until(secs(3)).quiet_for(secs(1))).workload(|w| {
        for i in 0..40 {
            w.at(ms(50 * i)).cmd(a, Cmd::Send(b, vec!["X", "Y"])).cmd(b, Cmd::Send(c, vec!["Z"]));
        }
    });
    sim
}

#[test]
fn a_copy_goes_on_like_the_original() {
    let mut run = stormy().start(FromSeed::new(3));
    for millis in [0, 7, 500, 1_234, 2_999] {
        run.until(ms(millis));
        let copy = run.clone();
        assert_eq!(copy.finish().hash, stormy().run(FromSeed::new(3)).hash);
    }
}

#[test]
fn branches_share_the_past_and_their_schedules_replay_from_the_start() {
    let sim = stormy();
    let whole = sim.run(FromSeed::new(3));
    let mut run = sim.start(FromSeed::new(3));
    let mut hashes = std::collections::BTreeSet::new();
    for millis in [0, 400, 1_400, 2_800] {
        run.until(ms(millis));
        for salt in 100..110 {
            let outcome = run.branch(FromSeed::new(salt)).finish();
            let before = |line: &&Line| match &line.what {
                LineWhat::Timed { at, .. } => *at <= Time::from_millis(millis),
                LineWhat::Datagram(_) => false,
            };
            let crashes = |schedule: &Schedule| schedule.lines.iter().filter(before).count();
            assert_eq!(crashes(&outcome.schedule()), crashes(&whole.schedule()));
            let again = sim.run(FromSchedule::new(&outcome.schedule()));
            assert_eq!(again.hash, outcome.hash, "{}", outcome.schedule().to_text());
            assert!(again.unmatched.is_empty());
            hashes.insert(outcome.hash);
        }
    }
    assert!(hashes.len() > 30, "{} of 40 differ", hashes.len());
    assert_eq!(run.finish().hash, whole.hash, "the original has not been touched");
}

#[test]
fn a_branch_without_faults_has_those_of_the_past_only() {
    let mut run = stormy().start(FromSeed::new(3));
    run.until(ms(1_000));
    let before = run.clone().branch(FromSchedule::new(&Schedule::empty("probe"))).finish();
    assert!(before.schedule().lines.iter().all(|line| match &line.what {
        LineWhat::Timed { at, .. } => *at <= Time::from_millis(1_000),
        LineWhat::Datagram(_) => true,
    }));
    assert!(!before.schedule().lines.is_empty());
    assert!(before.schedule().lines.len() < run.finish().schedule().lines.len());
}

#[test]
fn bounds_follow_the_campaign() {
    let (mut sim, _) = three();
    assert_eq!(Bounds::faults(1).like(&sim).kinds.len(), 8, "all without a campaign");
    sim.links(Link::new().duplicate(1, ms(0)..ms(1)));
    sim.campaign(Chaos::none().loss(5).crash(secs(1), ms(1)..ms(2)).victims(Kind::Crash, ["b"]));
    let bounds = Bounds::faults(1).like(&sim);
    assert_eq!(bounds.kinds, [Kind::Drop, Kind::Duplicate, Kind::Crash]);
    assert_eq!(bounds.victims, Some(vec!["b".to_owned()]));
}

#[test]
fn bounds_follow_each_link() {
    let lossy = |from: u32, to: u32, link: Link| {
        move || {
            let mut sim = texts();
            sim.campaign(Chaos::none().quiet_for(ms(50)));
            sim.one_way(NodeId::new(from), NodeId::new(to), link.clone());
            sim
        }
    };
    let drops = |build: &(dyn Fn() -> Sim<Probe> + Sync)| {
        let bounds = Bounds::faults(1).weathers(1).like(&build());
        let certificate = certify(build, &bounds).unwrap();
        (certificate.kinds, certificate.schedules)
    };
    assert_eq!(drops(&lossy(0, 1, Link::new().loss(5))), (vec![Kind::Drop], vec![1, 3]));
    assert_eq!(drops(&lossy(1, 0, Link::new().loss(5))), (vec![Kind::Drop], vec![1, 0]), "it is not used");
    let bursts = Link::new().bursts(secs(10), ms(10), 500_000);
    assert_eq!(drops(&lossy(0, 1, bursts)), (vec![Kind::Drop], vec![1, 3]));
}
