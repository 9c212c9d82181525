//! One JSON object per record.

use std::fmt::Write as _;

use super::{json, parts};
use crate::trace::Trace;

impl Trace {
    /// One JSON object per line and record, with the keys in this order, those that do not apply left out; integers only:
    ///
    /// `v` (1), `n` (number of the record, from 0), `t` (nanoseconds since the start), `h` (node, `-` for none), `k` (what it
    /// is), `id` (of the datagram, the record, or the stream), `i` (number of the command, timer or store operation), `len` (of the datagram), `l` (its
    /// label, or what else there is to say), `f` (the fault, as in the schedule). The last line has `k` `verdict`.
    pub fn jsonl(&self) -> String {
        let mut out = String::new();
        for (number, record) in self.records.iter().enumerate() {
            let parts = parts(record);
            let (at, name) = (record.at.as_nanos(), json(self.name(record.node)));
            let _ = write!(out, "{{\"v\":1,\"n\":{number},\"t\":{at},\"h\":{name},\"k\":\"{}\"", parts.word);
            if let Some((flow, n, which)) = parts.datagram {
                let _ = write!(out, ",\"id\":{}", json(&self.id(flow, n, which)));
            }
            if let Some(flow) = parts.way {
                let _ = write!(out, ",\"id\":{}", json(&self.way(flow)));
            }
            if let Some(number) = parts.number {
                let _ = write!(out, ",\"i\":{number}");
            }
            let len = self.bytes_of(record).len();
            if len > 0 {
                let _ = write!(out, ",\"len\":{len}");
            }
            let text = self.text_of(record);
            if !text.is_empty() {
                let _ = write!(out, ",\"l\":{}", json(text.trim()));
            }
            if parts.fault > 0 {
                let _ = write!(out, ",\"f\":\"f{}\"", parts.fault);
            }
            out.push_str("}\n");
        }
        let verdict = json(&self.verdict);
        let _ = writeln!(out, "{{\"v\":1,\"n\":{},\"k\":\"verdict\",\"l\":{verdict}}}", self.records.len());
        out
    }
}
