//! The part of a failing run that tells what led to the failure.

use std::collections::{BTreeMap, BTreeSet};

use super::export::parts;
use super::record::{NO_NODE, Record, What, Wire};
use super::{Trace, TraceView};

/// What a record is about: node, word, flow (sender, receiver, stream), text. The same in two runs that differ in time.
type Likeness<'a> = (u32, &'static str, Option<(u32, u32, u32)>, &'a str);

impl Trace {
    /// A slice is folded when it has more lines than this.
    pub(crate) const SLICE: usize = 40;

    /// Commands, faults, what faults did to datagrams, and of all else what lies in the causal past of the failure and is not in
    /// `beside` as well (which may be empty); one line each, with times. Arrivals, timers and store operations are left out, for
    /// what they led to is there; not those of the failing step itself. The failure concerns the node of the last record; with
    /// `at_end`, all of them.
    ///
    /// If that is more than 40 lines, those that are alike are folded: first the same ones, then those that differ in numbers, that of
    /// the stream included.
    pub(crate) fn slice(&self, beside: &Self, at_end: bool) -> Vec<String> {
        let past = self.past(at_end);
        let hurt: BTreeSet<(u32, u32)> = self.records.iter().filter_map(hurt).collect();
        let (ours, theirs) = (self.sent_texts(), beside.sent_texts());
        let mut common: BTreeMap<Likeness<'_>, u32> = BTreeMap::new();
        for record in &beside.records {
            *common.entry(beside.likeness(record, &theirs)).or_default() += 1;
        }
        let input = |record: &Record| {
            matches!(
                record.what,
                What::Arrive { .. } | What::Timer { .. } | What::Cmd { .. } | What::Stored { .. }
            )
        };
        let last_step = self.records.iter().rposition(input).unwrap_or(0);
        let mut picked: Vec<(usize, Likeness<'_>)> = Vec::new();
        for (index, record) in self.records.iter().enumerate() {
            let likeness = self.likeness(record, &ours);
            let known = common.get_mut(&likeness).is_some_and(|left| {
                let known = *left > 0;
                *left = left.saturating_sub(1);
                known
            });
            let always = match record.what {
                What::Cmd { .. } | What::CmdLost { .. } => true,
                What::Send { flow, n } => hurt.contains(&(flow, n)),
                _ => parts(record).fault > 0 || (index >= last_step && !at_end),
            };
            let told = index >= last_step && !at_end
                || !matches!(
                    record.what,
                    What::Arrive { .. }
                        | What::Stream {
                            what: Wire::Read | Wire::Opened | Wire::Accepted | Wire::Finished,
                            ..
                        }
                        | What::Timer { .. }
                        | What::Store { .. }
                        | What::Stored { .. }
                        | What::Start
                );
            if told && (always || past[index] && !known) {
                picked.push((index, likeness));
            }
        }
        self.folded(&picked)
    }

    fn folded(&self, picked: &[(usize, Likeness<'_>)]) -> Vec<String> {
        let mut lines: Vec<(String, Likeness<'_>, String)> = Vec::new();
        for (index, likeness) in picked {
            let line = TraceView::packets().lines_of(self, *index);
            lines
                .extend(line.map(|line| (line.trim_end().to_owned(), *likeness, without_digits(likeness.3))));
        }
        let fold = |alike: &dyn Fn(&(String, Likeness<'_>, String)) -> String| {
            let mut folded: Vec<(String, usize)> = Vec::new();
            let mut first: BTreeMap<String, usize> = BTreeMap::new();
            for line in &lines {
                if let Some(at) = first.get(&alike(line)) {
                    folded[*at].1 += 1;
                } else {
                    first.insert(alike(line), folded.len());
                    folded.push((line.0.clone(), 0));
                }
            }
            let told = |(line, more)| match more {
                0 => line,
                more => format!("{line}  (and {more} more like it)"),
            };
            folded.into_iter().map(told).collect::<Vec<_>>()
        };
        if lines.len() <= Self::SLICE {
            return lines.into_iter().map(|(line, ..)| line).collect();
        }
        let same = fold(&|(_, (node, word, flow, text), _)| format!("{node} {word} {flow:?} {text}"));
        if same.len() <= Self::SLICE {
            return same;
        }
        fold(&|(_, (node, word, flow, _), text)| {
            let ends = flow.map(|(src, dst, _)| (src, dst));
            format!("{node} {word} {ends:?} {text}")
        })
    }

    /// Which records lie in the causal past of the last.
    fn past(&self, at_end: bool) -> Vec<bool> {
        let last = self.records.iter().rev().find(|record| record.node != NO_NODE);
        let mut nodes: BTreeSet<u32> = last.iter().map(|record| record.node).collect();
        if at_end {
            nodes.extend(0..self.names.len() as u32);
        }
        let mut awaited = BTreeSet::new();
        let mut past = vec![false; self.records.len()];
        for (index, record) in self.records.iter().enumerate().rev() {
            if let What::Send { flow, n } = record.what
                && awaited.remove(&(flow, n))
            {
                nodes.insert(record.node);
            }
            past[index] = record.node == NO_NODE || nodes.contains(&record.node);
            if let What::Arrive { flow, n, .. } = record.what
                && past[index]
            {
                awaited.insert((flow, n));
            }
        }
        past
    }

    fn sent_texts(&self) -> BTreeMap<(u32, u32), &str> {
        let sent = self.records.iter().filter_map(|record| match record.what {
            What::Send { flow, n } => Some(((flow, n), self.text_of(record))),
            _ => None,
        });
        sent.collect()
    }

    fn likeness<'a>(&'a self, record: &Record, sent: &BTreeMap<(u32, u32), &'a str>) -> Likeness<'a> {
        let parts = parts(record);
        let flow = parts.datagram.map(|(flow, ..)| flow).or(parts.way);
        let ends = flow.and_then(|flow| {
            let (src, dst) = *self.flows.get(flow as usize)?;
            Some((src, dst, *self.streams.get(flow as usize)?))
        });
        let text = match record.what {
            What::Arrive { flow, n, .. } => sent.get(&(flow, n)).copied().unwrap_or_default(),
            _ => self.text_of(record),
        };
        (record.node, parts.word, ends, text)
    }
}

/// The datagram that a fault has touched.
fn hurt(record: &Record) -> Option<(u32, u32)> {
    let parts = parts(record);
    parts.datagram.filter(|_| parts.fault > 0).map(|(flow, n, _)| (flow, n))
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}
