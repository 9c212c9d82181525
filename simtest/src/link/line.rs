//! The queue of a bottleneck that drops the oldest: nobody in it knows when it will pass, or whether.

use std::collections::VecDeque;

use super::codel::Way;
use super::gate::Gate;
use crate::time::Time;

/// What waits, the oldest first; the first is passing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    waiting: VecDeque<Waiting>,
    bytes: u64,
}

/// What waits: a datagram, or bytes of a stream, which cannot be lost.
#[derive(Clone, Debug)]
struct Waiting {
    came: Time,
    len: usize,
    onward: Option<Onward>,
}

/// A datagram by its index, and how it goes on behind the bottleneck.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Onward {
    pub(crate) index: u32,
    /// Whether it is capable of ECN, and has been marked.
    pub(crate) capable: bool,
    pub(crate) marked: bool,
    pub(crate) jitter: u64,
    /// By how much a fault holds it back.
    pub(crate) held: Option<u64>,
    /// Further deliveries of it: their index, and how much later.
    pub(crate) copies: [Option<(u32, u64)>; 2],
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Gate {
    /// A datagram gets in line. What is lost for it is put into `lost`: others, or itself. `Some` when it is alone: when it, or what
    /// is behind it, [has passed](Self::passed).
    pub(crate) fn join(
        &mut self,
        now: Time,
        len: usize,
        mut onward: Onward,
        lost: &mut Vec<Onward>,
    ) -> Option<Time> {
        let before = lost.len();
        while self.line.bytes.saturating_add(len as u64) > self.queue() {
            let oldest = self.line.waiting.iter().skip(1).position(|waiting| waiting.onward.is_some());
            let Some(gone) = oldest.and_then(|index| self.line.waiting.remove(index + 1)) else {
                lost.push(onward);
                self.passage.dropped += (lost.len() - before) as u64;
                return None;
            };
            self.line.bytes -= gone.len as u64;
            lost.extend(gone.onward);
        }
        self.passage.dropped += (lost.len() - before) as u64;
        onward.marked = self.line.bytes > self.mark();
        let alone = self.line.is_empty();
        self.line.waiting.push_back(Waiting { came: now, len, onward: Some(onward) });
        self.line.bytes += len as u64;
        if alone { self.next(now, lost) } else { None }
    }

    /// The first in line has passed: it, if it is a datagram; and when the next has. What CoDel loses is put into `lost`.
    pub(crate) fn passed(&mut self, now: Time, lost: &mut Vec<Onward>) -> (Option<Onward>, Option<Time>) {
        let Some(first) = self.line.waiting.pop_front() else { return (None, None) };
        self.line.bytes -= first.len as u64;
        self.passage.count((now.as_nanos() - first.came.as_nanos()) / 1_000_000, first.len);
        (first.onward, self.next(now, lost))
    }

    /// Begins with the first in line: when it will have passed.
    fn next(&mut self, now: Time, lost: &mut Vec<Onward>) -> Option<Time> {
        loop {
            let begins = self.service.begins(now);
            let first = self.line.waiting.front_mut()?;
            if let (Some(codel), Some(onward)) = (&mut self.codel, &mut first.onward) {
                match codel.judge(first.came, begins, onward.capable) {
                    Way::Passes => {}
                    Way::Marked => onward.marked = true,
                    Way::Lost => {
                        lost.push(*onward);
                        self.passage.dropped += 1;
                        self.line.bytes -= first.len as u64;
                        self.line.waiting.pop_front();
                        continue;
                    }
                }
            }
            let len = first.len;
            return Some(self.service.take(now, self.size(len)));
        }
    }

    /// Bytes of a stream get in line: when they will have passed at the latest.
    pub(super) fn reserve(&mut self, now: Time, len: usize) -> Time {
        let mut service = self.service.clone();
        for waiting in self.line.waiting.iter().skip(1) {
            service.take(now, self.size(waiting.len));
        }
        self.line.waiting.push_back(Waiting { came: now, len, onward: None });
        self.line.bytes += len as u64;
        service.take(now, self.size(len))
    }
}
