//! Why each thing in a trace happened.

use std::collections::BTreeMap;

use super::Trace;
use super::record::{NO_NODE, Record, What, Wire};

impl Trace {
    /// For each record the one that it follows from, if there is such: what a node does follows from the input that it was given,
    /// an arrival from what was sent, the end of a fault from its begin. What the test does follows from nothing.
    pub(crate) fn causes(&self) -> Vec<Option<usize>> {
        let mut known = Known::default();
        let mut causes = Vec::with_capacity(self.records.len());
        for (index, record) in self.records.iter().enumerate() {
            causes.push(known.cause(record));
            known.learn(index, record);
        }
        causes
    }
}

/// The latest records of each sort, by their number.
#[derive(Default)]
struct Known {
    /// What each node was told last.
    inputs: BTreeMap<u32, usize>,
    sent: BTreeMap<(u32, u32), usize>,
    stores: BTreeMap<(u32, u64), usize>,
    /// What began each fault.
    faults: BTreeMap<u32, usize>,
    /// What happened to each stream, by its flow.
    streams: BTreeMap<(u32, Wire), usize>,
}

impl Known {
    fn cause(&self, record: &Record) -> Option<usize> {
        let input = || self.inputs.get(&record.node).copied();
        let stream = |flow, what| self.streams.get(&(flow, what)).copied();
        match record.what {
            // Without a flow it was sent to nobody.
            What::Event
            | What::Send { .. }
            | What::Store { .. }
            | What::Timer { .. }
            | What::Lost { flow: u32::MAX, .. } => input(),
            What::Arrive { flow, n, .. }
            | What::Lost { flow, n, .. }
            | What::Damaged { flow, n, .. }
            | What::Delayed { flow, n, .. }
            | What::Doubled { flow, n, .. }
            | What::Replayed { flow, n, .. }
            | What::Spliced { flow, n, .. }
            | What::Hurt { flow, n, .. } => self.sent.get(&(flow, n)).copied(),
            What::Stored { op, .. } => self.stores.get(&(record.node, op)).copied(),
            What::Stream { flow, what, fault } => match what {
                Wire::Dial | Wire::Finish | Wire::Reset => input(),
                Wire::Accepted | Wire::Refused => stream(flow, Wire::Dial),
                Wire::Opened => stream(flow, Wire::Accepted),
                Wire::Finished => stream(flow, Wire::Finish),
                Wire::Broken | Wire::Held => self.faults.get(&fault).copied().or_else(|| {
                    // Whoever reset it, the other direction has the next number.
                    stream(flow, Wire::Reset).or_else(|| stream(flow + 1, Wire::Reset))
                }),
                Wire::Read => None,
            },
            What::Restart { fault }
            | What::Resume { fault }
            | What::Heal { fault }
            | What::Mended { fault }
            | What::ClockRight { fault } => self.faults.get(&fault).copied(),
            What::Cmd { .. }
            | What::CmdLost { .. }
            | What::Start
            | What::Crash { .. }
            | What::Pause { .. }
            | What::Cut { .. }
            | What::Trouble { .. }
            | What::Clock { .. }
            | What::Rebind { .. }
            | What::Quiet => None,
        }
    }

    fn learn(&mut self, index: usize, record: &Record) {
        match record.what {
            What::Send { flow, n } => _ = self.sent.insert((flow, n), index),
            What::Store { op } => _ = self.stores.insert((record.node, op), index),
            What::Stream { flow, what, .. } => _ = self.streams.insert((flow, what), index),
            _ => {}
        }
        let fault = record.fault();
        if fault > 0 {
            self.faults.entry(fault).or_insert(index);
        }
        let told = match record.what {
            What::Cmd { .. }
            | What::Arrive { .. }
            | What::Timer { .. }
            | What::Stored { .. }
            | What::Start
            | What::Restart { .. }
            | What::Resume { .. } => true,
            What::Stream { what, .. } => {
                !matches!(what, Wire::Dial | Wire::Finish | Wire::Reset | Wire::Held)
            }
            _ => false,
        };
        if told && record.node != NO_NODE {
            self.inputs.insert(record.node, index);
        }
    }
}
