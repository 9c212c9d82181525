//! The lock around a machine, and the waker of the task that does its I/O.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use proto_core::Now;

use crate::{End, Machine, Wakes};

/// A machine that one I/O task and any number of other threads use.
///
/// A command that may have given the machine something to send, or moved its deadline, wakes the I/O task: once, however many
/// commands come before its next turn.
pub struct Shared<M>(Arc<Inner<M>>);

struct Inner<M> {
    clock: fn() -> Now,
    state: Mutex<State<M>>,
}

struct State<M> {
    machine: M,
    task: Option<Waker>,
    /// The task has been woken and has not begun a turn since.
    is_woken: bool,
    /// How the task has ended, if it has.
    ended: Option<End>,
}

impl<M> Clone for Shared<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> fmt::Debug for Shared<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl<M: Machine> Shared<M> {
    /// `clock` is read once for each turn and each command.
    pub fn new(machine: M, clock: fn() -> Now) -> Self {
        let state = State { machine, task: None, is_woken: false, ended: None };
        Self(Arc::new(Inner { clock, state: Mutex::new(state) }))
    }

    /// Changes the machine, settles it, and wakes the I/O task.
    pub fn command<T>(&self, change: impl FnOnce(&mut M, Now) -> T) -> T {
        self.with(|machine, now, _| (change(machine, now), true))
    }

    /// Looks at the machine.
    pub fn inspect<T>(&self, look: impl FnOnce(&M) -> T) -> T {
        look(&self.lock().machine)
    }

    /// The time.
    pub fn now(&self) -> Now {
        (self.0.clock)()
    }

    /// For the I/O task: commands from here on wake `task`.
    pub fn begin_turn(&self, task: &Waker) {
        let mut state = self.lock();
        state.is_woken = false;
        state.machine.attend(task);
        let is_known = state.task.as_ref().is_some_and(|known| known.will_wake(task));
        let replaced = if is_known { None } else { state.task.replace(task.clone()) };
        drop(state);
        drop(replaced);
    }

    /// For the I/O task: feeds or polls the machine, and settles it.
    pub fn turn<T>(&self, work: impl FnOnce(&mut M, Now) -> T) -> T {
        self.with(|machine, now, _| (work(machine, now), false))
    }

    /// The same, but those who wait are woken later, by the caller, who delivers `wakes`.
    pub(crate) fn turn_with<T>(&self, wakes: &mut Wakes, work: impl FnOnce(&mut M, Now) -> T) -> T {
        let _watch = Watch(self);
        let mut state = self.lock();
        let now = self.now();
        let result = work(&mut state.machine, now);
        state.machine.settle(now, wakes);
        result
    }

    /// For the I/O task, when it ends: nobody will do the machine's I/O any more. Only the first end counts.
    pub fn end(&self, how: End) {
        let mut wakes = Wakes::default();
        let mut state = self.lock();
        self.0.state.clear_poison();
        if state.ended.is_some() {
            return;
        }
        state.ended = Some(how);
        state.machine.handle_end(how, &mut wakes);
        // A task that has not ended itself has nothing more to do.
        state.task.take().into_iter().for_each(|task| wakes.wake(task));
        drop(state);
        wakes.deliver();
    }

    /// How the I/O task has ended, if nobody does the machine's I/O any more.
    pub fn ended(&self) -> Option<End> {
        self.lock().ended
    }

    /// Runs `work`, settles the machine, and wakes the I/O task when `work` says so, or when there is more to settle.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut M, Now, &mut Wakes) -> (T, bool)) -> T {
        let mut wakes = Wakes::default();
        let watch = Watch(self);
        let mut state = self.lock();
        let now = self.now();
        let (result, wants_io) = work(&mut state.machine, now, &mut wakes);
        state.machine.settle(now, &mut wakes);
        if (wants_io || state.machine.has_more())
            && !state.is_woken
            && let Some(task) = state.task.clone()
        {
            state.is_woken = true;
            wakes.wake(task);
        }
        drop(state);
        drop(watch);
        wakes.deliver();
        result
    }

    /// Changes something that neither the I/O task nor anybody else waits for. What `change` returns is dropped by the caller,
    /// after the lock was released.
    pub fn quietly<T>(&self, change: impl FnOnce(&mut M) -> T) -> T {
        let _watch = Watch(self);
        change(&mut self.lock().machine)
    }

    /// Whoever panics under the lock ends the machine before anybody else uses it for more than to hear so.
    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a machine that is left by a panic.
struct Watch<'a, M: Machine>(&'a Shared<M>);

impl<M: Machine> Drop for Watch<'_, M> {
    fn drop(&mut self) {
        if std::thread::panicking() && self.0.0.state.is_poisoned() {
            self.0.end(End::Panicked);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use proto_core::{Meta, Timestamp, Transmit};

    use super::*;
    use crate::Path;

    /// Settles one at a time.
    struct Steps(usize);

    impl Machine for Steps {
        fn handle_packet(&mut self, _: Now, _: Meta<Path>, _: &[u8]) {}

        fn handle_timeout(&mut self, _: Now) {}

        fn poll_transmit(&mut self, _: Now, _: &mut Vec<u8>) -> Option<Transmit<Path>> {
            None
        }

        fn poll_timeout(&self) -> Option<Timestamp> {
            None
        }

        fn settle(&mut self, _: Now, _: &mut Wakes) {
            self.0 = self.0.saturating_sub(1);
        }

        fn has_more(&self) -> bool {
            self.0 > 0
        }
    }

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_task_has_turns_until_all_is_settled() {
        let now = || Now { mono: Timestamp::ZERO, unix_ms: 0 };
        let (shared, task) = (Shared::new(Steps(3), now), Arc::new(Task::default()));
        let waker = Waker::from(Arc::clone(&task));
        for woken in [1, 2, 2] {
            shared.begin_turn(&waker);
            shared.turn(|_, _| ());
            assert_eq!(task.0.load(Ordering::Relaxed), woken);
        }
    }
}
