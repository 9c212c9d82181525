//! From a node to its streams.

use super::super::Run;
use super::super::core::Core;
use super::super::net::{FlowSource, Name, Net, label_text};
use super::wires::{End, Parcel, Stream, Written, other};
use crate::choice::{Alt, Kind};
use crate::node::{Addr, Node};
use crate::prf::hash_bytes;
use crate::run::heap::Job;
use crate::schedule::{Effect, stream_locus};
use crate::sim::Sim;
use crate::stream::{StreamId, StreamOp, Streams};
use crate::time::{Now, Time};
use crate::trace::{NO_NODE, What, Wire};

/// The second part of a split record is this much later than the first, in nanoseconds.
const APART: u64 = 1_000;
/// How long a packet takes that is sent again, in nanoseconds.
const AGAIN: (u64, u64) = (200_000_000, 1_000_000_000);

impl<N: Node> Run<N> {
    /// Does the next thing that a node wants to do with its streams; `false` if there is none.
    pub(in crate::run) fn stream_op(&mut self, id: u32, now: Now) -> bool {
        let mut bytes = std::mem::take(&mut self.written);
        bytes.clear();
        let Some(node) = &mut self.hosts[id as usize].node else { return false };
        let op = node.poll_stream(now, Streams { host: id, wires: &self.net.wires }, &mut bytes);
        let done = op.map_or(Ok(()), |op| self.perform(id, op, &bytes));
        let said = if let Some(StreamOp::Write { len, .. }) = op { len } else { 0 };
        if bytes.len() != said {
            let why = format!("poll_stream appended {} bytes and returned {op:?}", bytes.len());
            self.core.fail("node contract", why);
        }
        if let Err(why) = done {
            let name = &self.sim.names[id as usize];
            self.core.fail("node contract", format!("{name}: {op:?}: {why}"));
        }
        self.written = bytes;
        self.begin_triggered();
        op.is_some()
    }

    fn perform(&mut self, id: u32, op: StreamOp, bytes: &[u8]) -> Result<(), &'static str> {
        match op {
            StreamOp::Dial { stream, to } => self.dial(id, stream, to),
            StreamOp::Write { stream, .. } => {
                let code = self.net.wires.code(id, stream).ok_or("it has no such stream")?;
                let end = self.net.wires.end(code);
                if !end.open || end.finished || bytes.is_empty() || bytes.len() > end.buffer - end.unread {
                    return Err("there is no room for that");
                }
                self.net.write(&mut self.core, &self.sim, code, bytes);
                Ok(())
            }
            StreamOp::Finish { stream } => {
                let code = self.net.wires.code(id, stream).ok_or("it has no such stream")?;
                let end = self.net.wires.end_mut(code);
                if !end.open || std::mem::replace(&mut end.finished, true) {
                    return Err("it is not open");
                }
                let (flow, done) = (end.flow, end.done);
                self.core.put(id, What::Stream { flow, what: Wire::Finish, fault: 0 }, 0, |_| ());
                self.net.put(&mut self.core, code, Parcel::Finish);
                if done {
                    self.net.wires.forget(code);
                }
                Ok(())
            }
            StreamOp::Reset { stream } => {
                let code = self.net.wires.code(id, stream).ok_or("it has no such stream")?;
                let flow = self.net.wires.end(code).flow;
                self.core.put(id, What::Stream { flow, what: Wire::Reset, fault: 0 }, 0, |_| ());
                self.net.put(&mut self.core, code, Parcel::Break(0));
                self.net.over(&mut self.core, code, 0);
                Ok(())
            }
        }
    }

    fn dial(&mut self, id: u32, stream: StreamId, to: Addr) -> Result<(), &'static str> {
        if stream.is_accepted() || self.net.wires.code(id, stream).is_some() {
            return Err("the number is not free");
        }
        let source = FlowSource { sim: &self.sim, policy: &self.policy };
        let net = &mut self.net;
        let peer = net.host(to);
        let far = peer.unwrap_or(NO_NODE);
        let number = net.wires.next_between(id, far);
        let link = self.sim.link_of(id, peer.unwrap_or(id));
        let buffer = link.stream_buffer;
        let there = net.flow(id, peer.unwrap_or(id), &source);
        let back = net.flow(peer.unwrap_or(id), id, &source);
        let code = net.wires.streams.len() as u32 * 2;
        let there = net.stream_flow(there, (id, far), number);
        let back = net.stream_flow(back, (far, id), number);
        let mut ends = [End::new(id, stream, there, buffer), End::new(far, StreamId::new(0), back, buffer)];
        ends[1].over = true;
        net.wires.streams.push(Stream { ends, dead: None });
        net.wires.know(code);
        self.core.put(id, What::Stream { flow: there, what: Wire::Dial, fault: 0 }, 0, |_| ());
        if peer.is_some() {
            net.put(&mut self.core, code, Parcel::Dial);
        } else {
            net.put(&mut self.core, other(code), Parcel::Refuse);
        }
        Ok(())
    }
}

impl Net {
    /// Sends something other than bytes.
    pub(super) fn put(&mut self, core: &mut Core, code: u32, parcel: Parcel) {
        let end = self.wires.end_mut(code);
        if end.severed {
            return;
        }
        end.severed = matches!(parcel, Parcel::Break(_) | Parcel::Refuse);
        let due = self.flows[end.flow as usize].due(core.now, 0);
        end.wire.push_back((due, parcel));
        self.set_off(core, code);
    }

    /// Files a job for the first parcel, unless there is one, or nothing comes through.
    pub(super) fn set_off(&mut self, core: &mut Core, code: u32) {
        let end = self.wires.end_mut(code);
        if end.running || end.held.is_some() {
            return;
        }
        if let Some((due, _)) = end.wire.front() {
            end.running = true;
            core.heap.push((*due).max(core.now), Job::Stream(code));
        }
    }

    fn write<N: Node>(&mut self, core: &mut Core, sim: &Sim<N>, code: u32, bytes: &[u8]) {
        let end = self.wires.end_mut(code);
        end.unread += bytes.len();
        let mut sent = end.partial.len();
        let mut partial = std::mem::take(&mut end.partial);
        partial.extend_from_slice(bytes);
        let mut rest = &partial[..];
        while let Some(len) = N::record(rest).filter(|len| (1..=rest.len()).contains(len)) {
            self.write_record(core, sim, code, &rest[..len], sent.min(len));
            sent = sent.saturating_sub(len);
            rest = &rest[len..];
        }
        let beyond = rest.get(sent..).unwrap_or_default().to_vec();
        self.wires.end_mut(code).partial = rest.to_vec();
        self.send_bytes(core, code, beyond, 0, 0);
        self.set_off(core, code);
    }

    /// Sends a whole record, of which the first `sent` bytes are under way already.
    fn write_record<N: Node>(
        &mut self,
        core: &mut Core,
        sim: &Sim<N>,
        code: u32,
        record: &[u8],
        sent: usize,
    ) {
        let (index, host) = (self.wires.end(code).flow, self.wires.end(code).host);
        let flow = &mut self.flows[index as usize];
        flow.sent += 1;
        let (n, base) = (flow.sent, flow.base);
        core.stats.records += 1;
        let content = hash_bytes(0, record);
        core.put(host, What::Send { flow: index, n }, content, |text| {
            label_text(record, text, N::dissect_record);
        });
        core.rec.keep(record, || content);
        self.wires.end_mut(code).records.push_back(Written { n, len: record.len() });
        if self.wires.end(code).severed {
            return;
        }
        let flow = &self.flows[index as usize];
        let faulty = core.may_go_wrong(flow.rates.any_of_stream());
        let varies = flow.delay.varies();
        let name = (faulty || varies).then(|| self.record_name::<N>(core, base, record));
        let jitter = name.as_ref().and_then(|name| name.jitter(core)).unwrap_or(0);
        let (mut hold, mut broken, mut cut) = (0, None, 0);
        if let Some(name) = name.filter(|_| faulty) {
            let forced = self.triggered(core, sim, base);
            let rates = self.flows[index as usize].rates;
            let loss = self.flows[base as usize].loss(core).saturating_add(rates.stalls).min(1_000_000);
            let all = record.len() as u64;
            let ask =
                |core: &mut Core, kind: Kind, alt: Alt| self.ask(core, forced, base, &name, kind, &[alt]);
            if let Some((Effect::Break(after), line)) =
                ask(core, Kind::Break, Alt { ppm: rates.breaks, min: 0, max: all })
            {
                broken = Some(((after as usize).min(record.len()).max(sent), line));
                hurt(core, host, (index, n), Kind::Break, line, after.into());
            }
            let (min, max) = if rates.stall_extra == (0, 0) { AGAIN } else { rates.stall_extra };
            if let Some((Effect::Stall(by), line)) =
                ask(core, Kind::Stall, Alt { ppm: loss, min, max: max.max(min) })
            {
                hold = by;
                hurt(core, host, (index, n), Kind::Stall, line, by);
            }
            let splits = if all > 1 { rates.splits } else { 0 };
            if let Some((Effect::Split(at), line)) =
                ask(core, Kind::Split, Alt { ppm: splits, min: 1, max: (all - 1).max(1) })
                && (sent + 1..record.len()).contains(&(at as usize))
            {
                cut = at as usize;
                hurt(core, host, (index, n), Kind::Split, line, at.into());
            }
        }
        let end = broken.map_or(record.len(), |(after, _)| after);
        if cut > 0 && cut < end {
            self.send_bytes(core, code, record[sent..cut].to_vec(), jitter, hold);
            self.flows[index as usize].last_at = self.flows[index as usize].last_at.plus(APART);
            self.send_bytes(core, code, record[cut..end].to_vec(), jitter, hold);
        } else {
            self.send_bytes(core, code, record[sent..end].to_vec(), jitter, hold);
        }
        if let Some((_, line)) = broken {
            self.put(core, code, Parcel::Break(line));
        }
    }

    fn send_bytes(&mut self, core: &mut Core, code: u32, bytes: Vec<u8>, jitter: u64, hold: u64) {
        let end = self.wires.end_mut(code);
        if bytes.is_empty() || end.severed {
            return;
        }
        let flow = &mut self.flows[end.flow as usize];
        let gate = flow.gate.map(|gate| &mut self.gates[gate as usize]);
        let departs = gate.map_or(core.now, |gate| gate.squeeze(core.now, bytes.len()));
        let due: Time = flow.due(departs.plus(hold), jitter);
        end.wire.push_back((due, Parcel::Bytes(bytes)));
        self.set_off(core, code);
    }

    fn record_name<N: Node>(&mut self, core: &mut Core, base: u32, record: &[u8]) -> Name {
        let locus = stream_locus(self.flows[base as usize].locus);
        let n = self.occurrences.entry(locus);
        *n += 1;
        let n = *n;
        self.name(core, locus, n, record, N::dissect_record)
    }
}

fn hurt(core: &mut Core, host: u32, (flow, n): (u32, u32), kind: Kind, fault: u32, param: u64) {
    core.stats.mattered(kind);
    core.put(host, What::Hurt { flow, n, kind, fault }, param, |_| ());
}
