//! From a failing schedule to the smallest story that still fails in the same way.

use std::panic::resume_unwind;
use std::rc::Rc;
use std::thread;

use super::ddmin::ddmin;
use super::enumerate::{Stopped, Walk};
use super::story::{Shrunk, Size, inevitable, slice};
use super::{Bounds, simpler};
use crate::choice::{Alt, Choice, ChoiceKey, Chooser, FromSchedule, FromSeed, Kind, Origin};
use crate::node::{Node, NodeId};
use crate::oracle::Verdict;
use crate::panics::Quiet;
use crate::run::Run;
use crate::runner::progress;
use crate::schedule::{Line, LineWhat, Schedule, Weather, Without};
use crate::sim::Sim;
use crate::time::ms;

/// How much a shrinker may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Events over all runs.
    pub events: u64,
    /// Runs.
    pub runs: u64,
    /// The most schedules with fewer faults to look at, to show that there is none.
    pub schedules: u64,
}

impl Default for Budget {
    /// 20 million events: some seconds; as many runs as that takes. 20,000 schedules.
    fn default() -> Self {
        Self { events: 20_000_000, runs: u64::MAX, schedules: 20_000 }
    }
}

/// Makes a failing schedule smaller: fewer faults, commands and hosts; flat weather; earlier, shorter and
/// simpler faults. `None` if it does not fail when replayed.
///
/// A smaller schedule counts only if the same judge fails, and if the test, with as much left out, passes
/// without any fault. If the failure needs no fault at all, the judge must say the same instead, numbers aside. Then all schedules with fewer faults are
/// tried, as far as `budget` goes; likewise small schedules with only the first few commands, and where these
/// are too many, random ones.
pub fn shrink<N: Node>(sim: &Sim<N>, schedule: &Schedule, budget: Budget) -> Option<Shrunk> {
    shrink_while(sim, schedule, budget, &|| true)
}

/// The same, as long as `goes_on`, which is asked before each run. What has been found by then is returned.
pub fn shrink_while<N: Node>(
    sim: &Sim<N>,
    schedule: &Schedule,
    budget: Budget,
    goes_on: &dyn Fn() -> bool,
) -> Option<Shrunk> {
    shrink_with(None, sim, schedule, budget, goes_on)
}

/// The same, with threads that help.
pub(crate) fn shrink_with<'a, N: Node>(
    help: Option<&'a Help<'a, N>>,
    sim: &Sim<N>,
    schedule: &Schedule,
    budget: Budget,
    goes_on: &'a dyn Fn() -> bool,
) -> Option<Shrunk> {
    let _quiet = Quiet::begin();
    let mut shrinker = Shrinker::new(sim, schedule, budget, goes_on)?;
    shrinker.help = help;
    loop {
        shrinker.reduce();
        let fewer = shrinker.fewer();
        if !shrinker.spent() && (fewer == Fewer::Found || shrinker.elsewhere(fewer == Fewer::Unknown)) {
            continue;
        }
        return Some(shrinker.story(fewer == Fewer::None));
    }
}

#[derive(PartialEq, Eq)]
enum Fewer {
    /// There is a schedule with fewer faults; it has been taken.
    Found,
    /// There is none.
    None,
    /// Not all were tried.
    Unknown,
}

/// Threads that run candidates side by side, each in a simulation of its own.
pub(crate) struct Help<'a, N: Node> {
    pub(crate) jobs: usize,
    pub(crate) build: &'a (dyn Fn() -> Sim<N> + Sync),
}

pub(super) struct Shrinker<'a, N: Node> {
    pub(super) sim: Rc<Sim<N>>,
    oracle: String,
    /// What it said, without numbers.
    why: String,
    best: Schedule,
    before: Size,
    /// Whether the test passes when nothing goes wrong.
    control: bool,
    budget: Budget,
    help: Option<&'a Help<'a, N>>,
    goes_on: &'a dyn Fn() -> bool,
    /// Whether something was left undone when the budget was spent.
    cut_short: bool,
    runs: u64,
    events: u64,
}

impl<'a, N: Node> Shrinker<'a, N> {
    fn new(sim: &Sim<N>, schedule: &Schedule, budget: Budget, goes_on: &'a dyn Fn() -> bool) -> Option<Self> {
        let mut sim = sim.clone();
        sim.record(false);
        let mut shrinker = Self {
            sim: sim.prepare(),
            oracle: String::new(),
            why: String::new(),
            best: schedule.clone(),
            before: Size::default(),
            control: false,
            budget,
            help: None,
            goes_on,
            cut_short: false,
            runs: 0,
            events: 0,
        };
        let run = shrinker.run(schedule);
        let events = run.core.stats.events;
        let outcome = run.outcome();
        let Verdict::Fail { oracle, why, .. } = &outcome.verdict else { return None };
        shrinker.oracle.clone_from(oracle);
        shrinker.why = without_numbers(why);
        shrinker.best = outcome.schedule();
        shrinker.before = shrinker.size(&shrinker.best, events);
        shrinker.control = shrinker.run(&calm(schedule)).core.verdict.is_none();
        Rc::make_mut(&mut shrinker.sim).max_events = (events * 8).max(20_000);
        Some(shrinker)
    }

    pub(super) fn run(&mut self, schedule: &Schedule) -> Run<N> {
        let mut run = Run::new(self.sim.clone(), Box::new(FromSchedule::new(schedule)));
        run.judge();
        self.ran(1, run.core.stats.events + 10);
        run
    }

    /// Counts, and tells how much of the budget is spent.
    fn ran(&mut self, runs: u64, events: u64) {
        let Budget { events: most, runs: most_runs, .. } = self.budget;
        let share = |runs: u64, events: u64| {
            let part = |count: u64, most: u64| count.saturating_mul(PARTS) / most.max(1);
            part(runs, most_runs).max(part(events, most))
        };
        let (before, now) = (share(self.runs, self.events), share(self.runs + runs, self.events + events));
        if self.runs == 0 || before != now {
            progress("shrinking,-of-its-budget", now.min(PARTS), PARTS);
        }
        self.runs += runs;
        self.events += events;
    }

    /// To be asked where there is more to do.
    fn spent(&mut self) -> bool {
        let Budget { events, runs, .. } = self.budget;
        self.cut_short |= self.events >= events || self.runs >= runs || !(self.goes_on)();
        self.cut_short
    }

    /// Takes `candidate` if it fails as it should.
    fn take(&mut self, candidate: &Schedule) -> bool {
        if self.spent() || *candidate == self.best {
            return false;
        }
        let run = self.run(candidate);
        if run.core.verdict.as_ref().and_then(Verdict::oracle) != Some(&self.oracle) {
            return false;
        }
        // What fails without any fault fails in many ways when parts of the test are missing: only the same one counts.
        if !self.control
            && let Some(Verdict::Fail { why, .. }) = &run.core.verdict
            && without_numbers(why) != self.why
        {
            return false;
        }
        let least = run.outcome().schedule();
        let same = least.without == self.best.without && least.weather == self.best.weather;
        if self.control && !same && self.run(&calm(candidate)).core.verdict.is_some() {
            return false;
        }
        self.best = least;
        true
    }

    /// Takes the first of these that fails as it should; which. With helpers, they are run side by side; what is taken, and what is
    /// counted, is the same.
    fn take_first(&mut self, candidates: &[Schedule]) -> Option<usize> {
        let (width, help) = (self.width(), self.help);
        for (number, batch) in (0..).zip(candidates.chunks(width)) {
            let known = match help {
                Some(help) if batch.len() > 1 && !self.spent() => self.fail_likewise(help, batch),
                _ => vec![None; batch.len()],
            };
            for (at, (candidate, known)) in (0..).zip(batch.iter().zip(known)) {
                match known {
                    Some(passed) if *candidate != self.best && !self.spent() => self.ran(1, passed + 10),
                    None if self.take(candidate) => return Some(number * width + at),
                    _ => {}
                }
            }
        }
        None
    }

    /// Runs each of these in a thread of its own: the events of those that do not fail by the same judge.
    fn fail_likewise(&self, help: &Help<'_, N>, batch: &[Schedule]) -> Vec<Option<u64>> {
        let (oracle, most) = (&self.oracle, self.sim.max_events);
        let run = |schedule: &Schedule| {
            let _quiet = Quiet::begin();
            let mut sim = (help.build)();
            sim.record(false).max_events(most);
            let mut run = Run::new(sim.prepare(), Box::new(FromSchedule::new(schedule)));
            run.judge();
            let fails = run.core.verdict.as_ref().and_then(Verdict::oracle) == Some(oracle);
            (!fails).then_some(run.core.stats.events)
        };
        thread::scope(|scope| {
            let threads: Vec<_> = batch.iter().map(|schedule| scope.spawn(move || run(schedule))).collect();
            let ended = threads.into_iter().map(thread::ScopedJoinHandle::join);
            ended.map(|ended| ended.unwrap_or_else(|panic| resume_unwind(panic))).collect()
        })
    }

    /// So many candidates are run side by side.
    fn width(&self) -> usize {
        self.help.map_or(1, |help| help.jobs.max(1))
    }

    fn reduce(&mut self) {
        loop {
            let before = self.best.clone();
            self.fewer_lines();
            self.flat();
            self.fewer_hosts();
            self.fewer_commands();
            self.fewer_lines();
            self.simpler_lines();
            if self.best == before || self.cut_short {
                break;
            }
        }
    }

    fn fewer_lines(&mut self) {
        let lines = self.best.lines.clone();
        ddmin(&lines, self.width(), |batch: &[Vec<Line>]| {
            // An end is what no list can be made shorter than.
            if self.spent() {
                return Some(Vec::new());
            }
            let with = |lines: &Vec<Line>| Schedule { lines: lines.clone(), ..self.best.clone() };
            let candidates: Vec<Schedule> = batch.iter().map(with).collect();
            self.take_first(&candidates).map(|_| self.best.lines.clone())
        });
    }

    fn flat(&mut self) {
        self.take(&Schedule { weather: Weather::Flat, ..self.best.clone() });
    }

    fn fewer_hosts(&mut self) {
        for name in self.sim.names.clone() {
            let host = Without::Host(name.clone());
            if self.best.without.contains(&host) {
                continue;
            }
            let mut candidate = self.best.clone();
            candidate.without.retain(|w| !matches!(w, Without::Cmd(of, _) if *of == name));
            candidate.without.push(host);
            candidate.without.sort();
            self.take(&candidate);
        }
    }

    fn fewer_commands(&mut self) {
        let given = self.given();
        let out: Vec<Without> = self.best.without.clone();
        ddmin(&given, self.width(), |batch: &[Vec<Without>]| {
            if self.spent() {
                return Some(Vec::new());
            }
            let with = |kept: &Vec<Without>| {
                let mut without = out.clone();
                without.extend(given.iter().filter(|cmd| !kept.contains(cmd)).cloned());
                without.sort();
                Schedule { without, ..self.best.clone() }
            };
            let candidates: Vec<Schedule> = batch.iter().map(with).collect();
            self.take_first(&candidates).map(|which| batch[which].clone())
        });
    }

    /// The commands that are given, in order.
    pub(super) fn given(&self) -> Vec<Without> {
        let name = |node: NodeId| self.sim.names[node.index()].clone();
        let all = self.sim.workload.iter().zip(&self.sim.numbers);
        let all = all.map(|((_, node, _), number)| Without::Cmd(name(*node), *number));
        all.filter(|cmd| !self.left_out(cmd)).collect()
    }

    fn left_out(&self, cmd: &Without) -> bool {
        let Without::Cmd(name, _) = cmd else { return false };
        self.best.without.iter().any(|w| w == cmd || matches!(w, Without::Host(host) if host == name))
    }

    fn simpler_lines(&mut self) {
        let mut at = 0;
        while at < self.best.lines.len() && !self.spent() {
            let with = |line| {
                let mut candidate = self.best.clone();
                candidate.lines[at] = line;
                candidate.lines.sort_by_key(simpler::begins);
                candidate
            };
            let candidates: Vec<Schedule> =
                simpler::lines(&self.best.lines[at]).into_iter().map(with).collect();
            if self.take_first(&candidates).is_none() {
                at += 1;
            }
        }
    }

    /// Copies at once and later, crashes at any moment, and the timed faults of the best schedule at any other time.
    fn around(&self, faults: u32, most: u64) -> Bounds {
        let mut downs = vec![ms(50)];
        let mut bounds = Bounds::faults(faults).at_most(most).also_copied_at_once();
        for line in &self.best.lines {
            let LineWhat::Timed { fault, .. } = &line.what else { continue };
            match fault.lasts {
                Some(lasts) if line.kind() == Kind::Crash => downs = vec![lasts],
                _ => bounds = bounds.also(fault.clone()),
            }
        }
        bounds.crashes_before_events(downs)
    }

    /// The kinds of fault of [`around`](Self::around).
    fn tried(&self, streams: bool) -> Vec<Kind> {
        let mut kinds = self.around(0, 0).kinds;
        kinds.retain(|kind| streams || !kind.of_stream());
        let timed = self.best.lines.iter().filter(|line| matches!(line.what, LineWhat::Timed { .. }));
        for kind in timed.map(Line::kind) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    /// Whether any schedule with fewer faults fails likewise.
    fn fewer(&mut self) -> Fewer {
        let most = self.best.lines.len() as u32;
        let each = self.run(&self.best.clone()).core.stats.events.max(1);
        let Budget { events, runs, schedules } = self.budget;
        let affordable = (events.saturating_sub(self.events) / each).min(runs.saturating_sub(self.runs));
        let mut left = schedules.min(affordable);
        for faults in 0..most {
            if self.spent() {
                return Fewer::Unknown;
            }
            let bounds = self.around(faults, left);
            let (found, judged) = self.walk(&bounds, faults, &self.best.clone());
            left = left.saturating_sub(judged);
            match found {
                None => {}
                Some(Ok(schedule)) if self.take(&schedule) => return Fewer::Found,
                Some(_) => return Fewer::Unknown,
            }
        }
        Fewer::None
    }

    /// Looks for a failure with only the first commands that needs no more faults; where that is too much, at
    /// random for one that needs fewer.
    fn elsewhere(&mut self, random: bool) -> bool {
        let from = self.best.clone();
        let given = self.given();
        for first in [1, 2, 3, 4, 6, 8, 12, 16].into_iter().filter(|first| *first <= given.len()) {
            let less = first < given.len();
            let mut without = from.without.clone();
            without.extend_from_slice(&given[first..]);
            without.sort();
            if self.spent() {
                return false;
            }
            let fewer = Schedule { without, ..from.clone() };
            if self.control && self.run(&calm(&fewer)).core.verdict.is_some() {
                continue;
            }
            if less && self.small(&fewer) {
                return true;
            }
            for seed in 0..if random { SEEDS } else { 0 } {
                if self.spent() {
                    return false;
                }
                let chooser = Reseeded { seed: FromSeed::new(seed), schedule: fewer.clone() };
                let mut run = Run::new(self.sim.clone(), Box::new(chooser));
                run.judge();
                self.ran(1, run.core.stats.events + 10);
                if run.core.verdict.as_ref().and_then(Verdict::oracle) != Some(&self.oracle) {
                    continue;
                }
                self.best = run.outcome().schedule();
                self.reduce();
                if self.best.lines.len() < from.lines.len() {
                    return true;
                }
                self.best = from.clone();
            }
        }
        false
    }

    /// Takes the first schedule that fails with no more faults than the best, and with as much left out as
    /// `fewer`.
    fn small(&mut self, fewer: &Schedule) -> bool {
        let mut left = SMALL;
        for faults in 0..=self.best.lines.len().min(2) as u32 {
            let bounds = self.around(faults, left);
            let (found, judged) = self.walk(&bounds, faults, fewer);
            left = left.saturating_sub(judged);
            match found {
                None => {}
                Some(Ok(schedule)) => return self.take(&schedule),
                Some(Err(())) => return false,
            }
        }
        false
    }

    /// Walks through the schedules with so many faults: one that fails, `Err` if not all were tried; and how
    /// many were.
    fn walk(&mut self, bounds: &Bounds, faults: u32, base: &Schedule) -> (Option<Result<Schedule, ()>>, u64) {
        // Faults that the test sets are lines like all others here.
        let mut sim = (*self.sim).clone();
        sim.faults.clear();
        sim.triggers.clear();
        let origin = Origin { nodes: base.nodes, weather: base.weather };
        let oracle = self.oracle.clone();
        let mut walk = Walk::new(Rc::new(sim), bounds, origin)
            .seeking(&oracle, base.without.clone())
            .while_it(self.goes_on);
        let result = walk.exactly(faults);
        let (judged, events) = (walk.judged, walk.events);
        self.ran(judged, events);
        let found = match result {
            Ok(()) => None,
            Err(Stopped::Failed(schedule, _)) => Some(Ok(*schedule)),
            Err(_) => Some(Err(())),
        };
        (found, judged)
    }

    pub(super) fn size(&self, schedule: &Schedule, events: u64) -> Size {
        let hosts = schedule.without.iter().filter(|w| matches!(w, Without::Host(_))).count();
        let gone = |name: &String| schedule.without.contains(&Without::Host(name.clone()));
        let cmds = self.sim.workload.iter().zip(&self.sim.numbers).filter(|((_, node, _), number)| {
            let name = &self.sim.names[node.index()];
            !gone(name) && !schedule.without.contains(&Without::Cmd(name.clone(), **number))
        });
        Size {
            faults: schedule.lines.len(),
            commands: cmds.count(),
            hosts: self.sim.names.len() - hosts,
            events,
        }
    }

    fn story(mut self, least: bool) -> Shrunk {
        for (number, line) in (1..).zip(&mut self.best.lines) {
            line.id = number;
        }
        let schedule = self.best.clone();
        let mut without = Vec::new();
        let told = if self.cut_short { schedule.lines.len().min(TOLD) } else { schedule.lines.len() };
        for line in &schedule.lines[..told] {
            let lines = schedule.lines.iter().filter(|other| *other != line).cloned().collect();
            let run = self.run(&Schedule { lines, ..schedule.clone() });
            without.push((format!("f{}", line.id), run.core.verdict.unwrap_or(Verdict::Pass)));
        }
        let run = self.run(&schedule);
        let kinds = self.tried(run.core.stats.streams > 0);
        let after = self.size(&schedule, run.core.stats.events);
        let verdict = run.core.verdict.unwrap_or(Verdict::Pass);
        let inevitable = if self.cut_short { None } else { inevitable(&mut self, &schedule, &verdict) };
        let slice = slice(&self, &schedule, &verdict);
        let Self { before, runs, cut_short, .. } = self;
        Shrunk { schedule, verdict, before, after, runs, cut_short, least, kinds, without, inevitable, slice }
    }
}

/// A reason without its numbers.
fn without_numbers(why: &str) -> String {
    why.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Progress is told in so many parts of the budget.
const PARTS: u64 = 100;

/// Without how many faults, each in turn, the run is told of if the search was cut short: nobody shall wait for thousands.
const TOLD: usize = 8;

/// How many small schedules are tried with each number of commands.
const SMALL: u64 = 6_000;

/// How many seeds are tried with each number of commands.
const SEEDS: u64 = 300;

/// The choices of a seed, in a test with as much left out as in a schedule.
#[derive(Clone)]
struct Reseeded {
    seed: FromSeed,
    schedule: Schedule,
}

impl Chooser for Reseeded {
    fn choose(&mut self, key: ChoiceKey, alts: &[Alt]) -> Choice {
        self.seed.choose(key, alts)
    }

    fn origin(&self) -> Origin {
        Origin { nodes: self.schedule.nodes, ..self.seed.origin() }
    }

    fn without(&self) -> Vec<Without> {
        self.schedule.without.clone()
    }
}

/// The same without faults.
fn calm(schedule: &Schedule) -> Schedule {
    Schedule { lines: Vec::new(), ..schedule.clone() }
}
