//! Failing campaigns become stories that a reader can follow.

mod common;

use common::ledger::{Bug, Ledger};
use common::setup::ledger;
use simtest::{
    Budget, Chaos, FromSchedule, FromSeed, Kind, Link, Schedule, Shrunk, Sim, search, secs, shrink,
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
    shrunk
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
