//! A test, from its options to its end.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::{env, fs};

use super::Class;
use super::budget::{Asked, asked_budget, clock, of_shrinker};
use super::corpus::{self, stale};
use crate::choice::FromSchedule;
use crate::explore::{Bounds, Broken, Certificate, Help, Reason, certify_levels};
use crate::failure::Failure;
use crate::node::Node;
use crate::oracle::Verdict;
use crate::overdue::{self, What};
use crate::panics::Quiet;
use crate::runner::{
    Report, check_determinism, failure, hunt, recorded, run_single, say, search_lawful, single, threads,
};
use crate::sim::Sim;
use crate::verify;

/// One test with its drivers. The attribute [`simtest::test`](crate::test) makes and runs it.
///
/// The order: what the environment asks for, if anything (`SIMTEST_SEED`, `SIMTEST_SCHEDULE`); else the stored
/// schedules of its corpus; every schedule with few faults; the seeds, every 50th of them twice, on
/// threads of their own, to see that it is the same run. The first 10 seeds (all, if `CI` is set) are
/// also checked against the simulator's own [laws](crate::verify), and so is each stored schedule; with `CI` also the runs of a
/// certificate that are made twice, and each seed of a budget. Of a run with more than a million records it is the begin.
///
/// With a seed or a schedule, `SIMTEST_WHY=1` tells how likely the failure became ([`why`](crate::why())), `SIMTEST_WHY=json` for programs.
/// `SIMTEST_SEEDS=a..b` runs other seeds: if they are fewer than the test's own, what they did not meet is not judged, unless
/// `SIMTEST_STRICT=1`, which makes every test strict, asks for it. `SIMTEST_BUDGET=60s` goes on with more seeds for so long, and gives a shrinker as much; `SIMTEST_BUDGET=5000`
/// is so many seeds more, and so many runs of a shrinker. `SIMTEST_DETERMINISM=10` runs a tenth of the seeds twice.
#[derive(Clone, Debug)]
pub struct Test {
    name: String,
    module: String,
    path: String,
    folder: PathBuf,
    corpus: PathBuf,
    seeds: Range<u64>,
    faults: Option<u32>,
    weathers: u32,
    most: u64,
    strict: bool,
}

/// What a test has to say besides that it has passed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Remarks {
    /// Changes nothing, but must not go unseen.
    notes: Vec<String>,
    /// Fails a strict test.
    vacuous: Vec<String>,
    summary: Vec<String>,
}

impl Test {
    /// `module` is the path of the module that holds the function `simtest`, the crate's name first; `folder`
    /// is that of the crate. Below its own crate, the path of the module is the name of the test.
    pub fn new(module: &str, folder: &str) -> Self {
        let name = module.split_once("::").map_or(module, |(_, path)| path);
        Self {
            name: name.into(),
            module: module.into(),
            path: format!("{name}::simtest"),
            folder: folder.into(),
            corpus: Path::new(folder).join("tests/corpus").join(module.replace("::", "-")),
            seeds: 0..500,
            faults: None,
            weathers: 8,
            most: 100_000,
            strict: asked_strict(),
        }
    }

    /// Which seeds (default: 0 to 499).
    #[must_use]
    pub fn seeds(self, seeds: Range<u64>) -> Self {
        Self { seeds, ..self }
    }

    /// Also every schedule with at most so many faults, of the kinds that the test's campaign has ([`Bounds::like`]). Levels that have too many schedules
    /// are left out, and that is said.
    #[must_use]
    pub fn exhaustive(self, faults: u32) -> Self {
        Self { faults: Some(faults), ..self }
    }

    /// In how many weathers (default: 8).
    #[must_use]
    pub fn weathers(self, weathers: u32) -> Self {
        Self { weathers, ..self }
    }

    /// How many schedules are too many (default: 100,000).
    #[must_use]
    pub fn most(self, schedules: u64) -> Self {
        Self { most: schedules, ..self }
    }

    /// Where stored schedules are, from the crate's folder (default: `tests/corpus/<crate>-<test>`, where the crate of
    /// `tests/sim.rs` is `sim`).
    #[must_use]
    pub fn corpus(self, folder: &str) -> Self {
        Self { corpus: self.folder.join(folder), ..self }
    }

    /// Fails as well if a [`Sim::sometimes`] was never hit, a [`Sim::on`] never fired, a kind of fault never mattered, a stored schedule
    /// no longer applies, or not all of the small schedules could be tried.
    #[must_use]
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Runs it. `body` sets a simulation up.
    ///
    /// # Panics
    /// If it fails: with the smallest story that was found, where its files are, and how to repeat it.
    pub fn run<N: Node>(self, body: impl Fn(&mut Sim<N>) + Sync) {
        self.run_seeded(|sim, _| body(sim));
    }

    /// The same, where `body` makes something of the seed. What is not run with a seed of its own, such as a certificate, has that
    /// which its nodes are made with.
    ///
    /// # Panics
    /// As [`run`](Self::run) does.
    pub fn run_seeded<N: Node>(self, body: impl Fn(&mut Sim<N>, u64) + Sync) {
        if env::var("SIMTEST_ONLY").is_ok_and(|only| only == "corpus") {
            return note("corpus", &self.corpus.display().to_string());
        }
        overdue::watch(&self.path);
        let build = |seed: u64| {
            let mut sim = Sim::new(&self.name);
            body(&mut sim, seed);
            // The body may have put another one in its place.
            self.name.clone_into(&mut sim.test);
            sim
        };
        let result = match single() {
            Some(single) => run_single(&single, &build).map(|_| Remarks::default()).map_err(Stop::Failed),
            None => self.drive(&build),
        };
        match result {
            Ok(remarks) => {
                let lines = remarks.summary.iter().chain(&remarks.notes).chain(&remarks.vacuous);
                let text = lines.fold(String::new(), |text, line| text + &self.name + ": " + line + "\n");
                for remark in remarks.notes.iter().chain(&remarks.vacuous) {
                    say(&format!("{}: {remark}\n", self.name));
                }
                print!("{text}");
                if self.strict && !remarks.vacuous.is_empty() {
                    note(Class::Vacuous.word(), &text);
                    panic!(
                        "{} passes, but shows less than it should:\n  {}",
                        self.name,
                        remarks.vacuous.join("\n  ")
                    );
                }
                note("pass", &text);
            }
            Err(Stop::Failed(mut failure)) => {
                let only = env::var("SIMTEST_ONLY").unwrap_or_default();
                let replayed = ["replay", "why"].contains(&only.as_str());
                if env::var_os("SIMTEST_VERDICT").is_none() && !replayed {
                    let (budget, goes_on) = of_shrinker();
                    let nodes = failure.schedule.nodes;
                    let help = Help { jobs: threads(), build: &|| build(nodes) };
                    failure.shrink_with(Some(&help), &build(nodes), budget, &goes_on);
                }
                let mut report = failure.report_of(Some(&self.path));
                let nested = env::var_os("SIMTEST_VERDICT").is_some();
                if !nested && let Some(word) = self.in_another_process(&failure) {
                    report.push_str("\n  verified  ");
                    report.push_str(&word);
                }
                note(failure.class.word(), &report);
                panic!("{report}");
            }
            Err(Stop::Other(class, why)) => {
                note(class.word(), &why);
                panic!("{}: {why}", self.name);
            }
        }
    }

    fn drive<N: Node>(&self, build: &(impl Fn(u64) -> Sim<N> + Sync)) -> Result<Remarks, Stop> {
        let _quiet = Quiet::begin();
        let mut remarks = Remarks::default();
        if let Ok(faults) = env::var("SIMTEST_CERTIFY") {
            let faults =
                faults.parse().unwrap_or_else(|_| panic!("SIMTEST_CERTIFY={faults}: expected a number"));
            self.clone().exhaustive(faults).most(u64::MAX).certified(build, &mut remarks)?;
            // Whoever asks for a certificate is not served by half of one.
            let complete = remarks.vacuous.is_empty();
            let why = remarks.vacuous.join("\n  ");
            return if complete { Ok(remarks) } else { Err(Stop::Other(Class::Vacuous, why)) };
        }
        self.tell_orphans();
        self.stored(build, &mut remarks)?;
        self.certified(build, &mut remarks)?;
        let seeds = asked_seeds().unwrap_or_else(|| self.seeds.clone());
        let verified = if verify::is_asked_for_all() { u64::MAX } else { 10 };
        let mut report = search_lawful(seeds.clone(), verified, build).map_err(Stop::Failed)?;
        if let Some(budget) = asked_budget() {
            report = report.and(&beyond(&seeds, budget, build).map_err(Stop::Failed)?);
        }
        let percent = asked_percent();
        for seed in (0..).zip(seeds).filter(|(i, _)| i * percent % 100 < percent).map(|(_, seed)| seed) {
            let same = check_determinism(seed, build);
            same.map_err(|divergence| Stop::Other(Class::Determinism, format!("seed {seed}: {divergence}")))?;
        }
        self.vacuous(&report, &mut remarks);
        remarks.summary.push(report.to_string());
        Ok(remarks)
    }

    /// Says once in each process which stored schedules are run by nobody. The command line says it itself.
    fn tell_orphans(&self) {
        static TOLD: Once = Once::new();
        let is_asked =
            ["SIMTEST_RESULT", "SIMTEST_VERDICT"].into_iter().any(|name| env::var_os(name).is_some());
        if is_asked {
            return;
        }
        TOLD.call_once(|| {
            for folder in corpus::orphans(&self.folder.join("tests/corpus"), &self.module) {
                say(&format!(
                    "{} belongs to no test of this program: its schedules are not run; where a test was renamed, rename its folder too\n",
                    folder.display()
                ));
            }
        });
    }

    fn stored<N: Node>(&self, build: &impl Fn(u64) -> Sim<N>, remarks: &mut Remarks) -> Result<(), Stop> {
        let corpus = corpus::read(&self.corpus).map_err(|why| Stop::Other(Class::Vacuous, why))?;
        for (path, schedule) in &corpus {
            let _run = overdue::run(|| What::Stored(path.display().to_string()));
            let sim = build(schedule.nodes);
            let outcome = recorded(&sim, FromSchedule::new(schedule));
            if let Err(broken) = verify::run(&outcome) {
                let why = format!("{}: the simulator broke a law: {broken}", path.display());
                return Err(Stop::Other(Class::Determinism, why));
            }
            let unmatched = stale(&sim, schedule, &outcome);
            if !outcome.verdict.is_pass() {
                say(&format!("{}: {} fails again\n", self.name, path.display()));
                let failure = failure(&sim, None, FromSchedule::new(schedule), 1);
                return Err(Stop::Failed(Box::new(Failure {
                    unmatched,
                    stored: Some(path.clone()),
                    ..failure
                })));
            }
            if !unmatched.is_empty() {
                let lines = unmatched.join(", ");
                remarks.vacuous.push(format!("{}: {lines} match nothing any more", path.display()));
            }
        }
        if !corpus.is_empty() {
            remarks.summary.push(format!("{} stored schedules", corpus.len()));
        }
        Ok(())
    }

    fn certified<N: Node>(
        &self,
        build: &(impl Fn(u64) -> Sim<N> + Sync),
        remarks: &mut Remarks,
    ) -> Result<(), Stop> {
        let Some(faults) = self.faults else { return Ok(()) };
        let bounds = Bounds::faults(faults).like(&build(0)).weathers(self.weathers).at_most(self.most);
        let certificate = match certify_levels(build, &bounds) {
            Ok(certificate) => Some(certificate),
            Err(Broken { reason: Reason::TooMany, faults, holds, .. }) => {
                remarks.vacuous.push(format!(
                    "schedules with {faults} faults were not all tried: there are more than {}",
                    self.most
                ));
                holds
            }
            Err(broken) => return Err(Stop::Failed(broken.failure)),
        };
        let faulty = |certificate: &Certificate| certificate.schedules[1..].iter().sum::<u64>() > 0;
        if faults > 0 && certificate.as_ref().is_some_and(|certificate| !faulty(certificate)) {
            remarks.vacuous.push("there is no fault to enumerate: the certificate says nothing".into());
        }
        remarks.summary.extend(certificate.map(|certificate| certificate.to_string()));
        Ok(())
    }

    fn vacuous(&self, report: &Report, remarks: &mut Remarks) {
        if report.seeds == 0 {
            remarks.vacuous.push("no seed was run".into());
            return;
        }
        let own = self.seeds.end.saturating_sub(self.seeds.start);
        if report.seeds < own && !asked_strict() {
            let few = report.seeds;
            remarks.notes.push(format!("{few} seeds instead of {own}: what they did not meet is not judged"));
            return;
        }
        for name in &report.never {
            remarks.vacuous.push(format!("never hit: sometimes {name:?}"));
        }
        for fault in &report.idle {
            remarks.vacuous.push(format!("a fault that the test sets never began: {fault}"));
        }
        for kind in report.never_chosen() {
            remarks.vacuous.push(format!("faults of this kind never happened: {}", kind.word()));
        }
        for kind in report.chosen_without_effect() {
            remarks.vacuous.push(format!("faults of this kind never mattered: {}", kind.word()));
        }
    }

    /// Runs the smallest schedule in a process of its own.
    fn in_another_process(&self, failure: &Failure) -> Option<String> {
        let shrunk = failure.shrunk.as_ref()?;
        // Of its own, for another process may run the same test.
        let path = failure.path(&format!("{}.sched", std::process::id()));
        let text = shrunk.schedule.to_text();
        fs::write(&path, text).ok()?;
        let result = path.with_extension("result");
        let run = Command::new(env::current_exe().ok()?)
            .args(["--exact", &self.path, "--nocapture", "--include-ignored"])
            .env("SIMTEST_SCHEDULE", &path)
            .env("SIMTEST_VERDICT", &result)
            .env_remove("SIMTEST_RESULT")
            .env_remove("SIMTEST_SEED")
            .output();
        let verdict = fs::read_to_string(&result).unwrap_or_default();
        let _ = fs::remove_file(&result);
        let _ = fs::remove_file(&path);
        let run = run.ok()?;
        let same = !run.status.success() && verdict == shrunk.verdict.to_string();
        Some(if same {
            "it fails in the same way in a new process".into()
        } else {
            format!(
                "NOT: in a new process it ends so: {}",
                if verdict.is_empty() { "not at all" } else { &verdict }
            )
        })
    }
}

/// Tells the command line how it went.
pub(crate) fn note(word: &str, text: &str) {
    if let Some(path) = env::var_os("SIMTEST_RESULT") {
        let _ = fs::write(path, format!("{word}\n{text}"));
    }
}

enum Stop {
    Failed(Box<Failure>),
    Other(Class, String),
}

fn asked_strict() -> bool {
    env::var("SIMTEST_STRICT").is_ok_and(|value| value == "1")
}

/// Of so many percent of the seeds it is looked whether they are the same twice: `SIMTEST_DETERMINISM=5`.
fn asked_percent() -> u64 {
    let Ok(text) = env::var("SIMTEST_DETERMINISM") else { return 2 };
    let percent = text.parse().ok().filter(|percent| *percent <= 100);
    percent.unwrap_or_else(|| panic!("SIMTEST_DETERMINISM={text}: expected percent, 0 to 100"))
}

fn asked_seeds() -> Option<Range<u64>> {
    let text = env::var("SIMTEST_SEEDS").ok()?;
    let range = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    Some(range.unwrap_or_else(|| panic!("SIMTEST_SEEDS={text}: expected a range like 0..1000")))
}

/// Goes on with further seeds: so many, or until so many seconds have passed, and tells how many have.
fn beyond<N: Node>(
    seeds: &Range<u64>,
    budget: Asked,
    build: &(impl Fn(u64) -> Sim<N> + Sync),
) -> Result<Report, Box<Failure>> {
    // Whoever has set a budget wants many seeds.
    let lawful = if verify::is_asked_for_all() { u64::MAX } else { 0 };
    match budget {
        Asked::Runs(runs) => search_lawful(seeds.end..seeds.end.saturating_add(runs), lawful, build),
        Asked::Seconds(seconds) => {
            let in_time = clock(seconds);
            hunt(seeds.end..u64::MAX, lawful, build, &|_, _| in_time())
        }
    }
}

/// For the process that repeats a schedule: how it ended.
pub(crate) fn tell_verdict(verdict: &Verdict) {
    if let Some(path) = env::var_os("SIMTEST_VERDICT") {
        let _ = fs::write(path, verdict.to_string());
    }
}
