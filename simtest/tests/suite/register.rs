//! The planted bugs of the register example: each is found, and shrunk to the known number of faults or one more.

#[path = "../../examples/register/protocol.rs"]
mod protocol;
#[path = "../../examples/register/scenario.rs"]
mod scenario;

use protocol::{BUGS, Bug, Register};
use simtest::{
    Bounds, Budget, Certificate, Chaos, Failure, FromSchedule, Kind, Sim, certify, ms, run_seeds, search,
    secs, shrink, us,
};

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

/// The least number of faults that can show the bug, as far as exhaustive search can tell: see `no_fewer_faults_will_do`.
const KNOWN: [usize; BUGS.len()] = [4, 1, 0, 2, 2, 2, 0];

/// Every schedule with so many faults, in a small test that has all that the bug needs.
fn all(bug: Bug, faults: u32, kinds: &[Kind]) -> Result<Certificate, Box<Failure>> {
    let small = || {
        let mut sim = Sim::new("register");
        scenario::register(&mut sim, bug, 2, 2);
        sim
    };
    let bounds = Bounds::faults(faults).weathers(1).kinds(kinds.iter().copied()).copied_after(us(0));
    certify(small, &bounds)
}

/// The known numbers do not come from the shrinker.
#[test]
fn no_fewer_faults_will_do() {
    let copies = [Kind::Drop, Kind::Duplicate];
    all(Bug::CountTwice, 1, &copies).expect("one fault does not show it");
    let failure = all(Bug::CountTwice, 2, &copies).expect_err("two do");
    assert_eq!(failure.schedule.lines.len(), 2);
    // Drops alone: the write that reaches one replica takes two, a reader that finds that replica and one that does not the
    // others.
    all(Bug::NoWriteBack, 3, &[Kind::Drop]).expect("three do not show it");
}

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
