//! Traces as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Trace;
use super::around::around;
use super::dump::dump;
use super::export::parts;
use super::record::{Loss, NO_NODE, Record, What, Which, Wire};
use crate::time::Time;

/// How much of a trace is shown; each level holds the one before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Application events, lives and faults of nodes, partitions, the verdict.
    Outcomes,
    /// Also commands, and each datagram with what became of it.
    Messages,
    /// Also timers, store operations, and (in time order) each arrival.
    Packets,
    /// Also each arrival whatever the order, what a damaged datagram has become, and all bytes that are sent or stored.
    Bytes,
}

/// How much of what is sent, or stored, is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Payload {
    /// Nothing: not even the label.
    None,
    /// Its label.
    Label,
    /// Also so many of its bytes, the first: in hexadecimal, 16 a line.
    Hex(usize),
}

/// Which times are shown, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Times {
    /// None: a changed timer or round trip changes no line.
    Off,
    /// Since the line before, in milliseconds.
    Delta,
    /// Since the start, in seconds with three decimals.
    Exact,
}

/// In which order records are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Node by node: first what happened on it, then its flows, each by itself. Unrelated flows do not
    /// disturb each other.
    Grouped,
    /// As it happened.
    Merged,
}

/// What to show of a trace, and how.
///
/// Datagrams are called `a>s#3`, the third from a to s, and `a>s#3'` for a copy, `a>s#3''` for a replay; commands `a!2`; timers
/// `a.timer#4`; streams `a>s~1`, the first between a and s, dialed by a; the third record from a on it `a>s~1#3`; faults `f5`,
/// as in the schedule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceView {
    level: Level,
    times: Times,
    order: Order,
    payload: Payload,
    hosts: Option<Vec<String>>,
    /// A fault, and how many lines before and after what it did.
    around: Option<(String, usize)>,
    header: bool,
}

impl TraceView {
    fn new(level: Level) -> Self {
        let payload = Payload::Label;
        Self {
            level,
            times: Times::Off,
            order: Order::Grouped,
            payload,
            hosts: None,
            around: None,
            header: false,
        }
    }

    /// Level [`Outcomes`](Level::Outcomes), grouped, without times.
    pub fn outcomes() -> Self {
        Self::new(Level::Outcomes)
    }

    /// Level [`Messages`](Level::Messages), grouped, without times: what a snapshot should hold.
    pub fn messages() -> Self {
        Self::new(Level::Messages)
    }

    /// Level [`Packets`](Level::Packets), in time order, with times: what one reads to find a bug.
    pub fn packets() -> Self {
        Self { times: Times::Exact, order: Order::Merged, ..Self::new(Level::Packets) }
    }

    /// Level [`Bytes`](Level::Bytes), in time order, with times: everything that is known.
    pub fn bytes() -> Self {
        Self { level: Level::Bytes, payload: Payload::Hex(usize::MAX), ..Self::packets() }
    }

    /// How much of what is sent is shown.
    #[must_use]
    pub fn payload(self, payload: Payload) -> Self {
        Self { payload, ..self }
    }

    /// Only what this fault (`f2`, as in the schedule) is said to have done, and so many lines before and after.
    #[must_use]
    pub fn around(self, fault: &str, lines: usize) -> Self {
        Self { around: Some((fault.into(), lines)), ..self }
    }

    /// Shows times.
    #[must_use]
    pub fn time(self, times: Times) -> Self {
        Self { times, ..self }
    }

    /// In this order.
    #[must_use]
    pub fn group(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// Begins with two lines about the run: test and hash, hosts, how many faults and records there are, the verdict. Not for
    /// snapshots, for the hash changes with everything.
    #[must_use]
    pub fn header(self) -> Self {
        Self { header: true, ..self }
    }

    /// Only what happens on these nodes, and what they send.
    #[must_use]
    pub fn hosts<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { hosts: Some(names.into_iter().map(String::from).collect()), ..self }
    }

    pub(super) fn fates_of(trace: &Trace) -> BTreeMap<Id, String> {
        fates(trace)
    }

    /// The level at which a record of a node is shown.
    pub(super) const fn level_of(what: What) -> Level {
        match what {
            What::Timer { .. }
            | What::Store { .. }
            | What::Stored { .. }
            | What::Arrive { .. }
            | What::Stream { what: Wire::Read, .. } => Level::Packets,
            What::Cmd { .. }
            | What::CmdLost { .. }
            | What::Send { .. }
            | What::Lost { .. }
            | What::Stream { .. }
            | What::Hurt { .. } => Level::Messages,
            _ => Level::Outcomes,
        }
    }

    /// What the records from `from` on look like, one by one, in time order; those that are not shown are skipped.
    pub(super) fn lines(self, trace: &Trace, from: usize) -> impl Iterator<Item = String> {
        let mut page = Page { view: self, trace, fates: fates(trace), out: String::new(), last: Time::ZERO };
        trace.records[from..].iter().filter_map(move |record| {
            page.merged(record);
            (!page.out.is_empty()).then(|| std::mem::take(&mut page.out))
        })
    }

    /// What one record looks like, in time order; nothing if it is not shown.
    pub(super) fn lines_of(self, trace: &Trace, index: usize) -> impl Iterator<Item = String> {
        let record = &trace.records[index];
        let fate = match record.what {
            What::Send { flow, n } => fates_from(&trace.records[index..], Some((flow, n))),
            _ => BTreeMap::new(),
        };
        let mut page = Page { view: self, trace, fates: fate, out: String::new(), last: Time::ZERO };
        page.merged(record);
        (!page.out.is_empty()).then_some(page.out).into_iter()
    }

    pub(super) fn render(mut self, trace: &Trace) -> String {
        let part = self.around.take();
        let all =
            Page { view: self, trace, fates: fates(trace), out: String::new(), last: Time::ZERO }.render();
        match part {
            None => all,
            Some((fault, lines)) => around(&all, &fault, lines)
                .unwrap_or_else(|| format!("nothing in this run is called {fault}\n")),
        }
    }
}

/// (flow, number) of a datagram.
type Id = (u32, u32);

/// What became of each datagram that was sent.
fn fates(trace: &Trace) -> BTreeMap<Id, String> {
    fates_from(&trace.records, None)
}

/// The same of some records, or of one datagram only.
fn fates_from(records: &[Record], only: Option<Id>) -> BTreeMap<Id, String> {
    let mut fates: BTreeMap<Id, String> = BTreeMap::new();
    for record in records {
        let (flow, n, fate) = match record.what {
            What::Arrive { flow, n, which } => (flow, n, format!("{}ok", which.word())),
            What::Lost { flow, n, which, why, fault } => {
                (flow, n, format!("{}{}", which.word(), lost(why, fault)))
            }
            What::Damaged { flow, n, fault } => (flow, n, format!("f{fault} corrupt")),
            What::Delayed { flow, n, fault } => (flow, n, format!("f{fault} delay")),
            What::Doubled { flow, n, fault } => (flow, n, format!("f{fault} duplicate")),
            What::Replayed { flow, n, fault } => (flow, n, format!("f{fault} replay")),
            What::Spliced { flow, n, fault, .. } => (flow, n, format!("f{fault} splice")),
            What::Hurt { flow, n, kind, fault } => (flow, n, format!("f{fault} {}", kind.word())),
            _ => continue,
        };
        if only.is_some_and(|id| id != (flow, n)) {
            continue;
        }
        let all = fates.entry((flow, n)).or_default();
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(&fate);
    }
    fates
}

fn lost(why: Loss, fault: u32) -> String {
    match (why, fault) {
        (Loss::Drop, _) => format!("f{fault} drop"),
        (Loss::Cut, 0) => "cut".into(),
        (Loss::Cut, _) => format!("f{fault} cut"),
        (Loss::Mtu, _) => "too large".into(),
        (Loss::Down, _) => "node down".into(),
        (Loss::Queue, _) => "queue full".into(),
        (Loss::NoSuchAddress, _) => "no such address".into(),
        (Loss::Narrow, _) => "bottleneck full".into(),
        (Loss::Moved, _) => "old address".into(),
        (Loss::Broken, 0) => "broken".into(),
        (Loss::Broken, _) => format!("f{fault} broken"),
    }
}

/// Two lines about a run.
fn header(trace: &Trace) -> String {
    let faults: BTreeSet<u32> = trace.records.iter().map(Record::fault).collect();
    let faults = faults.iter().filter(|fault| **fault > 0).count();
    let Trace { test, hash, names, verdict, .. } = trace;
    let (hosts, records) = (names.join(" "), trace.len());
    let verdict = verdict.split(':').next().unwrap_or_default();
    format!(
        "simtest-trace 1  test={test}  hash={hash:032x}\nhosts {hosts}  faults {faults}  records {records}  verdict {verdict}\n"
    )
}

struct Page<'a> {
    view: TraceView,
    trace: &'a Trace,
    fates: BTreeMap<Id, String>,
    out: String,
    last: Time,
}

impl<'a> Page<'a> {
    fn render(mut self) -> String {
        let trace = self.trace;
        if self.view.header {
            self.out = header(trace);
        }
        match self.view.order {
            Order::Merged => {
                for record in &trace.records {
                    self.merged(record);
                }
            }
            Order::Grouped => self.grouped(),
        }
        let _ = writeln!(self.out, "{}", trace.verdict);
        self.out
    }

    fn shown(&self, node: u32) -> bool {
        match &self.view.hosts {
            Some(hosts) => hosts.iter().any(|name| name == self.name(node)),
            None => true,
        }
    }

    fn name(&self, node: u32) -> &'a str {
        if node == NO_NODE { "-" } else { &self.trace.names[node as usize] }
    }

    fn grouped(&mut self) {
        let trace = self.trace;
        let nodes = trace.names.len() as u32;
        for node in (0..nodes).chain([NO_NODE]).filter(|node| self.shown(*node)).collect::<Vec<_>>() {
            for record in trace.records.iter().filter(|record| record.node == node) {
                if let Some(line) = self.happening(record) {
                    self.last = self.stamp(record.at);
                    let _ = writeln!(self.out, "{line}");
                    self.stored(record);
                }
            }
            if self.view.level >= Level::Messages {
                self.flows_of(node);
            }
        }
    }

    /// The flows of a node in the order of their receivers, then what it sent to nobody.
    fn flows_of(&mut self, node: u32) {
        let trace = self.trace;
        let mut flows: Vec<u32> =
            (0..).zip(&trace.flows).filter(|(_, f)| f.0 == node).map(|(i, _)| i).collect();
        flows.sort_by_key(|flow| trace.flows[*flow as usize].1);
        for flow in flows {
            for record in &trace.records {
                match record.what {
                    What::Send { flow: of, .. } if of == flow => self.sent(record, "  "),
                    What::Damaged { flow: of, .. } | What::Spliced { flow: of, .. } if of == flow => {
                        self.damaged(record, "  ");
                    }
                    _ => {}
                }
            }
        }
        for record in trace.records.iter().filter(|record| record.node == node) {
            if let What::Lost { why: Loss::NoSuchAddress, n, .. } = record.what {
                let text = self.label(record);
                let name = self.name(node);
                let _ = writeln!(self.out, "  {name}>?{n} {text}  no such address");
            }
        }
    }

    fn id(&self, flow: u32, n: u32, which: Which) -> String {
        self.trace.id(flow, n, which)
    }

    fn sent(&mut self, record: &Record, indent: &str) {
        let What::Send { flow, n } = record.what else { return };
        self.last = self.stamp(record.at);
        let id = self.id(flow, n, Which::Original);
        let text = self.label(record);
        let fate = self.fates.get(&(flow, n)).map_or("under way", String::as_str);
        let _ = match self.view.payload {
            Payload::None => writeln!(self.out, "{indent}{id:<8} {fate}"),
            _ => writeln!(self.out, "{indent}{id:<8} {text:<30} {fate}"),
        };
        self.dump(record);
    }

    fn label(&self, record: &Record) -> &'a str {
        if self.view.payload == Payload::None { "" } else { self.trace.text_of(record) }
    }

    /// What a datagram has become.
    fn damaged(&mut self, record: &Record, indent: &str) {
        let (What::Damaged { flow, n, fault } | What::Spliced { flow, n, fault, .. }) = record.what else {
            return;
        };
        if self.view.level < Level::Bytes {
            return;
        }
        self.last = self.stamp(record.at);
        let (id, word) = (self.id(flow, n, Which::Original), parts(record).word);
        let _ = writeln!(
            self.out,
            "{indent}{id:<8} f{fault} {word}: {} bytes",
            self.trace.bytes_of(record).len()
        );
        self.dump(record);
    }

    /// The bytes of a store operation, or those that a node finds when it is back.
    fn stored(&mut self, record: &Record) {
        if self.view.level >= Level::Bytes && matches!(record.what, What::Store { .. } | What::Restart { .. })
        {
            self.dump(record);
        }
    }

    fn dump(&mut self, record: &Record) {
        if let Payload::Hex(most) = self.view.payload {
            dump(&mut self.out, self.trace.bytes_of(record), most);
        }
    }

    /// A line for what happens on a node, apart from its datagrams.
    fn happening(&self, record: &Record) -> Option<String> {
        let level = self.view.level;
        let name = self.name(record.node);
        let text = self.trace.text_of(record);
        let line = match record.what {
            What::Cmd { n } if level >= Level::Messages => format!("{name}!{n} {text}"),
            What::CmdLost { n } if level >= Level::Messages => format!("{name}!{n} {text}  node down"),
            What::Timer { n } if level >= Level::Packets => format!("{name}.timer#{n}"),
            What::Store { op } if level >= Level::Packets => format!("{name}   store {op}: {text}"),
            What::Stored { op, ok: true } if level >= Level::Packets => format!("{name}   stored {op}"),
            What::Stored { op, ok: false } if level >= Level::Packets => {
                format!("{name}   store {op} failed: {text}")
            }
            What::Event => format!("{name}   {text}"),
            What::Crash { fault } => format!("{name}   f{fault} CRASH"),
            What::Restart { fault } => format!("{name}   f{fault} restart{text}"),
            What::Pause { fault } => format!("{name}   f{fault} pause"),
            What::Resume { fault } => format!("{name}   f{fault} resume"),
            What::Cut { fault } => format!("{name}   f{fault} partition {text}"),
            What::Heal { fault } => format!("{name}   f{fault} healed"),
            What::Trouble { fault } => format!("{name}   f{fault} disk {text}"),
            What::Mended { fault } => format!("{name}   f{fault} disk mended"),
            What::Clock { fault } => format!("{name}   f{fault} clock {text}"),
            What::ClockRight { fault } => format!("{name}   f{fault} clock right"),
            What::Rebind { fault } => format!("{name}   f{fault} new address"),
            What::Stream { flow, what, fault } if level >= TraceView::level_of(record.what) => {
                let by = if fault > 0 { format!("f{fault} ") } else { String::new() };
                let of = self.trace.way(flow);
                let space = if text.is_empty() { "" } else { " " };
                format!("{name}   {by}{} {of}{space}{text}", what.word())
            }
            What::Quiet => format!("{name}   quiet"),
            What::Arrive { flow, n, which } if level >= Level::Bytes => {
                format!("{name}   < {}", self.id(flow, n, which))
            }
            _ => return None,
        };
        Some(line)
    }

    fn merged(&mut self, record: &Record) {
        if !self.shown(record.node) {
            return;
        }
        if let Some(line) = self.happening(record) {
            self.last = self.stamp(record.at);
            let _ = writeln!(self.out, "{line}");
            self.stored(record);
            return;
        }
        if self.view.level < Level::Messages {
            return;
        }
        let arrivals = self.view.level >= Level::Packets;
        match record.what {
            What::Send { .. } => self.sent(record, ""),
            What::Damaged { .. } | What::Spliced { .. } => self.damaged(record, ""),
            What::Arrive { flow, n, which } if arrivals => {
                self.last = self.stamp(record.at);
                let id = self.id(flow, n, which);
                let name = self.name(record.node);
                let _ = writeln!(self.out, "{name}   < {id}");
            }
            What::Lost { why: Loss::NoSuchAddress, n, .. } => {
                self.last = self.stamp(record.at);
                let text = self.label(record);
                let name = self.name(record.node);
                let _ = writeln!(self.out, "{name}>?{n} {text}  no such address");
            }
            _ => {}
        }
    }

    /// Writes the time column; returns the time, for the next difference.
    fn stamp(&mut self, at: Time) -> Time {
        match self.view.times {
            Times::Off => {}
            Times::Exact => {
                let _ = write!(self.out, "{at:>8} ");
            }
            Times::Delta => {
                let delta = at.since(self.last).as_millis();
                let _ = write!(self.out, "{delta:>+8} ");
            }
        }
        at
    }
}
