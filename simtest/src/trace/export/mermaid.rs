//! A sequence diagram for a page of text.

use std::fmt::{self, Write as _};

use super::{Level, parts};
use crate::trace::record::{NO_NODE, What};
use crate::trace::{Trace, TraceView};

/// A trace has more arrows, or more notes, than asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLarge {
    /// So many it has, of whichever are more.
    pub arrows: usize,
    /// So many were allowed.
    pub most: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { arrows, most } = self;
        write!(
            f,
            "{arrows} arrows or notes are more than {most}: shrink the failure first, or use another form"
        )
    }
}

impl std::error::Error for TooLarge {}

impl Trace {
    /// A Mermaid sequence diagram with at most `most` arrows and as many notes (renderers refuse long texts; 200 are fine); long
    /// labels are cut.
    pub fn mermaid(&self, most: usize) -> Result<String, TooLarge> {
        let sent = |what: &What| matches!(what, What::Send { .. });
        let arrows = self.records.iter().filter(|record| sent(&record.what)).count();
        if arrows > most {
            return Err(TooLarge { arrows, most });
        }
        let mut out = String::from("sequenceDiagram\n");
        for name in &self.names {
            let _ = writeln!(out, "  participant {name}");
        }
        let mut notes = 0;
        let fates = TraceView::fates_of(self);
        for record in &self.records {
            let parts = parts(record);
            let text = plain(self.text_of(record));
            match record.what {
                What::Send { flow, n } => {
                    let (src, dst) = self.flows[flow as usize];
                    let fate = fates.get(&(flow, n)).map_or("under way", String::as_str);
                    let arrow = if fate.ends_with("ok") { "->>" } else { "-x" };
                    let fate = if fate == "ok" { String::new() } else { format!(" [{fate}]") };
                    let _ = writeln!(out, "  {}{arrow}{}: {text}{fate}", self.name(src), self.name(dst));
                }
                _ if TraceView::level_of(record.what) > Level::Messages => {}
                What::Arrive { .. }
                | What::Lost { .. }
                | What::Start
                | What::Damaged { .. }
                | What::Hurt { .. }
                | What::Delayed { .. }
                | What::Doubled { .. }
                | What::Replayed { .. }
                | What::Spliced { .. } => {}
                _ => {
                    let over = if record.node == NO_NODE {
                        self.names.join(",")
                    } else {
                        self.name(record.node).into()
                    };
                    let over = match over.split(',').collect::<Vec<_>>()[..] {
                        [first, .., last] => format!("{first},{last}"),
                        _ => over,
                    };
                    notes += 1;
                    let fault = if parts.fault > 0 { format!("f{} ", parts.fault) } else { String::new() };
                    let word = if matches!(record.what, What::Event) { "" } else { parts.word };
                    let _ = writeln!(out, "  Note over {over}: {}", format!("{fault}{word} {text}").trim());
                }
            }
        }
        if notes > most {
            return Err(TooLarge { arrows: notes, most });
        }
        let _ = writeln!(
            out,
            "  Note over {}: {}",
            self.names.first().map_or("-", |name| name),
            plain(&self.verdict)
        );
        Ok(out)
    }
}

/// The most characters of a label.
const LONGEST: usize = 80;

/// Without what ends a statement of Mermaid, and not too long.
fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_control() || ";#:".contains(c) { ' ' } else { c };
    let mut out: String = text.chars().take(LONGEST).map(plain).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push_str("...");
    }
    out
}
