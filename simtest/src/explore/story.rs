//! What a shrunk failure says.

use std::fmt;

use super::shrink::Shrinker;
use crate::choice::{FromSchedule, Kind};
use crate::node::Node;
use crate::oracle::Verdict;
use crate::run::Run;
use crate::schedule::Schedule;
use crate::time::Time;
use crate::trace::Trace;

/// How large a failing run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Size {
    /// Lines of the schedule.
    pub faults: usize,
    /// Commands that are given.
    pub commands: usize,
    /// Hosts that take part.
    pub hosts: usize,
    /// Events.
    pub events: u64,
}

/// The event after which a failure could not be avoided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inevitable {
    /// The number of steps of the run up to it, itself included; 0: the failure was certain from the start.
    pub step: u64,
    /// When it happened.
    pub at: Time,
    /// What it was, as in the trace.
    pub what: String,
}

/// What led to a failure.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Slice {
    /// Commands, faults and what these did, and what lies in the causal past of the failure and would not have happened otherwise: a line
    /// each, as in [`TraceView::packets`](crate::TraceView::packets). If that is more than 40 lines, those that are alike are
    /// folded into the first of them.
    pub lines: Vec<String>,
    /// What is left out (`any fault`, a fault `f1`, a command `a!2`) of the run that this one was laid beside, and that does not fail
    /// likewise. Empty if there is none: then all of the past is there.
    pub beside: String,
}

/// The smallest failure that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shrunk {
    /// It fails like the original one.
    pub schedule: Schedule,
    /// How it ends.
    pub verdict: Verdict,
    /// The size of the original run.
    pub before: Size,
    /// The size of this one.
    pub after: Size,
    /// How many runs it took.
    pub runs: u64,
    /// Whether the search ended before there was nothing left to try: with a larger budget it may become smaller.
    pub cut_short: bool,
    /// No schedule with fewer faults of these [`kinds`](Self::kinds), as [`Bounds`](crate::Bounds) have them, fails likewise, in this
    /// weather and with as much left out: all were tried.
    pub least: bool,
    /// Those that can be enumerated, and of the others those that are in the schedule, at any moment.
    pub kinds: Vec<Kind>,
    /// For each fault by its id: how the run ends without it. For the first few, if the search was cut short.
    pub without: Vec<(String, Verdict)>,
    /// Where the failure became certain: from there on it fails even if nothing else goes wrong. Not looked for if the search was cut
    /// short.
    pub inevitable: Option<Inevitable>,
    /// What led to it.
    pub slice: Slice,
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, runs, .. } = self;
        writeln!(
            f,
            "shrunk: {} -> {} faults, {} -> {} commands, {} -> {} hosts, {} -> {} events in {runs} runs",
            before.faults,
            after.faults,
            before.commands,
            after.commands,
            before.hosts,
            after.hosts,
            before.events,
            after.events
        )?;
        for line in &self.schedule.lines {
            writeln!(f, "  {line}")?;
        }
        if self.cut_short {
            writeln!(
                f,
                "cut short: this is the smallest so far; with a larger budget it may become smaller"
            )?;
        }
        let end = |verdict: &Verdict| match verdict {
            Verdict::Pass => "passes".to_owned(),
            Verdict::Fail { oracle, .. } if Some(&oracle[..]) == self.verdict.oracle() => "fails too".into(),
            Verdict::Fail { oracle, .. } => format!("fails {oracle}"),
            Verdict::Unknown(_) => "is undecided".into(),
        };
        let without: Vec<String> =
            self.without.iter().map(|(id, verdict)| format!("without {id}: {}", end(verdict))).collect();
        if !without.is_empty() {
            writeln!(f, "{}", without.join(" · "))?;
        }
        if self.least && after.faults > 0 {
            let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.word()).collect();
            writeln!(f, "no schedule with fewer faults fails likewise here; tried: {}", kinds.join(", "))?;
        }
        match &self.inevitable {
            Some(Inevitable { step: 0, .. }) => write!(f, "it fails without any fault")?,
            Some(Inevitable { at, what, .. }) => write!(f, "inevitable after {at} s: {what}")?,
            None if self.cut_short => write!(f, "from when on it was inevitable was not looked for")?,
            None => write!(f, "avoidable until the end")?,
        }
        let Slice { lines, beside } = &self.slice;
        match &beside[..] {
            _ if lines.is_empty() => return Ok(()),
            "" => write!(f, "\nwhat led to it:")?,
            beside => write!(f, "\nwhat led to it, beside a run without {beside}:")?,
        }
        lines.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// How many points of a run are looked at in one round.
const POINTS: u64 = 32;

/// The first step after which the run fails like this even without further faults, for good.
pub(super) fn inevitable<N: Node>(
    shrinker: &mut Shrinker<'_, N>,
    schedule: &Schedule,
    verdict: &Verdict,
) -> Option<Inevitable> {
    let start = || Run::new(shrinker.sim.clone(), Box::new(FromSchedule::new(schedule)));
    let mut steps = 0_u64;
    let mut run = start();
    while run.caught(Run::step) {
        steps += 1;
    }
    let (mut low, mut high) = (0_u64, steps);
    let fails = |run: &Run<N>| {
        let mut branch = run.branch(FromSchedule::new(&Schedule::empty("")));
        branch.judge();
        branch.core.verdict.as_ref().and_then(Verdict::oracle) == verdict.oracle()
    };
    if fails(&start()) {
        return Some(Inevitable { step: 0, at: Time::ZERO, what: String::new() });
    }
    // It passes from `low` on, and fails from `high` on.
    while high - low > 1 {
        let stride = (high - low).div_ceil(POINTS).max(1);
        let mut run = start();
        let mut step = 0;
        let mut last_pass = low;
        while step < high && run.caught(Run::step) {
            step += 1;
            if step > low && step < high && (step - low) % stride == 0 && !fails(&run) {
                last_pass = step;
            }
        }
        (low, high) = (last_pass, (last_pass + stride).min(high));
    }
    describe(shrinker, schedule, high)
}

/// What led to the failure, beside a run that passes: one without any fault, or where that leaves too many lines, without one fault; if
/// it fails without faults, without one command.
pub(super) fn slice<N: Node>(shrinker: &Shrinker<'_, N>, schedule: &Schedule, verdict: &Verdict) -> Slice {
    let (failing, at_end) = traced(shrinker, schedule);
    let less = schedule.lines.iter().take(CANDIDATES).map(|line| {
        let lines = schedule.lines.iter().filter(|other| *other != line).cloned().collect();
        (format!("f{}", line.id), Schedule { lines, ..schedule.clone() })
    });
    let given = shrinker.given();
    let quieter = given.iter().rev().take(CANDIDATES).map(|command| {
        let mut without = schedule.without.clone();
        without.push(command.clone());
        (command.to_string().replacen("without ", "", 1), Schedule { without, ..schedule.clone() })
    });
    let calm = Schedule { lines: Vec::new(), ..schedule.clone() };
    let candidates: Vec<_> = match schedule.lines.len() {
        0 => quieter.collect(),
        1 => less.collect(),
        _ => [("any fault".to_owned(), calm)].into_iter().chain(less).collect(),
    };
    let beside = candidates.into_iter().filter_map(|(beside, schedule)| {
        let (trace, _) = traced(shrinker, &schedule);
        let likewise = verdict.oracle().is_some_and(|oracle| trace.verdict.contains(oracle));
        (!likewise).then(|| Slice { lines: failing.slice(&trace, at_end), beside })
    });
    let all = beside.collect::<Vec<_>>().into_iter();
    let short = |slice: &Slice| slice.beside == "any fault" && slice.lines.len() <= Trace::SLICE;
    let best = all.clone().find(short).or_else(|| all.min_by_key(|slice| slice.lines.len()));
    best.unwrap_or_else(|| Slice { lines: failing.slice(&Trace::default(), at_end), beside: String::new() })
}

/// So many faults, the first, or commands, the last, are left out in turn.
const CANDIDATES: usize = 12;

/// A run with its records, and whether it went on to its end.
fn traced<N: Node>(shrinker: &Shrinker<'_, N>, schedule: &Schedule) -> (Trace, bool) {
    let mut sim = (*shrinker.sim).clone();
    sim.record(true);
    let mut run = Run::new(sim.into(), Box::new(FromSchedule::new(schedule)));
    run.judge();
    let at_end = run.core.now >= shrinker.sim.end();
    (run.outcome().trace, at_end)
}

fn describe<N: Node>(shrinker: &Shrinker<'_, N>, schedule: &Schedule, step: u64) -> Option<Inevitable> {
    let mut sim = (*shrinker.sim).clone();
    sim.record(true);
    let mut run = Run::new(sim.into(), Box::new(FromSchedule::new(schedule)));
    for _ in 1..step {
        run.caught(Run::step);
    }
    let from = run.core.rec.records.len();
    run.caught(Run::step);
    let at = run.core.now;
    let trace = run.outcome().trace;
    Some(Inevitable { step, at, what: trace.first_line(from)? })
}
