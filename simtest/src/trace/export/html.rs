//! A page to look at a run with.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{json, parts};
use crate::explore::{Curve, Moment};
use crate::trace::Trace;

const PAGE: &str = include_str!("viewer.html");

/// Texts that are written once, and then called by their number.
#[derive(Default)]
struct Interned<'a> {
    numbers: BTreeMap<&'a str, usize>,
    all: Vec<&'a str>,
}

impl<'a> Interned<'a> {
    fn number(&mut self, text: &'a str) -> usize {
        let Self { numbers, all } = self;
        *numbers.entry(text).or_insert_with(|| {
            all.push(text);
            all.len() - 1
        })
    }

    fn list(&self) -> String {
        self.all.iter().map(|text| json(text)).collect::<Vec<_>>().join(",")
    }
}

/// A node's number; -1 for none.
fn node(number: u32) -> i64 {
    i64::from(number.cast_signed())
}

impl Trace {
    /// One HTML page that needs nothing else: lanes of nodes, arrows of datagrams and of records on streams, faults, lives,
    /// clocks, which judges hold, the verdict. `schedule` is shown, and offered for copying as a test.
    pub fn html(&self, title: &str, schedule: &str) -> String {
        self.html_with(title, schedule, None)
    }

    /// The same, with how likely the failure became in the course of the run ([`why`](crate::why())).
    pub fn html_with(&self, title: &str, schedule: &str, curve: Option<&Curve>) -> String {
        let (mut kinds, mut texts) = (Interned::default(), Interned::default());
        let mut rows = String::new();
        for record in &self.records {
            let parts = parts(record);
            let (of, n, which) = parts.datagram.unwrap_or_default();
            let number = parts.number.unwrap_or(n.into());
            let flow = parts.datagram.map(|_| of).or(parts.way).map_or(-1, i64::from);
            let _ = write!(
                rows,
                "[{},{},{},{flow},{number},{},{},{}],",
                record.at.as_nanos() / 1_000,
                node(record.node),
                kinds.number(parts.word),
                which as u8,
                parts.fault,
                texts.number(self.text_of(record).trim())
            );
        }
        let list = |items: Vec<String>| items.join(",");
        let names = list(self.names.iter().map(|name| json(name)).collect());
        let flow =
            |((src, dst), stream): (&(u32, u32), &u32)| format!("[{},{},{stream}]", node(*src), node(*dst));
        let flows = list(self.flows.iter().zip(&self.streams).map(flow).collect());
        let judges = list(self.watch.names.iter().map(|name| json(name)).collect());
        let held = list(self.watch.at_first.iter().map(|held| u8::from(*held).to_string()).collect());
        let change = |(at, judge, holds): &(u32, u32, bool)| format!("[{at},{judge},{}]", u8::from(*holds));
        let states = list(self.watch.changes.iter().map(change).collect());
        let moment = |m: &Moment| format!("[{},{},{}]", m.at.as_nanos() / 1_000, m.failed, m.tried);
        let curve = list(curve.map(|curve| curve.moments.iter().map(moment).collect()).unwrap_or_default());
        let data = format!(
            "{{title:{},names:[{names}],flows:[{flows}],verdict:{},hash:\"{:032x}\",schedule:{},judges:[{judges}],invariants:{},\
             held:[{held}],states:[{states}],curve:[{curve}],kinds:[{}],texts:[{}],rows:[{rows}]}}",
            json(title),
            json(&self.verdict),
            self.hash,
            json(schedule),
            self.watch.invariants,
            kinds.list(),
            texts.list(),
        );
        PAGE.replace("/*DATA*/null", &data)
    }
}
