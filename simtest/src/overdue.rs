//! What a test does that does not end in time, or ends its process: the command line asks (`--timeout`, and once more for a test that is
//! gone without a word).
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the limit is of real time")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use crate::harness::note;

static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// Where what is under way is written, for whoever looks at it when this process is no more (`SIMTEST_UNDER_WAY`).
static TOLD_TO: OnceLock<PathBuf> = OnceLock::new();

/// The path of the test within its program.
static TEST: OnceLock<String> = OnceLock::new();

/// The runs that are under way, by the order in which they began.
static RUNS: Mutex<BTreeMap<u64, (What, Instant)>> = Mutex::new(BTreeMap::new());

/// What is run.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Seed(u64),
    /// A stored schedule, by its file.
    Stored(String),
    /// Another one, by its text.
    Schedule(String),
}

/// A run that is under way until this is dropped.
pub(crate) struct Run(Option<u64>);

/// A run begins. `what` is asked only where somebody wants to know.
pub(crate) fn run(what: impl FnOnce() -> What) -> Run {
    if !IS_ASKED.load(Ordering::Relaxed) {
        return Run(None);
    }
    let what = what();
    let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    let number = runs.last_key_value().map_or(0, |(last, _)| last + 1);
    runs.insert(number, (what, Instant::now()));
    if let Some(path) = TOLD_TO.get() {
        let test = TEST.get().map_or("", |path| path);
        // If it cannot be written, it will be missed there.
        let _ = fs::write(path, list(&runs, test, false));
    }
    Run(Some(number))
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Self(Some(number)) = self {
            RUNS.lock().unwrap_or_else(PoisonError::into_inner).remove(number);
        }
    }
}

/// Ends the process when the time that the command line has set is over (`SIMTEST_TIMEOUT`, in seconds), and tells what it was at. `path` is
/// that of the test.
pub(crate) fn watch(path: &str) {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if let Some(file) = env::var_os("SIMTEST_UNDER_WAY") {
        let _ = (TOLD_TO.set(file.into()), TEST.set(path.to_owned()));
        IS_ASKED.store(true, Ordering::Relaxed);
    }
    let Some(seconds) = env::var("SIMTEST_TIMEOUT").ok().and_then(|text| text.parse().ok()) else { return };
    IS_ASKED.store(true, Ordering::Relaxed);
    if WATCHED.swap(true, Ordering::Relaxed) {
        return;
    }
    let path = path.to_owned();
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(seconds));
        note("timeout", &told(&path, seconds));
        process::exit(2);
    });
}

fn told(path: &str, seconds: u64) -> String {
    // Whoever takes a run's time may hold nothing of this.
    let runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    format!("it has not ended within {seconds} s") + &list(&runs, path, true)
}

/// A line for each run; for how long it is under way, if that matters.
fn list(runs: &BTreeMap<u64, (What, Instant)>, path: &str, timed: bool) -> String {
    let mut text = String::new();
    for (what, begun) in runs.values() {
        let begun = begun.elapsed().as_secs_f64();
        let since = if timed { format!(" for {begun:.1} s") } else { String::new() };
        let _ = match what {
            What::Seed(seed) => write!(
                text,
                "\n  seed {seed} is under way{since}: SIMTEST_SEED={seed} cargo test {path} -- --nocapture"
            ),
            What::Stored(file) => write!(
                text,
                "\n  {file} is under way{since}: SIMTEST_SCHEDULE={file} cargo test {path} -- --nocapture"
            ),
            What::Schedule(schedule) => {
                let lines = schedule.trim_end().replace('\n', "\n    ");
                write!(text, "\n  this schedule is under way{since}:\n    {lines}")
            }
        };
    }
    text
}
