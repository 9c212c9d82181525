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
    let result = recording.with_extension("result");
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "sessions::simtest_recording"])
        .env("SIMTEST_RECORDING", recording)
        .env("SIMTEST_ONLY", word)
        .env("SIMTEST_RESULT", &result)
        .output()
        .unwrap();
    let text = fs::read_to_string(&result).unwrap();
    let (class, report) = text.split_once('\n').unwrap();
    assert_eq!(status.status.success(), class == "pass");
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
