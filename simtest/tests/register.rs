//! The planted bugs of the register example: each is found, and shrunk to the known number of faults or one more.

#[path = "../examples/register/protocol.rs"]
mod protocol;
#[path = "../examples/register/scenario.rs"]
mod scenario;

use protocol::{BUGS, Bug, Register};
use simtest::{Bounds, Budget, Chaos, FromSchedule, Sim, certify, ms, run_seeds, search, secs, shrink};

fn stormy(bug: Bug) -> Sim<Register> {
    let mut sim = Sim::new("register");
    scenario::register(&mut sim, bug, 3, 20);
    sim.campaign(Chaos::default().until(secs(2)).quiet_for(secs(30)));
    sim
}

#[test]
fn the_register_is_linearizable() {
    let report = run_seeds(0..300, |_| stormy(Bug::None));
    assert_eq!(report.seeds, 300);
}

#[test]
fn one_fault_does_not_break_it() {
    let small = || {
        let mut sim = Sim::new("register");
        scenario::register(&mut sim, Bug::None, 2, 1);
        sim
    };
    let certificate = certify(small, &Bounds::faults(1).crashes(ms(20), [ms(50)])).unwrap();
    assert!(certificate.total() > 1_000, "{certificate}");
}

/// With the least number of faults that can show the bug; those of more than two are what the shrinker has
/// reached.
const KNOWN: [usize; BUGS.len()] = [4, 1, 0, 2, 2, 9, 0];

#[test]
fn planted_bugs_are_found_and_shrunk() {
    for (bug, known) in BUGS.into_iter().zip(KNOWN) {
        let failure = search(0..2_000, |_| stormy(bug)).expect_err("the bug is found");
        let shrunk =
            shrink(&stormy(bug), &failure.schedule, Budget::default()).expect("it fails when replayed");
        assert!(shrunk.after.faults <= known + 1, "{bug:?}: {shrunk}");
        let replayed = stormy(bug).run(FromSchedule::new(&shrunk.schedule));
        assert_eq!(replayed.verdict, shrunk.verdict, "{bug:?}");
        assert!(replayed.unmatched.is_empty(), "{bug:?}: {:?}", replayed.unmatched);
    }
}
