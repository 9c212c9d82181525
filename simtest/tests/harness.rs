//! `#[simtest::test]`: one body under all drivers, and what is said when it fails.

mod common;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
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
fn breaks_when_told_to(sim: &mut Sim<Ledger>, seed: u64) {
    let told = env::var("LEDGER_BREAKS").unwrap_or_default();
    assert_ne!(told, "body", "the body panics");
    let bug = if told == "1" { Bug::AckBeforeSync } else { Bug::None };
    fill(sim, bug, 2, 5, Link::wifi());
    sim.campaign(Chaos::default().until(secs(3)).quiet_for(secs(30)));
    if told == "hang" && seed == 7 {
        sim.invariant("ends", |v| {
            while v.now().as_millis() >= 3_000 {
                std::thread::yield_now();
            }
            Ok(())
        });
    }
    if told == "abort" && seed == 7 {
        sim.invariant("calm", |v| v.now().as_millis() < 3_000 || std::process::abort());
    }
    if told == "panic" {
        sim.invariant("calm", |v| v.now().as_millis() < 3_000 || panic!("asked to"));
    }
}

/// Judges by more than the run, if told to: the third look fails.
#[simtest::test(seeds = 0..3, exhaustive = 1, weathers = 1)]
fn looks_at_more_than_the_run(sim: &mut Sim<Ledger>) {
    fill(sim, Bug::None, 1, 1, Link::lan());
    sim.campaign(Chaos::none().loss(1_000).quiet_for(secs(30)));
    let (told, looks) = (env::var_os("LEDGER_LOOKS").is_some(), Cell::new(0));
    sim.finally("twice at most", move |_| !told || looks.replace(looks.get() + 1) < 2);
}

/// No fault can happen in it.
#[simtest::test(seeds = 0..3, exhaustive = 1, weathers = 1)]
fn has_no_faults(sim: &mut Sim<Ledger>) {
    fill(sim, Bug::None, 1, 1, Link::lan());
    sim.campaign(Chaos::none().quiet_for(secs(30)));
}

fn kept() -> String {
    env::var("LEDGER_KEPT").unwrap_or_else(|_| "tests/corpus/nowhere".into())
}

#[simtest::test(seeds = 0..3, corpus = &super::kept())]
fn keeps_its_schedules_elsewhere(sim: &mut Sim<Ledger>) {
    fill(sim, Bug::None, 1, 1, Link::lan());
}

mod within {
    use super::*;

    #[simtest::test(seeds = 0..3)]
    #[ignore = "to see that it is"]
    fn keeps_its_schedules_elsewhere(sim: &mut Sim<Ledger>) {
        fill(sim, Bug::None, 1, 1, Link::lan());
    }
}

#[simtest::test(seeds = 0..3)]
#[cfg(any())]
fn is_left_out(sim: &mut Sim<NoSuchNode>) {}

#[simtest::test(seeds = 0..3)]
#[should_panic(expected = "never holds")]
fn is_to_panic(sim: &mut Sim<Ledger>) {
    fill(sim, Bug::None, 1, 1, Link::lan());
    sim.finally("never holds", |_| false);
}

/// What it is to do sometimes, it does in its last seeds.
#[simtest::test(seeds = 0..6, strict)]
fn hits_its_mark_late(sim: &mut Sim<Ledger>, seed: u64) {
    fill(sim, Bug::None, 1, 1, Link::lan());
    sim.sometimes("a late seed", move |_| seed > 3);
}

/// Never does what it is to do sometimes.
#[simtest::test(seeds = 0..5)]
fn never_hits_its_mark(sim: &mut Sim<Ledger>) {
    fill(sim, Bug::None, 1, 1, Link::lan());
    sim.sometimes("pigs fly", |_| false);
}

fn child(test: &str, set: &[(&str, &str)]) -> (Output, String) {
    static CHILDREN: AtomicU32 = AtomicU32::new(0);
    let number = CHILDREN.fetch_add(1, Ordering::Relaxed);
    let result = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{number}"));
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
fn a_budget_of_runs_cuts_a_story_short() {
    let set = [("LEDGER_BREAKS", "1"), ("SIMTEST_BUDGET", "2")];
    let (_, result) = child("breaks_when_told_to", &set);
    assert!(
        result.starts_with("safety\n") && result.contains("\ncut short: this is the smallest so far"),
        "{result}"
    );
    let (_, result) = child("breaks_when_told_to", &set[..1]);
    assert!(result.starts_with("safety\n") && !result.contains("cut short"), "{result}");
}

#[test]
fn threads_that_help_find_the_same_story() {
    let story = |threads| {
        let (_, result) =
            child("breaks_when_told_to", &[("LEDGER_BREAKS", "1"), ("SIMTEST_THREADS", threads)]);
        let (_, story) = result.split_once("\nshrunk: ").unwrap();
        story.split("\n  schedule").next().unwrap().to_owned()
    };
    assert_eq!(story("1"), story("3"));
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

/// Whoever asks for fewer seeds than a test has wants to see them pass, not to hear that they are few.
#[test]
fn fewer_seeds_than_its_own_are_not_judged_by_what_they_did_not_meet() {
    let few = ("SIMTEST_SEEDS", "0..3");
    let (output, result) = child("hits_its_mark_late", &[few]);
    assert!(output.status.success() && result.starts_with("pass\n"), "{result}");
    let said = "3 seeds instead of 6: what they did not meet is not judged";
    assert!(String::from_utf8_lossy(&output.stderr).contains(said) && result.contains(said), "{result}");
    assert!(!result.contains("never hit: sometimes"), "{result}");
    for set in [&[few, ("SIMTEST_STRICT", "1")][..], &[("SIMTEST_SEEDS", "10..16")]] {
        let (output, result) = child("hits_its_mark_late", set);
        let is_judged = set.len() == 2;
        assert_eq!(output.status.success(), !is_judged, "{result}");
        assert!(result.starts_with(if is_judged { "vacuous\n" } else { "pass\n" }), "{result}");
        assert!(!result.contains("instead of"), "{result}");
    }
}

#[test]
fn what_shows_nothing_fails_when_strict() {
    for (test, set, why) in [
        ("breaks_when_told_to", &[("SIMTEST_SEEDS", "0..0"), ("SIMTEST_STRICT", "1")][..], "no seed was run"),
        ("has_no_faults", &[("SIMTEST_STRICT", "1")], "there is no fault to enumerate"),
        ("has_no_faults", &[("SIMTEST_CERTIFY", "2")], "there is no fault to enumerate"),
    ] {
        let (output, result) = child(test, set);
        assert!(!output.status.success() && result.starts_with("vacuous\n"), "{result}");
        assert!(result.contains(why), "{why} in {result}");
    }
}

#[test]
fn a_certificate_needs_runs_that_can_be_repeated() {
    let (output, result) = child("looks_at_more_than_the_run", &[]);
    assert!(output.status.success(), "{result}");
    for set in [&[("LEDGER_LOOKS", "1")][..], &[("LEDGER_LOOKS", "1"), ("SIMTEST_CERTIFY", "1")]] {
        let (output, result) = child("looks_at_more_than_the_run", set);
        assert!(!output.status.success() && result.starts_with("determinism\n"), "{result}");
        assert!(result.contains("but when run from the start"), "{result}");
    }
}

#[test]
fn panics_of_a_search_are_not_printed() {
    let (output, result) = child("breaks_when_told_to", &[("LEDGER_BREAKS", "panic")]);
    assert!(!output.status.success() && result.starts_with("crash\n"), "{result}");
    assert!(result.contains("why       asked to (") && result.contains("harness.rs:"), "{result}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.matches(" panicked at ").count(), 1, "only the test itself: {text}");
}

#[test]
fn attributes_below_are_those_of_the_test() {
    let listed = |arguments: &[&str]| {
        let output = Command::new(env::current_exe().unwrap()).arg("--list").args(arguments).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let ignored = listed(&["--ignored"]);
    assert_eq!(ignored.matches("::simtest: test").count(), 1, "{ignored}");
    assert!(ignored.contains("within::keeps_its_schedules_elsewhere::simtest: test"), "{ignored}");
    assert!(!listed(&[]).contains("is_left_out"));
}

#[test]
fn what_a_stored_schedule_says_is_compared() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("stale");
    fs::create_dir_all(&folder).unwrap();
    let kept = folder.to_str().unwrap();
    for (lines, why) in [
        ("test ledger\n", "test ledger match nothing any more"),
        ("expect a judge that is gone\n", "expect a judge that is gone match nothing any more"),
        ("f1 crash s at=9000s for=1ms disk=unsynced\n", "f1 match nothing any more"),
        ("test keeps_its_schedules_elsewhere\nexpect history\n", ""),
    ] {
        fs::write(folder.join("a.sched"), format!("simtest-sched 1\n{lines}")).unwrap();
        let set = [("LEDGER_KEPT", kept), ("SIMTEST_STRICT", "1")];
        let (_, result) = child("keeps_its_schedules_elsewhere", &set);
        assert!(result.contains(why) && result.contains("match nothing") != why.is_empty(), "{result}");
    }
}

#[test]
fn a_stale_schedule_that_is_replayed_is_told_by_its_name() {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("gone-stale.sched");
    fs::write(&file, "simtest-sched 1\nf1 crash s at=9000s for=1ms disk=unsynced\n").unwrap();
    let (output, result) = child("never_hits_its_mark", &[("SIMTEST_SCHEDULE", file.to_str().unwrap())]);
    assert!(!output.status.success() && result.starts_with("vacuous\nnever_hits_its_mark: "), "{result}");
    assert!(result.contains("gone-stale.sched is stale: it passes, but"), "{result}");
    assert!(result.contains("unmatched f1: these lines") && !result.contains("failed after"), "{result}");
    // Where it fails, the original is named too.
    let (_, result) = child("is_to_panic", &[("SIMTEST_SCHEDULE", file.to_str().unwrap())]);
    assert!(result.contains("  stored    ") && result.contains("gone-stale.sched\n"), "{result}");
}

#[test]
fn what_cannot_be_read_of_the_corpus_is_told() {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no-folder");
    fs::write(&file, "").unwrap();
    let (output, result) = child("keeps_its_schedules_elsewhere", &[("LEDGER_KEPT", file.to_str().unwrap())]);
    assert!(!output.status.success() && result.contains("no-folder: "), "{result}");
}

#[test]
fn stored_schedules_of_nobody_are_told() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("orphans");
    let _ = fs::remove_dir_all(&folder);
    let corpora = folder.join("tests/corpus");
    for name in
        ["harness-a_test_of_yesterday", "harness-ledger_survives_chaos", "another-test", "harness-empty"]
    {
        fs::create_dir_all(corpora.join(name)).unwrap();
        if name != "harness-empty" {
            fs::write(corpora.join(name).join("x.sched"), "").unwrap();
        }
    }
    let said = Command::new(env::current_exe().unwrap())
        .args(["--exact", "keeps_its_schedules_of_a_crate_elsewhere", "--include-ignored", "--nocapture"])
        .env("LEDGER_CRATE", &folder)
        .env_remove("SIMTEST_RESULT")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{text}");
    let told: Vec<&str> =
        text.lines().filter(|line| line.contains(" belongs to no test of this program")).collect();
    assert!(told.len() == 1 && told[0].contains("corpus/harness-a_test_of_yesterday belongs"), "{text}");
}

/// A test of a crate in another folder.
#[test]
#[ignore = "run by another test"]
fn keeps_its_schedules_of_a_crate_elsewhere() {
    let Ok(folder) = env::var("LEDGER_CRATE") else { return };
    simtest::Test::new("harness::of_a_crate", &folder)
        .seeds(0..1)
        .run(|sim: &mut Sim<Ledger>| fill(sim, Bug::None, 1, 1, Link::lan()));
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
        simtest_with(name, &[("LEDGER_BREAKS", if breaks { "1" } else { "" })], arguments)
    }

    fn simtest_with(name: &str, set: &[(&str, &str)], arguments: &str) -> (Option<i32>, String, String) {
        let exe = env::current_exe().unwrap();
        let package = folder(name).join("package");
        fs::create_dir_all(&package).unwrap();
        let message = artifact(&exe, &package, "test", true);
        let script = format!("echo \"$*\" > asked\necho '{message}'\n");
        simtest_by(name, &script, set, arguments)
    }

    /// As cargo 1.95 tells of what it has built.
    fn artifact(exe: &Path, package: &Path, kind: &str, test: bool) -> String {
        let (exe, package) = (exe.display(), package.display());
        format!(
            "{{\"reason\":\"compiler-artifact\",\"package_id\":\"path+file://{package}#t@0.1.0\",\
             \"manifest_path\":\"{package}/Cargo.toml\",\"target\":{{\"kind\":[\"{kind}\"],\"crate_types\":[\"bin\"],\
             \"name\":\"t\",\"src_path\":\"{package}/src/main.rs\",\"edition\":\"2024\",\"doc\":true,\"doctest\":false,\
             \"test\":true}},\"profile\":{{\"opt_level\":\"0\",\"debuginfo\":2,\"debug_assertions\":true,\
             \"overflow_checks\":true,\"test\":{test}}},\"features\":[],\"filenames\":[\"{exe}\"],\"executable\":\"{exe}\",\
             \"fresh\":true}}"
        )
    }

    fn folder(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
    }

    fn simtest_by(
        name: &str,
        script: &str,
        set: &[(&str, &str)],
        arguments: &str,
    ) -> (Option<i32>, String, String) {
        let folder = folder(name);
        fs::create_dir_all(&folder).unwrap();
        let cargo = folder.join("cargo");
        fs::write(&cargo, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_simtest"));
        command.args(arguments.split_whitespace()).current_dir(&folder).env("CARGO", cargo);
        command.env("LEDGER_KEPT", folder.join("kept")).envs(set.iter().copied());
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

    /// Beside its tests cargo builds the programs of a package. They are not run: they would do what they are for.
    #[test]
    fn programs_are_not_run() {
        let name = "cli-program";
        let package = folder(name).join("package");
        let _ = fs::remove_dir_all(folder(name));
        fs::create_dir_all(&package).unwrap();
        let program = folder(name).join("program");
        fs::write(&program, format!("#!/bin/sh\ntouch {}\n", folder(name).join("it-ran").display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let messages = [
            artifact(&program, &package, "bin", false),
            artifact(&env::current_exe().unwrap(), &package, "test", true),
        ];
        let script = messages.map(|message| format!("echo '{message}'\n")).concat();
        let (code, text, errors) = simtest_by(name, &script, &[], "run keeps_its_schedules");
        assert_eq!((code, text.matches(" pass ").count()), (Some(0), 1), "{text}{errors}");
        assert!(!folder(name).join("it-ran").exists());
    }

    #[test]
    fn recordings_that_cannot_be_read_have_an_exit_code() {
        let name = "cli-recordings";
        let _ = fs::remove_dir_all(folder(name));
        fs::create_dir_all(folder(name)).unwrap();
        for (bytes, code, why) in [
            ("PK\u{3}\u{4}", 70, "it.rec: not a recording"),
            ("simtest-rec 1 x/1\n", 70, "it.rec: a recording of version 1"),
            ("simtest-rec 2 x/1\n", 64, "it.rec is of x/1, which no test `simtest_recording` here replays"),
        ] {
            fs::write(folder(name).join("it.rec"), bytes).unwrap();
            let (ended, text, errors) = simtest(name, false, "replay it.rec");
            assert_eq!((ended, &text[..]), (Some(code), ""), "{errors}");
            assert!(errors.contains(why) && !errors.contains("panicked"), "{errors}");
        }
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

    /// Of several failures the gravest counts, whichever comes first.
    #[test]
    fn the_gravest_failure_is_the_exit_code() {
        let set = [("LEDGER_BREAKS", "panic"), ("LEDGER_LOOKS", "1")];
        let (code, text, _) = simtest_with("cli-several", &set, "run s");
        assert_eq!(code, Some(1), "{text}");
        let words: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix(" ")?.split_whitespace().nth(1)).collect();
        assert!(words.contains(&"crash") && words.contains(&"determinism"), "{text}");
    }

    #[test]
    fn runs_that_differ_have_an_exit_code_of_their_own() {
        for command in ["run looks_at_more_than_the_run", "certify looks_at_more_than_the_run"] {
            let (code, text, _) = simtest_with("cli-differs", &[("LEDGER_LOOKS", "1")], command);
            assert_eq!(code, Some(4), "{text}");
        }
    }

    #[test]
    fn a_test_that_never_ends_is_stopped() {
        let set = [("LEDGER_BREAKS", "hang")];
        let (code, text, _) = simtest_with("cli-hangs", &set, "run breaks_when_told_to --timeout 2s");
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(" timeout ") && text.contains("it has not ended within 2 s\n"), "{text}");
        let again = ": SIMTEST_SEED=7 cargo test breaks_when_told_to::simtest -- --nocapture";
        assert!(text.contains("seed 7 is under way for ") && text.contains(again), "{text}");
        let (code, text, _) = simtest("cli-hangs", false, "run breaks_when_told_to --timeout 600s");
        assert_eq!(code, Some(0), "{text}");
    }

    /// There is nobody left who could say so.
    #[test]
    fn a_test_that_ends_its_process_is_told_with_its_seed() {
        let set = [("LEDGER_BREAKS", "abort")];
        let (code, text, _) = simtest_with("cli-aborts", &set, "run breaks_when_told_to --jobs 1");
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("the test's process has ended by itself: signal: 6"), "{text}");
        let again =
            "seed 7 is under way: SIMTEST_SEED=7 cargo test breaks_when_told_to::simtest -- --nocapture";
        assert!(text.contains(again) && text.matches(" is under way").count() == 1, "{text}");
    }

    #[test]
    fn what_passes_has_nothing_to_shrink_or_explain() {
        for (word, end) in [("shrink", "shrink"), ("why", "explain")] {
            let command = format!("{word} breaks_when_told_to 1");
            let (code, text, _) = simtest(&format!("cli-passes-{word}"), false, &command);
            let expected = format!("breaks_when_told_to passes: there is nothing to {end}\n");
            assert_eq!((code, text), (Some(0), expected));
        }
    }

    #[test]
    fn a_curve_is_told_in_words_or_json() {
        let seed = failing("cli-why");
        let (code, text, errors) = simtest("cli-why", true, &format!("why breaks_when_told_to {seed}"));
        assert_eq!(code, Some(3));
        assert!(errors.contains("breaks_when_told_to moments "), "{errors}");
        assert!(text.starts_with("how often history fails") && !text.contains("shrunk"), "{text}");
        let (code, text, _) = simtest("cli-why", true, &format!("why breaks_when_told_to {seed} --json"));
        assert_eq!(code, Some(3));
        let curve = "\"curve\":{\"oracle\":\"history\",\"moments\":[{\"step\":0,\"t\":";
        let (progress, results): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.contains("\"phase\":\"moments\""));
        assert!(results.len() == 1 && results[0].contains(curve) && !progress.is_empty(), "{text}");
        let (code, text, errors) = simtest("cli-why", true, &format!("shrink breaks_when_told_to {seed}"));
        assert_eq!(code, Some(3));
        assert!(errors.contains("shrinking, of its budget 0/100"), "{errors}");
        assert!(text.contains("shrunk: "), "{text}");
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
        assert_eq!((code, text), (Some(70), String::new()));
        assert!(errors.contains("cargo/x: ") && !errors.contains("usage:"), "{errors}");
    }

    #[test]
    fn what_was_not_written_is_not_shown() {
        let script = fs::read_to_string(folder("cli-shown").join("cargo"));
        let (code, _, _) = simtest("cli-shown", false, "show breaks_when_told_to 1 --html --out page.html");
        assert_eq!(code, Some(0), "{script:?}");
        let script = fs::read_to_string(folder("cli-shown").join("cargo")).unwrap();
        let script = script.trim_start_matches("#!/bin/sh\n");
        let command = "show breaks_when_told_to 1 --html --out page.html";
        let (code, text, errors) = simtest_by("cli-shown", script, &[("LEDGER_BREAKS", "body")], command);
        assert_eq!((code, text), (Some(70), String::new()));
        assert!(
            errors.contains("page.html was not written: ") && errors.contains("the body panics"),
            "{errors}"
        );
    }

    #[test]
    fn an_ignored_test_runs_when_it_is_named() {
        let (code, text, _) = simtest("cli-ignored", false, "run keeps_its_schedules");
        assert_eq!((code, text.matches(" pass ").count()), (Some(0), 1), "{text}");
        let (code, text, _) = simtest("cli-ignored", false, "run within::keeps_its_schedules_elsewhere");
        assert_eq!((code, text.matches(" pass ").count()), (Some(0), 1), "{text}");
    }

    #[test]
    fn a_budget_has_its_progress() {
        let command = "run breaks_when_told_to --seeds 0..3 --budget 0s";
        let (code, text, errors) = simtest("cli-budget", false, command);
        assert_eq!(code, Some(0), "{text}");
        assert!(errors.contains("1/1 breaks_when_told_to seconds 0/"), "{errors}");
    }

    #[test]
    fn what_cargo_says_is_passed_on() {
        let script = "echo 'error[E0308]: mismatched types' >&2\nexit 101\n";
        let (code, text, errors) = simtest_by("cli-broken", script, &[], "run");
        assert_eq!((code, text), (Some(70), String::new()));
        assert_eq!(errors, "error[E0308]: mismatched types\nsimtest: cargo could not build the tests\n");
        let command =
            "run breaks_when --seeds 0..1 --package p --features x,y --no-default-features --release";
        let (code, text, _) = simtest("cli-asked", false, command);
        assert_eq!(code, Some(0), "{text}");
        let asked = fs::read_to_string(folder("cli-asked").join("asked")).unwrap();
        let expected = "test --no-run --message-format=json-render-diagnostics --quiet --package p --features x,y \
                        --no-default-features --release\n";
        assert_eq!(asked, expected);
    }

    #[test]
    fn schedules_are_kept_where_their_test_looks_for_them() {
        let name = "cli-corpus";
        let _ = fs::remove_dir_all(folder(name));
        fs::create_dir_all(folder(name)).unwrap();
        let text = "simtest-sched 1\ntest keeps_its_schedules_elsewhere\nnodes 1\nweather flat\n\
                    f1 drop a>b \"X\" occ=1\nexpect exactly once\n";
        fs::write(folder(name).join("x.sched"), text).unwrap();
        let (code, path, errors) = simtest(name, false, "corpus add x.sched");
        assert_eq!(code, Some(0), "{errors}");
        assert!(path.starts_with("kept/exactly-once-"), "{path}");
        assert_eq!(fs::read_to_string(folder(name).join(path.trim())).unwrap(), text);
        let own = |listed: &str| -> Vec<String> {
            listed.lines().filter(|line| !line.contains("ledger_survives")).map(String::from).collect()
        };
        let (_, json, _) = simtest(name, false, "corpus list --json");
        assert_eq!(own(&json), [format!("{{\"file\":\"{}\",\"expect\":\"exactly once\"}}", path.trim())]);
        let gone = folder(name).join("package/tests/corpus/gone");
        fs::create_dir_all(&gone).unwrap();
        fs::write(gone.join("y.sched"), text).unwrap();
        let (code, pruned, errors) = simtest(name, false, "corpus prune --dry-run");
        assert_eq!(code, Some(0), "{errors}");
        let expected = [
            format!("{}  lines of it match nothing any more", path.trim()),
            "package/tests/corpus/gone/y.sched  there is no test that it belongs to".to_owned(),
        ];
        // Its test may be there with other features.
        assert_eq!(own(&pruned), expected[..1]);
        assert!(errors.contains("1 schedules belong to no test that was built"), "{errors}");
        let (_, pruned, _) = simtest(name, false, "corpus prune --dry-run --orphans");
        assert_eq!(own(&pruned), expected);
        let (_, pruned, _) = simtest(name, false, "corpus prune --dry-run --orphans --test harness");
        assert_eq!(own(&pruned), expected[..1], "others are not known then");
        let (_, _, errors) = simtest(name, false, "run --seeds 0..1");
        let orphan = "simtest: package/tests/corpus/gone belongs to no test that was built";
        assert_eq!(errors.matches("belongs to no test").count(), 1, "{errors}");
        assert!(errors.contains(orphan), "{errors}");
        let (code, _, errors) = simtest(name, false, "corpus add package/tests/corpus/gone/z.sched");
        assert_eq!(code, Some(70), "{errors}");
    }
}
