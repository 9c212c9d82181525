//! One JSON object per record.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{json, parts};
use crate::trace::record::What;
use crate::trace::{Trace, TraceView};

impl Trace {
    /// One JSON object per line and record, with the keys in this order, those that do not apply left out; integers only:
    ///
    /// `v` (1), `n` (number of the record, from 0), `t` (nanoseconds since the start), `h` (node, `-` for none), `k` (what it
    /// is), `id` (of the datagram, the record, the stream, or the command `a!2`), `to` (who a datagram, or a record, is sent to), `i` (number of the
    /// command, timer or store operation), `len` (of the datagram), `l` (its label, or what else there is to say), `d` (the
    /// whole numbers in that: `slot=3` is `"slot":3`), `f` (the fault, as in the schedule), `fate` (what becomes of what is sent, as
    /// in a [`TraceView`]), `c` (the records that it follows from). The last line has `k` `verdict`,
    /// `oracle` (the judge that failed, if one did) and `ok` (whether the run has passed).
    pub fn jsonl(&self) -> String {
        let mut out = String::new();
        let (fates, causes) = (TraceView::fates_of(self), self.causes());
        for (number, record) in self.records.iter().enumerate() {
            let parts = parts(record);
            let (at, name) = (record.at.as_nanos(), json(self.name(record.node)));
            let _ = write!(out, "{{\"v\":1,\"n\":{number},\"t\":{at},\"h\":{name},\"k\":\"{}\"", parts.word);
            if let Some((flow, n, which)) = parts.datagram {
                let _ = write!(out, ",\"id\":{}", json(&self.id(flow, n, which)));
            }
            if let What::Send { flow, .. } = record.what {
                let (_, dst) = self.flows[flow as usize];
                let _ = write!(out, ",\"to\":{}", json(self.name(dst)));
            }
            if let Some(flow) = parts.way {
                let _ = write!(out, ",\"id\":{}", json(&self.way(flow)));
            }
            if let What::Cmd { n } | What::CmdLost { n } = record.what {
                let _ = write!(out, ",\"id\":{}", json(&format!("{}!{n}", self.name(record.node))));
            }
            if let Some(number) = parts.number {
                let _ = write!(out, ",\"i\":{number}");
            }
            let len = self.bytes_of(record).len();
            if len > 0 && parts.datagram.is_some() {
                let _ = write!(out, ",\"len\":{len}");
            }
            let text = self.text_of(record);
            if !text.is_empty() {
                let _ = write!(out, ",\"l\":{}", json(text.trim()));
                let numbers = numbers(text);
                if !numbers.is_empty() {
                    let _ = write!(out, ",\"d\":{{{}}}", numbers.join(","));
                }
            }
            if parts.fault > 0 {
                let _ = write!(out, ",\"f\":\"f{}\"", parts.fault);
            }
            if let What::Send { flow, n } = record.what {
                let fate = fates.get(&(flow, n)).map_or("under way", String::as_str);
                let _ = write!(out, ",\"fate\":{}", json(fate));
            }
            if let Some(cause) = causes[number] {
                let _ = write!(out, ",\"c\":[{cause}]");
            }
            out.push_str("}\n");
        }
        let failed = self.oracle.as_ref();
        let oracle = failed.map(|oracle| format!(",\"oracle\":{}", json(oracle))).unwrap_or_default();
        let (ok, verdict) = (self.verdict == "PASS", json(&self.verdict));
        let _ = writeln!(
            out,
            "{{\"v\":1,\"n\":{},\"k\":\"verdict\"{oracle},\"ok\":{ok},\"l\":{verdict}}}",
            self.records.len()
        );
        out
    }
}

/// The words `name=number` of a text, the first of each name, as members of an object.
fn numbers(text: &str) -> Vec<String> {
    let mut names = BTreeSet::new();
    let number = |word: &str| {
        let (name, value) = word.trim_end_matches([',', ';']).split_once('=')?;
        let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        let number: i64 = value.parse().ok().filter(|_| plain)?;
        names.insert(name.to_owned()).then(|| format!("{}:{number}", json(name)))
    };
    text.split_whitespace().filter_map(number).collect()
}
