//! A run from start to verdict.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::core::Core;
use super::faults;
use super::heap::{Heap, Job};
use super::host::Host;
use super::net::Net;
use crate::campaign::Policy;
use crate::choice::Chooser;
use crate::fault::Timed;
use crate::node::{Node, NodeId};
use crate::oracle::{Check, Phase, Verdict, View};
use crate::outcome::{FaultLog, Header, Outcome};
use crate::sim::Sim;
use crate::stats::Stats;
use crate::time::{Now, Time};
use crate::trace::{NO_NODE, Recorder, Trace, What};

/// A run under way. `Clone` copies the whole simulation: both copies go on by themselves.
#[derive(Clone)]
pub struct Run<N: Node> {
    pub(super) sim: Sim<N>,
    pub(super) policy: Policy,
    pub(super) nodes_seed: u64,
    pub(super) plan: Vec<Timed>,
    pub(super) unmatched: Vec<u32>,
    pub(super) hosts: Vec<Host<N>>,
    pub(super) net: Net,
    pub(super) core: Core,
    pub(super) history: Vec<(Time, NodeId, N::Event)>,
    pub(super) booted: bool,
    pub(super) converged: bool,
}

impl<N: Node> Run<N> {
    pub(crate) fn new(mut sim: Sim<N>, mut chooser: Box<dyn Chooser>) -> Self {
        sim.check_names();
        sim.workload.sort_by_key(|(at, ..)| *at);
        let policy = Policy::draw(&mut *chooser);
        let origin = chooser.origin();
        let listed = chooser.timed();
        let replay = listed.is_some();
        let (plan, unmatched) = faults::plan(&sim, &policy, &mut *chooser, listed);
        let mut heap = Heap::default();
        if let Some(chaos) = &sim.campaign {
            heap.push(chaos.until, Job::Quiet);
        }
        for (index, timed) in (0..).zip(&plan) {
            heap.push(timed.at, Job::Begin(index));
        }
        for (index, (at, ..)) in (0..).zip(&sim.workload) {
            heap.push(*at, Job::Cmd(index));
        }
        let core = Core {
            now: Time::ZERO,
            phase: Phase::Chaos,
            heap,
            rec: Recorder::new(sim.record),
            chooser,
            log: FaultLog::default(),
            stats: Stats::default(),
            verdict: None,
            weather: origin.weather,
            replay,
            active: vec![None; plan.len()],
        };
        Self {
            policy,
            nodes_seed: origin.nodes,
            plan,
            unmatched,
            hosts: sim.names.iter().map(|_| Host::new()).collect(),
            net: Net::new(sim.names.len() as u32),
            core,
            history: Vec::new(),
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
                self.boot(id, What::Start);
            }
            return true;
        }
        if self.over() {
            return false;
        }
        let Some((at, job)) = self.core.heap.pop() else { return false };
        self.core.now = at;
        match job {
            Job::Deliver(index) => self.deliver(index),
            Job::Timer(id) => self.timer(id, at),
            Job::Stored { node, life } => self.stored(node, life),
            Job::Cmd(index) => self.cmd(index),
            Job::Begin(index) => self.begin(index),
            Job::End(index) => self.end(index),
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
        self.sim.workload.push((self.core.now, node, cmd));
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
        }
    }

    /// Runs to the end and judges.
    pub fn finish(mut self) -> Outcome<N> {
        let result = catch_unwind(AssertUnwindSafe(|| {
            while self.step() {}
            self.conclude();
        }));
        if let Err(panic) = result {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            self.core.fail("panic", message.to_owned());
        }
        self.outcome()
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

    /// After every event: invariants, and whether everything has converged.
    pub(super) fn observe(&mut self) {
        for (name, judge) in &self.sim.invariants {
            let check = judge(&self.view());
            if check.is_err() {
                let name = name.clone();
                return self.core.judge(&name, check);
            }
        }
        let judged = self.sim.campaign.is_none() || self.core.phase == Phase::Quiet;
        if judged && self.core.heap.busy == 0 && !self.sim.eventually.is_empty() {
            let waiting = self.hosts.iter().any(|host| !host.waiting.is_empty());
            self.converged = !waiting && self.outstanding().is_none();
        }
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
        let mut oracles = std::mem::take(&mut self.sim.oracles);
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

    fn outcome(self) -> Outcome<N> {
        let Core { rec, chooser, log, mut stats, verdict, weather, now, .. } = self.core;
        stats.ended(now);
        let verdict = verdict.unwrap_or(Verdict::Pass);
        let mut unmatched = self.unmatched;
        unmatched.extend(chooser.unmatched());
        unmatched.sort_unstable();
        let trace = Trace {
            names: self.sim.names,
            flows: self.net.flows.iter().map(|flow| (flow.src, flow.dst)).collect(),
            verdict: verdict.to_string(),
            hash: rec.hash(),
            records: rec.records,
            text: rec.text,
        };
        Outcome {
            hash: trace.hash,
            verdict,
            stats,
            trace,
            unmatched: unmatched.into_iter().map(|line| format!("f{line}")).collect(),
            bottlenecks: self.net.passages(),
            nodes: self.hosts.into_iter().map(|host| host.node).collect(),
            history: self.history,
            log,
            header: Header { test: self.sim.test, nodes: self.nodes_seed, weather },
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
