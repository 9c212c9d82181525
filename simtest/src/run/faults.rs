//! Timed faults: planning, beginning, ending.

use std::fmt::Write as _;

use super::Run;
use crate::campaign::Policy;
use crate::choice::{Chooser, Kind};
use crate::fault::{Fault, Timed, What as FaultWhat};
use crate::node::Node;
use crate::oracle::Life;
use crate::sim::Sim;
use crate::time::nanos;
use crate::trace::{Loss, NO_NODE, What};

use super::core::Active;
use super::heap::Job;
use super::host::Clock;

/// The timed faults of a run in order, and the lines of the schedule that cannot happen.
pub(super) fn plan<N: Node>(
    sim: &Sim<N>,
    policy: &Policy,
    chooser: &mut dyn Chooser,
    listed: Option<Vec<Timed>>,
) -> (Vec<Timed>, Vec<u32>) {
    let quiet = sim.campaign.as_ref().map(|chaos| chaos.until);
    let known = |timed: &Timed| timed.fault.nodes().iter().all(|name| sim.names.iter().any(|n| n == name));
    let in_time = |timed: &Timed| quiet.is_none_or(|quiet| timed.at < quiet);
    let (mut plan, unmatched) = if let Some(listed) = listed {
        let (plan, unmatched): (Vec<_>, Vec<_>) = listed.into_iter().partition(|t| known(t) && in_time(t));
        (plan, unmatched.into_iter().map(|timed| timed.line).collect())
    } else {
        let late = sim.faults.iter().find(|timed| !in_time(timed));
        assert!(late.is_none(), "the quiet phase begins earlier: {late:?}");
        let mut plan = sim.faults.clone();
        plan.extend(sim.campaign.iter().flat_map(|chaos| chaos.plan(chooser, policy, &sim.names)));
        (plan, Vec::new())
    };
    plan.sort_by_key(|timed| timed.at);
    if let Some(quiet) = quiet {
        for timed in &mut plan {
            timed.fault.lasts = timed.fault.lasts.map(|lasts| lasts.min(quiet - timed.at));
        }
    }
    (plan, unmatched)
}

/// Whether there may be replays or splices besides those that links and campaign make likely.
pub(super) fn rare<N: Node>(sim: &Sim<N>, chooser: &dyn Chooser, listed: bool) -> bool {
    let lists = || chooser.lists(Kind::Replay) || chooser.lists(Kind::Splice);
    listed && lists() || sim.triggers.iter().any(|(_, then)| then.splices())
}

/// Whether the test's triggers are to be heeded.
pub(super) fn triggers<N: Node>(sim: &Sim<N>, chooser: &dyn Chooser) -> bool {
    chooser.triggers() && !sim.triggers.is_empty()
}

impl<N: Node> Run<N> {
    /// Forgets the faults that are yet to begin, and plans those of another chooser.
    pub(crate) fn plan_anew(&mut self, chooser: &mut dyn Chooser) {
        self.core.heap.retain(|job| !matches!(job, Job::Begin(_)));
        let listed = chooser.timed();
        self.core.replay = listed.is_some();
        self.core.triggers = triggers(&self.sim, chooser);
        self.core.rare = rare(&self.sim, chooser, self.core.replay);
        let (plan, late) = plan(&self.sim, &self.policy, chooser, listed);
        self.unmatched = late;
        let now = self.core.now;
        for timed in plan {
            if timed.at > now || (timed.at == now && !self.booted()) {
                self.inject(timed);
            } else {
                self.unmatched.extend((timed.line > 0).then_some(timed.line));
            }
        }
    }

    /// Adds a fault that is yet to begin.
    pub(crate) fn inject(&mut self, timed: Timed) {
        self.core.heap.push(timed.at, Job::Begin(self.plan.len() as u32));
        self.plan.push(timed);
        self.core.active.push(None);
    }

    /// A fault begins. One that would change nothing (the node is dead already) is no line of the schedule.
    pub(super) fn begin(&mut self, index: u32) {
        let Timed { at, fault, line } = self.plan[index as usize].clone();
        if let FaultWhat::Crash { node, .. } | FaultWhat::Pause { node } = &fault.what
            && self.hosts[self.id_of(node) as usize].node.is_none()
        {
            self.unmatched.extend((line > 0).then_some(line));
            return;
        }
        let line = self.core.log.timed(line, at, fault.clone());
        let kind = fault.what.kind();
        self.core.stats.chosen(kind);
        self.core.active[index as usize] = Some(Active { line, mattered: false });
        if let Some(lasts) = fault.lasts {
            self.core.heap.push(at.plus(nanos(lasts)), Job::End(index));
        }
        match &fault.what {
            FaultWhat::Crash { node, disk } => {
                let id = self.id_of(node);
                self.core.put(id, What::Crash { fault: line }, 0, |text| text.push_str(&disk.to_string()));
                for datagram in self.hosts[id as usize].crash(*disk) {
                    self.core.stats.lost_down += 1;
                    self.net.lose(&mut self.core, datagram, Loss::Down, line);
                }
                self.streams_died(id, line);
                self.end_pauses(node);
                self.core.touch(index, Kind::Crash);
                self.told(id, Life::Crashed);
            }
            FaultWhat::Pause { node } => {
                let id = self.id_of(node);
                self.hosts[id as usize].paused += 1;
                self.core.put(id, What::Pause { fault: line }, 0, |_| ());
                if self.hosts[id as usize].paused == 1 {
                    self.told(id, Life::Paused);
                }
            }
            FaultWhat::Partition { from, to, both } => {
                self.core.put(NO_NODE, What::Cut { fault: line }, 0, |text| describe(&fault, text));
                self.cut(from, to, *both, |flow| {
                    flow.cuts += 1;
                    flow.cut_by = index;
                });
            }
            FaultWhat::Disk { node, trouble } => {
                let id = self.id_of(node);
                self.hosts[id as usize].trouble[*trouble as usize] += 1;
                self.hosts[id as usize].trouble_by = index;
                self.core.put(id, What::Trouble { fault: line }, *trouble as u64, |text| {
                    text.push_str(trouble.word());
                });
            }
            FaultWhat::Clock { node, step_ms, drift_ppm } => {
                let id = self.id_of(node);
                let (step_ms, drift_ppm, since) = (*step_ms, *drift_ppm, self.core.now);
                self.hosts[id as usize].clocks.push(Clock { index, since, step_ms, drift_ppm });
                self.core.put(id, What::Clock { fault: line }, step_ms.unsigned_abs(), |text| {
                    let _ = write!(text, "step={step_ms}ms drift={drift_ppm}ppm");
                });
            }
            FaultWhat::Rebind { node } => {
                let id = self.id_of(node);
                self.net.rebind(id, index);
                self.core.put(id, What::Rebind { fault: line }, 0, |_| ());
            }
        }
        self.observe();
    }

    /// A fault ends, unless it is over or lasts for ever.
    pub(super) fn end(&mut self, index: u32) {
        let Some(Active { line, .. }) = self.core.active[index as usize] else { return };
        let Fault { what, lasts } = self.plan[index as usize].fault.clone();
        if lasts.is_none() && matches!(what, FaultWhat::Crash { .. }) {
            return;
        }
        self.core.active[index as usize] = None;
        match &what {
            FaultWhat::Crash { node, .. } => {
                let id = self.id_of(node);
                self.boot(id, What::Restart { fault: line });
                return;
            }
            FaultWhat::Pause { node } => {
                let id = self.id_of(node);
                self.resume(id, line);
            }
            FaultWhat::Partition { from, to, both } => {
                self.core.put(NO_NODE, What::Heal { fault: line }, 0, |_| ());
                self.cut(from, to, *both, |flow| flow.cuts -= 1);
                self.go_on_streams();
            }
            FaultWhat::Disk { node, trouble } => {
                let id = self.id_of(node);
                self.hosts[id as usize].trouble[*trouble as usize] -= 1;
                self.core.put(id, What::Mended { fault: line }, 0, |_| ());
            }
            FaultWhat::Clock { node, .. } => {
                let id = self.id_of(node);
                self.hosts[id as usize].clocks.retain(|clock| clock.index != index);
                self.core.put(id, What::ClockRight { fault: line }, 0, |_| ());
            }
            FaultWhat::Rebind { .. } => {}
        }
        self.observe();
    }

    /// A dead node does not stand still.
    fn end_pauses(&mut self, name: &str) {
        let id = self.id_of(name);
        self.hosts[id as usize].paused = 0;
        for (active, timed) in self.core.active.iter_mut().zip(&self.plan) {
            if matches!(&timed.fault.what, FaultWhat::Pause { node } if node == name) {
                *active = None;
            }
        }
    }
}

fn describe(fault: &Fault, text: &mut String) {
    if let FaultWhat::Partition { from, to, both } = &fault.what {
        let arrow = if *both { '|' } else { '>' };
        let _ = write!(text, "{}{arrow}{}", from.join(","), to.join(","));
    }
}
