//! Wakers that wait for the lock to be released.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

/// Wakers that are woken, or dropped, after the lock has been released: either may run code of any kind, even such as takes the
/// lock again.
#[derive(Debug, Default)]
pub struct Wakes {
    due: Vec<Waker>,
    retired: Vec<Waker>,
    slow: Vec<Box<dyn Slow>>,
}

/// What takes its time to be dropped.
trait Slow: fmt::Debug + Send {}

impl<T: fmt::Debug + Send> Slow for T {}

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

    /// Drops something that waits when it is dropped, for the disk for instance, once the lock is released: before anybody is woken.
    pub fn drop_later(&mut self, what: impl fmt::Debug + Send + 'static) {
        self.slow.push(Box::new(what));
    }

    /// Wakes everybody. The lock must not be held.
    ///
    /// # Panics
    /// When one of them does, after all have been woken.
    pub(crate) fn deliver(self) {
        drop(self.slow);
        let mut panicked = None;
        for waker in self.due {
            let woken = catch_unwind(AssertUnwindSafe(|| waker.wake()));
            panicked = panicked.or(woken.err());
        }
        if let Some(panic) = panicked.filter(|_| !std::thread::panicking()) {
            resume_unwind(panic);
        }
    }
}
