//! qlog, for qvis and its like.

use std::fmt::Write as _;

use super::{json, parts};
use crate::trace::Trace;
use crate::trace::record::What;

impl Trace {
    /// A text of JSON records, each between a record separator (0x1e) and a line feed (`application/qlog+json-seq`). Nodes
    /// are told apart by `group_id`; the test is `simulation:scenario`, faults and the verdict are `simulation:marker`, datagrams `simtest:datagram_sent`, `_received` and
    /// `_dropped`. Times are milliseconds since the start with three decimals.
    pub fn qlog(&self) -> String {
        let mut out = String::from(
            "\u{1e}{\"file_schema\":\"urn:ietf:params:qlog:file:sequential\",\"serialization_format\":\"application/qlog+json-seq\",\
             \"title\":\"simtest\",\"trace\":{\"common_fields\":{\"time_format\":\"relative_to_epoch\",\"reference_time\":\
             {\"clock_type\":\"monotonic\",\"epoch\":\"unknown\"}},\"vantage_point\":{\"type\":\"unknown\"},\"event_schemas\":\
             [\"urn:ietf:params:qlog:events:simulation\",\"urn:simtest:qlog:events:simtest\"]}}\n",
        );
        let hosts: Vec<String> = self.names.iter().map(|name| json(name)).collect();
        let _ = writeln!(
            out,
            "\u{1e}{{\"time\":0.000,\"name\":\"simulation:scenario\",\"data\":{{\"name\":{},\"details\":{{\"hosts\":[{}],\"hash\":\
             \"{:032x}\"}}}}}}",
            json(&self.test),
            hosts.join(","),
            self.hash
        );
        for record in &self.records {
            let parts = parts(record);
            let micros = record.at.as_nanos() / 1_000;
            let (ms, rest) = (micros / 1_000, micros % 1_000);
            let name = json(self.name(record.node));
            let id =
                parts.datagram.map(|(flow, n, which)| json(&self.id(flow, n, which))).unwrap_or_default();
            let text = json(self.text_of(record).trim());
            let (event, data) = match record.what {
                What::Send { .. } => {
                    let len = self.bytes_of(record).len();
                    let data = format!("{{\"id\":{id},\"label\":{text},\"raw\":{{\"length\":{len}}}}}");
                    ("simtest:datagram_sent", data)
                }
                What::Arrive { .. } => ("simtest:datagram_received", format!("{{\"id\":{id}}}")),
                What::Lost { .. } if parts.datagram.is_some() => {
                    ("simtest:datagram_dropped", format!("{{\"id\":{id},\"trigger\":{}}}", json(parts.word)))
                }
                _ => {
                    let fault = if parts.fault > 0 { format!("f{} ", parts.fault) } else { String::new() };
                    let message = json(format!("{fault}{}", self.text_of(record).trim()).trim());
                    ("simulation:marker", format!("{{\"type\":{},\"message\":{message}}}", json(parts.word)))
                }
            };
            let _ = writeln!(
                out,
                "\u{1e}{{\"time\":{ms}.{rest:03},\"name\":\"{event}\",\"group_id\":{name},\"data\":{data}}}"
            );
        }
        let last = self.records.last().map_or(0, |record| record.at.as_nanos() / 1_000);
        let (ms, rest, verdict) = (last / 1_000, last % 1_000, json(&self.verdict));
        let _ = writeln!(
            out,
            "\u{1e}{{\"time\":{ms}.{rest:03},\"name\":\"simulation:marker\",\"data\":{{\"type\":\"verdict\",\"message\":{verdict}}}}}"
        );
        out
    }
}
