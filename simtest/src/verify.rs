//! The simulator's own laws, checked from the trace alone, by code that shares nothing with the simulator.
//!
//! A simulator that breaks its laws finds failures that cannot happen, and misses those that can. The laws:
//!
//! 1. Time never goes back.
//! 2. Only what was sent arrives, a copy only of what was duplicated, and again only what was replayed; each at most once, and not
//!    if lost.
//! 3. It arrives as it was sent, unless it was damaged or spliced; then as that has made it (its copies as it was sent). What was
//!    spliced is its own begin and the end of an earlier one of its flow.
//! 4. Nothing arrives sooner than the least delay of its link, or is larger than the link allows.
//! 5. Nothing arrives over a link that is cut, unless it had come before and waited for a paused node.
//! 6. A dead node does nothing and gets nothing, a paused one neither. Lives begin and end in turn.
//! 7. Timers, commands and datagrams are numbered without gaps or repetitions.
//! 8. Store operations end in the order in which they were asked for, in the life that asked for them.
//! 9. A node that boots finds the bytes that its disk has promised to keep, and no more than were written.
//! 10. Every fault in the trace begins before it ends, and nothing goes wrong in the quiet phase.
//! 11. The records of a stream arrive in their order, without gaps, each once and as it was written; and nothing after the
//!     reader has found the stream finished or broken.
//! 12. No more passes a bottleneck than its rate, or its trace, allows, and no more waits before it than its queue holds. Where the
//!     oldest make room, it is the oldest.
//! 13. A timer fires at its deadline or after, and once for each time that it was set.
//! 14. Every fault of the schedule is in the trace ([`run`]).

mod disk;
mod narrow;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::sync::OnceLock;

use self::disk::Disk;
use self::narrow::Narrow;
use crate::choice::Kind;
use crate::node::Node;
use crate::outcome::Outcome;
use crate::schedule::{Effect, Line};
use crate::trace::{Loss, NO_NODE, Record, Trace, What, Which, Wire};

/// Checks a whole run, which was recorded, and its schedule. `Err` says what broke a law, and how.
pub fn run<N: Node>(outcome: &Outcome<N>) -> Result<(), String> {
    // What holds for all of a run holds for its begin.
    if outcome.trace.is_cut {
        return laws(&outcome.trace);
    }
    let told: BTreeSet<u32> = outcome.trace.records.iter().map(Record::fault).collect();
    // A record that was split before is not split again, and the first datagram is spliced with none.
    let bound = |line: &&Line| !matches!(line.kind(), Kind::Split | Kind::Splice);
    match outcome.schedule().lines.iter().filter(bound).find(|line| !told.contains(&line.id)) {
        Some(line) => Err(format!("nothing in the trace tells of {line}")),
        None => laws(&outcome.trace),
    }
}

/// A run that is only to be checked against the laws keeps at most this many records: of a longer one its begin is checked.
pub(crate) const MOST: usize = 1 << 20;

/// Whether all that can be checked is to be (`CI`), and not only the first runs of each test.
pub(crate) fn is_asked_for_all() -> bool {
    static ASKED: OnceLock<bool> = OnceLock::new();
    *ASKED.get_or_init(|| env::var_os("CI").is_some())
}

/// Checks a recorded run against the laws. `Err` says which record broke one, and how.
pub fn laws(trace: &Trace) -> Result<(), String> {
    let mut verifier = Verifier::new(trace);
    for (number, record) in (1..).zip(&trace.records) {
        verifier
            .check(record)
            .map_err(|why| format!("record {number} ({:?} {:?}): {why}", record.at, record.what))?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Up,
    Paused,
    Down,
}

struct Host {
    state: State,
    resumed_at: Option<u64>,
    timers: u32,
    /// When its timer has fired, if nothing has been told to it since.
    fired_at: Option<u64>,
    commands: u32,
    disk: Disk,
}

/// One datagram, and its copies.
#[derive(Default)]
struct Datagram<'a> {
    sent_at: u64,
    bytes: &'a [u8],
    content: u64,
    damaged: Option<u64>,
    doubled: bool,
    replayed: bool,
    too_large: bool,
    /// When it has passed its bottleneck at the earliest.
    passed_at: u64,
    /// Whether the original, the copy and the replay have arrived or were lost.
    ended: [bool; 3],
}

struct Verifier<'a> {
    trace: &'a Trace,
    now: u64,
    hosts: Vec<Host>,
    /// Datagrams by flow, in order.
    flows: Vec<Vec<Datagram<'a>>>,
    /// For each direction of a stream: how many of its records have arrived; `None` when no more may.
    read: Vec<Option<u32>>,
    /// Partitions by fault: who is cut off from whom.
    cuts: BTreeMap<u32, Vec<(u32, u32)>>,
    quiet: bool,
    gates: Vec<Narrow>,
    /// The latest datagram, of which it is not known yet whether it comes to its bottleneck: flow, number, length.
    latest: Option<(u32, u32, usize)>,
}

type Check = Result<(), String>;

fn must(holds: bool, why: &str) -> Check {
    if holds { Ok(()) } else { Err(why.to_owned()) }
}

impl<'a> Verifier<'a> {
    fn new(trace: &'a Trace) -> Self {
        let host = |_| Host {
            state: State::Absent,
            resumed_at: None,
            timers: 0,
            fired_at: None,
            commands: 0,
            disk: Disk::default(),
        };
        Self {
            trace,
            now: 0,
            hosts: trace.names.iter().map(host).collect(),
            flows: trace.flows.iter().map(|_| Vec::new()).collect(),
            read: vec![Some(0); trace.flows.len()],
            cuts: BTreeMap::new(),
            quiet: false,
            gates: trace.gates.iter().map(Narrow::new).collect(),
            latest: None,
        }
    }

    fn check(&mut self, record: &Record) -> Check {
        let at = record.at.as_nanos();
        must(at >= self.now, "time goes back")?;
        self.now = at;
        self.life(record)?;
        match record.what {
            What::Send { flow, n } => self.send(record, flow, n),
            What::Arrive { flow, n, which } => self.arrive(record, flow, n, which),
            What::Lost { why: Loss::NoSuchAddress, .. } => Ok(()),
            What::Lost { flow, n, which, why, fault } => {
                must(
                    !self.quiet || fault == 0 || matches!(why, Loss::Down | Loss::Moved | Loss::Broken),
                    "a fault in the quiet phase",
                )?;
                must(why != Loss::Cut || self.is_cut(flow), "lost to a cut that is not there")?;
                if which == Which::Original {
                    self.latest = self.latest.filter(|(f, number, _)| (*f, *number) != (flow, n));
                }
                if why == Loss::Narrow {
                    self.leaves_line(flow, n)?;
                }
                self.ends(flow, n, which)
            }
            What::Damaged { flow, n, .. } => self.tampered(flow, n, |d| d.damaged = Some(record.content)),
            What::Doubled { flow, n, .. } => self.tampered(flow, n, |d| d.doubled = true),
            What::Replayed { flow, n, .. } => self.tampered(flow, n, |d| d.replayed = true),
            What::Spliced { flow, n, back, at, reseal, .. } => {
                self.spliced(record, (flow, n), (back, at), reseal)
            }
            What::Delayed { flow, n, .. } | What::Hurt { flow, n, .. } => self.tampered(flow, n, |_| ()),
            What::Stream { flow, what, .. } => self.stream(record.node, flow, what),
            What::Cut { fault } => self.cut(fault, self.trace.text_of(record)),
            What::Heal { fault } => must(self.cuts.remove(&fault).is_some(), "heals what was not cut"),
            What::Quiet => {
                self.quiet = true;
                must(self.cuts.is_empty(), "a partition in the quiet phase")
            }
            _ => Ok(()),
        }
    }

    fn life(&mut self, record: &Record) -> Check {
        if record.node == NO_NODE {
            return Ok(());
        }
        let (text, bytes) = (self.trace.text_of(record), self.trace.bytes_of(record));
        let quiet = self.quiet;
        // That there is room in a stream is told to nodes, but not in the trace.
        let streams = self.trace.streams.iter().any(|stream| *stream > 0);
        let host = self.hosts.get_mut(record.node as usize).ok_or("no such node")?;
        let state = host.state;
        let up = state == State::Up;
        let fired_at = host.fired_at;
        let told = matches!(
            record.what,
            What::Cmd { .. }
                | What::Arrive { .. }
                | What::Stored { .. }
                | What::Start
                | What::Restart { .. }
                | What::Resume { .. }
        );
        host.fired_at = host.fired_at.filter(|_| !told);
        match record.what {
            What::Start => {
                must(state == State::Absent, "starts twice")?;
                host.state = State::Up;
            }
            What::Restart { .. } => {
                must(state == State::Down, "restarts without a crash")?;
                host.state = State::Up;
                return host.disk.boots(text, bytes);
            }
            What::Crash { .. } => {
                must(matches!(state, State::Up | State::Paused) && !quiet, "crashes when it should not")?;
                host.state = State::Down;
                return host.disk.crashes(text);
            }
            What::Pause { .. } => {
                must(matches!(state, State::Up | State::Paused) && !quiet, "is paused when it should not")?;
                host.state = State::Paused;
            }
            What::Resume { .. } => {
                must(state == State::Paused, "goes on without a pause")?;
                host.resumed_at = Some(record.at.as_nanos());
                host.state = State::Up;
            }
            What::CmdLost { n } | What::Cmd { n } => {
                must(up == matches!(record.what, What::Cmd { .. }), "a command to a node that is not up")?;
                must(n > host.commands, "a command twice")?;
                host.commands = n;
            }
            What::Timer { n } => {
                must(up && n == host.timers + 1, "a timer of a node that is not up, or out of turn")?;
                host.timers = n;
                let (at, deadline) = (record.at.as_nanos(), record.content);
                must(at >= deadline, "a timer before its deadline")?;
                must(
                    streams || fired_at.is_none_or(|fired_at| deadline > fired_at),
                    "a timer that was not set again",
                )?;
                host.fired_at = Some(at);
            }
            What::Event | What::Send { .. } | What::Arrive { .. } => {
                must(up, "a node does something that is not up")?;
            }
            What::Store { op } => {
                must(up, "a node stores something that is not up")?;
                host.disk.asks(op, text, bytes);
            }
            What::Stored { op, ok } => {
                must(matches!(state, State::Up | State::Paused), "the disk of a dead node")?;
                host.disk.ends(op, ok)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn send(&mut self, record: &Record, flow: u32, n: u32) -> Check {
        let bytes = self.trace.bytes_of(record);
        let len = bytes.len();
        let limit = self.trace.limits[flow as usize];
        let (src, _) = self.trace.flows[flow as usize];
        must(src == record.node, "sent by another node")?;
        self.passes()?;
        self.latest = Some((flow, n, len));
        let sent = &mut self.flows[flow as usize];
        must(n as usize == sent.len() + 1, "numbered out of turn")?;
        sent.push(Datagram {
            sent_at: self.now,
            bytes,
            content: record.content,
            too_large: len > limit.mtu,
            ..Datagram::default()
        });
        Ok(())
    }

    fn datagram(&mut self, flow: u32, n: u32) -> Result<&mut Datagram<'a>, String> {
        let sent = self.flows.get_mut(flow as usize).ok_or("no such flow")?;
        sent.get_mut((n as usize).wrapping_sub(1)).ok_or_else(|| "it was never sent".into())
    }

    fn tampered(&mut self, flow: u32, n: u32, change: impl FnOnce(&mut Datagram<'a>)) -> Check {
        must(!self.quiet, "a fault in the quiet phase")?;
        let datagram = self.datagram(flow, n)?;
        must(!datagram.ended[0], "tampered with after its end")?;
        change(datagram);
        Ok(())
    }

    fn ends(&mut self, flow: u32, n: u32, which: Which) -> Check {
        let datagram = self.datagram(flow, n)?;
        must(which != Which::Copy || datagram.doubled, "a copy of what was not duplicated")?;
        must(which != Which::Replay || datagram.replayed, "a replay of what was not replayed")?;
        must(!std::mem::replace(&mut datagram.ended[which as usize], true), "it has ended already")
    }

    fn spliced(
        &mut self,
        record: &Record,
        (flow, n): (u32, u32),
        (back, at): (u32, u32),
        reseal: bool,
    ) -> Check {
        must(n > 1 && back > 0, "spliced with none before it")?;
        let now = self.trace.bytes_of(record);
        let own = self.datagram(flow, n)?.bytes;
        let furthest = back.min(Effect::FURTHEST_BACK).min(n - 1);
        let other = self.datagram(flow, n - furthest)?.bytes;
        let begin = &own[..own.len().min(at as usize)];
        let end = other.get(at as usize..).unwrap_or_default();
        must(now.len() == begin.len() + end.len(), "a splice that is too long or too short")?;
        let whole = now.starts_with(begin) && now.ends_with(end);
        must(reseal || whole, "a splice that is not the end of an earlier one")?;
        self.tampered(flow, n, |d| d.damaged = Some(record.content))
    }

    /// A datagram is lost in the line of its bottleneck.
    fn leaves_line(&mut self, flow: u32, n: u32) -> Check {
        let Some(gate) = self.line_of(flow) else { return Ok(()) };
        // Of one instant, who makes room goes before who gets it.
        if let Some((latest, number, _)) = self.latest
            && self.datagram(latest, number)?.sent_at < self.now
        {
            self.passes()?;
        }
        self.gates[gate].lost(self.now, (flow, n))
    }

    /// The bottleneck of a flow where the oldest are dropped, unless streams go through it too.
    fn line_of(&self, flow: u32) -> Option<usize> {
        let gate = self.trace.limits[flow as usize].gate?;
        let mut all = self.trace.limits.iter().zip(&self.trace.streams);
        let streams = all.any(|(limit, stream)| limit.gate == Some(gate) && *stream > 0);
        (self.gates[gate as usize].drops_oldest() && !streams).then_some(gate as usize)
    }

    /// The latest datagram was not lost on the way to its bottleneck.
    fn passes(&mut self) -> Check {
        let Some((flow, n, len)) = self.latest.take() else { return Ok(()) };
        let Some(gate) = self.trace.limits[flow as usize].gate else { return Ok(()) };
        if self.trace.streams[flow as usize] > 0 {
            return Ok(());
        }
        if self.gates[gate as usize].drops_oldest() && self.line_of(flow).is_none() {
            return Ok(());
        }
        let sent_at = self.datagram(flow, n)?.sent_at;
        if let Some(passed_at) = self.gates[gate as usize].pass(sent_at, (flow, n), len)? {
            self.datagram(flow, n)?.passed_at = passed_at;
        }
        Ok(())
    }

    fn arrive(&mut self, record: &Record, flow: u32, n: u32, which: Which) -> Check {
        must(self.trace.flows[flow as usize].1 == record.node, "at another node")?;
        // What waited while the node stood still had crossed its link before.
        let waited = self.hosts[record.node as usize].resumed_at == Some(self.now);
        must(waited || !self.is_cut(flow), "over a link that is cut")?;
        self.passes()?;
        self.ends(flow, n, which)?;
        let original = which == Which::Original && self.trace.streams[flow as usize] == 0;
        if let Some(gate) = self.line_of(flow).filter(|_| original) {
            self.datagram(flow, n)?.passed_at = self.gates[gate].has_passed(self.now, (flow, n))?;
        }
        let (now, least) = (self.now, self.trace.limits[flow as usize].delay);
        if self.trace.streams[flow as usize] > 0 {
            let next = self.read[flow as usize].map(|read| read + 1);
            must(next == Some(n), "a record out of turn, or after the end of its stream")?;
            self.read[flow as usize] = next;
        }
        let datagram = self.datagram(flow, n)?;
        must(!datagram.too_large, "larger than its link allows")?;
        must(now >= datagram.sent_at + least, "sooner than its link allows")?;
        must(now >= datagram.passed_at + least, "sooner than its bottleneck allows")?;
        let expected = datagram.damaged.filter(|_| which == Which::Original).unwrap_or(datagram.content);
        must(record.content == expected, "not as it was sent")
    }

    fn stream(&mut self, node: u32, flow: u32, what: Wire) -> Check {
        let of = |flow: u32| (self.trace.flows[flow as usize], self.trace.streams[flow as usize]);
        let ((src, dst), number) = of(flow);
        must(number > 0, "no such stream")?;
        match what {
            Wire::Read => must(self.read[flow as usize].is_some() && dst == node, "read after its end"),
            Wire::Finished => {
                must(self.read[flow as usize].take().is_some() && dst == node, "finished after its end")
            }
            Wire::Broken | Wire::Reset => {
                let own = |flow: usize| {
                    let ((from, to), n) = of(flow as u32);
                    n == number && to == node && (from == src || from == dst)
                };
                for (_, read) in self.read.iter_mut().enumerate().filter(|(flow, _)| own(*flow)) {
                    *read = None;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn cut(&mut self, fault: u32, text: &str) -> Check {
        must(!self.quiet, "a partition in the quiet phase")?;
        let both = text.contains('|');
        let (from, to) = text.split_once(['|', '>']).ok_or("a partition without sides")?;
        let ids = |side: &str| -> Vec<u32> {
            let id = |name: &str| self.trace.names.iter().position(|n| n == name).map(|id| id as u32);
            side.split(',').filter_map(id).collect()
        };
        let mut pairs = Vec::new();
        for from in ids(from) {
            for to in ids(to) {
                pairs.push((from, to));
                if both {
                    pairs.push((to, from));
                }
            }
        }
        must(self.cuts.insert(fault, pairs).is_none(), "cut twice by one fault")
    }

    fn is_cut(&self, flow: u32) -> bool {
        let pair = self.trace.flows[flow as usize];
        self.cuts.values().any(|pairs| pairs.contains(&pair))
    }
}
