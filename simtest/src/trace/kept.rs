//! The records of a run, kept.

use super::{Record, Times, TraceView, Watch};
use crate::link::Promise;

/// The records of one run. Empty unless [`Sim::record`](crate::Sim::record) was on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The name of the test.
    pub(crate) test: String,
    pub(crate) names: Vec<String>,
    pub(crate) flows: Vec<(u32, u32)>,
    /// For each flow: the number of the stream that it is a direction of, or 0.
    pub(crate) streams: Vec<u32>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) gates: Vec<Promise>,
    pub(crate) records: Vec<Record>,
    /// Whether these are the first ones only.
    pub(crate) is_cut: bool,
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) watch: Watch,
    pub(crate) verdict: String,
    /// The judge that failed, if any did.
    pub(crate) oracle: Option<String>,
    pub(crate) hash: u128,
}

/// What a flow promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limit {
    /// The least delay, in nanoseconds.
    pub(crate) delay: u64,
    pub(crate) mtu: usize,
    /// The bottleneck that it goes through.
    pub(crate) gate: Option<u32>,
}

impl Trace {
    /// Whether nothing was recorded.
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Number of records.
    pub const fn len(&self) -> usize {
        self.records.len()
    }

    /// The trace as text, ready for a snapshot. See [`TraceView`].
    pub fn view(&self, view: TraceView) -> String {
        view.render(self)
    }

    /// The first record in which two traces differ, from 1, as it is in each (empty where a trace has ended).
    pub(crate) fn first_difference(&self, other: &Self) -> Option<(usize, String, String)> {
        let longer = self.records.len().max(other.records.len());
        (0..longer).map(|i| (i + 1, self.describe(i), other.describe(i))).find(|(_, a, b)| a != b)
    }

    fn describe(&self, index: usize) -> String {
        let Some(record) = self.records.get(index) else { return String::new() };
        let node = self.names.get(record.node as usize).map_or("-", String::as_str);
        let Record { at, what, content, .. } = record;
        format!("{at:?} {node} {what:?} {} content={content:016x}", self.text_of(record))
    }

    /// The first line that the records from `from` on have in the view by packets, without its time.
    pub(crate) fn first_line(&self, from: usize) -> Option<String> {
        let view = TraceView::packets().time(Times::Off);
        view.lines(self, from).next().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub(crate) fn bytes_of(&self, record: &Record) -> &[u8] {
        &self.bytes[record.bytes.0 as usize..record.bytes.1 as usize]
    }

    pub(crate) fn text_of(&self, record: &Record) -> &str {
        &self.text[record.text.0 as usize..record.text.1 as usize]
    }
}
