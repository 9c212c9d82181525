//! Inputs to nodes, and the fixed loop that drains a node after each.

use std::fmt::Write as _;

use super::heap::Job;
use super::host::Waiting;
use super::net::{Flow, FlowSource};
use super::{MAX_DRAIN, MAX_PAUSED, Run};
use crate::choice::Kind;
use crate::disk::{OpId, StoreError};
use crate::fault::Timed;
use crate::node::{Addr, Boot, Node, NodeId, RecvMeta};
use crate::oracle::Life;
use crate::prf::{HashWriter, seed_bytes};
use crate::schedule::name_locus;
use crate::time::{Now, Time};
use crate::trace::{Loss, What};

impl<N: Node> Run<N> {
    pub(super) fn id_of(&self, name: &str) -> u32 {
        let known = self.sim.names.iter().position(|n| n == name);
        known.expect("names in a plan have been checked") as u32
    }

    pub(super) fn boot(&mut self, id: u32, what: What) {
        let index = id as usize;
        let now = self.now_of(id);
        let name = &self.sim.names[index];
        let addrs: Vec<Addr> = (0..self.hosts.len() as u32).map(|id| self.net.addr(id)).collect();
        let host = &mut self.hosts[index];
        let boot = Boot {
            now,
            name,
            id: NodeId(id),
            addr: addrs[index],
            seed: seed_bytes(self.nodes_seed, name_locus(name), host.life),
            life: host.life,
            disk: &host.disk,
            names: &self.sim.names,
            addrs: &addrs,
        };
        host.node = Some((self.sim.makes[index])(&boot));
        let disk = &host.disk;
        self.core.put(id, what, 0, |text| {
            for file in disk.files() {
                let _ = write!(text, " {file}={}", disk.read(file).map_or(0, <[u8]>::len));
            }
        });
        if self.core.rec.on {
            let whole: Vec<u8> =
                disk.files().flat_map(|file| disk.read(file).unwrap_or_default()).copied().collect();
            self.core.rec.keep(&whole, || 0);
        }
        let life = if matches!(what, What::Start) { Life::Started } else { Life::Restarted };
        self.told(id, life);
        self.after_input(id);
    }

    pub(super) fn told(&mut self, id: u32, life: Life) {
        let now = self.now();
        for (name, oracle) in &mut self.oracles {
            let check = oracle.lifecycle(now, NodeId(id), life);
            self.core.judge(name, check);
        }
    }

    pub(super) fn deliver(&mut self, index: u32) {
        let flow = self.net.packets[index as usize].flow;
        let Flow { dst, cuts, cut_by, .. } = self.net.flows[flow as usize];
        let host = &mut self.hosts[dst as usize];
        let lost = if cuts > 0 {
            self.core.stats.lost_cut += 1;
            Some((Loss::Cut, self.core.touch(cut_by, Kind::Partition)))
        } else if let Some(fault) = self.net.moved(index) {
            self.core.stats.unroutable += 1;
            Some((Loss::Moved, self.core.touch(fault, Kind::Rebind)))
        } else if host.node.is_none() {
            self.core.stats.lost_down += 1;
            Some((Loss::Down, 0))
        } else if host.paused > 0 && host.waiting_datagrams == MAX_PAUSED {
            self.core.stats.lost_queue += 1;
            Some((Loss::Queue, 0))
        } else {
            None
        };
        if let Some((why, line)) = lost {
            self.net.lose(&mut self.core, index, why, line);
            return self.observe();
        }
        if host.paused > 0 {
            host.waiting_datagrams += 1;
            return host.waiting.push_back(Waiting::Datagram(index));
        }
        self.receive(dst, index);
    }

    fn receive(&mut self, id: u32, index: u32) {
        self.net.arrived(&mut self.core, index);
        let now = self.now_of(id);
        let packet = &self.net.packets[index as usize];
        let from = packet.from;
        if let Some(fault) = self.net.rebound(from) {
            self.core.touch(fault, Kind::Rebind);
        }
        if let Some(node) = &mut self.hosts[id as usize].node {
            node.on_datagram(now, from, &packet.bytes, RecvMeta { ecn: packet.ecn });
        }
        self.net.release(index);
        self.after_input(id);
    }

    pub(super) fn cmd(&mut self, index: u32) {
        let NodeId(id) = self.sim.workload[index as usize].1;
        let host = &mut self.hosts[id as usize];
        if host.node.is_some() && host.paused > 0 {
            return host.waiting.push_back(Waiting::Cmd(index));
        }
        let n = self.sim.numbers[index as usize];
        let lost = host.node.is_none();
        let cmd = self.sim.workload[index as usize].2.clone();
        let what = if lost { What::CmdLost { n } } else { What::Cmd { n } };
        self.core.put(id, what, debug_hash(&cmd), |text| {
            let _ = write!(text, "{cmd:?}");
        });
        if lost {
            self.core.stats.cmds_lost += 1;
            return self.observe();
        }
        let now = self.now();
        for (name, oracle) in &mut self.oracles {
            let check = oracle.command(now, NodeId(id), &cmd);
            self.core.judge(name, check);
        }
        let now = self.now_of(id);
        if let Some(node) = &mut self.hosts[id as usize].node {
            node.on_cmd(now, cmd);
        }
        self.after_input(id);
    }

    pub(super) fn stored(&mut self, id: u32, life: u32) {
        let host = &mut self.hosts[id as usize];
        let Some((op, result)) = host.end_op(&mut self.core, id, life, &self.sim.disk) else { return };
        if host.paused > 0 {
            return host.waiting.push_back(Waiting::Stored(op, result));
        }
        self.finish_store(id, op, result);
    }

    fn finish_store(&mut self, id: u32, op: OpId, result: Result<(), StoreError>) {
        let now = self.now_of(id);
        if let Some(node) = &mut self.hosts[id as usize].node {
            node.on_stored(now, op, result);
        }
        self.after_input(id);
    }

    pub(super) fn timer(&mut self, id: u32, at: Time) {
        let host = &mut self.hosts[id as usize];
        if host.timer != Some(at) {
            return;
        }
        host.timer = None;
        let Some(node) = &mut host.node else { return };
        if host.paused > 0 {
            return;
        }
        let Some(due) = node.poll_timeout().filter(|due| *due <= at) else { return self.arm(id) };
        host.timers += 1;
        let n = host.timers;
        self.core.put(id, What::Timer { n }, 0, |_| ());
        self.core.rec.keep(&[], || due.as_nanos());
        let now = self.now_of(id);
        let Some(node) = &mut self.hosts[id as usize].node else { return };
        node.on_timeout(now);
        let directly = node.poll_timeout();
        if let Some(due) = directly.filter(|due| *due <= at) {
            let why = format!("on_timeout at {at:?} left the timer at {due:?}");
            self.core.fail("busy loop", why);
        }
        self.after_input(id);
        let drained = self.hosts[id as usize].node.as_ref().and_then(Node::poll_timeout);
        if let Some(due) = drained.filter(|due| *due <= at) {
            let why = format!("after on_timeout at {at:?} and a drain the timer is at {due:?}");
            self.core.fail("busy loop", why);
        }
    }

    /// The last pause of a node is over: what waited comes in, in order.
    pub(super) fn resume(&mut self, id: u32, line: u32) {
        self.hosts[id as usize].paused -= 1;
        if self.hosts[id as usize].paused > 0 {
            return;
        }
        let late = self.hosts[id as usize].node.as_ref().and_then(Node::poll_timeout);
        if !self.hosts[id as usize].waiting.is_empty() || late.is_some_and(|due| due <= self.core.now) {
            self.core.stats.mattered(Kind::Pause);
        }
        self.core.put(id, What::Resume { fault: line }, 0, |_| ());
        self.told(id, Life::Resumed);
        self.hosts[id as usize].waiting_datagrams = 0;
        while let Some(waiting) = self.hosts[id as usize].waiting.pop_front() {
            match waiting {
                Waiting::Datagram(index) => self.receive(id, index),
                Waiting::Cmd(index) => self.cmd(index),
                Waiting::Stored(op, result) => self.finish_store(id, op, result),
                Waiting::Stream(code) => self.stream_waited(code),
                Waiting::Room(code) => self.writable(code),
            }
        }
        self.arm(id);
    }

    pub(super) fn after_input(&mut self, id: u32) {
        self.core.stats.events += 1;
        self.latest = Some(id);
        self.drain(id);
        self.arm(id);
        self.observe();
    }

    /// Transmit, streams, store, events, until a whole pass brings nothing.
    fn drain(&mut self, id: u32) {
        let mut outputs = 0;
        let nodes_now = self.now_of(id);
        loop {
            let before = outputs;
            while self.core.verdict.is_none() && outputs <= MAX_DRAIN && self.transmit(id, nodes_now) {
                outputs += 1;
            }
            while self.core.verdict.is_none() && outputs <= MAX_DRAIN && self.stream_op(id, nodes_now) {
                outputs += 1;
            }
            let now = self.now();
            while outputs <= MAX_DRAIN
                && let Some(op) = self.hosts[id as usize].node.as_mut().and_then(Node::poll_store)
            {
                outputs += 1;
                self.hosts[id as usize].store(&mut self.core, id, &self.sim.disk, op);
            }
            let Some(node) = &mut self.hosts[id as usize].node else { return };
            while outputs <= MAX_DRAIN
                && let Some(event) = node.poll_event()
            {
                outputs += 1;
                self.core.put(id, What::Event, debug_hash(&event), |text| {
                    let _ = write!(text, "{event:?}");
                });
                for (name, oracle) in &mut self.oracles {
                    let check = oracle.event(now, NodeId(id), &event);
                    self.core.judge(name, check);
                }
                if self.sim.keep_events {
                    self.history.push((now.mono, NodeId(id), event));
                }
            }
            if outputs > MAX_DRAIN {
                let name = &self.sim.names[id as usize];
                let why = format!("{name} gave more than {MAX_DRAIN} outputs after one input");
                return self.core.fail("livelock", why);
            }
            if outputs == before || self.core.verdict.is_some() {
                return;
            }
        }
    }

    /// Sends one datagram; `false` if there is none.
    fn transmit(&mut self, id: u32, now: Now) -> bool {
        let index = self.net.buffer();
        let buffer = &mut self.net.packets[index as usize].bytes;
        let Some(node) = &mut self.hosts[id as usize].node else { return false };
        let transmit = node.poll_transmit(now, buffer);
        let said = transmit.map_or(0, |transmit| transmit.len);
        if buffer.len() != said {
            let why = format!("poll_transmit appended {} bytes and returned {transmit:?}", buffer.len());
            self.core.fail("node contract", why);
        }
        let Some(transmit) = transmit else {
            self.net.release(index);
            return false;
        };
        let source = FlowSource { sim: &self.sim, policy: &self.policy };
        self.net.send(&mut self.core, &source, id, transmit, index);
        self.begin_triggered();
        true
    }

    /// What the test's triggers have set off begins.
    pub(super) fn begin_triggered(&mut self) {
        if self.core.triggered.is_empty() {
            return;
        }
        for fault in std::mem::take(&mut self.core.triggered) {
            self.inject(Timed { at: self.core.now.plus(1), fault, line: 0 });
        }
    }

    /// Files the node's timer, unless an earlier job will look at it anyway.
    fn arm(&mut self, id: u32) {
        let host = &mut self.hosts[id as usize];
        let Some(due) = host.node.as_ref().and_then(Node::poll_timeout) else { return };
        let due = due.max(self.core.now);
        if host.paused == 0 && host.timer.is_none_or(|filed| filed > due) {
            host.timer = Some(due);
            self.core.heap.push(due, Job::Timer(id));
        }
    }

    /// Changes all flows that a partition cuts.
    pub(super) fn cut(
        &mut self,
        from: &[String],
        to: &[String],
        both: bool,
        mut change: impl FnMut(&mut Flow),
    ) {
        let source = FlowSource { sim: &self.sim, policy: &self.policy };
        let id_of = |name: &String| self.sim.names.iter().position(|n| n == name).map(|id| id as u32);
        for src in from.iter().filter_map(id_of) {
            for dst in to.iter().filter_map(id_of) {
                let there = self.net.flow(src, dst, &source);
                change(&mut self.net.flows[there as usize]);
                if both {
                    let back = self.net.flow(dst, src, &source);
                    change(&mut self.net.flows[back as usize]);
                }
            }
        }
    }
}

fn debug_hash(value: &impl std::fmt::Debug) -> u64 {
    let mut hash = HashWriter::new();
    let _ = write!(hash, "{value:?}");
    hash.finish()
}
