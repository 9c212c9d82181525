//! Campaigns over many seeds, and what is printed when one fails.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::{env, fs, thread};

use crate::choice::{Chooser, FromSchedule, FromSeed, Kind};
use crate::explore::{Budget, Shrunk, shrink, why};
use crate::harness::{Class, Marks, show, tell_verdict};
use crate::node::Node;
use crate::oracle::Verdict;
use crate::outcome::Outcome;
use crate::schedule::Schedule;
use crate::sim::Sim;
use crate::stats::Stats;
use crate::trace::TraceView;

/// The result of a campaign in which every seed passed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// How many seeds were run.
    pub seeds: u64,
    /// Everything that was counted, added up.
    pub stats: Stats,
    /// The names of those [`Sim::sometimes`] that no run has hit.
    pub never: Vec<String>,
}

impl Report {
    fn new<N: Node>(sim: &Sim<N>, seeds: u64, stats: &Stats, marks: Marks) -> Self {
        let missed = |(index, (name, _)): (usize, &(String, _))| (!marks.has(index)).then(|| name.clone());
        let never = sim.sometimes.iter().enumerate().filter_map(missed).collect();
        Self { seeds, stats: *stats, never }
    }

    /// The two together.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.seeds += other.seeds;
        self.stats += other.stats;
        self.never.retain(|name| other.never.contains(name));
        self
    }

    /// Kinds of fault that happened, but never made a difference.
    pub fn chosen_without_effect(&self) -> Vec<Kind> {
        let chosen = |kind: &Kind| self.stats.faults(*kind).chosen > 0;
        self.without_effect().into_iter().filter(chosen).collect()
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
        for kind in self.without_effect() {
            write!(f, "\nnever mattered: {}", kind.word())?;
        }
        Ok(())
    }
}

/// The lowest seed that did not pass.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The name of the test.
    pub test: String,
    /// The seed; `None` if a stored schedule was replayed.
    pub seed: Option<u64>,
    /// How it ended.
    pub verdict: Verdict,
    /// What sort of failure that is.
    pub class: Class,
    /// What went wrong in it.
    pub schedule: Schedule,
    /// Everything that happened, in time order.
    pub trace: String,
    /// How many seeds, or schedules, had been run, this one included.
    pub seeds: u64,
    /// Ids of the lines of a replayed schedule that matched nothing.
    pub unmatched: Vec<String>,
    /// The smallest story of it, if it has been looked for.
    pub shrunk: Option<Box<Shrunk>>,
    /// That story as a page to look at.
    pub page: Option<String>,
}

impl Failure {
    /// Looks for the smallest schedule that fails likewise.
    pub fn shrink<N: Node>(&mut self, sim: &Sim<N>, budget: Budget) {
        self.shrunk = shrink(sim, &self.schedule, budget).map(Box::new);
        let story = self.shrunk.as_ref().map(|shrunk| FromSchedule::new(&shrunk.schedule));
        self.page = story.map(|story| recorded(sim, story).html());
    }

    /// Whether it could not be decided.
    pub const fn undecided(&self) -> bool {
        matches!(self.verdict, Verdict::Unknown(_))
    }

    /// Where its files are, by the end of the name.
    pub(crate) fn path(&self, end: &str) -> PathBuf {
        let of = self.seed.map_or_else(|| "replay".into(), |seed| seed.to_string());
        let folder = artifacts();
        let _ = fs::create_dir_all(&folder);
        folder.join(format!("{}-{of}.{end}", self.test))
    }

    /// What to print: the reason, where schedule and trace were written, and how to see it again.
    pub fn report(&self) -> String {
        self.report_of(None)
    }

    /// The same for a test made with the attribute, whose path in its binary is `path`.
    pub(crate) fn report_of(&self, path: Option<&str>) -> String {
        let what = if self.seed.is_some() { "seeds" } else { "schedules" };
        let mut out = format!("{} failed after {} {what}\n", self.test, self.seeds);
        if let Some(seed) = self.seed {
            let _ = writeln!(out, "  seed      {seed}");
        }
        match &self.verdict {
            Verdict::Fail { oracle, at, why } => {
                let _ = writeln!(out, "  oracle    {oracle}, after event {at}\n  why       {why}");
            }
            other => {
                let _ = writeln!(out, "  verdict   {other}");
            }
        }
        if !self.unmatched.is_empty() {
            let _ = writeln!(
                out,
                "  unmatched {}: these lines of the schedule no longer apply",
                self.unmatched.join(", ")
            );
        }
        let _ = writeln!(out, "  faults    {}", self.schedule.lines.len());
        let mut files =
            vec![("schedule", "sched", self.schedule.to_text()), ("trace", "trace", self.trace.clone())];
        if let Some(shrunk) = &self.shrunk {
            let _ = writeln!(out, "{shrunk}");
            files.push(("smallest", "min.sched", shrunk.schedule.to_text()));
        }
        files.extend(self.page.clone().map(|page| ("page", "html", page)));
        for (word, end, text) in files {
            let path = self.path(end);
            let near = near(&path).display();
            let _ = match fs::write(&path, text) {
                Ok(()) => writeln!(out, "  {word:<9} {near}"),
                Err(error) => writeln!(out, "  {word:<9} could not be written to {near}: {error}"),
            };
        }
        let least = self.path(if self.shrunk.is_some() { "min.sched" } else { "sched" });
        let least = near(&least).display();
        let test = path.unwrap_or("<this test>");
        if path.is_some() {
            let _ = writeln!(out, "  replay    simtest replay --sched {least}");
        } else if let Some(seed) = self.seed {
            let _ = writeln!(out, "  replay    SIMTEST_SEED={seed} cargo test {test} -- --nocapture");
        }
        let _ = write!(out, "  or        SIMTEST_SCHEDULE={least} cargo test {test} -- --nocapture");
        out
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
pub fn search<N: Node>(
    seeds: Range<u64>,
    build: impl Fn(u64) -> Sim<N> + Sync,
) -> Result<Report, Box<Failure>> {
    let next = AtomicU64::new(seeds.start);
    let lowest = AtomicU64::new(u64::MAX);
    let total = Mutex::new((0, Stats::default(), Marks::default()));
    let work = || {
        let (mut count, mut stats, mut marks) = (0, Stats::default(), Marks::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || seed >= lowest.load(Ordering::Relaxed) {
                break;
            }
            let outcome = build(seed).run(FromSeed::new(seed));
            count += 1;
            progress("seeds", seed - seeds.start, seeds.end - seeds.start);
            stats += outcome.stats;
            marks |= outcome.marks;
            if !outcome.verdict.is_pass() {
                lowest.fetch_min(seed, Ordering::Relaxed);
            }
        }
        let mut total = total.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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
    let (count, stats, marks) = total.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    match lowest.into_inner() {
        u64::MAX => Ok(Report::new(&build(seeds.start), count, &stats, marks)),
        seed => Err(Box::new(failure(&build(seed), Some(seed), FromSeed::new(seed), count))),
    }
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
    let outcome = recorded(sim, chooser);
    let schedule = outcome.schedule();
    let verdict = match outcome.verdict {
        Verdict::Pass => {
            Verdict::Unknown("it failed, and passed when repeated: see check_determinism".into())
        }
        verdict => verdict,
    };
    Failure {
        test: sim.test.clone(),
        seed,
        class: Class::of(sim, &verdict),
        schedule,
        trace: outcome.trace.view(TraceView::packets()),
        verdict,
        seeds,
        unmatched: outcome.unmatched,
        shrunk: None,
        page: None,
    }
}

pub(crate) fn recorded<N: Node>(sim: &Sim<N>, chooser: impl Chooser + 'static) -> Outcome<N> {
    let mut sim = sim.clone();
    sim.record(true);
    sim.run(chooser)
}

pub(crate) enum Single {
    Seed(u64),
    Schedule(Schedule),
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
    Some(Single::Schedule(schedule))
}

pub(crate) fn run_single<N: Node>(
    single: &Single,
    build: &impl Fn(u64) -> Sim<N>,
) -> Result<Report, Box<Failure>> {
    let (mut sim, seed) = match single {
        Single::Seed(seed) => (build(*seed), Some(*seed)),
        Single::Schedule(schedule) => (build(schedule.nodes), None),
    };
    if let Ok(until) = env::var("SIMTEST_UNTIL") {
        let until =
            until.parse().unwrap_or_else(|_| panic!("SIMTEST_UNTIL={until}: expected a number of events"));
        sim.max_events(until);
    }
    let outcome = match single {
        Single::Seed(seed) => recorded(&sim, FromSeed::new(*seed)),
        Single::Schedule(schedule) => recorded(&sim, FromSchedule::new(schedule)),
    };
    let trace = outcome.trace.view(TraceView::packets());
    show(&outcome, &trace);
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
    let schedule = outcome.schedule();
    let stopped = env::var_os("SIMTEST_UNTIL").is_some() && matches!(outcome.verdict, Verdict::Unknown(_));
    if stopped || outcome.verdict.is_pass() && outcome.unmatched.is_empty() {
        return Ok(Report::new(&sim, 1, &outcome.stats, outcome.marks));
    }
    let Outcome { verdict, unmatched, .. } = outcome;
    let (class, test) = (Class::of(&sim, &verdict), sim.test);
    Err(Box::new(Failure {
        test,
        seed,
        verdict,
        class,
        schedule,
        trace,
        seeds: 1,
        unmatched,
        shrunk: None,
        page: None,
    }))
}

pub(crate) fn threads() -> usize {
    let asked = env::var("SIMTEST_THREADS").ok().and_then(|threads| threads.parse().ok());
    asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1)
}

/// As it is called from the present folder, if it lies below.
fn near(path: &Path) -> &Path {
    env::current_dir().ok().and_then(|folder| path.strip_prefix(folder).ok()).unwrap_or(path)
}

/// `target/simtest`, found from the place of the test binary; the folder for temporary files if that is
/// elsewhere.
fn artifacts() -> PathBuf {
    let binary = env::current_exe().unwrap_or_default();
    let profile = binary.ancestors().find(|path| path.ends_with("deps")).and_then(Path::parent);
    let target = profile.and_then(Path::parent).map_or_else(env::temp_dir, Path::to_path_buf);
    target.join("simtest")
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

/// Runs a seed twice, the second time on another thread whose heap looks different, and compares everything
/// that happened. Returns the hash of the run.
pub fn check_determinism<N: Node>(
    seed: u64,
    build: impl Fn(u64) -> Sim<N> + Sync,
) -> Result<u128, Divergence> {
    let run = || {
        let outcome = recorded(&build(seed), FromSeed::new(seed));
        (outcome.hash, outcome.trace)
    };
    let (hash, first) = run();
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
    let (other, second) = other.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match first.first_difference(&second) {
        None if hash == other => Ok(hash),
        difference => {
            let (record, first, second) = difference.unwrap_or_default();
            Err(Divergence { record, first, second })
        }
    }
}

#[cfg(test)]
mod tests;
