//! A recording, run again by a test, and made shorter.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::{env, fs};

use super::{Input, Recording};
use crate::harness::{Asked, Class, asked_budget, clock, is_stopped, note};
use crate::panics::{self, Quiet};

/// Replays the recording that the command line asks for (`simtest replay FILE.rec`, `simtest shrink FILE.rec`), if it is one of
/// `protocol`; `false` if none is asked for, or one of another. To be called by a test named `simtest_recording`: that is how it is found.
///
/// `replay` gives the inputs to a new machine. With `compare` it also looks whether the machine puts out what it did when it was
/// recorded, as far as the recording says, and returns the first difference.
///
/// Shrinking goes on for 60 seconds, or as long as `SIMTEST_BUDGET` says.
///
/// # Panics
/// If the session does not end as it was recorded: a panic of the machine, or another output. If the file is damaged, or has no input.
pub fn replay_recording(protocol: &str, replay: impl Fn(&Recording, bool) -> Result<(), String>) -> bool {
    let Ok(path) = env::var("SIMTEST_RECORDING") else { return false };
    let refuse = |why: String| -> ! {
        let why = format!("{path}: {why}");
        note("failed", &why);
        panic!("{why}");
    };
    let bytes = fs::read(&path).unwrap_or_else(|error| refuse(error.to_string()));
    let its = Recording::protocol_of(&bytes).unwrap_or_else(|why| refuse(why));
    if its != protocol {
        note("other", protocol);
        return false;
    }
    let (recording, left) = Recording::parse_cut(&bytes).unwrap_or_else(|why| refuse(why));
    let (Some(first), Some(last)) = (recording.inputs.first(), recording.inputs.last()) else {
        refuse(format!("there is no input in it, and {left} bytes are left"));
    };
    let (count, span) = (recording.inputs.len(), (last.at - first.at) / 1_000_000);
    let mut what = format!("{count} inputs in {}.{:03} s", span / 1_000, span % 1_000);
    if left > 0 {
        let _ = write!(what, ", cut off after input {count}, {left} bytes left");
    }
    let run = |recording: &Recording, compare| caught(|| replay(recording, compare));
    let ended = run(&recording, true);
    if ended != run(&recording, true) {
        let why = format!("{what}: two replays differ: something depends on more than its inputs");
        note(Class::Determinism.word(), &why);
        panic!("{why}");
    }
    // A shortened recording is another session; what matters is that it still panics.
    let ended = match ended {
        Err(Ended { panicked: false, why }) => match run(&recording, false) {
            Err(short) if short.panicked => Err(short),
            _ => Err(Ended { panicked: false, why }),
        },
        ended => ended,
    };
    match ended {
        Ok(()) => {
            let text = format!("{what}: the same outputs as when it was recorded");
            println!("{text}");
            note("pass", &text);
            true
        }
        Err(Ended { panicked, why }) => {
            let mut report = format!("{what}: {why}");
            if panicked && env::var("SIMTEST_ONLY").is_ok_and(|only| only == "shrink") {
                let _quiet = Quiet::begin();
                let same = |candidate: &Recording| {
                    run(candidate, false).is_err_and(|ended| ended.panicked && ended.why == why)
                };
                report.push_str(&shortened(&recording, same, &path));
            }
            note(if panicked { Class::Crash } else { Class::Determinism }.word(), &report);
            panic!("{report}");
        }
    }
}

#[derive(PartialEq, Eq)]
struct Ended {
    panicked: bool,
    why: String,
}

fn caught(replay: impl FnOnce() -> Result<(), String>) -> Result<(), Ended> {
    match panics::caught(replay) {
        Ok(result) => result.map_err(|why| Ended { panicked: false, why }),
        Err(why) => Err(Ended { panicked: true, why: format!("panic: {why}") }),
    }
}

/// A recording can hold keys: nobody else may read it.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.write_all(bytes)
}

/// Makes it as short as the budget allows.
fn shortened(recording: &Recording, fails: impl Fn(&Recording) -> bool, path: &str) -> String {
    let budget = asked_budget().unwrap_or(Asked::Seconds(60));
    let (in_time, most) = match budget {
        Asked::Seconds(seconds) => (Some(clock(seconds)), u64::MAX),
        Asked::Runs(runs) => (None, runs),
    };
    let mut runs = 0;
    let (least, is_least) = recording.shrink_while(|shorter| {
        runs += 1;
        let goes_on = runs <= most && in_time.as_ref().is_none_or(|in_time| in_time()) && !is_stopped();
        goes_on.then(|| fails(shorter))
    });
    let mut text = shrunk(&least, path, recording.inputs.len());
    if !is_least {
        text.push_str("\n  cut short: with more --budget it may become shorter");
    }
    text
}

fn shrunk(least: &Recording, path: &str, before: usize) -> String {
    let file = Path::new(path).with_extension("min.rec");
    let mut text = format!("\nshrunk: {before} -> {} inputs", least.inputs.len());
    for input in least.inputs.iter().take(40) {
        let Input { at, kind, bytes, .. } = input;
        let (seconds, micros) = (at / 1_000_000_000, at / 1_000 % 1_000_000);
        let _ = write!(text, "\n  {seconds:>6}.{micros:06} s  kind {kind}, {} bytes", bytes.len());
    }
    match write_private(&file, &least.to_bytes()) {
        Ok(()) => text + &format!("\n  smallest  {}", file.display()),
        Err(error) => text + &format!("\n  smallest  could not be written to {}: {error}", file.display()),
    }
}
