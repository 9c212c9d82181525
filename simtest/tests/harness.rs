//! `#[simtest::test]`: one body under all drivers, and what is said when it fails.

mod common;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::{env, fs};

use common::ledger::{Bug, Ledger};
use common::setup::fill;
use simtest::{Chaos, FromBytes, FromSeed, Link, Sim, secs};

#[simtest::test(seeds = 0..60, exhaustive = 1, weathers = 2, strict)]
fn ledger_survives_chaos(sim: &mut Sim<Ledger>) {
    fill(sim, Bug::None, 2, 5, Link::wifi());
    sim.campaign(Chaos::default().until(secs(3)).quiet_for(secs(30)));
    sim.sometimes("a put waits", |v| v.nodes().any(|(_, node)| node.open() > 1));
}

/// What a fuzzer does with the same body.
#[test]
fn the_body_runs_under_a_byte_tape_and_branches() {
    for tape in [&[][..], &[1, 2, 255, 255, 3, 4, 255], &[7; 200], &[255; 64]] {
        let mut sim = Sim::new("ledger_survives_chaos");
        ledger_survives_chaos(&mut sim);
        sim.run(FromBytes::new(tape)).assert_pass();
    }
    let mut sim = Sim::new("ledger_survives_chaos");
    ledger_survives_chaos(&mut sim);
    let mut run = sim.start(FromSeed::new(1));
    run.until(secs(1));
    for salt in 0..20 {
        run.branch(FromSeed::new(salt)).finish().assert_pass();
    }
}

/// Fails only in a process that is told to.
#[simtest::test(seeds = 0..60)]
fn breaks_when_told_to(sim: &mut Sim<Ledger>) {
    let bug = if env::var_os("LEDGER_BREAKS").is_some() { Bug::AckBeforeSync } else { Bug::None };
    fill(sim, bug, 2, 5, Link::wifi());
    sim.campaign(Chaos::default().until(secs(3)).quiet_for(secs(30)));
}

/// Never does what it is to do sometimes.
#[simtest::test(seeds = 0..5)]
fn never_hits_its_mark(sim: &mut Sim<Ledger>) {
    fill(sim, Bug::None, 1, 1, Link::lan());
    sim.sometimes("pigs fly", |_| false);
}

fn child(test: &str, set: &[(&str, &str)]) -> (Output, String) {
    let result = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", set.len()));
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", &format!("{test}::simtest"), "--nocapture"]).env("SIMTEST_RESULT", &result);
    for name in ["SIMTEST_SEED", "SIMTEST_SCHEDULE", "SIMTEST_SEEDS", "SIMTEST_STRICT"] {
        command.env_remove(name);
    }
    let output = command.envs(set.iter().copied()).output().unwrap();
    (output, fs::read_to_string(result).unwrap_or_default())
}

#[test]
fn a_failure_is_told_with_its_smallest_story() {
    let (output, result) = child("breaks_when_told_to", &[("LEDGER_BREAKS", "1")]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(result.starts_with("safety\n"), "{result}");
    for part in [
        "breaks_when_told_to failed after ",
        "oracle    history",
        "shrunk: ",
        " crash s at=",
        "without f1: passes",
        "inevitable after ",
        "it fails in the same way in a new process",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let path = text.lines().find_map(|line| line.trim().strip_prefix("smallest")).unwrap().trim();
    let replay = [("LEDGER_BREAKS", "1"), ("SIMTEST_SCHEDULE", path)];
    let (output, _) = child("breaks_when_told_to", &replay);
    assert!(String::from_utf8_lossy(&output.stdout).contains("f1 CRASH"));
    assert!(!output.status.success(), "it fails as long as the bug is there");
    let (output, result) = child("breaks_when_told_to", &replay[1..]);
    assert!(output.status.success(), "without the bug it passes");
    assert_eq!(result, "pass\n");
}

#[test]
fn vacuity_is_said_and_fails_when_strict() {
    let (output, result) = child("never_hits_its_mark", &[]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("never hit: sometimes \"pigs fly\""));
    assert!(result.starts_with("pass\n"));
    let (output, result) = child("never_hits_its_mark", &[("SIMTEST_STRICT", "1")]);
    assert!(!output.status.success());
    assert!(result.starts_with("vacuous\n"), "{result}");
}

#[test]
fn seeds_are_chosen_by_the_environment() {
    let (_, result) = child("breaks_when_told_to", &[("SIMTEST_SEEDS", "100..103")]);
    assert!(result.contains("3 seeds passed"), "{result}");
}
