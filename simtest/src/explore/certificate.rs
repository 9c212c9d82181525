//! The statement that no small schedule breaks a test.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use super::Bounds;
use super::enumerate::{Stopped, Walk};
use crate::choice::{FromSchedule, Kind, Origin};
use crate::failure::Failure;
use crate::harness::Class;
use crate::node::Node;
use crate::oracle::Verdict;
use crate::panics::Quiet;
use crate::runner::{failure, progress, threads};
use crate::schedule::Schedule;
use crate::sim::Sim;

/// What was enumerated, and did not fail.
///
/// It says nothing about more faults, other weathers, or faults with other parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// The name of the test.
    pub test: String,
    /// The most faults at once.
    pub faults: u32,
    /// How many weathers there were.
    pub weathers: u32,
    /// How many schedules there were with 0 faults, 1 fault, ..., over all weathers.
    pub schedules: Vec<u64>,
    /// The kinds of fault; those of streams only if there are any.
    pub kinds: Vec<Kind>,
    /// How many of the schedules were run again from the start, to see that branches go on like the original.
    pub checked: u64,
}

impl Certificate {
    /// How many schedules there were in all.
    pub fn total(&self) -> u64 {
        self.schedules.iter().sum()
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { test, faults, weathers, schedules, kinds, checked } = self;
        let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
        writeln!(f, "no schedule with at most {faults} faults, in {weathers} weathers, breaks {test}")?;
        write!(f, "  {} schedules:", self.total())?;
        for (faults, count) in schedules.iter().enumerate() {
            write!(f, "{} {count} with {faults}", if faults == 0 { "" } else { "," })?;
        }
        write!(f, "; faults: {}; {checked} run twice", words.join(", "))
    }
}

/// Runs every schedule within `bounds`, those with fewer faults first, on all cores.
///
/// The failure is one with the least number of faults. It is undecided
/// ([`Verdict::Unknown`](crate::Verdict::Unknown)) when there are more schedules than [`Bounds::at_most`]
/// (of [`Class::Vacuous`]), and when a run went another way than its repetition (of [`Class::Determinism`]).
pub fn certify<N: Node>(
    build: impl Fn() -> Sim<N> + Sync,
    bounds: &Bounds,
) -> Result<Certificate, Box<Failure>> {
    certify_levels(|_| build(), bounds).map_err(|broken| broken.failure)
}

/// Why there is no certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    /// A schedule does not pass.
    Failed,
    /// There are more schedules than the bounds allow.
    TooMany,
    /// A run went another way when it was repeated, or broke a law.
    Diverged,
}

/// What there is instead of a certificate.
pub(crate) struct Broken {
    pub(crate) reason: Reason,
    pub(crate) failure: Box<Failure>,
    /// The number of faults at which it broke.
    pub(crate) faults: u32,
    /// What holds of the levels before.
    pub(crate) holds: Option<Certificate>,
}

/// The same, level by level. `build` is given the seed of the nodes.
pub(crate) fn certify_levels<N: Node>(
    build: impl Fn(u64) -> Sim<N> + Sync,
    bounds: &Bounds,
) -> Result<Certificate, Broken> {
    let mut schedules = Vec::new();
    let mut checked = 0;
    for faults in 0..=bounds.faults {
        let done: u64 = schedules.iter().sum();
        match level(&build, bounds, faults, done) {
            Ok((judged, again)) => {
                schedules.push(judged);
                checked += again;
            }
            Err((reason, failure)) => {
                let less = faults.checked_sub(1);
                let holds = less.map(|less| certificate(&build(0), bounds, less, schedules, checked));
                return Err(Broken { reason, failure, faults, holds });
            }
        }
    }
    Ok(certificate(&build(0), bounds, bounds.faults, schedules, checked))
}

fn certificate<N: Node>(
    sim: &Sim<N>,
    bounds: &Bounds,
    faults: u32,
    schedules: Vec<u64>,
    checked: u64,
) -> Certificate {
    let streams = sim.run(FromSchedule::new(&Schedule::empty(&sim.test))).stats.streams > 0;
    let kinds = bounds.kinds.iter().copied().filter(|kind| streams || !kind.of_stream()).collect();
    Certificate { test: sim.test.clone(), faults, weathers: bounds.weathers, schedules, kinds, checked }
}

type Found = (u32, Stopped);

/// All schedules with exactly `faults` faults; `done` is the number of those with fewer.
fn level<N: Node>(
    build: &(impl Fn(u64) -> Sim<N> + Sync),
    bounds: &Bounds,
    faults: u32,
    done: u64,
) -> Result<(u64, u64), (Reason, Box<Failure>)> {
    let next = AtomicU32::new(0);
    let stop = AtomicBool::new(false);
    let total = Mutex::new((done, 0, None::<Found>));
    let work = || {
        let _quiet = Quiet::begin();
        loop {
            let weather = next.fetch_add(1, Ordering::Relaxed);
            if weather >= bounds.weathers || stop.load(Ordering::Relaxed) {
                break;
            }
            let origin = Origin { nodes: weather.into(), weather: Bounds::weather(weather) };
            let mut walk = Walk::new(build(origin.nodes).prepare(), bounds, origin);
            let mut result = walk.exactly(faults);
            progress(&format!("weathers-with-{faults}-faults"), weather.into(), bounds.weathers.into());
            let mut total = total.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            total.0 += walk.judged;
            total.1 += walk.checked;
            if result.is_ok() && total.0 > bounds.most {
                result = Err(Stopped::TooMany);
            }
            if let Err(stopped) = result {
                stop.store(true, Ordering::Relaxed);
                if total.2.as_ref().is_none_or(|(earlier, _)| weather < *earlier) {
                    total.2 = Some((weather, stopped));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads().min(bounds.weathers as usize) {
            scope.spawn(work);
        }
        work();
    });
    let (judged, checked, found) = total.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    match found {
        None => Ok((judged - done, checked)),
        Some((_, stopped)) => Err(explain(build, bounds, judged, stopped)),
    }
}

fn explain<N: Node>(
    build: &impl Fn(u64) -> Sim<N>,
    bounds: &Bounds,
    judged: u64,
    stopped: Stopped,
) -> (Reason, Box<Failure>) {
    let (mut reason, schedule, verdict) = match stopped {
        Stopped::Failed(schedule, verdict) => (Reason::Failed, schedule, verdict),
        Stopped::Diverged(schedule) => {
            let why = "a copy of the simulation went another way than a run from the start: does the clone of a \
                       node share something with the original?";
            (Reason::Diverged, schedule, Verdict::Unknown(why.into()))
        }
        Stopped::Unlawful(schedule, why) => {
            (Reason::Diverged, schedule, Verdict::Unknown(format!("the simulator broke a law: {why}")))
        }
        Stopped::TooMany => {
            let why = format!("more than {} schedules: undecided", bounds.most);
            (Reason::TooMany, Box::new(Schedule::empty(&build(0).test)), Verdict::Unknown(why))
        }
    };
    let mut found = failure(&build(schedule.nodes), None, FromSchedule::new(&schedule), judged);
    if reason == Reason::Failed && found.verdict != verdict {
        reason = Reason::Diverged;
        found.verdict =
            Verdict::Unknown(format!("{verdict}; but when run from the start: {}", found.verdict));
    } else {
        found.verdict = verdict;
    }
    match reason {
        Reason::Failed => {}
        Reason::TooMany => found.class = Class::Vacuous,
        Reason::Diverged => found.class = Class::Determinism,
    }
    (reason, Box::new(found))
}
