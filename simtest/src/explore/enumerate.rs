//! Walks through all schedules with a given number of faults.
//!
//! Depth first, in time: a run goes on step by step, and where it could have gone otherwise, a copy of the
//! simulation from just before takes that turn. So schedules share the part that they have in common.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::Bounds;
use crate::choice::{Alt, Choice, ChoiceKey, Chooser, FromSchedule, Kind, Origin};
use crate::fault::{Fault, Timed};
use crate::node::Node;
use crate::oracle::Verdict;
use crate::overdue::{self, What};
use crate::run::Run;
use crate::schedule::{Schedule, Without};
use crate::sim::Sim;
use crate::time::Time;
use crate::verify;

/// Every so many schedules one is run again from the start, to see that a copy goes on like the original.
const CHECKED: u64 = 1_024;

/// What the walker and the choosers of all copies share.
#[derive(Default)]
struct Turn {
    /// The choices of the present step that are not the default.
    forced: Vec<(ChoiceKey, Choice)>,
    /// The choices that the present step had.
    asked: Vec<ChoiceKey>,
}

#[derive(Clone)]
struct Walking {
    likely: bool,
    kinds: Vec<Kind>,
    origin: Origin,
    timed: Vec<Timed>,
    without: Vec<Without>,
    turn: Rc<RefCell<Turn>>,
}

impl Chooser for Walking {
    fn choose(&mut self, key: ChoiceKey, alts: &[Alt]) -> Choice {
        if key.kind == Kind::Policy || self.likely && alts.iter().all(|alt| alt.ppm == 0) {
            return Choice::DEFAULT;
        }
        let mut turn = self.turn.borrow_mut();
        turn.asked.push(key);
        turn.forced.iter().find(|(forced, _)| *forced == key).map_or(Choice::DEFAULT, |(_, choice)| *choice)
    }

    fn origin(&self) -> Origin {
        self.origin
    }

    fn timed(&self) -> Option<Vec<Timed>> {
        Some(self.timed.clone())
    }

    fn lists(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    fn without(&self) -> Vec<Without> {
        self.without.clone()
    }
}

/// The next timed fault to think about: when, and its number among those of one time.
#[derive(Clone, Copy)]
struct Slot {
    /// Nothing begins before this time, in nanoseconds.
    from: u64,
    crash: usize,
}

/// Why a walk has ended early.
pub(super) enum Stopped {
    /// This schedule fails, with this verdict.
    Failed(Box<Schedule>, Verdict),
    /// A copy went another way than a run from the start.
    Diverged(Box<Schedule>),
    /// The simulator broke one of its own laws.
    Unlawful(Box<Schedule>, String),
    /// There are more than the bounds allow.
    TooMany,
}

pub(super) struct Walk<'a, N: Node> {
    sim: Rc<Sim<N>>,
    bounds: &'a Bounds,
    crashes: Vec<Fault>,
    root: Walking,
    /// Only a failure of this judge counts.
    wanted: Option<&'a str>,
    /// Asked before each schedule: whether to judge it too.
    goes_on: Option<&'a dyn Fn() -> bool>,
    /// How many schedules have been judged.
    pub(super) judged: u64,
    /// How many of them were run again from the start.
    pub(super) checked: u64,
    /// How many events their own parts had.
    pub(super) events: u64,
}

impl<'a, N: Node> Walk<'a, N> {
    pub(super) fn new(sim: Rc<Sim<N>>, bounds: &'a Bounds, origin: Origin) -> Self {
        let mut crashes =
            if bounds.kinds.contains(&Kind::Crash) { crashes(&sim, bounds) } else { Vec::new() };
        crashes.extend(
            bounds.timed.iter().filter(|fault| !crashes.contains(fault)).cloned().collect::<Vec<_>>(),
        );
        let kinds = bounds.kinds.clone();
        let root = Walking {
            likely: bounds.likely,
            kinds,
            origin,
            timed: sim.faults.clone(),
            without: Vec::new(),
            turn: Rc::default(),
        };
        Self { sim, bounds, crashes, root, wanted: None, goes_on: None, judged: 0, checked: 0, events: 0 }
    }

    /// Looks only for failures of this judge, in a test without some of its parts.
    pub(super) fn seeking(mut self, oracle: &'a str, without: Vec<Without>) -> Self {
        self.wanted = Some(oracle);
        self.root.without = without;
        self
    }

    /// Ends, as if there were too many schedules, when `goes_on` says no.
    pub(super) fn while_it(self, goes_on: &'a dyn Fn() -> bool) -> Self {
        Self { goes_on: Some(goes_on), ..self }
    }

    /// All schedules with exactly this many faults.
    pub(super) fn exactly(&mut self, faults: u32) -> Result<(), Stopped> {
        let mut run = Run::new(self.sim.clone(), Box::new(self.root.clone()));
        run.core.calm = faults == 0;
        self.go_on(run, faults, Slot { from: self.bounds.span.start, crash: 0 })
    }

    /// A run between two steps, with `left` more faults to come.
    fn go_on(&mut self, mut run: Run<N>, left: u32, mut slot: Slot) -> Result<(), Stopped> {
        if left == 0 {
            return self.judge(run);
        }
        loop {
            self.crash(&run, left, &mut slot)?;
            let before = run.clone();
            let Some(asked) = self.step(&mut run, &[]) else { return Ok(()) };
            if self.within(run.core.now) {
                self.turns(&before, &mut Vec::new(), &asked, left, slot)?;
            }
        }
    }

    /// One step with these choices forced; the choices that it had, or `None` when the run is over.
    fn step(&self, run: &mut Run<N>, forced: &[(ChoiceKey, Choice)]) -> Option<Vec<ChoiceKey>> {
        {
            let mut turn = self.root.turn.borrow_mut();
            turn.asked.clear();
            turn.forced.clear();
            turn.forced.extend_from_slice(forced);
        }
        let more = run.caught(Run::step);
        more.then(|| std::mem::take(&mut self.root.turn.borrow_mut().asked))
    }

    /// What could have gone otherwise in a step, from the choices `asked` on.
    fn turns(
        &mut self,
        before: &Run<N>,
        forced: &mut Vec<(ChoiceKey, Choice)>,
        asked: &[ChoiceKey],
        left: u32,
        slot: Slot,
    ) -> Result<(), Stopped> {
        for key in asked {
            for choice in self.bounds.choices(key.kind) {
                forced.push((*key, choice));
                let mut run = before.clone();
                let asked_then = self.step(&mut run, forced).unwrap_or_default();
                if left > 1 {
                    self.later_turns(before, forced, &asked_then, key, left - 1, slot)?;
                }
                run.core.calm = left == 1;
                self.go_on(run, left - 1, slot)?;
                forced.pop();
            }
        }
        Ok(())
    }

    /// What comes before the forced choice has had its turn already.
    fn later_turns(
        &mut self,
        before: &Run<N>,
        forced: &mut Vec<(ChoiceKey, Choice)>,
        asked: &[ChoiceKey],
        after: &ChoiceKey,
        left: u32,
        slot: Slot,
    ) -> Result<(), Stopped> {
        let from = asked.iter().position(|key| key == after).map_or(asked.len(), |i| i + 1);
        self.turns(before, forced, &asked[from..], left, slot)
    }

    /// The timed faults that could begin before the next event.
    fn crash(&mut self, run: &Run<N>, left: u32, slot: &mut Slot) -> Result<(), Stopped> {
        if self.crashes.is_empty() || !run.booted() {
            return Ok(());
        }
        while let Some(at) = self.due(run, *slot) {
            for crash in slot.crash..self.crashes.len() {
                let fault = self.crashes[crash].clone();
                if !fault.nodes().iter().all(|name| run.lives(name)) {
                    continue;
                }
                let mut turn = run.clone();
                turn.inject(Timed { at, fault, line: 0 });
                turn.core.calm = left == 1;
                self.go_on(turn, left - 1, Slot { from: slot.from, crash: crash + 1 })?;
            }
            *slot = Slot { from: at.as_nanos().saturating_add(self.bounds.slot.unwrap_or(1)), crash: 0 };
        }
        Ok(())
    }

    /// When the faults of a slot begin, if that is before the next event.
    fn due(&self, run: &Run<N>, slot: Slot) -> Option<Time> {
        let from = Time::from_nanos(slot.from);
        let at = match self.bounds.slot {
            Some(_) => from,
            None => run.next_at().filter(|next| *next >= from)?,
        };
        (self.within(at) && run.goes_on_after(at)).then_some(at)
    }

    fn within(&self, at: Time) -> bool {
        self.bounds.span.contains(&at.as_nanos())
    }

    fn judge(&mut self, mut run: Run<N>) -> Result<(), Stopped> {
        if self.judged >= self.bounds.most || self.goes_on.is_some_and(|goes_on| !goes_on()) {
            return Err(Stopped::TooMany);
        }
        self.judged += 1;
        let before = run.core.stats.events;
        let under_way = overdue::run(|| What::Schedule(run.clone().outcome().schedule().to_text()));
        run.judge();
        drop(under_way);
        self.events += run.core.stats.events - before + 10;
        let hash = run.core.rec.hash();
        if let Some(verdict) = run.core.verdict.clone()
            && (self.wanted.is_none() || self.wanted == verdict.oracle())
        {
            return Err(Stopped::Failed(Box::new(run.outcome().schedule()), verdict));
        }
        if self.judged % CHECKED == 1 {
            self.checked += 1;
            let schedule = run.outcome().schedule();
            let is_verified = verify::is_asked_for_all();
            let mut sim = Rc::clone(&self.sim);
            if is_verified {
                Rc::make_mut(&mut sim).record(true);
            }
            let mut again = Run::new(sim, Box::new(FromSchedule::new(&schedule)));
            again.judge();
            if again.core.rec.hash() != hash {
                return Err(Stopped::Diverged(Box::new(schedule)));
            }
            if is_verified && let Err(why) = verify::run(&again.outcome()) {
                return Err(Stopped::Unlawful(Box::new(schedule), why));
            }
        }
        Ok(())
    }
}

fn crashes<N: Node>(sim: &Sim<N>, bounds: &Bounds) -> Vec<Fault> {
    let mut all = Vec::new();
    for name in bounds.victims.as_ref().unwrap_or(&sim.names) {
        let crash = Fault::crash(name).disk(bounds.disk);
        all.extend(bounds.downs.iter().map(|down| crash.clone().for_(Duration::from_nanos(*down))));
    }
    all
}
