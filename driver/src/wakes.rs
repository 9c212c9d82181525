//! Wakers that wait for the lock to be released.

use std::task::Waker;

/// Wakers that are woken, or dropped, after the lock has been released: either may run code of any kind, even such as takes the
/// lock again.
#[derive(Debug, Default)]
pub struct Wakes {
    due: Vec<Waker>,
    retired: Vec<Waker>,
}

impl Wakes {
    /// Wakes `waker` once the lock is released.
    pub fn wake(&mut self, waker: Waker) {
        self.due.push(waker);
    }

    pub(crate) fn wake_some(&mut self, waker: Option<Waker>) {
        self.due.extend(waker);
    }

    /// Drops `waker` once the lock is released.
    pub(crate) fn retire(&mut self, waker: Waker) {
        self.retired.push(waker);
    }

    /// Wakes everybody. The lock must not be held.
    pub(crate) fn deliver(self) {
        for waker in self.due {
            waker.wake();
        }
    }
}
