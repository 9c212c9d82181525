use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::probe::{Cmd, Probe, three};
use crate::{DiskOp, ms, secs};

fn fails_from(first: u64) -> impl Fn(u64) -> Sim<Probe> + Sync {
    move |seed| {
        let (mut sim, [a, b, _]) = three();
        sim.record(false).workload(|w| {
            w.at(ms(1)).cmd(a, Cmd::Send(b, vec!["X"]));
        });
        sim.invariant("small seeds only", move |v| seed < first || v.node(b).is_none_or(|b| b.got == 0));
        sim
    }
}

#[test]
fn passing_seeds_are_added_up() {
    let report = search(5..25, fails_from(100)).unwrap();
    assert_eq!(report.seeds, 20);
    assert_eq!((report.stats.sent, report.stats.delivered, report.stats.events), (20, 20, 20 * 5));
    assert_eq!(report.without_effect(), Kind::FAULTS[..8], "clocks and addresses only if asked for");
    assert!(report.to_string().contains("never mattered: drop"));
}

#[test]
fn the_lowest_failing_seed_is_reported() {
    for _ in 0..20 {
        let failure = search(0..100, fails_from(7)).unwrap_err();
        assert_eq!(failure.seed, Some(7));
        assert!(failure.trace.contains("b   < a>b#1"), "{}", failure.trace);
    }
}

#[test]
fn a_failure_says_how_to_see_it_again() {
    let failure = search(0..9, fails_from(7)).unwrap_err();
    let report = failure.report();
    for part in [
        "probe failed after",
        "seed      7",
        "small seeds only, after event 5",
        "does not hold",
        "SIMTEST_SEED=7",
    ] {
        assert!(report.contains(part), "{part} is missing:\n{report}");
    }
    let path = report.lines().find_map(|line| line.strip_prefix("  schedule  ")).unwrap();
    let (folder, name) = path.rsplit_once('/').unwrap();
    assert!(folder.ends_with("simtest") && name.starts_with("probe-small-seeds-only-"), "{path}");
    let other = Failure { schedule: Schedule::empty("probe"), ..*failure.clone() };
    assert_ne!(other.path("sched"), failure.path("sched"), "each has files of its own");
    assert_eq!(Schedule::parse(&fs::read_to_string(path).unwrap()), Ok(failure.schedule));
    fs::remove_file(path).unwrap();
    fs::remove_file(path.replace(".sched", ".trace")).unwrap();
}

/// Each run has one datagram more than the one before; the 20th fails.
fn more_and_more(runs: &AtomicU64) -> impl Fn(u64) -> Sim<Probe> + Sync {
    move |_| {
        let sends = runs.fetch_add(1, Ordering::Relaxed) as usize;
        let (mut sim, [a, b, _]) = three();
        sim.record(false).workload(|w| {
            w.at(ms(1)).cmd(a, Cmd::Flood(b, sends));
        });
        sim.invariant("few", move |v| sends != 20 || v.node(b).is_none_or(|b| b.got < 20));
        sim
    }
}

#[test]
fn a_seed_that_fails_once_only_is_told_with_the_first_record_that_differs() {
    let runs = AtomicU64::new(0);
    let failure = search(0..100, more_and_more(&runs)).unwrap_err();
    assert_eq!(failure.class, Class::Determinism);
    let report = failure.report();
    assert!(
        report.contains("two runs of one seed differ from record ") && report.contains("Flood"),
        "{report}"
    );
    assert_eq!(Class::Determinism as u8, 4);
}

#[test]
fn a_kind_that_never_happens_is_named() {
    let build = |loss, crash| {
        move |_| {
            let (mut sim, [a, b, _]) = three();
            sim.record(false).workload(|w| {
                w.at(ms(1)).cmd(a, Cmd::Flood(b, 50));
            });
            let chaos = crate::Chaos::none().loss(loss).breaks(1).quiet_for(secs(1));
            sim.campaign(if crash { chaos.crash(secs(1_000_000), ms(1)..ms(2)) } else { chaos });
            sim
        }
    };
    let report = search(0..3, build(1, true)).unwrap();
    assert_eq!(report.never_chosen(), [Kind::Drop, Kind::Crash], "there are no streams to break");
    assert!(report.to_string().contains("never happened: crash"), "{report}");
    assert!(search(0..3, build(500_000, false)).unwrap().never_chosen().is_empty());
}

#[test]
fn a_fault_that_the_test_sets_and_that_never_begins_is_named() {
    let build = |label: &'static str, late| {
        move |_| {
            let (mut sim, [a, b, _]) = three();
            sim.record(false).run_for(ms(50)).workload(|w| {
                w.at(ms(1)).cmd(a, Cmd::Send(b, vec!["X", "X"]));
            });
            sim.on(crate::on("Text X").from("a").nth(2), crate::Effect::Drop);
            sim.on(crate::on(label).to("b"), crate::Fault::pause("b").for_(ms(1)));
            sim.fault(crate::at(ms(if late { 70 } else { 30 })), crate::Fault::crash("c").for_(ms(1)));
            sim
        }
    };
    let report = search(0..3, build("Text Y", false)).unwrap();
    assert_eq!(report.idle, ["on \"Text Y\" to b, number 1"]);
    assert!(report.to_string().contains("never began: on \"Text Y\" to b, number 1"), "{report}");
    assert!(search(0..3, build("Text X", false)).unwrap().idle.is_empty());
    assert_eq!(search(0..3, build("Text X", true)).unwrap().idle, ["crash at 0.070 s"]);
}

#[test]
fn a_seed_runs_once_for_the_search_and_the_laws() {
    let builds = AtomicU64::new(0);
    let build = |seed| {
        builds.fetch_add(u64::from(seed == 5), Ordering::Relaxed);
        fails_from(100)(seed)
    };
    assert_eq!(search(5..9, build).unwrap().seeds, 4);
    assert_eq!(builds.into_inner(), 2, "for both, and for the report");
}

#[test]
#[should_panic(expected = "small seeds only")]
fn run_seeds_panics_with_the_report() {
    run_seeds(3..4, fails_from(3));
}

#[test]
fn a_node_that_looks_at_the_world_is_caught() {
    static BOOTS: AtomicU64 = AtomicU64::new(0);
    let build = |_| {
        let (mut sim, [a, ..]) = three();
        let bytes = BOOTS.fetch_add(1, Ordering::Relaxed).to_le_bytes().to_vec();
        sim.workload(|w| {
            w.at(ms(1)).cmd(a, Cmd::Store(DiskOp::Append { file: "log".into(), bytes: bytes.clone() }));
        });
        sim
    };
    let divergence = check_determinism(1, build).unwrap_err();
    assert_eq!(divergence.record, 7, "{divergence}");
    assert!(divergence.first.contains("Cmd") && divergence.second.contains("Cmd"));
    assert!(check_determinism(1, fails_from(5)).is_ok());
}
