//! Which connections have something to send, something to say, and when each wants to be woken. What is idle costs nothing.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Address, Endpoint};
use crate::Timestamp;

/// Slots waiting for their turn, each at most once.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadyList {
    queue: VecDeque<u32>,
    is_queued: Vec<bool>,
}

impl ReadyList {
    #[inline]
    pub(super) fn push(&mut self, slot: u32) {
        if self.is_queued.get(slot as usize) != Some(&true) {
            self.queue(slot);
        }
    }

    #[inline(never)]
    fn queue(&mut self, slot: u32) {
        let index = slot as usize;
        if self.is_queued.len() <= index {
            self.is_queued.resize(index + 1, false);
        }
        self.is_queued[index] = true;
        self.queue.push_back(slot);
    }

    pub(super) fn front(&self) -> Option<u32> {
        self.queue.front().copied()
    }

    pub(super) fn pop(&mut self) {
        if let Some(slot) = self.queue.pop_front() {
            self.is_queued[slot as usize] = false;
        }
    }

    /// Takes `slot` out, wherever it is: the next connection there waits for a turn of its own.
    pub(super) fn remove(&mut self, slot: u32) {
        if self.front() == Some(slot) {
            self.pop();
        } else if self.is_queued.get(slot as usize) == Some(&true) {
            self.queue.retain(|&queued| queued != slot);
            self.is_queued[slot as usize] = false;
        }
    }

    pub(super) fn rotate(&mut self) {
        if self.queue.len() > 1 {
            self.queue.rotate_left(1);
        }
    }
}

const NOWHERE: u32 = u32::MAX;

/// A binary heap of at most one deadline for each slot, which can be moved.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadlines {
    heap: Vec<(Timestamp, u32)>,
    /// Where each slot is in the heap.
    positions: Vec<u32>,
}

impl Deadlines {
    pub(super) fn first(&self) -> Option<(Timestamp, u32)> {
        self.heap.first().copied()
    }

    /// The first of all but `slot`.
    pub(super) fn first_but(&self, slot: u32) -> Option<Timestamp> {
        let others = if self.heap.first()?.1 == slot { 1..self.heap.len().min(3) } else { 0..1 };
        self.heap[others].iter().map(|&(deadline, _)| deadline).min()
    }

    /// Files, moves or removes the deadline of `slot`.
    pub(super) fn set(&mut self, slot: u32, deadline: Option<Timestamp>) {
        let index = slot as usize;
        if self.positions.len() <= index {
            self.positions.resize(index + 1, NOWHERE);
        }
        let position = self.positions[index];
        match (deadline, position) {
            (None, NOWHERE) => {}
            (None, position) => self.remove(position as usize),
            (Some(deadline), NOWHERE) => {
                self.positions[index] = self.heap.len() as u32;
                self.heap.push((deadline, slot));
                self.sift_up(self.heap.len() - 1);
            }
            (Some(deadline), position) => {
                let position = position as usize;
                let before = core::mem::replace(&mut self.heap[position].0, deadline);
                if deadline < before {
                    self.sift_up(position);
                } else if deadline > before {
                    self.sift_down(position);
                }
            }
        }
    }

    fn remove(&mut self, position: usize) {
        let (_, slot) = self.heap.swap_remove(position);
        self.positions[slot as usize] = NOWHERE;
        if let Some(&(_, moved)) = self.heap.get(position) {
            self.positions[moved as usize] = position as u32;
            self.sift_up(position);
            self.sift_down(position);
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.positions[self.heap[a].1 as usize] = a as u32;
        self.positions[self.heap[b].1 as usize] = b as u32;
    }

    fn sift_up(&mut self, mut at: usize) {
        while at > 0 && self.heap[at] < self.heap[(at - 1) / 2] {
            self.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let children = 2 * at + 1..(2 * at + 3).min(self.heap.len());
            let Some(least) = children.min_by_key(|&child| self.heap[child]) else { return };
            if self.heap[at] <= self.heap[least] {
                return;
            }
            self.swap(at, least);
            at = least;
        }
    }
}

impl<A: Address> Endpoint<A> {
    /// The deadline of the connection may have changed.
    pub(super) fn touch(&mut self, slot: u32) {
        if self.unfiled != Some(slot) {
            self.file();
            self.unfiled = Some(slot);
            self.press(slot);
        }
    }

    /// Files the deadline of the connection that was touched last.
    pub(super) fn file(&mut self) {
        if let Some(slot) = self.unfiled.take() {
            let deadline = self.entry(slot).and_then(|entry| entry.conn.poll_timeout());
            self.deadlines.set(slot, deadline);
            self.account(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use super::Deadlines;
    use crate::Timestamp;

    quickcheck::quickcheck! {
        fn the_first_is_the_least(steps: Vec<(u8, Option<u16>)>) -> bool {
            let (mut deadlines, mut model) = (Deadlines::default(), BTreeMap::new());
            steps.into_iter().all(|(slot, at)| {
                let slot = u32::from(slot % 32);
                let at = at.map(|at| Timestamp::from_nanos(at.into()));
                deadlines.set(slot, at);
                match at {
                    Some(at) => model.insert(slot, at),
                    None => model.remove(&slot),
                };
                let least = model.iter().map(|(&slot, &at)| (at, slot)).min();
                let others = model.iter().filter(|&(&other, _)| other != slot).map(|(_, &at)| at).min();
                deadlines.first() == least && deadlines.first_but(slot) == others
            })
        }
    }
}
