//! Failing campaigns become stories that a reader can follow.

use std::cell::Cell;

use crate::common::ledger::{Bug, Ledger};
use crate::common::setup::ledger;
use simtest::{
    Budget, Chaos, Dist, FromSchedule, FromSeed, Kind, Link, Schedule, Shrunk, Sim, ms, search, secs, shrink,
    shrink_while, why,
};

fn stormy(bug: Bug) -> Sim<Ledger> {
    let mut sim = ledger(bug, 4, 12, Link::hostile());
    sim.campaign(Chaos::default().until(secs(4)).quiet_for(secs(30)));
    sim
}

/// Shrinks the first failure of a bug.
fn first(bug: Bug) -> Shrunk {
    let failure = search(0..50, |_| stormy(bug)).expect_err("the bug is found");
    let shrunk = shrink(&stormy(bug), &failure.schedule, Budget::default()).expect("it fails when replayed");
    let replayed = stormy(bug).run(FromSchedule::new(&Schedule::parse(&shrunk.schedule.to_text()).unwrap()));
    assert_eq!(replayed.verdict, shrunk.verdict, "the stored schedule fails from the start");
    assert_eq!(replayed.unmatched, [""; 0]);
    assert!(shrunk.before.faults > 20, "{shrunk}");
    shrunk
}

/// The known minimum of each bug is one fault; one more is allowed.
#[track_caller]
fn small(bug: Bug) -> Shrunk {
    let shrunk = first(bug);
    assert!(shrunk.after.faults <= 2, "{bug:?}: {shrunk}");
    assert!(shrunk.after.commands <= 2 && shrunk.after.hosts <= 3, "{bug:?}: {shrunk}");
    assert!((1..=40).contains(&shrunk.slice.lines.len()), "{bug:?}: {shrunk}");
    shrunk
}

#[test]
fn a_search_that_is_cut_short_tells_the_smallest_so_far() {
    let failure = search(0..50, |_| stormy(Bug::NoDedup)).expect_err("the bug is found");
    let asked = Cell::new(0);
    let all = Budget::default();
    let whole = shrink(&stormy(Bug::NoDedup), &failure.schedule, all).unwrap();
    assert!(!whole.cut_short && !whole.to_string().contains("cut short"), "{whole}");
    let stopped = shrink_while(&stormy(Bug::NoDedup), &failure.schedule, all, &|| {
        asked.set(asked.get() + 1);
        asked.get() < 10
    });
    let few_runs = shrink(&stormy(Bug::NoDedup), &failure.schedule, Budget { runs: 12, ..all });
    for shrunk in [stopped.unwrap(), few_runs.unwrap()] {
        assert!(shrunk.cut_short && !shrunk.least && shrunk.inevitable.is_none(), "{shrunk}");
        assert!(shrunk.to_string().contains("\ncut short: this is the smallest so far"), "{shrunk}");
        assert!(shrunk.after.faults > whole.after.faults, "{shrunk}");
        assert!(shrunk.after.faults < shrunk.before.faults, "{shrunk}");
        let outcome = stormy(Bug::NoDedup).run(FromSchedule::new(&shrunk.schedule));
        assert_eq!(outcome.verdict, shrunk.verdict);
    }
}

#[test]
fn each_bug_shrinks_to_its_story() {
    for bug in [Bug::NoDedup, Bug::AckBeforeSync, Bug::NoChecksum, Bug::OverGaps, Bug::NoRetry] {
        let shrunk = small(bug);
        println!("{bug:?}: {shrunk}\n");
    }
}

#[test]
fn disk_errors_need_more() {
    let shrunk = first(Bug::SyncBlind);
    assert!(shrunk.after.faults <= 3, "{shrunk}");
    assert!(shrunk.schedule.lines.iter().any(|line| line.kind() == Kind::Disk), "{shrunk}");
}

#[test]
fn what_passes_is_not_shrunk() {
    let schedule = stormy(Bug::None).run(FromSeed::new(1)).schedule();
    assert_eq!(shrink(&stormy(Bug::None), &schedule, Budget::default()), None);
}

/// The same text and the same budget give the same story.
#[test]
fn a_story_is_told_the_same_way_twice() {
    assert_eq!(first(Bug::AckBeforeSync), first(Bug::AckBeforeSync));
}

/// Of a crash that loses what was acknowledged: before it nothing is certain, after it all is.
#[test]
fn the_curve_rises_to_certainty() {
    let shrunk = first(Bug::AckBeforeSync);
    // As fast as the hostile link at its best, so that the story is the same; but without faults of its own.
    let sim = ledger(Bug::AckBeforeSync, 4, 12, Link::new().delay(Dist::fixed(ms(5))));
    let curve = why(&sim, &shrunk.schedule, 1_000, 4).expect("it fails here too");
    let failed: Vec<u32> = curve.moments.iter().map(|moment| moment.failed).collect();
    assert_eq!((failed.first(), failed.last()), (Some(&0), Some(&4)), "{curve}");
    assert!(failed.is_sorted(), "without random faults it does not heal: {curve}");
    let passing = Schedule { lines: Vec::new(), ..shrunk.schedule };
    assert_eq!(why(&sim, &passing, 10, 1), None);
}
