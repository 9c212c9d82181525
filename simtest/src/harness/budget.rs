//! How long a test may look for something: by the clock, by a count, or until whoever has asked wants to know.

use std::io::Read as _;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::{env, io, thread};

use crate::explore::Budget;
use crate::runner::progress;

/// What `SIMTEST_BUDGET` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// `60s`.
    Seconds(u64),
    /// `5000`.
    Runs(u64),
}

pub(crate) fn asked_budget() -> Option<Asked> {
    let text = env::var("SIMTEST_BUDGET").ok()?;
    let asked = match text.strip_suffix('s') {
        Some(seconds) => seconds.parse().map(Asked::Seconds),
        None => text.parse().map(Asked::Runs),
    };
    Some(
        asked.unwrap_or_else(|_| {
            panic!("SIMTEST_BUDGET={text}: expected seconds like 60s, or a number of runs")
        }),
    )
}

/// How much a shrinker may do, and for how long.
pub(super) fn of_shrinker() -> (Budget, impl Fn() -> bool) {
    let (budget, seconds) = match asked_budget() {
        None => (Budget::default(), None),
        Some(Asked::Runs(runs)) => (Budget { events: u64::MAX, runs, ..Budget::default() }, None),
        Some(Asked::Seconds(seconds)) => (Budget { events: u64::MAX, ..Budget::default() }, Some(seconds)),
    };
    let in_time = clock(seconds.unwrap_or(u64::MAX));
    (budget, move || (seconds.is_none() || in_time()) && !is_stopped())
}

/// Whether so many seconds have not yet passed since this was called; tells how many have.
#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the budget is of real time")]
pub(crate) fn clock(seconds: u64) -> impl Fn() -> bool + Sync {
    let begun = std::time::Instant::now();
    let told = AtomicU64::new(u64::MAX);
    move || {
        let passed = begun.elapsed().as_secs();
        if told.swap(passed, Ordering::Relaxed) != passed {
            progress("seconds", passed, seconds);
        }
        passed < seconds
    }
}

/// Whether the command line wants to know what there is so far (`SIMTEST_STOP=stdin`: it closes the standard input).
pub(crate) fn is_stopped() -> bool {
    static WATCH: Once = Once::new();
    static STOPPED: AtomicBool = AtomicBool::new(false);
    WATCH.call_once(|| {
        if env::var("SIMTEST_STOP").is_ok_and(|by| by == "stdin") {
            thread::spawn(|| {
                let _ = io::stdin().read_to_end(&mut Vec::new());
                STOPPED.store(true, Ordering::Relaxed);
            });
        }
    });
    STOPPED.load(Ordering::Relaxed)
}
