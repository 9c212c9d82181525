//! The network: flows, datagrams under way, and what happens to them.

use std::collections::VecDeque;

use super::core::Core;
use super::onward::{depart, gate};
use super::stream::Wires;
use super::tamper::hurt;
use crate::campaign::Policy;
use crate::choice::{Alt, Choice, ChoiceKey, Kind};
use crate::fault::Then;
use crate::link::{Bursts, Dist, Gate, Onward, Passage, Rates};
use crate::node::{Addr, Ecn, Node, Transmit};
use crate::outcome::Named;
use crate::prf::{hash_bytes, mix};
use crate::schedule::{Damage, Effect, flow_locus, label_locus, ordinal_locus};
use crate::sim::Sim;
use crate::table::Table;
use crate::time::Time;
use crate::trace::{Limit, Loss, What, Which};

/// Families of weather.
const WEATHER_LINK: u8 = 0x80;
const WEATHER_BURSTS: u8 = 0x82;

/// One direction between two nodes; made when the first datagram needs it.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) src: u32,
    pub(crate) dst: u32,
    /// The number of the stream that this is a direction of, 0 for datagrams; and the flow of datagrams on the same way.
    pub(super) stream: u32,
    pub(super) base: u32,
    pub(super) locus: u64,
    pub(super) delay: Dist,
    pub(super) gate: Option<u32>,
    pub(super) rates: Rates,
    faulty: bool,
    /// Whether it is in a burst of losses, as of this slot of time.
    bad: bool,
    slot: u64,
    mtu: usize,
    pub(super) sent: u32,
    /// No undisturbed datagram arrives before its predecessor.
    pub(super) last_at: Time,
    /// The latest datagram that was delivered.
    newest: u32,
    /// What was sent lately, the newest last: kept only where datagrams are spliced.
    pub(super) past: VecDeque<Vec<u8>>,
    /// How many partitions cut it, and the latest of them by its index in the plan.
    pub(crate) cuts: u32,
    pub(crate) cut_by: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Packet {
    pub(crate) flow: u32,
    pub(crate) n: u32,
    pub(crate) which: Which,
    pub(crate) ecn: Ecn,
    /// The addresses of sender and receiver when it was sent.
    pub(crate) from: Addr,
    to: Addr,
    delayed: bool,
    damaged: bool,
    pub(super) spliced: bool,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Net {
    pub(crate) flows: Vec<Flow>,
    by_pair: Table,
    pub(crate) gates: Vec<Gate>,
    pub(crate) wires: Wires,
    pub(crate) packets: Vec<Packet>,
    free: Vec<u32>,
    /// How often each content has been sent.
    pub(super) occurrences: Table,
    label: String,
    /// What a line at a bottleneck has just lost; empty but while it is looked at.
    pub(super) lost: Vec<Onward>,
    /// How many datagrams each trigger has seen.
    seen: Vec<u32>,
    hosts: u32,
    /// For each host: how often it got a new address, and by which fault, by its index in the plan.
    rebound: Vec<(u32, u32)>,
}

/// What is needed to make a flow.
pub(crate) struct FlowSource<'a, N: Node> {
    pub(crate) sim: &'a Sim<N>,
    pub(crate) policy: &'a Policy,
}

impl Net {
    pub(crate) fn new(hosts: u32, triggers: usize) -> Self {
        let rebound = vec![(0, 0); hosts as usize];
        Self { hosts, seen: vec![0; triggers], rebound, wires: Wires::new(hosts), ..Self::default() }
    }

    /// The present address of a host: the n-th is n times the number of hosts above the first.
    pub(crate) fn addr(&self, id: u32) -> Addr {
        Addr::new(self.rebound[id as usize].0 * self.hosts + id)
    }

    pub(crate) fn rebind(&mut self, id: u32, fault: u32) {
        let (times, by) = &mut self.rebound[id as usize];
        (*times, *by) = (*times + 1, fault);
        self.wires.die(id, fault);
    }

    /// The fault that gave a host this address.
    pub(crate) fn rebound(&self, addr: Addr) -> Option<u32> {
        if addr.number() < self.hosts {
            return None;
        }
        let (times, by) = self.rebound[(addr.number() % self.hosts) as usize];
        (times > 0 && addr.number() / self.hosts == times).then_some(by)
    }

    /// The fault by which the receiver of a datagram under way has got another address.
    pub(crate) fn moved(&self, index: u32) -> Option<u32> {
        let Packet { flow, to, .. } = self.packets[index as usize];
        let dst = self.flows[flow as usize].dst;
        (self.addr(dst) != to).then(|| self.rebound[dst as usize].1)
    }

    /// The host with this address.
    pub(super) fn host(&self, addr: Addr) -> Option<u32> {
        // Hardly anybody moves: no division for the others.
        let first = addr.number() < self.hosts;
        let id = if first { addr.number() } else { addr.number() % self.hosts };
        (self.addr(id) == addr).then_some(id)
    }

    pub(crate) fn flow<N: Node>(&mut self, src: u32, dst: u32, source: &FlowSource<'_, N>) -> u32 {
        let entry = self.by_pair.entry(mix(u64::from(src) << 32 | u64::from(dst)));
        if *entry == 0 {
            let link = source.sim.link_of(src, dst);
            let rates = match &source.sim.campaign {
                Some(chaos) => chaos.rates(&link.rates, source.policy),
                None => link.rates,
            };
            let names = &source.sim.names;
            let name = || format!("{}>{}", names[src as usize], names[dst as usize]);
            let gate = link.bottleneck.as_ref().map(|bottleneck| gate(&mut self.gates, bottleneck, name));
            self.flows.push(Flow {
                src,
                dst,
                stream: 0,
                base: self.flows.len() as u32,
                locus: flow_locus(&names[src as usize], &names[dst as usize]),
                delay: link.delay,
                gate,
                rates,
                faulty: rates.any(),
                bad: false,
                slot: 0,
                mtu: link.mtu,
                sent: 0,
                last_at: Time::ZERO,
                newest: 0,
                past: VecDeque::new(),
                cuts: 0,
                cut_by: 0,
            });
            *entry = self.flows.len() as u32;
        }
        *entry - 1
    }

    /// A direction of a new stream, on the way of the datagrams of `base`.
    pub(super) fn stream_flow(&mut self, base: u32, (src, dst): (u32, u32), stream: u32) -> u32 {
        let from = self.flows[base as usize].clone();
        let new = Flow { src, dst, base, stream, mtu: usize::MAX, sent: 0, last_at: Time::ZERO, ..from };
        self.flows.push(new);
        self.flows.len() as u32 - 1
    }

    /// An empty buffer for the next datagram.
    pub(crate) fn buffer(&mut self) -> u32 {
        if let Some(index) = self.free.pop() {
            self.packets[index as usize].bytes.clear();
            return index;
        }
        self.packets.push(Packet::default());
        self.packets.len() as u32 - 1
    }

    pub(crate) fn release(&mut self, index: u32) {
        self.free.push(index);
    }

    /// Sends the datagram in buffer `index`.
    pub(crate) fn send<N: Node>(
        &mut self,
        core: &mut Core,
        source: &FlowSource<'_, N>,
        src: u32,
        transmit: Transmit,
        index: u32,
    ) {
        core.stats.sent += 1;
        let content = hash_bytes(0, &self.packets[index as usize].bytes);
        let Some(dst) = self.host(transmit.dst) else {
            core.stats.unroutable += 1;
            let n = transmit.dst.number();
            // The old address of a host that has a new one.
            let (times, by) = self.rebound[(n % self.hosts) as usize];
            if n / self.hosts < times {
                core.touch(by, Kind::Rebind);
            }
            let lost =
                What::Lost { flow: u32::MAX, n, which: Which::Original, why: Loss::NoSuchAddress, fault: 0 };
            core.put(src, lost, content, |text| {
                label_text(&self.packets[index as usize].bytes, text, N::dissect);
            });
            return self.release(index);
        };
        let from = self.addr(src);
        let flow_index = self.flow(src, dst, source);
        let flow = &mut self.flows[flow_index as usize];
        flow.sent += 1;
        let n = flow.sent;
        let packet = &mut self.packets[index as usize];
        *packet = Packet {
            flow: flow_index,
            n,
            ecn: transmit.ecn,
            from,
            to: transmit.dst,
            bytes: std::mem::take(&mut packet.bytes),
            ..Packet::default()
        };
        core.put(src, What::Send { flow: flow_index, n }, content, |text| {
            label_text(&packet.bytes, text, N::dissect);
        });
        core.rec.keep(&packet.bytes, || content);

        let faulty = core.may_go_wrong(flow.faulty);
        let (varies, locus) = (flow.delay.varies(), flow.locus);
        let bytes = std::mem::take(&mut self.packets[index as usize].bytes);
        let name = (faulty || varies).then(|| self.name(core, locus, n, &bytes, N::dissect));
        let flow = &mut self.flows[flow_index as usize];
        if faulty && (flow.rates.splices() || core.rare) {
            flow.remember(&bytes);
        }
        self.packets[index as usize].bytes = bytes;
        if self.packets[index as usize].bytes.len() > flow.mtu {
            core.stats.lost_mtu += 1;
            return self.lose(core, index, Loss::Mtu, 0);
        }
        if flow.cuts > 0 {
            core.stats.lost_cut += 1;
            let line = core.touch(flow.cut_by, Kind::Partition);
            return self.lose(core, index, Loss::Cut, line);
        }
        let jitter = name.as_ref().and_then(|name| name.jitter(core)).unwrap_or(0);
        match name {
            Some(name) if faulty => self.send_faulty::<N>(core, source, index, &name, jitter),
            _ => {
                let gate = self.flows[flow_index as usize].gate;
                let onward = Onward { index, jitter, ..Onward::default() };
                if let Some(gate) = self.line(gate) {
                    return self.join(core, gate, onward);
                }
                let packet = &mut self.packets[index as usize];
                let Some(departs) = depart(&mut self.gates, gate, packet, core.now) else {
                    return self.lose_in_queue(core, index);
                };
                self.go_on(core, &onward, departs);
            }
        }
    }

    /// One choice per family, each with its own key.
    fn send_faulty<N: Node>(
        &mut self,
        core: &mut Core,
        source: &FlowSource<'_, N>,
        index: u32,
        name: &Name,
        jitter: u64,
    ) {
        let Packet { flow, n, .. } = self.packets[index as usize];
        let forced = self.triggered(core, source.sim, flow);
        let rates = self.flows[flow as usize].rates;
        let loss = self.flows[flow as usize].loss(core);
        let ask =
            |net: &Self, core: &mut Core, kind, alts: &[Alt]| net.ask(core, forced, flow, name, kind, alts);
        let span = |ppm, (min, max): (u64, u64)| [Alt { ppm, min, max: max.max(min) }];

        if let Some((_, fault)) = ask(self, core, Kind::Drop, &[Alt { ppm: loss, min: 0, max: 0 }]) {
            core.stats.mattered(Kind::Drop);
            return self.lose(core, index, Loss::Drop, fault);
        }
        let gate = self.flows[flow as usize].gate;
        let line = self.line(gate);
        let departs = match line {
            Some(_) => Some(core.now),
            None => depart(&mut self.gates, gate, &mut self.packets[index as usize], core.now),
        };
        let Some(departs) = departs else { return self.lose_in_queue(core, index) };
        let held = ask(self, core, Kind::Delay, &span(rates.reorder, rates.reorder_extra));
        let doubled = ask(self, core, Kind::Duplicate, &span(rates.duplicate, rates.duplicate_extra));
        let rarely = |net: &Self, core: &mut Core, kind, alts: &[Alt]| {
            let asked = core.rare || forced.is_some() || alts.iter().any(|alt| alt.ppm > 0);
            asked.then(|| ask(net, core, kind, alts)).flatten()
        };
        let replayed = rarely(self, core, Kind::Replay, &span(rates.replay, rates.replay_extra));
        let spliced = rarely(self, core, Kind::Splice, &self.ways_to_splice(index));
        let part = |ppm| Alt { ppm, min: 0, max: u64::from(u32::MAX) };
        let cut = rates.corrupt / 4;
        let ways = [part(rates.corrupt - cut), part(rates.resealed), part(cut)];
        let damaged = ask(self, core, Kind::Corrupt, &ways);

        let sender = self.flows[flow as usize].src;
        let mut onward = Onward { index, jitter, ..Onward::default() };
        if let Some((Effect::Delay(extra), fault)) = held {
            core.put(sender, What::Delayed { flow, n, fault }, extra, |_| ());
            self.packets[index as usize].delayed = true;
            onward.held = Some(extra);
        }
        if let Some((Effect::Duplicate(extra), fault)) = doubled {
            core.put(sender, What::Doubled { flow, n, fault }, extra, |_| ());
            onward.copies[0] = Some((self.copy(index, Which::Copy), extra));
        }
        if let Some((Effect::Replay(extra), fault)) = replayed {
            core.put(sender, What::Replayed { flow, n, fault }, extra, |_| ());
            onward.copies[1] = Some((self.copy(index, Which::Replay), extra));
        }
        if let Some((Effect::Splice { back, at, reseal }, fault)) = spliced
            && self.splice::<N>(index, back, at, reseal)
        {
            let packet = &self.packets[index as usize];
            let content = hash_bytes(0, &packet.bytes);
            core.put(sender, What::Spliced { flow, n, back, at, reseal, fault }, content, |_| ());
            core.rec.keep(&packet.bytes, || content);
        }
        if let Some((Effect::Corrupt(damage, word), fault)) = damaged {
            let packet = &mut self.packets[index as usize];
            hurt::<N>(&mut packet.bytes, damage, word);
            packet.damaged = true;
            let content = hash_bytes(0, &packet.bytes);
            core.put(sender, What::Damaged { flow, n, fault }, content, |_| ());
            core.rec.keep(&packet.bytes, || content);
        }
        match line {
            Some(gate) => self.join(core, gate, onward),
            None => self.go_on(core, &onward, departs),
        }
    }

    /// What happens to what has this name, in one family; and by which line of the schedule.
    pub(super) fn ask(
        &self,
        core: &mut Core,
        forced: Option<Effect>,
        flow: u32,
        name: &Name,
        kind: Kind,
        alts: &[Alt],
    ) -> Option<(Effect, u32)> {
        let decode = |choice: Choice| match kind {
            Kind::Splice => self.spliced(flow, choice),
            _ => effect(kind, choice.alt, choice.param),
        };
        let (effect, line) = if let Some(effect) = forced.filter(|effect| effect.kind() == kind) {
            (effect, 0)
        } else {
            if core.calm || !core.replay && alts.iter().all(|alt| alt.ppm == 0) {
                return None;
            }
            let choice = core.chooser.choose(ChoiceKey { kind, locus: name.locus, occ: name.occ }, alts);
            (decode(choice)?, choice.line)
        };
        core.stats.chosen(kind);
        let named = if name.labelled { Named::Label(&self.label) } else { Named::Ordinal(name.n) };
        Some((effect, core.log.datagram(line, flow, &named, name.occ, effect)))
    }

    /// What the test's triggers do to the datagram whose label is known.
    pub(super) fn triggered<N: Node>(&mut self, core: &mut Core, sim: &Sim<N>, flow: u32) -> Option<Effect> {
        let mut forced = None;
        if sim.triggers.is_empty() {
            return None;
        }
        let Flow { src, dst, .. } = self.flows[flow as usize];
        let (src, dst) = (&sim.names[src as usize], &sim.names[dst as usize]);
        for (index, (seen, (on, then))) in self.seen.iter_mut().zip(&sim.triggers).enumerate() {
            if on.matches(src, dst, &self.label) {
                // Counted also where they are not heeded, for a branch may heed them.
                *seen += 1;
                if !core.triggers || *seen != on.nth {
                    continue;
                }
                core.marks.fire(index);
                match then {
                    Then::Datagram(effect) => forced = Some(*effect),
                    Then::Fault(fault) => core.triggered.push(fault.clone()),
                }
            }
        }
        forced
    }

    pub(crate) fn passages(self) -> Vec<Passage> {
        self.gates.into_iter().map(|gate| gate.passage).collect()
    }

    fn copy(&mut self, index: u32, which: Which) -> u32 {
        let copy = self.buffer();
        let mut bytes = std::mem::take(&mut self.packets[copy as usize].bytes);
        let original = &self.packets[index as usize];
        bytes.extend_from_slice(&original.bytes);
        let (flow, n, ecn, from, to) = (original.flow, original.n, original.ecn, original.from, original.to);
        self.packets[copy as usize] = Packet { flow, n, which, ecn, from, to, bytes, ..Packet::default() };
        copy
    }

    /// The name of what is the `n`-th on its way: its label and how often that was sent, or its position.
    pub(super) fn name(
        &mut self,
        core: &mut Core,
        flow: u64,
        n: u32,
        bytes: &[u8],
        dissect: Dissector,
    ) -> Name {
        self.label.clear();
        if !write_label(bytes, &mut self.label, dissect) {
            core.stats.unlabelled += 1;
            return Name { locus: ordinal_locus(flow, n), occ: 1, n, labelled: false };
        }
        if let Some(end) = self.label.find('\t') {
            self.label.truncate(end);
        }
        let locus = label_locus(flow, &self.label);
        let times = self.occurrences.entry(locus);
        *times += 1;
        Name { locus, occ: *times, n, labelled: true }
    }

    pub(crate) fn lose(&mut self, core: &mut Core, index: u32, why: Loss, fault: u32) {
        let Packet { flow, n, which, .. } = self.packets[index as usize];
        let Flow { src, dst, .. } = self.flows[flow as usize];
        let node = if matches!(why, Loss::Down | Loss::Queue) { dst } else { src };
        core.put(node, What::Lost { flow, n, which, why, fault }, 0, |_| ());
        self.release(index);
    }

    /// The datagram has reached a node that takes it.
    pub(crate) fn arrived(&mut self, core: &mut Core, index: u32) {
        let packet = &self.packets[index as usize];
        let (flow, n, which) = (packet.flow, packet.n, packet.which);
        let of = &mut self.flows[flow as usize];
        core.stats.delivered += 1;
        if packet.delayed && n < of.newest {
            core.stats.mattered(Kind::Delay);
        }
        match which {
            Which::Original => {}
            Which::Copy => core.stats.mattered(Kind::Duplicate),
            Which::Replay => core.stats.mattered(Kind::Replay),
        }
        if packet.spliced {
            core.stats.mattered(Kind::Splice);
        }
        if packet.damaged {
            core.stats.mattered(Kind::Corrupt);
        }
        of.newest = of.newest.max(n);
        core.put(of.dst, What::Arrive { flow, n, which }, 0, |_| ());
        core.rec.keep(&[], || hash_bytes(0, &packet.bytes));
    }
}

/// How datagrams, or records, are described.
pub(super) type Dissector = fn(&[u8], &mut String) -> Option<&'static str>;

pub(super) struct Name {
    locus: u64,
    occ: u32,
    n: u32,
    labelled: bool,
}

impl Name {
    /// Its own weather; `None` when it is flat.
    pub(super) const fn jitter(&self, core: &Core) -> Option<u64> {
        core.weather(WEATHER_LINK, self.locus, self.occ)
    }
}

impl Flow {
    /// How likely a loss is now.
    pub(super) fn loss(&mut self, core: &Core) -> u32 {
        // Who has a list, or makes one, does not ask how likely it is now.
        if core.replay {
            return self.rates.most_loss();
        }
        let Some(bursts) = self.rates.bursts else { return self.rates.loss };
        let until = core.now.as_nanos() / Bursts::SLOT;
        while self.slot < until {
            self.slot += 1;
            let word = core.weather(WEATHER_BURSTS, self.locus, self.slot as u32).unwrap_or(u64::MAX);
            self.bad = bursts.next(self.bad, word);
        }
        if self.bad { bursts.loss } else { self.rates.loss }
    }

    pub(crate) fn limit(&self) -> Limit {
        Limit { delay: self.delay.min().as_nanos() as u64, mtu: self.mtu, gate: self.gate }
    }

    /// When an undisturbed datagram arrives: never before its predecessor.
    pub(super) fn due(&mut self, now: Time, jitter: u64) -> Time {
        self.last_at = self.last_at.max(now.plus(self.delay.sample(jitter)));
        self.last_at
    }
}

fn effect(kind: Kind, alt: u32, param: u64) -> Option<Effect> {
    Some(match (kind, alt) {
        (Kind::Drop, 1) => Effect::Drop,
        (Kind::Delay, 1) => Effect::Delay(param),
        (Kind::Duplicate, 1) => Effect::Duplicate(param),
        (Kind::Break, 1) => Effect::Break(param as u32),
        (Kind::Stall, 1) => Effect::Stall(param),
        (Kind::Replay, 1) => Effect::Replay(param),
        (Kind::Split, 1) => Effect::Split(param as u32),
        (Kind::Corrupt, 1) => Effect::Corrupt(Damage::Flip, param as u32),
        (Kind::Corrupt, 2) => Effect::Corrupt(Damage::FlipResealed, param as u32),
        (Kind::Corrupt, 3) => Effect::Corrupt(Damage::Truncate, param as u32),
        _ => return None,
    })
}

/// Appends kind and text of the label; `false` if there is none.
fn write_label(bytes: &[u8], out: &mut String, dissect: Dissector) -> bool {
    let start = out.len();
    let Some(kind) = dissect(bytes, out) else {
        out.truncate(start);
        return false;
    };
    let separator = if out.len() > start { " " } else { "" };
    out.insert_str(start, separator);
    out.insert_str(start, kind);
    true
}

pub(super) fn label_text(bytes: &[u8], out: &mut String, dissect: Dissector) {
    let start = out.len();
    if write_label(bytes, out, dissect) {
        if let Some(tab) = out[start..].find('\t') {
            out.replace_range(start + tab..=start + tab, " ");
        }
    } else {
        out.push_str("len=");
        out.push_str(&bytes.len().to_string());
    }
}
