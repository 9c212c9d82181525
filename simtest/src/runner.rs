//! Campaigns over many seeds, and single runs that are asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::{env, fs, thread};

use crate::choice::{Chooser, FromSchedule, FromSeed, Kind};
use crate::explore::{Budget, why, why_in_short};
use crate::failure::Failure;
use crate::harness::{Class, Marks, show, stale, tell_verdict};
use crate::node::Node;
use crate::oracle::Verdict;
use crate::outcome::Outcome;
use crate::overdue::{self, What};
use crate::panics::Quiet;
use crate::schedule::Schedule;
use crate::sim::Sim;
use crate::stats::Stats;
use crate::trace::{Trace, TraceView};

/// The result of a campaign in which every seed passed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// How many seeds were run.
    pub seeds: u64,
    /// Everything that was counted, added up.
    pub stats: Stats,
    /// The names of those [`Sim::sometimes`] that no run has hit.
    pub never: Vec<String>,
    /// Faults that the test sets and that began in no run: triggers ([`Sim::on`]) whose datagram was never sent, and faults at a time
    /// ([`Sim::fault`]) that no run has reached.
    pub idle: Vec<String>,
    /// Kinds of fault that the test asks for.
    able: Vec<Kind>,
}

impl Report {
    fn new<N: Node>(sim: &Sim<N>, seeds: u64, stats: &Stats, marks: Marks) -> Self {
        let missed = |(index, (name, _)): (usize, &(String, _))| (!marks.has(index)).then(|| name.clone());
        let never = sim.sometimes.iter().enumerate().filter_map(missed).collect();
        Self { seeds, stats: *stats, never, idle: sim.idle(marks), able: sim.able() }
    }

    /// The two together.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.seeds += other.seeds;
        self.stats += other.stats;
        self.never.retain(|name| other.never.contains(name));
        self.idle.retain(|fault| other.idle.contains(fault));
        self
    }

    /// Kinds of fault that happened, but never made a difference.
    pub fn chosen_without_effect(&self) -> Vec<Kind> {
        let chosen = |kind: &Kind| self.stats.faults(*kind).chosen > 0;
        self.without_effect().into_iter().filter(chosen).collect()
    }

    /// Kinds of fault that the test asks for, but that never happened. Those of datagrams, and of streams, only if there were such.
    pub fn never_chosen(&self) -> Vec<Kind> {
        let met = |kind: &Kind| match kind {
            kind if kind.of_stream() => self.stats.records > 0,
            kind if kind.of_datagram() => self.stats.sent > 0,
            _ => true,
        };
        let idle = |kind: &Kind| met(kind) && self.stats.faults(*kind).chosen == 0;
        self.able.iter().copied().filter(idle).collect()
    }

    /// Kinds of fault that never made a difference: the campaign says nothing about them. Those of clocks, addresses and
    /// streams only if there were such faults.
    pub fn without_effect(&self) -> Vec<Kind> {
        let asked = |kind: &Kind| kind.is_usual() || self.stats.faults(*kind).chosen > 0;
        let idle = |kind: &Kind| asked(kind) && self.stats.faults(*kind).mattered == 0;
        Kind::FAULTS.into_iter().filter(idle).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} seeds passed", self.seeds)?;
        self.stats.fmt(f)?;
        if self.stats.unlabelled > 0 {
            let count = self.stats.unlabelled;
            write!(
                f,
                "\n{count} datagrams have no label (see Dissect): schedules know them by position only"
            )?;
        }
        for name in &self.never {
            write!(f, "\nnever hit: {name}")?;
        }
        for fault in &self.idle {
            write!(f, "\nnever began: {fault}")?;
        }
        for kind in self.never_chosen() {
            write!(f, "\nnever happened: {}", kind.word())?;
        }
        for kind in self.without_effect() {
            write!(f, "\nnever mattered: {}", kind.word())?;
        }
        Ok(())
    }
}

/// Runs every seed on all cores and returns what was counted.
///
/// `build` makes the simulation for a seed; usually the same one, for all randomness comes from the run's own
/// seed. Environment: `SIMTEST_SEED=n` runs that seed alone and prints its full trace;
/// `SIMTEST_SCHEDULE=file` replays a stored schedule likewise; `SIMTEST_THREADS=n` sets the number of
/// threads.
///
/// # Panics
/// If a seed does not pass: with the lowest such seed, the oracle, the reason, the paths of schedule and
/// trace, and how to repeat it.
pub fn run_seeds<N: Node>(seeds: Range<u64>, build: impl Fn(u64) -> Sim<N> + Sync) -> Report {
    let result = match single() {
        Some(single) => run_single(&single, &build),
        None => search(seeds, &build),
    };
    match result {
        Ok(report) => report,
        Err(mut failure) => {
            failure.shrink(&build(failure.schedule.nodes), Budget::default());
            panic!("{}", failure.report())
        }
    }
}

/// As [`run_seeds`], but returns the failure: for tests that a planted bug is found. Ignores the environment
/// but for `SIMTEST_THREADS`.
///
/// The first seed is also checked against the simulator's own [laws](crate::verify); each where `CI` is set.
pub fn search<N: Node>(
    seeds: Range<u64>,
    build: impl Fn(u64) -> Sim<N> + Sync,
) -> Result<Report, Box<Failure>> {
    search_lawful(seeds, if crate::verify::is_asked_for_all() { u64::MAX } else { 1 }, &build)
}

/// The same, with so many of the first seeds checked against the laws.
pub(crate) fn search_lawful<N: Node>(
    seeds: Range<u64>,
    lawful: u64,
    build: &(impl Fn(u64) -> Sim<N> + Sync),
) -> Result<Report, Box<Failure>> {
    hunt(seeds, lawful, build, &|done, all| {
        progress("seeds", done, all);
        true
    })
}

/// Runs a seed once more with the recorder on, if it broke a law then.
fn unlawful<N: Node>(seed: u64, build: &impl Fn(u64) -> Sim<N>) -> Option<Failure> {
    let sim = build(seed);
    let outcome = recorded(&sim, FromSeed::new(seed));
    let broken = crate::verify::run(&outcome).err()?;
    let why = format!("the simulator broke a law with seed {seed}: {broken}");
    Some(Failure::undetermined(&sim, Some(seed), outcome, why))
}

/// Runs seeds as long as `goes_on` says so, which is told how many have been begun of how many. So many of the first are also
/// checked against the laws.
pub(crate) fn hunt<N: Node>(
    seeds: Range<u64>,
    lawful: u64,
    build: &(impl Fn(u64) -> Sim<N> + Sync),
    goes_on: &(dyn Fn(u64, u64) -> bool + Sync),
) -> Result<Report, Box<Failure>> {
    let next = AtomicU64::new(seeds.start);
    let lowest = AtomicU64::new(u64::MAX);
    let hashes = Mutex::new(BTreeMap::new());
    let total = Mutex::new((0, Stats::default(), Marks::default()));
    let work = || {
        let _quiet = Quiet::begin();
        let (mut count, mut stats, mut marks) = (0, Stats::default(), Marks::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let done = seed >= seeds.end || seed >= lowest.load(Ordering::Relaxed);
            if done || !goes_on(seed - seeds.start, seeds.end - seeds.start) {
                break;
            }
            let is_checked = seed - seeds.start < lawful;
            let outcome = {
                let _run = overdue::run(|| What::Seed(seed));
                let mut sim = build(seed);
                if is_checked && !sim.record {
                    sim.record(true).most_records = crate::verify::MOST;
                }
                sim.run(FromSeed::new(seed))
            };
            count += 1;
            stats += outcome.stats;
            marks |= outcome.marks;
            let is_lawful = !is_checked || crate::verify::run(&outcome).is_ok();
            if !is_lawful || !outcome.verdict.is_pass() {
                lowest.fetch_min(seed, Ordering::Relaxed);
                hashes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(seed, (outcome.hash, outcome.verdict.is_pass()));
            }
        }
        let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
        total.0 += count;
        total.1 += stats;
        total.2 |= marks;
    };
    thread::scope(|scope| {
        for _ in 1..threads() {
            scope.spawn(work);
        }
        work();
    });
    let (count, stats, marks) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let hashes = hashes.into_inner().unwrap_or_else(PoisonError::into_inner);
    match hashes.first_key_value() {
        None => Ok(Report::new(&build(seeds.start), count, &stats, marks)),
        Some((&seed, &(hash, is_pass))) => {
            let unlawful = if is_pass { unlawful(seed, build) } else { None };
            let found = unlawful
                .map_or_else(|| again(seed, hash, count, build), |found| Failure { seeds: count, ..found });
            Err(Box::new(found))
        }
    }
}

/// A seed that has failed, run once more. If that goes another way, this is the failure.
fn again<N: Node>(seed: u64, hash: u128, seeds: u64, build: &(impl Fn(u64) -> Sim<N> + Sync)) -> Failure {
    let mut found = failure(&build(seed), Some(seed), FromSeed::new(seed), seeds);
    if found.hash != hash {
        found.class = Class::Determinism;
        let divergence = (0..4).find_map(|_| check_determinism(seed, build).err());
        let told = divergence.map_or_else(
            || "two runs of one seed differ, but no two that were recorded".to_owned(),
            |divergence| divergence.to_string(),
        );
        found.verdict = Verdict::Unknown(told);
    }
    found
}

/// Tells the command line, if it has asked, how far a test is: some 50 times in all.
pub(crate) fn progress(phase: &str, done: u64, all: u64) {
    static ASKED: OnceLock<bool> = OnceLock::new();
    if *ASKED.get_or_init(|| env::var_os("SIMTEST_PROGRESS").is_some())
        && done.is_multiple_of((all / 50).max(1))
    {
        say(&format!("\u{1}{phase} {done} {all}\n"));
    }
}

/// Past the capture of the test harness: what must not go unseen.
pub(crate) fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Runs once more with the recorder on.
pub(crate) fn failure<N: Node>(
    sim: &Sim<N>,
    seed: Option<u64>,
    chooser: impl Chooser + 'static,
    seeds: u64,
) -> Failure {
    let _quiet = Quiet::begin();
    let outcome = recorded(sim, chooser);
    if outcome.verdict.is_pass() {
        let why = "it failed, and passed when repeated: nodes or judges look at more than the run";
        return Failure { seeds, ..Failure::undetermined(sim, seed, outcome, why.into()) };
    }
    Failure { seeds, ..Failure::new(sim, seed, outcome) }
}

pub(crate) fn recorded<N: Node>(sim: &Sim<N>, chooser: impl Chooser + 'static) -> Outcome<N> {
    let mut sim = sim.clone();
    sim.record(true);
    sim.run(chooser)
}

pub(crate) enum Single {
    Seed(u64),
    Schedule(PathBuf, Schedule),
}

/// What the environment asks for.
pub(crate) fn single() -> Option<Single> {
    if let Ok(seed) = env::var("SIMTEST_SEED") {
        let parsed = seed.parse().unwrap_or_else(|_| panic!("SIMTEST_SEED={seed}: expected a number"));
        return Some(Single::Seed(parsed));
    }
    let path = env::var("SIMTEST_SCHEDULE").ok()?;
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("SIMTEST_SCHEDULE={path}: {error}"));
    let schedule = Schedule::parse(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    Some(Single::Schedule(path.into(), schedule))
}

pub(crate) fn run_single<N: Node>(
    single: &Single,
    build: &impl Fn(u64) -> Sim<N>,
) -> Result<Report, Box<Failure>> {
    let _run = overdue::run(|| match single {
        Single::Seed(seed) => What::Seed(*seed),
        Single::Schedule(_, schedule) => What::Schedule(schedule.to_text()),
    });
    let (mut sim, seed) = match single {
        Single::Seed(seed) => (build(*seed), Some(*seed)),
        Single::Schedule(_, schedule) => (build(schedule.nodes), None),
    };
    if let Ok(until) = env::var("SIMTEST_UNTIL") {
        let until =
            until.parse().unwrap_or_else(|_| panic!("SIMTEST_UNTIL={until}: expected a number of events"));
        sim.max_events(until);
    }
    let run = || match single {
        Single::Seed(seed) => recorded(&sim, FromSeed::new(*seed)),
        Single::Schedule(_, schedule) => recorded(&sim, FromSchedule::new(schedule)),
    };
    let mut outcome = run();
    let trace = outcome.trace.view(TraceView::packets().header());
    show(&outcome, &trace, || why_in_short(&sim, &outcome.schedule(), &|| true));
    if let Ok(form) = env::var("SIMTEST_WHY")
        && let Some(curve) = why(&sim, &outcome.schedule(), 64, 64)
    {
        if form == "json" {
            println!("{{\"curve\":{}}}", curve.json());
        } else {
            println!("{curve}");
        }
    }
    tell_verdict(&outcome.verdict);
    let repeated = {
        let _quiet = Quiet::begin();
        run()
    };
    if let Some(divergence) = Divergence::between(&outcome, &repeated) {
        return Err(Box::new(Failure::undetermined(&sim, seed, outcome, divergence.to_string())));
    }
    if let Single::Schedule(_, schedule) = single {
        outcome.unmatched = stale(&sim, schedule, &outcome);
    }
    let stopped = env::var_os("SIMTEST_UNTIL").is_some() && matches!(outcome.verdict, Verdict::Unknown(_));
    if stopped || outcome.verdict.is_pass() && outcome.unmatched.is_empty() {
        return Ok(Report::new(&sim, 1, &outcome.stats, outcome.marks));
    }
    let stored = match single {
        Single::Schedule(path, _) => Some(path.clone()),
        Single::Seed(_) => None,
    };
    Err(Box::new(Failure { stored, ..Failure::new(&sim, seed, outcome) }))
}

pub(crate) fn threads() -> usize {
    let asked = env::var("SIMTEST_THREADS").ok().and_then(|threads| threads.parse().ok());
    asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1)
}

/// Two runs of the same seed that were not the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Divergence {
    /// The first record of the trace that differs, from 1.
    pub record: usize,
    /// That record in the first run, empty if it had ended.
    pub first: String,
    /// That record in the second run.
    pub second: String,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record, first, second } = self;
        writeln!(
            f,
            "two runs of one seed differ from record {record} on\n  first   {first}\n  second  {second}"
        )?;
        f.write_str(
            "something depends on more than its inputs: a clock, a hasher's order, an address, a static",
        )
    }
}

impl std::error::Error for Divergence {}

impl Divergence {
    fn between<N: Node>(first: &Outcome<N>, second: &Outcome<N>) -> Option<Self> {
        Self::of((first.hash, &first.trace), (second.hash, &second.trace))
    }

    /// Hash and records of two runs.
    fn of(first: (u128, &Trace), second: (u128, &Trace)) -> Option<Self> {
        let difference = first.1.first_difference(second.1);
        if difference.is_none() && first.0 == second.0 {
            return None;
        }
        let (record, first, second) = difference.unwrap_or_default();
        Some(Self { record, first, second })
    }
}

/// Runs a seed twice, the second time on another thread whose heap looks different, and compares everything
/// that happened. Returns the hash of the run.
pub fn check_determinism<N: Node>(
    seed: u64,
    build: impl Fn(u64) -> Sim<N> + Sync,
) -> Result<u128, Divergence> {
    let run = || {
        let _quiet = Quiet::begin();
        let _run = overdue::run(|| What::Seed(seed));
        let Outcome { hash, trace, .. } = recorded(&build(seed), FromSeed::new(seed));
        (hash, trace)
    };
    let first = run();
    let other = thread::scope(|scope| {
        let second = scope.spawn(|| {
            let junk: Vec<Vec<u8>> = (1..500).map(|i| vec![0; i * 37 % 4_000]).collect();
            let kept: Vec<_> = junk.into_iter().step_by(3).collect();
            let result = run();
            drop(kept);
            result
        });
        second.join()
    });
    let second = other.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Divergence::of((first.0, &first.1), (second.0, &second.1)).map_or(Ok(first.0), Err)
}

#[cfg(test)]
mod tests;
