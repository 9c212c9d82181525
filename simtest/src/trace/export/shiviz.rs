//! Logs with vector clocks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{json, parts};
use crate::trace::Trace;
use crate::trace::record::{NO_NODE, Record, What};

impl Trace {
    /// A log for ShiViz, with the parser `(?<host>\S*) (?<clock>{.*})\n(?<event>.*)`: one event of a node, and its vector clock.
    /// A receipt comes after what it receives, and so does what becomes of a stream at its other end.
    pub fn shiviz(&self) -> String {
        let mut clocks: Vec<BTreeMap<u32, u64>> = vec![BTreeMap::new(); self.names.len()];
        let causes = self.causes();
        let abroad = |(record, cause): (&Record, &Option<usize>)| {
            cause.filter(|cause| self.records[*cause].node != record.node)
        };
        let awaited: BTreeSet<usize> = self.records.iter().zip(&causes).filter_map(abroad).collect();
        let mut sent: BTreeMap<usize, BTreeMap<u32, u64>> = BTreeMap::new();
        let mut out = String::new();
        for (index, record) in self.records.iter().enumerate().filter(|(_, record)| record.node != NO_NODE) {
            let quiet =
                matches!(record.what, What::Lost { .. } | What::Damaged { .. } | What::Delayed { .. });
            if quiet
                || matches!(
                    record.what,
                    What::Doubled { .. } | What::Replayed { .. } | What::Spliced { .. } | What::Hurt { .. }
                )
            {
                continue;
            }
            let clock = &mut clocks[record.node as usize];
            for (node, count) in causes[index].and_then(|cause| sent.get(&cause)).into_iter().flatten() {
                let own = clock.entry(*node).or_default();
                *own = (*own).max(*count);
            }
            *clock.entry(record.node).or_default() += 1;
            if awaited.contains(&index) {
                sent.insert(index, clock.clone());
            }
            let times: Vec<String> =
                clock.iter().map(|(node, count)| format!("{}:{count}", json(self.name(*node)))).collect();
            let parts = parts(record);
            let id = parts.datagram.map(|(flow, n, which)| self.id(flow, n, which));
            let id = id.or_else(|| parts.way.map(|flow| self.way(flow))).unwrap_or_default();
            let text = [parts.word, &id, self.text_of(record).trim()].join(" ");
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let _ = writeln!(out, "{} {{{}}}\n{text}", self.name(record.node), times.join(","));
        }
        out
    }
}
