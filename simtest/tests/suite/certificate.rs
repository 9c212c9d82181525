//! Every small schedule of a small scenario: what is certified, and that planted bugs are not.

use crate::common::ledger::{Bug, Ledger};
use crate::common::setup::ledger;
use simtest::{Bounds, Certificate, Failure, Kind, Link, Sim, certify, ms};

/// Two clients put an amount each.
fn small(bug: Bug) -> Sim<Ledger> {
    ledger(bug, 2, 1, Link::lan())
}

fn bounds(faults: u32) -> Bounds {
    Bounds::faults(faults).crashes(ms(20), [ms(50)]).victims(["s"])
}

fn certified(bug: Bug, bounds: &Bounds) -> Result<Certificate, Box<Failure>> {
    certify(|| small(bug), bounds)
}

#[test]
fn two_faults_do_not_break_the_ledger() {
    let certificate = certified(Bug::None, &bounds(2)).unwrap();
    assert_eq!(
        certificate.to_string(),
        "no schedule with at most 2 faults, in 8 weathers, breaks ledger\n  11520 schedules: 8 with 0, 368 with 1, \
         11144 with 2; faults: drop, duplicate, delay, corrupt, crash; 32 run twice"
    );
}

/// The number of faults of the first failure.
#[track_caller]
fn fewest(bug: Bug, oracle: &str, bounds: &Bounds) -> usize {
    let failure = certified(bug, bounds).expect_err("the bug is found");
    assert_eq!(failure.verdict.oracle(), Some(oracle), "{}", failure.verdict);
    failure.schedule.lines.len()
}

#[test]
fn each_bug_is_found_with_its_fewest_faults() {
    for bug in [Bug::NoDedup, Bug::NoChecksum, Bug::OverGaps] {
        assert_eq!(fewest(bug, "history", &bounds(2)), 1, "{bug:?}");
    }
    assert_eq!(fewest(Bug::NoRetry, "all acknowledged", &bounds(2)), 1);
}

/// Slots of 1 ms, for the disk takes about that long.
#[test]
fn a_crash_while_the_disk_is_at_work() {
    let fine = bounds(1).kinds([Kind::Crash]).crashes(ms(1), [ms(50)]).within(ms(0)..ms(10));
    assert_eq!(fewest(Bug::AckBeforeSync, "history", &fine), 1);
    assert_eq!(certified(Bug::None, &fine).unwrap().schedules[0], 8);
}

/// Lost once is repeated; lost for ever would be another protocol.
#[test]
fn without_repeated_content_there_is_less_to_lose() {
    let drops = certified(Bug::None, &bounds(3).kinds([Kind::Drop]).weathers(1)).unwrap();
    assert_eq!(drops.schedules[0], 1);
    assert!(drops.schedules.is_sorted(), "{drops}");
}
