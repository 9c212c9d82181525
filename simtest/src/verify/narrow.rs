//! Bottlenecks, as far as datagrams tell: what streams send through them only makes the others later.

use std::collections::VecDeque;

use crate::link::{Pace, Promise, RateTrace};

/// One bottleneck.
pub(super) struct Narrow {
    promise: Promise,
    pace: Passing,
    /// What `pace` was before it was begun with the first in line, and when that was.
    before: (Passing, u64),
    /// What has been let in and has not passed: which datagram, its length, when it has passed; of those in a line that drops the
    /// oldest only the first has a time. Empty where the rate is constant and what comes too late is dropped.
    inside: VecDeque<Inside>,
    /// Where the oldest are dropped: datagrams that have passed, and when.
    passed: Vec<(Id, u64)>,
}

/// Flow and number of a datagram.
type Id = (u32, u32);

#[derive(Clone, Copy)]
struct Inside {
    id: Id,
    len: usize,
    passed_at: Option<u64>,
}

#[derive(Clone)]
enum Passing {
    /// When all that was let in will have passed, at the earliest and without the bucket, in nanoseconds.
    Rate { rate: u64, bucket: u64, free_at: u64 },
    /// The opportunity in use, and how much of it is.
    Trace { trace: RateTrace, opportunity: u64, used: u64 },
}

impl Passing {
    fn new(promise: &Promise) -> Self {
        match &promise.pace {
            Pace::Rate(rate) => {
                let bucket = u128::from(promise.burst) * 1_000_000_000 / u128::from(*rate);
                Self::Rate { rate: *rate, bucket: bucket as u64, free_at: 0 }
            }
            Pace::Trace(trace) => Self::Trace { trace: trace.clone(), opportunity: 0, used: 0 },
        }
    }

    /// When `size` bytes that can begin at `now` have passed at the earliest.
    fn pass(&mut self, now: u64, size: u64) -> u64 {
        match self {
            Self::Rate { rate, bucket, free_at } => {
                let takes = u128::from(size) * 1_000_000_000 / u128::from(*rate);
                *free_at = (*free_at).max(now).saturating_add(takes as u64);
                free_at.saturating_sub(*bucket).max(now)
            }
            Self::Trace { trace, opportunity, used } => {
                while trace.at(*opportunity).as_nanos() < now {
                    (*opportunity, *used) = (*opportunity + 1, 0);
                }
                for _ in 0..size {
                    if *used == RateTrace::OPPORTUNITY {
                        (*opportunity, *used) = (*opportunity + 1, 0);
                    }
                    *used += 1;
                }
                trace.at(*opportunity).as_nanos()
            }
        }
    }
}

impl Narrow {
    pub(super) fn new(promise: &Promise) -> Self {
        let pace = Passing::new(promise);
        Self {
            promise: promise.clone(),
            before: (pace.clone(), 0),
            pace,
            inside: VecDeque::new(),
            passed: Vec::new(),
        }
    }

    /// A datagram of `len` bytes comes at `now` and is let in: when it has passed at the earliest, if that is known.
    pub(super) fn pass(&mut self, now: u64, id: Id, len: usize) -> Result<Option<u64>, String> {
        self.before_instant(now);
        let waits = self.waits(now);
        if waits + len as u128 > u128::from(self.promise.queue) && !self.passes_at(now) {
            return Err(format!("{waits} bytes wait before a bottleneck, and {len} are let in"));
        }
        if self.promise.drop_head {
            self.inside.push_back(Inside { id, len, passed_at: None });
            self.begin(now);
            return Ok(None);
        }
        let passed_at = self.pace.pass(now, self.size(len));
        if let Pace::Trace(_) = self.promise.pace {
            self.inside.push_back(Inside { id, len, passed_at: Some(passed_at) });
        }
        Ok(Some(passed_at))
    }

    /// A datagram that was let in is lost.
    pub(super) fn lost(&mut self, now: u64, id: Id) -> Result<(), String> {
        if !self.promise.drop_head {
            return Ok(());
        }
        self.before_instant(now);
        let position = |of: &Self| of.inside.iter().position(|inside| inside.id == id);
        let mut index = position(self);
        while index.is_some_and(|index| index > 1) {
            if !self.passes_at(now) {
                return Err("not the oldest makes room".into());
            }
            self.let_out();
            index = position(self);
        }
        if let Some(index) = index {
            self.inside.remove(index);
            if index == 0 {
                let (before, begun) = self.before.clone();
                if begun < now {
                    return Err("lost while it passes".into());
                }
                self.pace = before;
            }
            self.begin(now);
        }
        Ok(())
    }

    /// When a datagram that arrives at `now` has passed, if the oldest are dropped here; `Err` if it cannot have yet.
    pub(super) fn has_passed(&mut self, now: u64, id: Id) -> Result<u64, String> {
        self.before_instant(now.saturating_add(1));
        let index = self.passed.iter().position(|(passed, _)| *passed == id);
        let early = || String::from("sooner than its bottleneck allows");
        index.map(|index| self.passed.swap_remove(index).1).ok_or_else(early)
    }

    pub(super) const fn drops_oldest(&self) -> bool {
        self.promise.drop_head
    }

    fn size(&self, len: usize) -> u64 {
        len as u64 + self.promise.overhead
    }

    fn waits(&self, now: u64) -> u128 {
        match self.pace {
            Passing::Rate { rate, bucket, free_at } if !self.promise.drop_head => {
                let ahead = free_at.saturating_sub(bucket).saturating_sub(now);
                u128::from(ahead) * u128::from(rate) / 1_000_000_000
            }
            _ => self.inside.iter().map(|inside| inside.len as u128).sum(),
        }
    }

    /// Lets out what has passed before `now`. What passes just then may be there yet, or not.
    fn before_instant(&mut self, now: u64) {
        while self.inside.front().and_then(|first| first.passed_at).is_some_and(|at| at < now) {
            self.let_out();
        }
    }

    fn passes_at(&self, now: u64) -> bool {
        self.inside.front().and_then(|first| first.passed_at) == Some(now)
    }

    fn let_out(&mut self) {
        if let Some(Inside { id, passed_at: Some(at), .. }) = self.inside.pop_front()
            && self.promise.drop_head
        {
            self.passed.push((id, at));
            self.begin(at);
        }
    }

    /// Begins with the first in line, if that has not been done.
    fn begin(&mut self, now: u64) {
        if let Some(first) = self.inside.front().copied().filter(|first| first.passed_at.is_none()) {
            self.before = (self.pace.clone(), now);
            let passed_at = self.pace.pass(now, self.size(first.len));
            if let Some(front) = self.inside.front_mut() {
                front.passed_at = Some(passed_at);
            }
        }
    }
}
