//! What happens next: a heap of jobs by time, and by order of arrival within one instant.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::time::Time;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Job {
    /// A datagram arrives; index into the arena.
    Deliver(u32),
    /// The timer of a node, unless it was refiled.
    Timer(u32),
    /// The first store operation of a node ends, unless the node has died since that life.
    Stored { node: u32, life: u32 },
    /// A command; index into the workload.
    Cmd(u32),
    /// A timed fault begins; index into the plan.
    Begin(u32),
    /// A timed fault ends, unless it has already.
    End(u32),
    /// What this end of a stream has sent arrives.
    Stream(u32),
    /// The first in line at a bottleneck has passed.
    Departs(u32),
    /// This end of a stream learns that there is room.
    Writable(u32),
    /// This end of a stream gives up, unless something comes through.
    GiveUp(u32),
    /// Chaos is over.
    Quiet,
}

impl Job {
    /// Whether the simulation is idle when only such jobs are left.
    const fn waits(self) -> bool {
        matches!(self, Self::Timer(_) | Self::GiveUp(_))
    }
}

/// Faults begin before anything else that happens at that instant, in the order of the plan.
const FIRST: u64 = 1 << 32;

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Time,
    order: u64,
    job: Job,
}

impl Ord for Entry {
    /// The earliest is the greatest, for `BinaryHeap` yields the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

#[derive(Clone, Debug, Default)]
pub(crate) struct Heap {
    entries: BinaryHeap<Entry>,
    pushed: u64,
    /// Jobs that do not just wait: while there are any, the simulation is not idle.
    pub(crate) busy: u64,
}

impl Heap {
    pub(crate) fn push(&mut self, at: Time, job: Job) {
        self.pushed += 1;
        self.busy += u64::from(!job.waits());
        let order = match job {
            Job::Begin(index) => u64::from(index),
            _ => FIRST + self.pushed,
        };
        self.entries.push(Entry { at, order, job });
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(Job) -> bool) {
        self.entries.retain(|entry| keep(entry.job));
        self.busy = self.entries.iter().filter(|entry| !entry.job.waits()).count() as u64;
    }

    /// What is yet to happen, in no order.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = Job> {
        self.entries.iter().map(|entry| entry.job)
    }

    pub(crate) fn next_at(&self) -> Option<Time> {
        self.entries.peek().map(|entry| entry.at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, Job)> {
        let entry = self.entries.pop()?;
        self.busy -= u64::from(!entry.job.waits());
        Some((entry.at, entry.job))
    }
}
