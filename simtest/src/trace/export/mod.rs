//! Traces in the forms of other tools.

mod html;
mod jsonl;
mod mermaid;
mod pcapng;
mod qlog;
mod shiviz;
#[cfg(test)]
mod tests;

pub use self::mermaid::TooLarge;

use std::fmt::Write as _;

use super::record::{Loss, NO_NODE, Record, What, Which};
use super::{Level, Trace};

/// Text as a JSON string, with its quotes.
fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // `<` too, so that no text can end a script.
            '<' => out.push_str("\\u003c"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

impl Trace {
    fn name(&self, node: u32) -> &str {
        if node == NO_NODE { "-" } else { &self.names[node as usize] }
    }

    /// As in the views: `a>b#3`, `a>b#3'` for a copy, `a>b#3''` for a replay.
    pub(super) fn id(&self, flow: u32, n: u32, which: Which) -> String {
        format!("{}#{n}{}", self.way(flow), which.primes())
    }

    /// A flow of datagrams, `a>b`; or a direction of a stream, `a>b~1`.
    pub(super) fn way(&self, flow: u32) -> String {
        let (src, dst) = self.flows[flow as usize];
        let way = format!("{}>{}", self.name(src), self.name(dst));
        if self.streams[flow as usize] == 0 { way } else { format!("{way}~{}", self.streams[flow as usize]) }
    }
}

/// The word for a record, its datagram (flow, number, which delivery), and its fault.
pub(super) struct Parts {
    pub(super) word: &'static str,
    pub(super) datagram: Option<(u32, u32, Which)>,
    number: Option<u64>,
    /// The stream that it is about.
    pub(super) way: Option<u32>,
    pub(super) fault: u32,
}

pub(super) fn parts(record: &Record) -> Parts {
    let plain = |word, fault| Parts { word, datagram: None, number: None, way: None, fault };
    let datagram =
        |word, flow, n, which, fault| Parts { datagram: Some((flow, n, which)), ..plain(word, fault) };
    let numbered = |word, n| Parts { number: Some(n), ..plain(word, 0) };
    match record.what {
        What::Cmd { n } => numbered("cmd", n.into()),
        What::CmdLost { n } => numbered("cmd-lost", n.into()),
        What::Event => plain("event", 0),
        What::Send { flow, n } => datagram("tx", flow, n, Which::Original, 0),
        What::Lost { why: Loss::NoSuchAddress, n, .. } => numbered("no-such-address", n.into()),
        What::Lost { flow, n, which, why, fault } => {
            let word = match why {
                Loss::Drop => "drop",
                Loss::Cut => "cut-off",
                Loss::Mtu => "too-large",
                Loss::Down => "node-down",
                Loss::Queue => "queue-full",
                Loss::Narrow => "bottleneck-full",
                Loss::Moved | Loss::NoSuchAddress => "old-address",
                Loss::Broken => "broken-off",
            };
            datagram(word, flow, n, which, fault)
        }
        What::Damaged { flow, n, fault } => datagram("corrupt", flow, n, Which::Original, fault),
        What::Delayed { flow, n, fault } => datagram("delay", flow, n, Which::Original, fault),
        What::Doubled { flow, n, fault } => datagram("duplicate", flow, n, Which::Original, fault),
        What::Replayed { flow, n, fault } => datagram("replay", flow, n, Which::Original, fault),
        What::Spliced { flow, n, fault, .. } => datagram("splice", flow, n, Which::Original, fault),
        What::Arrive { flow, n, which } => datagram("rx", flow, n, which, 0),
        What::Timer { n } => numbered("timer", n.into()),
        What::Store { op } => numbered("store", op),
        What::Stored { op, ok: true } => numbered("stored", op),
        What::Stored { op, ok: false } => numbered("store-failed", op),
        What::Start => plain("start", 0),
        What::Crash { fault } => plain("crash", fault),
        What::Restart { fault } => plain("restart", fault),
        What::Pause { fault } => plain("pause", fault),
        What::Resume { fault } => plain("resume", fault),
        What::Cut { fault } => plain("partition", fault),
        What::Heal { fault } => plain("healed", fault),
        What::Trouble { fault } => plain("disk", fault),
        What::Mended { fault } => plain("disk-mended", fault),
        What::Quiet => plain("quiet", 0),
        What::Clock { fault } => plain("clock", fault),
        What::ClockRight { fault } => plain("clock-right", fault),
        What::Rebind { fault } => plain("rebind", fault),
        What::Stream { flow, what, fault } => Parts { way: Some(flow), ..plain(what.word(), fault) },
        What::Hurt { flow, n, kind, fault } => datagram(kind.word(), flow, n, Which::Original, fault),
    }
}
