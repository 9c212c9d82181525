//! What a test does that does not end in time: the command line asks, and stops it (`--timeout`).
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the limit is of real time")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use crate::harness::note;

static IS_ASKED: AtomicBool = AtomicBool::new(false);

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
    let Some(seconds) = env::var("SIMTEST_TIMEOUT").ok().and_then(|text| text.parse().ok()) else { return };
    if IS_ASKED.swap(true, Ordering::Relaxed) {
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
    let mut text = format!("it has not ended within {seconds} s");
    // Whoever takes a run's time may hold nothing of this.
    let runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    for (what, begun) in runs.values() {
        let begun = begun.elapsed().as_secs_f64();
        let _ = match what {
            What::Seed(seed) => write!(
                text,
                "\n  seed {seed} is under way for {begun:.1} s: SIMTEST_SEED={seed} cargo test {path} -- --nocapture"
            ),
            What::Stored(file) => write!(
                text,
                "\n  {file} is under way for {begun:.1} s: SIMTEST_SCHEDULE={file} cargo test {path} -- --nocapture"
            ),
            What::Schedule(schedule) => {
                let lines = schedule.trim_end().replace('\n', "\n    ");
                write!(text, "\n  this schedule is under way for {begun:.1} s:\n    {lines}")
            }
        };
    }
    text
}
