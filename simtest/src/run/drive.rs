//! A run from start to verdict.

use std::rc::Rc;

use super::core::Core;
use super::faults;
use super::heap::{Heap, Job};
use super::host::Host;
use super::net::{Flow, Net};
use crate::campaign::Policy;
use crate::choice::{Chooser, Kind};
use crate::fault::Timed;
use crate::harness::Marks;
use crate::link::Gate;
use crate::node::{Node, NodeId};
use crate::oracle::{Check, Oracle, Phase, Verdict, View};
use crate::outcome::{FaultLog, Header, Outcome};
use crate::panics::{self, Quiet};
use crate::schedule::Without;
use crate::sim::Sim;
use crate::stats::Stats;
use crate::time::{Now, Time};
use crate::trace::{NO_NODE, Recorder, Trace, Watch, What};

/// A run under way. `Clone` copies the whole simulation: both copies go on by themselves.
#[derive(Clone)]
pub struct Run<N: Node> {
    pub(super) sim: Rc<Sim<N>>,
    pub(super) oracles: Vec<(String, Box<dyn Oracle<N>>)>,
    pub(super) policy: Policy,
    pub(super) nodes_seed: u64,
    pub(super) plan: Vec<Timed>,
    pub(super) unmatched: Vec<u32>,
    without: Vec<Without>,
    pub(super) hosts: Vec<Host<N>>,
    pub(super) net: Net,
    pub(crate) core: Core,
    pub(super) history: Vec<(Time, NodeId, N::Event)>,
    /// The node that the latest event happened to.
    pub(super) latest: Option<u32>,
    /// Which judges hold, if records are kept.
    watch: Watch,
    /// A buffer for what is written to streams.
    pub(super) written: Vec<u8>,
    pub(super) booted: bool,
    pub(super) converged: bool,
}

impl<N: Node> Run<N> {
    /// `sim` has been [prepared](Sim::prepare).
    pub(crate) fn new(sim: Rc<Sim<N>>, mut chooser: Box<dyn Chooser>) -> Self {
        let policy = Policy::draw(&mut *chooser);
        let origin = chooser.origin();
        let listed = chooser.timed();
        let replay = listed.is_some();
        let rare = faults::rare(&sim, &*chooser, replay);
        let triggers = faults::triggers(&sim, &*chooser);
        let (plan, unmatched) = faults::plan(&sim, &policy, &mut *chooser, listed);
        let without = chooser.without();
        let absent = |name: &String| without.iter().any(|w| matches!(w, Without::Host(host) if host == name));
        let skipped = |id: usize, n: u32| {
            let name = &sim.names[id];
            let this = |w: &Without| matches!(w, Without::Cmd(host, number) if host == name && *number == n);
            absent(name) || without.iter().any(this)
        };
        let mut heap = Heap::default();
        if let Some(chaos) = &sim.campaign {
            heap.push(chaos.until, Job::Quiet);
        }
        for (index, timed) in (0..).zip(&plan) {
            heap.push(timed.at, Job::Begin(index));
        }
        for (index, ((at, node, _), n)) in (0..).zip(sim.workload.iter().zip(&sim.numbers)) {
            if without.is_empty() || !skipped(node.index(), *n) {
                heap.push(*at, Job::Cmd(index));
            }
        }
        let core = Core {
            now: Time::ZERO,
            phase: Phase::Chaos,
            heap,
            rec: Recorder::new(sim.record, sim.most_records),
            chooser,
            log: FaultLog::default(),
            stats: Stats::default(),
            verdict: None,
            weather: origin.weather,
            replay,
            rare,
            calm: false,
            marks: Marks::default(),
            triggered: Vec::new(),
            triggers,
            active: vec![None; plan.len()],
        };
        Self {
            policy,
            nodes_seed: origin.nodes,
            plan,
            unmatched,
            hosts: sim.names.iter().map(|name| Host::new(absent(name))).collect(),
            without,
            oracles: sim.oracles.clone(),
            net: Net::new(sim.names.len() as u32, sim.triggers.len()),
            core,
            history: Vec::new(),
            latest: None,
            watch: Watch::default(),
            written: Vec::new(),
            booted: false,
            converged: false,
            sim,
        }
    }

    /// Takes the next event; `false` when the run is over.
    pub fn step(&mut self) -> bool {
        if !self.booted {
            self.booted = true;
            for id in 0..self.hosts.len() as u32 {
                if !self.hosts[id as usize].absent {
                    self.boot(id, What::Start);
                }
            }
            return true;
        }
        if self.over() {
            return false;
        }
        let Some((at, job)) = self.core.heap.pop() else { return false };
        self.core.now = at;
        self.latest = None;
        match job {
            Job::Deliver(index) => self.deliver(index),
            Job::Timer(id) => self.timer(id, at),
            Job::Stored { node, life } => self.stored(node, life),
            Job::Cmd(index) => self.cmd(index),
            Job::Begin(index) => self.begin(index),
            Job::End(index) => self.end(index),
            Job::Stream(code) => self.stream(code),
            Job::Departs(gate) => {
                self.net.departs(&mut self.core, gate);
                self.observe();
            }
            Job::Writable(code) => self.writable(code),
            Job::GiveUp(code) => self.give_up(code),
            Job::Quiet => self.quiet(),
        }
        true
    }

    /// Steps until the clock has reached `time` or the run is over.
    pub fn until(&mut self, time: impl Into<Time>) -> &mut Self {
        let time = time.into();
        while !self.booted || self.core.heap.next_at().is_some_and(|at| at <= time) {
            if !self.step() {
                return self;
            }
        }
        self.core.now = self.core.now.max(time.min(self.sim.end()));
        self
    }

    /// Gives a node a command now, besides the workload.
    pub fn command(&mut self, node: NodeId, cmd: N::Cmd) -> &mut Self {
        if !self.booted {
            self.step();
        }
        let index = self.sim.workload.len() as u32;
        Rc::make_mut(&mut self.sim).push_cmd(self.core.now, node, cmd);
        self.cmd(index);
        self
    }

    /// What there is to see now.
    pub fn view(&self) -> View<'_, N> {
        View {
            now: self.core.now,
            phase: self.core.phase,
            names: &self.sim.names,
            hosts: &self.hosts,
            history: &self.history,
            stats: &self.core.stats,
            latest: self.latest,
        }
    }

    /// Runs to the end and judges.
    pub fn finish(mut self) -> Outcome<N> {
        self.judge();
        self.outcome()
    }

    /// Runs to the end; the verdict is in `core` then, `None` for a pass.
    pub(crate) fn judge(&mut self) {
        self.caught(|run| {
            while run.step() {}
            run.conclude();
        });
    }

    /// A panic of a node or a judge fails the run.
    pub(crate) fn caught<T: Default>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        panics::caught(|| act(self)).unwrap_or_else(|why| {
            self.core.fail("panic", why);
            T::default()
        })
    }

    pub(crate) const fn booted(&self) -> bool {
        self.booted
    }

    pub(crate) fn lives(&self, name: &str) -> bool {
        self.hosts[self.id_of(name) as usize].node.is_some()
    }

    pub(crate) fn next_at(&self) -> Option<Time> {
        self.core.heap.next_at()
    }

    /// Whether the run is on, has reached `at` or will without another event before, and takes new faults then.
    pub(crate) fn goes_on_after(&self, at: Time) -> bool {
        let next = self.core.heap.next_at();
        let on = self.core.verdict.is_none() && !self.converged && at <= self.sim.end();
        on && self.core.phase == Phase::Chaos && next.is_some_and(|next| at <= next)
    }

    fn over(&mut self) -> bool {
        let end = self.sim.end();
        if self.core.verdict.is_some() || self.converged {
            return true;
        }
        if self.core.stats.events > self.sim.max_events {
            let why = format!("more than {} events by {} s", self.sim.max_events, self.core.now);
            self.core.verdict = Some(Verdict::Unknown(why));
            return true;
        }
        if self.core.heap.next_at().is_none_or(|at| at > end) {
            self.core.now = end;
            return true;
        }
        false
    }

    pub(super) fn now(&self) -> Now {
        Now::at(self.core.now)
    }

    /// As a node sees it: its wall clock may be wrong.
    #[inline]
    pub(super) fn now_of(&mut self, id: u32) -> Now {
        if self.hosts[id as usize].clocks.is_empty() {
            return self.now();
        }
        self.wrong_now_of(id)
    }

    #[cold]
    fn wrong_now_of(&mut self, id: u32) -> Now {
        let now = self.now();
        let mut wrong_by = 0_i64;
        for clock in self.hosts[id as usize].clocks.clone() {
            wrong_by = wrong_by.saturating_add(clock.wrong_by(now.mono));
            self.core.touch(clock.index, Kind::Clock);
        }
        now.wrong_by(wrong_by)
    }

    /// After every event: invariants, and whether everything has converged.
    pub(super) fn observe(&mut self) {
        let mut broken = None;
        for (index, (name, judge)) in self.sim.invariants.iter().enumerate() {
            let check = judge(&self.view());
            if check.is_err() {
                broken = Some((index, name.clone(), check));
                break;
            }
        }
        if self.core.rec.on {
            self.watch(broken.as_ref().map(|(index, ..)| *index));
        }
        if let Some((_, name, check)) = broken {
            return self.core.judge(&name, check);
        }
        for (index, (_, judge)) in self.sim.sometimes.iter().enumerate() {
            if !self.core.marks.has(index) && judge(&self.view()).is_ok() {
                self.core.marks.hit(index);
            }
        }
        let judged = self.sim.campaign.is_none() || self.core.phase == Phase::Quiet;
        if judged && self.core.heap.busy == 0 && !self.sim.eventually.is_empty() {
            let waiting = self.hosts.iter().any(|host| !host.waiting.is_empty());
            self.converged = !waiting && self.outstanding().is_none();
        }
    }

    /// Notes which judges hold.
    fn watch(&mut self, broken: Option<usize>) {
        let mut watch = std::mem::take(&mut self.watch);
        let sim = &self.sim;
        if watch.names.is_empty() {
            sim.invariants.iter().for_each(|(name, _)| watch.add(name, true));
            sim.eventually.iter().for_each(|(name, _)| watch.add(name, false));
            sim.sometimes.iter().for_each(|(name, _)| watch.add(&format!("sometimes {name}"), false));
        }
        let at = self.core.rec.records.len();
        if let Some(broken) = broken {
            watch.see(at, broken, false);
        }
        let (first, view) = (sim.invariants.len(), self.view());
        let _quiet = Quiet::begin();
        for (index, (_, judge)) in sim.eventually.iter().enumerate() {
            // Some judges are not made for times at which they are not asked.
            let holds = panics::caught(|| judge(&view).is_ok()).unwrap_or(false);
            watch.see(at, first + index, holds);
        }
        for index in 0..sim.sometimes.len() {
            watch.see(at, first + sim.eventually.len() + index, self.core.marks.has(index));
        }
        self.watch = watch;
    }

    /// The first of the `eventually` that does not hold now.
    fn outstanding(&self) -> Option<(&str, String)> {
        let view = self.view();
        self.sim.eventually.iter().find_map(|(name, judge)| Some((&name[..], judge(&view).err()?)))
    }

    fn conclude(&mut self) {
        if self.core.verdict.is_some() {
            return;
        }
        if !self.converged
            && let Some((name, why)) = self.outstanding()
        {
            let (name, why) = (name.to_owned(), format!("{why} (at the end, {} s)", self.core.now));
            return self.core.fail(&name, why);
        }
        let mut oracles = std::mem::take(&mut self.oracles);
        let mut failure: Option<(String, Check)> = None;
        let view = self.view();
        for (name, oracle) in &mut oracles {
            let check = oracle.finally(&view);
            if check.is_err() && failure.is_none() {
                failure = Some((name.clone(), check));
            }
        }
        for (name, judge) in &self.sim.finally {
            let check = judge(&view);
            if check.is_err() && failure.is_none() {
                failure = Some((name.clone(), check));
            }
        }
        if let Some((name, check)) = failure {
            self.core.judge(&name, check);
        }
    }

    pub(crate) fn outcome(self) -> Outcome<N> {
        let line = |job| match job {
            Job::Begin(index) => Some(self.plan[index as usize].line).filter(|line| *line > 0),
            _ => None,
        };
        let unbegun: Vec<u32> = self.core.heap.jobs().filter_map(line).collect();
        let Core { rec, chooser, log, mut stats, verdict, weather, now, mut marks, .. } = self.core;
        stats.ended(now);
        marks.latest = now;
        let verdict = verdict.unwrap_or(Verdict::Pass);
        let mut unmatched = self.unmatched;
        unmatched.extend(unbegun);
        unmatched.extend(chooser.unmatched());
        unmatched.sort_unstable();
        let trace = Trace {
            test: self.sim.test.clone(),
            names: self.sim.names.clone(),
            flows: self.net.flows.iter().map(|flow| (flow.src, flow.dst)).collect(),
            watch: self.watch,
            verdict: verdict.to_string(),
            oracle: verdict.oracle().map(String::from),
            hash: rec.hash(),
            streams: self.net.flows.iter().map(|flow| flow.stream).collect(),
            limits: self.net.flows.iter().map(Flow::limit).collect(),
            gates: self.net.gates.iter().map(Gate::promise).collect(),
            records: rec.records,
            is_cut: rec.is_cut,
            text: rec.text,
            bytes: rec.bytes,
        };
        let given = self.without.iter().filter(|without| !self.sim.knows(without));
        let unmatched = unmatched.into_iter().map(|line| format!("f{line}"));
        let unmatched = unmatched.chain(given.map(ToString::to_string)).collect();
        Outcome {
            hash: trace.hash,
            verdict,
            stats,
            trace,
            unmatched,
            bottlenecks: self.net.passages(),
            nodes: self.hosts.into_iter().map(|host| host.node).collect(),
            history: self.history,
            marks,
            log,
            header: Header {
                test: self.sim.test.clone(),
                nodes: self.nodes_seed,
                weather,
                without: self.without,
            },
        }
    }

    fn quiet(&mut self) {
        for index in 0..self.core.active.len() as u32 {
            self.end(index);
        }
        self.core.phase = Phase::Quiet;
        self.core.put(NO_NODE, What::Quiet, 0, |_| ());
        self.observe();
    }
}
