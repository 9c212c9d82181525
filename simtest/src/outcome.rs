//! What a run leaves behind.

use crate::choice::Kind;
use crate::explore::Curve;
use crate::fault::Fault;
use crate::harness::Marks;
use crate::link::Passage;
use crate::node::{Node, NodeId};
use crate::oracle::Verdict;
use crate::schedule::{Content, DatagramFault, Effect, Line, LineWhat, Schedule, Weather, Without};
use crate::stats::Stats;
use crate::time::Time;
use crate::trace::Trace;

/// The result of one run.
#[derive(Clone, Debug)]
pub struct Outcome<N: Node> {
    /// How it ended.
    pub verdict: Verdict,
    /// A hash over everything that happened. Two runs with the same hash were the same run.
    pub hash: u128,
    /// What was counted.
    pub stats: Stats,
    /// What was recorded; empty unless [`Sim::record`](crate::Sim::record) was on.
    pub trace: Trace,
    /// Ids (`f3`) of the lines of a replayed schedule that matched nothing. A schedule with such lines no
    /// longer describes this code.
    pub unmatched: Vec<String>,
    /// What went through each bottleneck, in the order in which they were first used.
    pub bottlenecks: Vec<Passage>,
    pub(crate) nodes: Vec<Option<N>>,
    pub(crate) history: Vec<(Time, NodeId, N::Event)>,
    pub(crate) marks: Marks,
    pub(crate) log: FaultLog,
    pub(crate) header: Header,
}

#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) test: String,
    pub(crate) nodes: u64,
    pub(crate) weather: Weather,
    pub(crate) without: Vec<Without>,
}

impl<N: Node> Outcome<N> {
    /// Everything in the run that was not the default: replay it with [`FromSchedule`](crate::FromSchedule).
    pub fn schedule(&self) -> Schedule {
        let Header { test, nodes, weather, without } = self.header.clone();
        let expect = self.verdict.oracle().map(String::from);
        Schedule { test, nodes, weather, without, lines: self.log.lines(&self.trace), expect }
    }

    /// The run as one HTML page, if it was recorded; see [`Trace::html`].
    pub fn html(&self) -> String {
        self.html_with(None)
    }

    /// The same, with how likely the failure became in the course of the run.
    pub fn html_with(&self, curve: Option<&Curve>) -> String {
        self.trace.html_with(&self.header.test, &self.schedule().to_text(), curve)
    }

    /// A node as it was at the end, or `None` if it was dead.
    pub fn node(&self, id: NodeId) -> Option<&N> {
        self.nodes.get(id.index())?.as_ref()
    }

    /// The events of a node, with their times, if [`Sim::keep_events`](crate::Sim::keep_events) was on.
    pub fn events(&self, id: NodeId) -> impl Iterator<Item = (Time, &N::Event)> {
        self.history.iter().filter(move |(_, node, _)| *node == id).map(|(at, _, event)| (*at, event))
    }

    /// # Panics
    /// If the run did not pass, with the reason and the schedule that repeats it; or if a line of the schedule that it had been given
    /// matched nothing.
    #[track_caller]
    pub fn assert_pass(&self) {
        assert!(self.verdict.is_pass(), "{}\n{}", self.verdict, self.schedule().to_text());
        assert!(
            self.unmatched.is_empty(),
            "{}: these lines of the schedule match nothing any more: it is no longer what it was",
            self.unmatched.join(", ")
        );
    }
}

/// The faults of a run in a compact form: most runs pass and nobody asks for their schedule.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultLog {
    entries: Vec<(u32, Entry)>,
    labels: String,
    last: u32,
}

#[derive(Clone, Debug)]
enum Entry {
    Datagram { flow: u32, name: LoggedName, occ: u32, effect: Effect },
    Timed { at: Time, fault: Fault },
}

#[derive(Clone, Copy, Debug)]
enum LoggedName {
    Label(u32, u32),
    Ordinal(u32),
}

pub(crate) enum Named<'a> {
    Label(&'a str),
    Ordinal(u32),
}

impl FaultLog {
    /// `line` is 0 for a new line; the number of the line is returned.
    pub(crate) fn datagram(
        &mut self,
        line: u32,
        flow: u32,
        name: &Named<'_>,
        occ: u32,
        effect: Effect,
    ) -> u32 {
        let name = match *name {
            Named::Label(label) => {
                let start = self.labels.len() as u32;
                self.labels.push_str(label);
                LoggedName::Label(start, self.labels.len() as u32)
            }
            Named::Ordinal(n) => LoggedName::Ordinal(n),
        };
        self.push(line, Entry::Datagram { flow, name, occ, effect })
    }

    pub(crate) fn timed(&mut self, line: u32, at: Time, fault: Fault) -> u32 {
        self.push(line, Entry::Timed { at, fault })
    }

    fn push(&mut self, line: u32, entry: Entry) -> u32 {
        let line = if line == 0 { self.last + 1 } else { line };
        self.last = self.last.max(line);
        self.entries.push((line, entry));
        line
    }

    fn lines(&self, trace: &Trace) -> Vec<Line> {
        let name = |node: u32| trace.names[node as usize].clone();
        let line = |(id, entry): &(u32, Entry)| {
            let what = match entry {
                Entry::Timed { at, fault } => LineWhat::Timed { at: *at, fault: fault.clone() },
                Entry::Datagram { flow, name: logged, occ, effect } => {
                    let (src, dst) = trace.flows[*flow as usize];
                    let content = match logged {
                        LoggedName::Label(from, to) => {
                            Content::Label(self.labels[*from as usize..*to as usize].into())
                        }
                        LoggedName::Ordinal(n) => Content::Ordinal(*n),
                    };
                    let (src, dst) = (name(src), name(dst));
                    LineWhat::Datagram(DatagramFault { src, dst, content, occ: *occ, effect: *effect })
                }
            };
            Line { id: *id, what }
        };
        self.entries.iter().map(line).collect()
    }
}

impl Line {
    /// The family of this fault.
    pub const fn kind(&self) -> Kind {
        match &self.what {
            LineWhat::Datagram(fault) => fault.effect.kind(),
            LineWhat::Timed { fault, .. } => fault.what.kind(),
        }
    }
}
