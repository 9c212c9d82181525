//! From streams to nodes.

use std::collections::VecDeque;
use std::fmt::Write as _;

use super::super::Run;
use super::super::core::Core;
use super::super::host::Waiting;
use super::super::net::Net;
use super::wires::{Parcel, other};
use crate::choice::Kind;
use crate::node::Node;
use crate::prf::{hash_bytes, scale};
use crate::run::heap::Job;
use crate::stream::{StreamEvent, StreamId};
use crate::time::Time;
use crate::trace::{Loss, What, Which, Wire};

const WEATHER_STREAM: u8 = 0x83;
/// The most bytes that are read at once.
const READ: usize = 65_536;

impl<N: Node> Run<N> {
    /// The first parcel from this end has come to the other.
    pub(in crate::run) fn stream(&mut self, code: u32) {
        let now = self.core.now;
        self.net.wires.end_mut(code).running = false;
        let end = self.net.wires.end(code);
        let Some(due) = end.wire.front().map(|(due, _)| *due) else { return };
        if due > now {
            return self.net.set_off(&mut self.core, code);
        }
        let base = self.net.flows[end.flow as usize].base;
        let nobody = end.host as usize >= self.hosts.len();
        let line = if nobody {
            None
        } else if let Some(fault) = self.net.wires.streams[code as usize / 2].dead {
            Some(self.core.touch(fault, Kind::Rebind))
        } else {
            let flow = &self.net.flows[base as usize];
            (flow.cuts > 0).then(|| self.core.touch(flow.cut_by, Kind::Partition))
        };
        if let Some(fault) = line {
            let end = self.net.wires.end_mut(code);
            end.held = Some(now);
            let (flow, host) = (end.flow, end.host);
            self.core.put(host, What::Stream { flow, what: Wire::Held, fault }, 0, |_| ());
            let (src, dst) = (self.net.flows[base as usize].src, self.net.flows[base as usize].dst);
            let patience = self.sim.link_of(src, dst).patience;
            self.core.heap.push(now.plus(patience), Job::GiveUp(code));
            return self.observe();
        }
        let Some(parcel) = self.net.next_parcel(code, now) else { return };
        self.net.set_off(&mut self.core, code);
        self.arrives(code, parcel);
    }

    fn arrives(&mut self, code: u32, parcel: Parcel) {
        let here = other(code);
        let host = self.net.wires.end(here).host;
        if matches!(parcel, Parcel::Dial) {
            if self.hosts[host as usize].node.is_none() {
                self.net.put(&mut self.core, here, Parcel::Refuse);
                return self.observe();
            }
            let id = self.net.wires.accept(host);
            let end = self.net.wires.end_mut(here);
            (end.id, end.over, end.open) = (id, false, true);
            self.net.wires.know(here);
            self.net.put(&mut self.core, here, Parcel::Opened);
        } else if self.net.wires.end(here).over {
            if !matches!(parcel, Parcel::Break(_) | Parcel::Refuse) {
                self.net.put(&mut self.core, here, Parcel::Break(0));
            }
            self.net.lose_records(&mut self.core, code, 0);
            return self.observe();
        }
        let waits = self.hosts[host as usize].paused > 0;
        let end = self.net.wires.end_mut(here);
        if waits || !end.inbox.is_empty() {
            end.inbox.push_back(parcel);
            return self.hosts[host as usize].waiting.push_back(Waiting::Stream(here));
        }
        self.give(here, parcel);
    }

    /// What waited for a node that stood still.
    pub(in crate::run) fn stream_waited(&mut self, here: u32) {
        if let Some(parcel) = self.net.wires.end_mut(here).inbox.pop_front() {
            self.give(here, parcel);
        }
    }

    /// Gives a parcel to the node.
    fn give(&mut self, here: u32, parcel: Parcel) {
        let end = self.net.wires.end_mut(here);
        let host = end.host;
        let there = other(here);
        match parcel {
            Parcel::Dial => {
                let from = self.net.addr(self.net.wires.end(there).host);
                self.core.stats.streams += 1;
                self.tell(here, Wire::Accepted, 0, StreamEvent::Accepted { from });
            }
            Parcel::Opened => {
                end.open = true;
                self.tell(here, Wire::Opened, 0, StreamEvent::Opened);
            }
            Parcel::Refuse => {
                self.net.over(&mut self.core, here, 0);
                self.tell(here, Wire::Refused, 0, StreamEvent::Refused);
            }
            Parcel::Break(fault) => {
                self.core.stats.streams_broken += 1;
                self.net.put(&mut self.core, here, Parcel::Break(fault));
                self.net.over(&mut self.core, here, fault);
                self.tell(here, Wire::Broken, fault, StreamEvent::Broken);
            }
            Parcel::Finish => {
                end.done = true;
                let over = end.finished;
                let flow = self.net.wires.end(there).flow;
                self.core.put(host, What::Stream { flow, what: Wire::Finished, fault: 0 }, 0, |_| ());
                let id = self.net.wires.end(here).id;
                if over {
                    self.net.wires.forget(here);
                }
                self.node_hears(host, id, StreamEvent::Finished);
            }
            Parcel::Bytes(bytes) => {
                let id = end.id;
                self.net.read(&mut self.core, there, host, &bytes);
                self.node_hears(host, id, StreamEvent::Read(&bytes));
            }
        }
    }

    /// The other end has read: there is more room.
    pub(in crate::run) fn writable(&mut self, code: u32) {
        let end = self.net.wires.end(code);
        if end.over || end.finished || self.hosts[end.host as usize].paused > 0 {
            // A node that stands still learns it with the next read; it asks again then.
            if !end.over && !end.finished {
                self.hosts[end.host as usize].waiting.push_back(Waiting::Room(code));
            }
            return;
        }
        let (host, id) = (end.host, end.id);
        self.node_hears(host, id, StreamEvent::Writable);
    }

    /// A stream stood still for too long: the end that wrote gives up.
    pub(in crate::run) fn give_up(&mut self, code: u32) {
        let end = self.net.wires.end(code);
        let base = &self.net.flows[self.net.flows[end.flow as usize].base as usize];
        let patience = self.sim.link_of(base.src, base.dst).patience;
        if end.over || end.held.is_none_or(|since| since.plus(patience) > self.core.now) {
            return;
        }
        let opened = end.open;
        if self.hosts[end.host as usize].paused > 0 {
            return self.core.heap.push(self.core.now.plus(patience), Job::GiveUp(code));
        }
        let end = self.net.wires.end_mut(code);
        end.wire.clear();
        end.severed = false;
        self.core.stats.streams_broken += u64::from(opened);
        self.net.lose_records(&mut self.core, code, 0);
        self.net.over(&mut self.core, code, 0);
        if opened {
            self.tell(code, Wire::Broken, 0, StreamEvent::Broken);
        } else {
            self.tell(code, Wire::Refused, 0, StreamEvent::Refused);
        }
    }

    /// Some cut is healed: what stood still goes on.
    pub(in crate::run) fn go_on_streams(&mut self) {
        for code in self.net.wires.held() {
            let flow = self.net.wires.end(code).flow;
            let base = self.net.flows[flow as usize].base;
            let dead = self.net.wires.streams[code as usize / 2].dead.is_some();
            if dead || self.net.flows[base as usize].cuts > 0 {
                continue;
            }
            let due = self.net.flows[flow as usize].due(self.core.now, 0);
            let end = self.net.wires.end_mut(code);
            end.held = None;
            for (at, _) in &mut end.wire {
                *at = (*at).max(due);
            }
            self.net.set_off(&mut self.core, code);
        }
    }

    /// A node has died: the other ends of its streams find out, after some of what is under way.
    pub(in crate::run) fn streams_died(&mut self, host: u32, fault: u32) {
        for code in self.net.wires.of_host(host) {
            let flow = self.net.wires.end(code).flow;
            let word = self.core.weather(WEATHER_STREAM, u64::from(flow), 1);
            let end = self.net.wires.end_mut(code);
            if let Some(word) = word {
                cut_wire(&mut end.wire, word);
            }
            self.net.put(&mut self.core, code, Parcel::Break(fault));
            self.net.over(&mut self.core, code, fault);
        }
    }

    fn tell(&mut self, here: u32, what: Wire, fault: u32, event: StreamEvent<'_>) {
        let dialed = self.net.wires.end(here & !1).flow;
        let end = self.net.wires.end(here);
        let (host, id) = (end.host, end.id);
        self.core.put(host, What::Stream { flow: dialed, what, fault }, 0, |_| ());
        self.node_hears(host, id, event);
    }

    fn node_hears(&mut self, host: u32, id: StreamId, event: StreamEvent<'_>) {
        let now = self.now_of(host);
        if let Some(node) = &mut self.hosts[host as usize].node {
            node.on_stream(now, id, event);
        }
        self.after_input(host);
    }
}

impl Net {
    /// The next parcel: bytes that have come together are read together.
    fn next_parcel(&mut self, code: u32, now: Time) -> Option<Parcel> {
        let wire = &mut self.wires.end_mut(code).wire;
        let (_, mut parcel) = wire.pop_front()?;
        if let Parcel::Bytes(all) = &mut parcel {
            while let Some((due, Parcel::Bytes(more))) = wire.front()
                && *due <= now
                && all.len() + more.len() <= READ
            {
                all.extend_from_slice(more);
                wire.pop_front();
            }
        }
        Some(parcel)
    }

    /// A node reads what the end `from` has written.
    fn read(&mut self, core: &mut Core, from: u32, host: u32, bytes: &[u8]) {
        let back = self.flows[self.wires.end(other(from)).flow as usize].delay.min();
        let end = self.wires.end_mut(from);
        let flow = end.flow;
        end.unread -= bytes.len();
        core.stats.stream_bytes += bytes.len() as u64;
        let content = hash_bytes(0, bytes);
        core.put(host, What::Stream { flow, what: Wire::Read, fault: 0 }, content, |text| {
            let _ = write!(text, "{} bytes", bytes.len());
        });
        end.reading.extend_from_slice(bytes);
        while let Some(record) = end.records.front().copied()
            && end.reading.len() >= record.len
        {
            end.records.pop_front();
            let whole: Vec<u8> = end.reading.drain(..record.len).collect();
            core.put(host, What::Arrive { flow, n: record.n, which: Which::Original }, 0, |_| ());
            core.rec.keep(&[], || hash_bytes(0, &whole));
        }
        if end.asked.replace(false) {
            core.heap.push(core.now + back, Job::Writable(from));
        }
    }

    /// This end is over for its node: what was written to it will not be read.
    pub(super) fn over(&mut self, core: &mut Core, code: u32, fault: u32) {
        self.wires.forget(code);
        self.lose_records(core, other(code), fault);
    }

    /// What this end has written will not be read any more.
    pub(super) fn lose_records(&mut self, core: &mut Core, code: u32, fault: u32) {
        let end = self.wires.end_mut(code);
        let (flow, host) = (end.flow, end.host);
        end.reading.clear();
        for record in std::mem::take(&mut end.records) {
            let lost = What::Lost { flow, n: record.n, which: Which::Original, why: Loss::Broken, fault };
            core.put(host, lost, 0, |_| ());
        }
    }
}

/// Keeps some first part of the bytes that are under way.
fn cut_wire(wire: &mut VecDeque<(Time, Parcel)>, word: u64) {
    let len = |parcel: &Parcel| if let Parcel::Bytes(bytes) = parcel { bytes.len() } else { 0 };
    let all: usize = wire.iter().map(|(_, parcel)| len(parcel)).sum();
    let mut left = scale(word, all as u64 + 1) as usize;
    let mut kept = VecDeque::new();
    for (due, mut parcel) in wire.drain(..) {
        if let Parcel::Bytes(bytes) = &mut parcel {
            if left == 0 {
                break;
            }
            bytes.truncate(left);
            left -= bytes.len();
        }
        kept.push_back((due, parcel));
    }
    *wire = kept;
}
