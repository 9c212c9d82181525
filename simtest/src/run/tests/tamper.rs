use super::texts;
use crate::probe::{Cmd, got, replay, three};
use crate::verify::laws;
use crate::{
    Bounds, Chaos, Effect, FromSchedule, FromSeed, Kind, Link, Outcome, TraceView, Verdict, certify, ms, on,
    secs,
};

#[test]
fn a_replay_comes_once_more_long_after() {
    let (mut sim, [a, b, _]) = three();
    sim.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Send(b, vec!["A", "B", "A"]));
    });
    let lines = "f1 replay a>b \"Text A\" occ=2 by=5s\nf2 duplicate a>b \"Text A\" occ=2 by=3ms\nf3 replay a>b \"Text B\" \
                 occ=1 by=70s";
    let outcome = replay(&sim, lines);
    assert_eq!(got(&outcome, b), texts(&[(1, "A"), (1, "B"), (1, "A"), (4, "A"), (5_001, "A")]));
    assert_eq!(outcome.unmatched, [""; 0]);
    assert_eq!(outcome.stats.faults(Kind::Replay), crate::Tally { chosen: 2, mattered: 1 });
    let view = outcome.trace.view(TraceView::messages());
    assert!(view.contains("f2 duplicate, f1 replay, ok, copy ok, replay ok"), "{view}");
    assert!(outcome.trace.view(TraceView::packets()).contains("b   < a>b#3''"));
    laws(&outcome.trace).unwrap();
    let again = sim.run(FromSchedule::new(&outcome.schedule()));
    assert_eq!(again.hash, outcome.hash);
}

#[test]
fn a_replay_outlives_a_crash_of_its_receiver() {
    let (mut sim, [a, b, _]) = three();
    sim.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Send(b, vec!["A"]));
    });
    let lines = "f1 replay a>b \"Text A\" occ=1 by=1s\nf2 crash b at=100ms for=100ms disk=unsynced";
    assert_eq!(got(&replay(&sim, lines), b), texts(&[(1, "A"), (1_001, "A")]));
    let down = "f1 replay a>b \"Text A\" occ=1 by=1s\nf2 crash b at=100ms for=ever disk=unsynced";
    let outcome = replay(&sim, down);
    assert!(outcome.trace.view(TraceView::messages()).contains("replay node down"));
}

#[test]
fn a_splice_is_the_begin_of_one_and_the_end_of_another() {
    let (mut sim, [a, b, c]) = three();
    sim.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Send(b, vec!["Abcdefg"])).cmd(a, Cmd::Send(c, vec!["9876543210"]));
        w.at(ms(5)).cmd(a, Cmd::Send(b, vec!["123", "HIJKL", "mnopq"]));
    });
    let spliced = |line: &str| {
        let outcome = replay(&sim, line);
        laws(&outcome.trace).unwrap();
        assert_eq!((outcome.unmatched.len(), outcome.stats.faults(Kind::Splice).chosen), (0, 1));
        (got(&outcome, b)[2].1.clone(), outcome.stats.faults(Kind::Splice).mattered)
    };
    assert_eq!(spliced("f1 splice a>b \"Text HIJKL\" occ=1 back=2 at=3"), ("HIJdefg".into(), 1));
    assert_eq!(spliced("f1 splice a>b \"Text HIJKL\" occ=1 back=1 at=0"), ("123".into(), 1));
    assert_eq!(spliced("f1 splice a>b \"Text HIJKL\" occ=1 back=1 at=4"), ("HIJK".into(), 1));
    assert_eq!(
        spliced("f1 splice a>b \"Text HIJKL\" occ=1 back=16 at=1"),
        ("Hbcdefg".into(), 1),
        "the first"
    );
    assert_eq!(
        spliced("f1 splice a>b \"Text HIJKL\" occ=1 back=1 at=99"),
        ("HIJKL".into(), 0),
        "nothing is behind"
    );
    // The probe's checksum is its first byte.
    assert_eq!(spliced("f1 splice a>b \"Text HIJKL\" occ=1 back=1 at=0 reseal"), ("H23".into(), 1));

    let first = replay(&sim, "f1 splice a>b \"Text Abcdefg\" occ=1 back=1 at=2");
    assert_eq!(got(&first, b)[0].1, "Abcdefg");
    laws(&first.trace).unwrap();
    let view = replay(&sim, "f1 splice a>b #2 back=1 at=1").trace.view(TraceView::messages());
    assert!(view.contains("f1 splice, ok"), "{view}");
}

fn crowd(link: Link, chaos: Chaos, seed: u64) -> Outcome<crate::probe::Probe> {
    let (mut sim, [a, b, _]) = three();
    sim.links(link).campaign(chaos);
    sim.workload(|w| {
        for i in 0..300 {
            w.at(ms(i * 10)).cmd(a, Cmd::Send(b, vec!["Once upon", "a time", "There was"]));
        }
    });
    let outcome = sim.run(FromSeed::new(seed));
    laws(&outcome.trace).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    let again = sim.run(FromSchedule::new(&outcome.schedule()));
    assert_eq!(
        (again.hash, again.unmatched.len()),
        (outcome.hash, 0),
        "seed {seed}: {}",
        outcome.schedule().to_text()
    );
    outcome
}

#[test]
fn replays_and_splices_of_links_and_campaigns_replay() {
    let link = || Link::new().replay(20_000, secs(1)..secs(8)).splice(30_000).splice_resealed(10_000);
    let quiet = || Chaos::none().until(secs(4)).quiet_for(secs(9));
    let mut sum = crate::Stats::default();
    for seed in 0..20 {
        sum += crowd(link(), quiet(), seed).stats;
        let own = quiet().replay(20_000, secs(1)..secs(3)).splice(20_000).splice_resealed(20_000);
        sum += crowd(Link::wifi().corrupt(50_000), own, seed).stats;
    }
    for kind in [Kind::Replay, Kind::Splice] {
        let tally = sum.faults(kind);
        assert!(tally.chosen > 200 && tally.mattered > 100, "{kind:?} {tally:?}");
    }
    let none = crowd(link(), quiet().without(Kind::Drop), 0).stats;
    assert!(none.faults(Kind::Replay).chosen > 0);
}

#[test]
fn a_datagram_sets_off_its_replay_or_splice() {
    let (mut sim, [a, b, _]) = three();
    sim.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Send(b, vec!["Abc", "Def"]));
    });
    sim.on(on("Text Def"), Effect::Splice { back: 1, at: 1, reseal: false });
    sim.on(on("Text Abc"), Effect::Replay(50_000_000));
    let outcome = sim.run(FromSeed::new(0));
    assert_eq!(got(&outcome, b), texts(&[(1, "Abc"), (1, "Dbc"), (51, "Abc")]));
    let schedule = outcome.schedule();
    assert!(
        schedule.to_text().contains("splice a>b \"Text Def\" occ=1 back=1 at=1\n"),
        "{}",
        schedule.to_text()
    );
    let mut plain = three().0;
    plain.workload(|w| {
        w.at(ms(0)).cmd(a, Cmd::Send(b, vec!["Abc", "Def"]));
    });
    assert_eq!(plain.run(FromSchedule::new(&schedule)).hash, outcome.hash);
}

#[test]
fn replays_and_splices_are_enumerated_if_asked_for() {
    let build = |wrong: &'static str| {
        move || {
            let (mut sim, [a, b, _]) = three();
            sim.workload(|w| {
                w.at(ms(0)).cmd(a, Cmd::Send(b, vec!["Abc", "Def"]));
            });
            sim.keep_events(true)
                .invariant("text", move |v| !v.events(b).any(|e| format!("{e:?}").contains(wrong)));
            sim.campaign(Chaos::none().replay(1, secs(1)..secs(2)).splice(1).quiet_for(secs(20)));
            sim
        }
    };
    let bounds = Bounds::faults(2).weathers(1).like(&build("x")());
    let certificate = certify(build("Ghi"), &bounds).unwrap();
    assert_eq!(certificate.kinds, [Kind::Replay, Kind::Splice]);
    assert_eq!(certificate.schedules, [1, 3, 3], "the first has none before it to be spliced with");
    let failure = certify(build("Dbc"), &bounds).unwrap_err();
    assert_eq!(failure.schedule.lines.len(), 1);
    assert!(failure.schedule.to_text().contains("back=1 at=1"), "{}", failure.schedule.to_text());
    assert!(matches!(failure.verdict, Verdict::Fail { .. }));
}
