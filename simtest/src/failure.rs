//! A failure, and what is printed of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::choice::FromSchedule;
use crate::explore::{Budget, Help, Shrunk, shrink_with, why_in_short};
use crate::harness::Class;
use crate::node::Node;
use crate::oracle::Verdict;
use crate::outcome::Outcome;
use crate::panics::Quiet;
use crate::prf::hash_bytes;
use crate::runner::recorded;
use crate::schedule::Schedule;
use crate::sim::Sim;
use crate::trace::TraceView;

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
    /// Where the schedule was read from, if it was stored.
    pub stored: Option<PathBuf>,
    /// Of the whole run.
    pub(crate) hash: u128,
}

impl Failure {
    /// A recorded run that has failed.
    pub(crate) fn new<N: Node>(sim: &Sim<N>, seed: Option<u64>, outcome: Outcome<N>) -> Self {
        Self {
            test: sim.test.clone(),
            seed,
            class: Class::of(sim, &outcome.verdict),
            schedule: outcome.schedule(),
            trace: outcome.trace.view(TraceView::packets().header()),
            verdict: outcome.verdict,
            seeds: 1,
            unmatched: outcome.unmatched,
            shrunk: None,
            page: None,
            stored: None,
            hash: outcome.hash,
        }
    }

    /// A recorded run that says nothing, for it would not be the same again, or breaks the laws.
    pub(crate) fn undetermined<N: Node>(
        sim: &Sim<N>,
        seed: Option<u64>,
        outcome: Outcome<N>,
        why: String,
    ) -> Self {
        let class = Class::Determinism;
        Self { class, verdict: Verdict::Unknown(why), ..Self::new(sim, seed, outcome) }
    }

    /// Looks for the smallest schedule that fails likewise.
    pub fn shrink<N: Node>(&mut self, sim: &Sim<N>, budget: Budget) {
        self.shrink_with(None, sim, budget, &|| true);
    }

    /// The same with helpers, as long as `goes_on` says so.
    pub(crate) fn shrink_with<N: Node>(
        &mut self,
        help: Option<&Help<'_, N>>,
        sim: &Sim<N>,
        budget: Budget,
        goes_on: &dyn Fn() -> bool,
    ) {
        // What goes another way each time has no smallest form.
        if self.class == Class::Determinism {
            return;
        }
        let _quiet = Quiet::begin();
        self.shrunk = shrink_with(help, sim, &self.schedule, budget, goes_on).map(Box::new);
        let Some(shrunk) = &self.shrunk else { return };
        let curve = (!shrunk.cut_short).then(|| why_in_short(sim, &shrunk.schedule, goes_on)).flatten();
        let story = recorded(sim, FromSchedule::new(&shrunk.schedule));
        self.page = Some(story.html_with(curve.as_ref()));
    }

    /// Whether it could not be decided.
    pub const fn undecided(&self) -> bool {
        matches!(self.verdict, Verdict::Unknown(_))
    }

    /// Where its files are, by the end of the name. No other failure has the same, whatever test it is of.
    pub(crate) fn path(&self, end: &str) -> PathBuf {
        let folder = artifacts();
        let _ = fs::create_dir_all(&folder);
        let program = env::current_exe().unwrap_or_default();
        let program = program.file_stem().unwrap_or_default().to_string_lossy();
        let program = program.rsplit_once('-').map_or(&program[..], |(name, _)| name);
        let of = hash_bytes(hash_bytes(0, program.as_bytes()), self.schedule.to_text().as_bytes()) >> 32;
        let (test, oracle) = (self.test.replace("::", "-"), self.verdict.oracle().unwrap_or("undecided"));
        let plain = |c: char| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
        let oracle: String = oracle.chars().map(plain).collect();
        folder.join(format!("{test}-{oracle}-{of:08x}.{end}"))
    }

    /// What to print: the reason, where schedule and trace were written, and how to see it again.
    pub fn report(&self) -> String {
        self.report_of(None)
    }

    /// The same for a test made with the attribute, whose path in its binary is `path`.
    pub(crate) fn report_of(&self, path: Option<&str>) -> String {
        if self.verdict.is_pass() {
            return self.stale();
        }
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
        if let Some(stored) = &self.stored {
            let _ = writeln!(out, "  stored    {}", near(stored).display());
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
        // A test runs in the folder of its package, wherever cargo was called.
        let elsewhere = env::var_os("SIMTEST_FROM").map(PathBuf::from) != env::current_dir().ok();
        let told = env::var_os("SIMTEST_FROM").is_some() && elsewhere;
        let direct = if told { least.clone() } else { near(&least).to_path_buf() };
        let (least, direct) = (near(&least).display(), direct.display());
        let test = path.unwrap_or("<this test>");
        if path.is_some() {
            let _ = writeln!(out, "  replay    simtest replay --sched {least}");
        } else if let Some(seed) = self.seed {
            let _ = writeln!(out, "  replay    SIMTEST_SEED={seed} cargo test {test} -- --nocapture");
        }
        let _ = write!(out, "  or        SIMTEST_SCHEDULE={direct} cargo test {test} -- --nocapture");
        out
    }
}

impl Failure {
    /// Nothing fails, but the schedule is not the one that it was.
    fn stale(&self) -> String {
        let stored =
            self.stored.as_deref().map_or("a schedule".into(), |path| near(path).display().to_string());
        format!(
            "{}: {stored} is stale: it passes, but is no longer what it was\n  unmatched {}: these lines of it match nothing any more\n  \
             mend the lines by hand, or take the file out (`simtest corpus prune` does)",
            self.test,
            self.unmatched.join(", ")
        )
    }
}

/// As it is called from the present folder, or the one where the command line was called, if it lies below.
fn near(path: &Path) -> &Path {
    let here = env::var_os("SIMTEST_FROM").map(PathBuf::from).or_else(|| env::current_dir().ok());
    here.and_then(|folder| path.strip_prefix(folder).ok()).unwrap_or(path)
}

/// `target/simtest`, found from the place of the test binary; the folder for temporary files if that is
/// elsewhere.
fn artifacts() -> PathBuf {
    let binary = env::current_exe().unwrap_or_default();
    let profile = binary.ancestors().find(|path| path.ends_with("deps")).and_then(Path::parent);
    let target = profile.and_then(Path::parent).map_or_else(env::temp_dir, Path::to_path_buf);
    target.join("simtest")
}
