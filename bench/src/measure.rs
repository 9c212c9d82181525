//! Repetitions in turn, so that what else the machine does hits everybody alike, and their medians.

use std::time::Instant;

use crate::alloc;
use crate::messages::Messages;
use crate::workload::{Stack, Workload};

/// What one stack did under one workload.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) workload: &'static str,
    pub(crate) stack: &'static str,
    /// Nanoseconds for a message, both sides, in ascending order: one for each repetition.
    pub(crate) nanos: Vec<f64>,
    /// Allocations for a message.
    pub(crate) allocations: f64,
}

impl Row {
    pub(crate) fn median(&self) -> f64 {
        self.nanos[self.nanos.len() / 2]
    }

    /// Half of the distance between the quartiles, in percent of the median.
    pub(crate) fn spread(&self) -> f64 {
        let quartile = self.nanos.len() / 4;
        let (low, high) = (self.nanos[quartile], self.nanos[self.nanos.len() - 1 - quartile]);
        (high - low) / 2.0 / self.median() * 100.0
    }
}

/// Measures `workload` with every one of `stacks` that offers it.
pub(crate) fn measure(workload: Workload, stacks: &[Stack], repetitions: usize) -> Vec<Row> {
    let messages = Messages::new(workload.size);
    let offering = stacks.iter().filter(|stack| stack.offers(&workload));
    let mut rows: Vec<_> = offering
        .map(|stack| {
            let mut pair = stack.start(&messages, workload);
            pair.messages(workload.count / 4);
            let row =
                Row { workload: workload.name, stack: stack.name(), nanos: Vec::new(), allocations: 0.0 };
            (pair, row)
        })
        .collect();
    for _ in 0..repetitions {
        for (pair, row) in &mut rows {
            let (calls, start) = (alloc::calls(), Instant::now());
            pair.messages(workload.count);
            let nanos = start.elapsed().as_nanos();
            row.nanos.push(nanos as f64 / workload.count as f64);
            row.allocations = (alloc::calls() - calls) as f64 / workload.count as f64;
        }
    }
    rows.into_iter()
        .map(|(_, mut row)| {
            row.nanos.sort_by(f64::total_cmp);
            row
        })
        .collect()
}
