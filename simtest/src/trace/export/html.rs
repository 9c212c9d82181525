//! A page to look at a run with.

use std::fmt::Write as _;

use super::{json, parts};
use crate::trace::Trace;
use crate::trace::record::NO_NODE;

const PAGE: &str = include_str!("viewer.html");

impl Trace {
    /// One HTML page that needs nothing else: lanes of nodes, arrows of datagrams, faults, lives, the verdict. `schedule` is
    /// shown, and offered for copying as a test.
    pub fn html(&self, title: &str, schedule: &str) -> String {
        let names: Vec<String> = self.names.iter().map(|name| json(name)).collect();
        let flows: Vec<String> = self.flows.iter().map(|(src, dst)| format!("[{src},{dst}]")).collect();
        let mut rows = String::new();
        for record in &self.records {
            let parts = parts(record);
            let node = if record.node == NO_NODE { -1 } else { i64::from(record.node) };
            let (flow, n, copy) = parts.datagram.unwrap_or_default();
            let number = parts.number.unwrap_or(n.into());
            let flow = parts.datagram.map_or(-1, |_| i64::from(flow));
            let text = self.text_of(record).trim();
            let (at, copy) = (record.at.as_nanos() / 1_000, u8::from(copy));
            let _ = writeln!(
                rows,
                "[{at},{node},\"{}\",{flow},{number},{copy},{},{}],",
                parts.word,
                parts.fault,
                json(text)
            );
        }
        let data = format!(
            "{{title:{},names:[{}],flows:[{}],verdict:{},hash:\"{:032x}\",schedule:{},rows:[\n{rows}]}}",
            json(title),
            names.join(","),
            flows.join(","),
            json(&self.verdict),
            self.hash,
            json(schedule)
        );
        PAGE.replace("/*DATA*/null", &data)
    }
}
