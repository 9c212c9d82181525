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
    assert!(text.contains(&format!("  replay    simtest replay --sched {path}\n")), "{text}");
    let again = format!("SIMTEST_SCHEDULE={path} cargo test breaks_when_told_to::simtest -- --nocapture\n");
    assert!(text.contains(&again), "{text}");
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

/// The command line, with this binary for all that cargo has built.
#[cfg(unix)]
mod command_line {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn simtest(name: &str, breaks: bool, arguments: &str) -> (Option<i32>, String, String) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let cargo = folder.join("cargo");
        let exe = env::current_exe().unwrap();
        let message = format!("{{\"test\":true}},\"executable\":\"{}\"", exe.display());
        fs::write(&cargo, format!("#!/bin/sh\necho '{message}'\n")).unwrap();
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_simtest"));
        command.args(arguments.split_whitespace()).current_dir(&folder).env("CARGO", cargo);
        if breaks {
            command.env("LEDGER_BREAKS", "1");
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// A seed that fails where the defect is.
    fn failing(name: &str) -> String {
        let (code, text, _) = simtest(name, true, "run breaks_when_told_to");
        assert_eq!(code, Some(3), "{text}");
        let line = text.lines().find_map(|line| line.trim().strip_prefix("seed "));
        line.unwrap_or_else(|| panic!("{text}")).trim().to_owned()
    }

    #[test]
    fn progress_is_told_in_lines_or_objects() {
        let (code, _, errors) = simtest("cli-progress", false, "run ledger_survives --seeds 0..80");
        assert_eq!(code, Some(0), "{errors}");
        let of = "1/1 ledger_survives_chaos";
        assert!(errors.contains(&format!("{of} weathers with 1 faults ")), "{errors}");
        assert!(errors.contains(&format!("{of} seeds ")), "{errors}");
        let quarters = errors.lines().filter(|line| line.contains(" seeds ")).count();
        assert!(quarters <= 5 && !errors.contains('\r'), "{errors}");
        let (_, objects, errors) = simtest("cli-progress", false, "run ledger_survives --seeds 0..80 --json");
        assert!(!errors.contains("seeds"), "{errors}");
        let head = "{\"command\":\"run\",\"test\":\"ledger_survives_chaos\",";
        assert!(objects.lines().all(|line| line.starts_with(head) && line.ends_with('}')), "{objects}");
        assert!(objects.contains("\"phase\":\"seeds\",\"done\":0,\"of\":80}"), "{objects}");
        assert!(objects.lines().last().is_some_and(|line| line.contains("\"result\":\"pass\",\"code\":0")));
    }

    #[test]
    fn what_passes_has_nothing_to_shrink_or_explain() {
        for (word, end) in [("shrink", "shrink"), ("why", "explain")] {
            let (code, text, _) = simtest("cli-passes", false, &format!("{word} breaks_when_told_to 1"));
            let expected = format!("breaks_when_told_to passes: there is nothing to {end}\n");
            assert_eq!((code, text), (Some(0), expected));
        }
    }

    #[test]
    fn a_curve_is_told_in_words_or_json() {
        let seed = failing("cli-why");
        let (code, text, _) = simtest("cli-why", true, &format!("why breaks_when_told_to {seed}"));
        assert_eq!(code, Some(3));
        assert!(text.starts_with("how often history fails") && !text.contains("shrunk"), "{text}");
        let (code, text, _) = simtest("cli-why", true, &format!("why breaks_when_told_to {seed} --json"));
        assert_eq!(code, Some(3));
        let curve = "\"curve\":{\"oracle\":\"history\",\"moments\":[{\"step\":0,\"t\":";
        assert!(text.contains(curve) && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn what_a_run_does_not_have_cannot_be_shown() {
        for (view, why) in [
            ("host=nobody", "there is no host `nobody`, only "),
            ("around=f999", "nothing in this run is called f999"),
        ] {
            let command = format!("replay breaks_when_told_to 1 --view {view}");
            let (code, _, errors) = simtest("cli-view", false, &command);
            assert_eq!(code, Some(64));
            assert!(errors.contains(why) && !errors.contains("panicked"), "{errors}");
        }
        let shown = simtest("cli-view", false, "show breaks_when_told_to 1 --html --out page.html");
        assert_eq!((shown.0, shown.1), (Some(0), "page.html\n".into()));
        // What was there before is not taken for what was asked for.
        let (code, text, errors) =
            simtest("cli-view", false, "show breaks_when_told_to 1 --html --out cargo/x");
        assert_eq!((code, text), (Some(64), String::new()));
        assert!(errors.contains("cargo/x: "), "{errors}");
    }
}
