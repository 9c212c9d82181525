//! What one task leaves for another, without waiting for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Letters for one task. Whoever posts one never waits for that task, whatever it does meanwhile.
#[derive(Debug)]
pub struct Mailbox<T> {
    limit: usize,
    is_open: AtomicBool,
    letters: Mutex<Letters<T>>,
}

#[derive(Debug)]
struct Letters<T> {
    waiting: VecDeque<T>,
    task: Option<Waker>,
}

/// Why a letter was not taken; it comes back.
#[derive(Debug)]
pub enum Unposted<T> {
    /// So many wait already as may.
    Full(T),
    /// The task has ended.
    Closed(T),
}

impl<T> Mailbox<T> {
    /// At most `limit` letters wait in it.
    pub const fn new(limit: usize) -> Self {
        let letters = Letters { waiting: VecDeque::new(), task: None };
        Self { limit, is_open: AtomicBool::new(true), letters: Mutex::new(letters) }
    }

    /// Leaves a letter. What it returns is to be woken, by the caller, once no lock is held.
    pub fn post(&self, letter: T) -> Result<Option<Waker>, Unposted<T>> {
        let mut letters = self.lock();
        if !self.is_open() {
            return Err(Unposted::Closed(letter));
        }
        if letters.waiting.len() >= self.limit {
            return Err(Unposted::Full(letter));
        }
        letters.waiting.push_back(letter);
        // Who has been told and has not come yet will find this, too.
        Ok(if letters.waiting.len() == 1 { letters.task.clone() } else { None })
    }

    /// From here on `task` is woken.
    pub fn attend(&self, task: &Waker) {
        let mut letters = self.lock();
        let is_known = letters.task.as_ref().is_some_and(|known| known.will_wake(task));
        let replaced = if is_known { None } else { letters.task.replace(task.clone()) };
        drop(letters);
        drop(replaced);
    }

    /// Moves what waits to `letters`, which must be empty.
    pub fn take(&self, letters: &mut VecDeque<T>) {
        debug_assert!(letters.is_empty(), "what was taken before would come late");
        std::mem::swap(&mut self.lock().waiting, letters);
    }

    /// Nobody will take anything any more.
    pub fn close(&self) {
        let mut letters = self.lock();
        self.is_open.store(false, Ordering::Release);
        let waiting = (std::mem::take(&mut letters.waiting), letters.task.take());
        drop(letters);
        drop(waiting);
    }

    /// Whether somebody will take what is posted.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Letters<T>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
