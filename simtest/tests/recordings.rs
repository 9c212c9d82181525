//! Recorded sessions in which the machine panics: they panic again, and can be shortened.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use simtest::{Input, Recording};

const PROTOCOL: &str = "counter/1";

/// Counts what it is told, and cannot bear to have been told 1, 2 and 4. Every count is an output.
#[derive(Default)]
struct Counter {
    count: u8,
    told: u8,
}

impl Counter {
    fn tell(&mut self, number: u8) -> u8 {
        self.told |= number;
        assert!(self.told & 7 != 7, "one, two and four");
        self.count += 1;
        self.count
    }
}

/// An input is a number, and the count that came out, which is missing where the machine panicked.
fn replay(recording: &Recording, compare: bool) -> Result<(), String> {
    let mut counter = Counter::default();
    for Input { bytes, .. } in &recording.inputs {
        let count = counter.tell(bytes[0]);
        if compare && bytes.get(1).is_some_and(|recorded| *recorded != count) {
            return Err(format!("{count}, not {}", bytes[1]));
        }
    }
    Ok(())
}

mod sessions {
    #[test]
    fn simtest_recording() {
        simtest::replay_recording(super::PROTOCOL, super::replay);
    }
}

fn file(name: &str, inputs: &[&[u8]]) -> PathBuf {
    let inputs = inputs.iter().zip(1..).map(|(bytes, at)| Input {
        at: at * 1_000,
        unix_ms: at,
        kind: 0,
        bytes: bytes.to_vec(),
    });
    let recording = Recording { protocol: PROTOCOL.into(), inputs: inputs.collect() };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, recording.to_bytes()).unwrap();
    path
}

/// What the command line gets to see: the class of the end, and the report.
fn run(word: &str, recording: &Path) -> (String, String) {
    run_with(word, recording, &[])
}

fn run_with(word: &str, recording: &Path, set: &[(&str, &str)]) -> (String, String) {
    let result = recording.with_extension("result");
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "sessions::simtest_recording"])
        .env("SIMTEST_RECORDING", recording)
        .env("SIMTEST_ONLY", word)
        .env("SIMTEST_RESULT", &result)
        .envs(set.iter().copied())
        .output()
        .unwrap();
    let text = fs::read_to_string(&result).unwrap();
    let (class, report) = text.split_once('\n').unwrap();
    assert_eq!(status.status.success(), ["pass", "other"].contains(&class));
    (class.to_owned(), report.to_owned())
}

#[test]
fn a_sound_session_passes() {
    let session = file("sound.rec", &[&[1, 1], &[2, 2], &[8, 3]]);
    let (class, report) = run("replay", &session);
    assert_eq!(class, "pass");
    assert!(report.contains("3 inputs") && report.contains("the same outputs"), "{report}");
}

#[test]
fn another_output_is_told() {
    let session = file("other.rec", &[&[1, 1], &[2, 4]]);
    assert_eq!(run("replay", &session).0, "determinism");
}

#[test]
fn a_panic_comes_again_and_is_shortened() {
    let session = file("panic.rec", &[&[0, 1], &[1, 2], &[8, 3], &[2, 4], &[16, 5], &[1, 6], &[4]]);
    let (class, report) = run("replay", &session);
    assert_eq!(class, "crash");
    assert!(report.contains("panic: one, two and four"), "{report}");

    let (class, report) = run("shrink", &session);
    assert_eq!(class, "crash");
    assert!(report.contains("shrunk: 7 -> 4 inputs"), "{report}");

    // It is another session than was recorded, and panics all the same.
    let least = session.with_extension("min.rec");
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&least.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "a recording can hold keys");
    }
    let (class, report) = run("replay", &least);
    assert_eq!(class, "crash", "{report}");
    assert!(report.contains("4 inputs") && report.contains("panic: one, two and four"), "{report}");
}

#[test]
fn what_is_no_whole_recording_is_told() {
    let path = file("cut.rec", &[&[1, 1], &[2, 2], &[8, 3]]);
    let whole = fs::read(&path).unwrap();
    // In the middle of the last input.
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    let (class, report) = run("replay", &path);
    assert_eq!(class, "pass");
    assert!(
        report.contains("2 inputs") && report.contains("cut off after input 2, 6 bytes left"),
        "{report}"
    );

    let mut damaged = whole.clone();
    damaged[whole.len() - 9] ^= 1;
    let none = format!("simtest-rec 2 {PROTOCOL}\n");
    for (bytes, why) in [
        (&damaged[..], "damaged: inputs 1 to 3"),
        (none.as_bytes(), "there is no input in it, and 0 bytes are left"),
        (&[none.as_bytes(), &[0xff; 40]].concat(), "there is no input in it, and 40 bytes are left"),
        (b"PK\x03\x04", "not a recording"),
    ] {
        fs::write(&path, bytes).unwrap();
        let (class, report) = run("replay", &path);
        assert_eq!(class, "failed");
        assert!(report.contains(why), "{report}");
    }
    fs::write(&path, "simtest-rec 2 another/1\n").unwrap();
    assert_eq!(run("replay", &path), ("other".into(), PROTOCOL.into()));
}

#[test]
fn shrinking_has_a_budget() {
    let session = file("budget.rec", &[&[0], &[1], &[8], &[2], &[16], &[1], &[4]]);
    let (class, report) = run_with("shrink", &session, &[("SIMTEST_BUDGET", "0s")]);
    assert_eq!(class, "crash");
    assert!(report.contains("shrunk: 7 -> 7 inputs") && report.contains("cut short"), "{report}");
    let (_, report) = run_with("shrink", &session, &[("SIMTEST_BUDGET", "1")]);
    assert!(report.contains("cut short"), "{report}");
    let (_, report) = run_with("shrink", &session, &[("SIMTEST_BUDGET", "3600s")]);
    assert!(report.contains("shrunk: 7 -> 4 inputs") && !report.contains("cut short"), "{report}");
}
