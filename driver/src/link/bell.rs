//! Which of many sockets is ready: a waker for each, and a list of those that were woken.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Those that were woken, and the task that is to look at them.
#[derive(Debug, Default)]
pub(super) struct Belfry(Mutex<Rung>);

#[derive(Debug, Default)]
struct Rung {
    seats: Vec<usize>,
    task: Option<Waker>,
}

/// The waker of one seat. It is on the list once, however often it is woken.
#[derive(Debug)]
struct Bell {
    seat: usize,
    is_rung: AtomicBool,
    belfry: Arc<Belfry>,
}

/// A seat's waker, and the way to say that it was looked at.
#[derive(Debug)]
pub(super) struct Rope {
    bell: Arc<Bell>,
    waker: Waker,
}

impl Belfry {
    pub(super) fn rope(self: &Arc<Self>, seat: usize) -> Rope {
        let belfry = Arc::clone(self);
        let bell = Arc::new(Bell { seat, is_rung: AtomicBool::new(false), belfry });
        Rope { waker: Arc::clone(&bell).into(), bell }
    }

    /// From here on `task` is woken.
    pub(super) fn attend(&self, task: &Waker) {
        let mut rung = self.lock();
        let is_known = rung.task.as_ref().is_some_and(|known| known.will_wake(task));
        let replaced = if is_known { None } else { rung.task.replace(task.clone()) };
        drop(rung);
        drop(replaced);
    }

    /// Moves those that were woken into `seats`, which must be empty.
    pub(super) fn take(&self, seats: &mut Vec<usize>) {
        debug_assert!(seats.is_empty(), "what was woken before would be lost");
        mem::swap(&mut self.lock().seats, seats);
    }

    fn lock(&self) -> MutexGuard<'_, Rung> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rope {
    pub(super) const fn waker(&self) -> &Waker {
        &self.waker
    }

    /// The seat is being looked at: what wakes it from here on is new.
    pub(super) fn quiet(&self) {
        self.bell.is_rung.store(false, Ordering::Release);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut rung = self.belfry.lock();
        rung.seats.push(self.seat);
        let task = (rung.seats.len() == 1).then(|| rung.task.clone()).flatten();
        drop(rung);
        if let Some(task) = task {
            task.wake();
        }
    }
}
