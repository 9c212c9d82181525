//! How datagrams get through bottlenecks, and onto their links.

use super::core::Core;
use super::heap::Job;
use super::net::{Net, Packet};
use crate::link::{Bottleneck, Gate, Onward};
use crate::node::Ecn;
use crate::time::Time;
use crate::trace::Loss;

impl Net {
    /// The gate of a flow where datagrams wait in line.
    pub(super) fn line(&self, gate: Option<u32>) -> Option<u32> {
        gate.filter(|gate| self.gates[*gate as usize].has_line())
    }

    pub(super) fn join(&mut self, core: &mut Core, gate: u32, onward: Onward) {
        let packet = &self.packets[onward.index as usize];
        let capable = matches!(packet.ecn, Ecn::Ect0 | Ecn::Ect1);
        let onward = Onward { capable, ..onward };
        let of = &mut self.gates[gate as usize];
        if let Some(at) = of.join(core.now, packet.bytes.len(), onward, &mut self.lost) {
            core.heap.push(at, Job::Departs(gate));
        }
        self.lose_from_line(core);
    }

    /// The first in line has passed.
    pub(super) fn departs(&mut self, core: &mut Core, gate: u32) {
        let of = &mut self.gates[gate as usize];
        let (passed, next) = of.passed(core.now, &mut self.lost);
        if let Some(at) = next {
            core.heap.push(at, Job::Departs(gate));
        }
        if let Some(onward) = passed {
            if onward.marked && onward.capable {
                of.passage.marked += 1;
                self.packets[onward.index as usize].ecn = Ecn::Ce;
            }
            self.go_on(core, &onward, core.now);
        }
        self.lose_from_line(core);
    }

    fn lose_from_line(&mut self, core: &mut Core) {
        for Onward { index, copies, .. } in std::mem::take(&mut self.lost) {
            for (copy, _) in copies.into_iter().flatten() {
                self.release(copy);
            }
            self.lose_in_queue(core, index);
        }
    }

    /// A datagram that has passed its bottleneck, and its copies.
    pub(super) fn go_on(&mut self, core: &mut Core, onward: &Onward, departs: Time) {
        let flow = &mut self.flows[self.packets[onward.index as usize].flow as usize];
        let due = match onward.held {
            Some(extra) => departs.plus(flow.delay.sample(onward.jitter)).plus(extra),
            None => flow.due(departs, onward.jitter),
        };
        let ecn = self.packets[onward.index as usize].ecn;
        for (copy, extra) in onward.copies.into_iter().flatten() {
            self.packets[copy as usize].ecn = ecn;
            core.heap.push(due.plus(extra), Job::Deliver(copy));
        }
        core.heap.push(due, Job::Deliver(onward.index));
    }

    pub(super) fn lose_in_queue(&mut self, core: &mut Core, index: u32) {
        core.stats.lost_narrow += 1;
        self.lose(core, index, Loss::Narrow, 0);
    }
}

/// When a datagram will have passed its bottleneck, which may mark it; `None` when it is lost there.
pub(super) fn depart(gates: &mut [Gate], gate: Option<u32>, packet: &mut Packet, now: Time) -> Option<Time> {
    let Some(gate) = gate else { return Some(now) };
    let gate = &mut gates[gate as usize];
    let capable = matches!(packet.ecn, Ecn::Ect0 | Ecn::Ect1);
    let (departs, marks) = gate.pass(now, packet.bytes.len(), capable)?;
    if marks && capable {
        packet.ecn = Ecn::Ce;
        gate.passage.marked += 1;
    }
    Some(departs)
}

/// The gate of a bottleneck: an existing one when it is shared and in use already.
pub(super) fn gate(gates: &mut Vec<Gate>, bottleneck: &Bottleneck, name: impl Fn() -> String) -> u32 {
    let shared = bottleneck.name.as_deref();
    let known = shared.and_then(|shared| gates.iter().position(|gate| gate.passage.name == shared));
    known.unwrap_or_else(|| {
        gates.push(Gate::new(bottleneck, shared.map_or_else(name, String::from)));
        gates.len() - 1
    }) as u32
}
