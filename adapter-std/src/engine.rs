//! The thread that does an endpoint's I/O, and those that do it in its place.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use driver::{Node, Task, clock};
use mio::{Events, Poll};

use crate::runtime::Reactor;

/// Events that one wait can bring.
const EVENTS: usize = 1024;

/// How long the thread of a busily polled endpoint leaves the I/O to those that wait, before it looks again whether there are any.
const NAP: Duration = Duration::from_millis(1);

/// The I/O of one endpoint.
pub(crate) struct Engine {
    /// `None` once the machine is over.
    task: Mutex<Option<Task<Node, Reactor>>>,
    reactor: Reactor,
    is_busy: bool,
    /// Threads that wait, and do the I/O meanwhile.
    spinning: AtomicUsize,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("is_busy", &self.is_busy).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the thread, which ends when the machine is over.
    pub(crate) fn start(
        task: Task<Node, Reactor>,
        reactor: Reactor,
        poll: Poll,
        is_busy: bool,
    ) -> io::Result<Arc<Self>> {
        let task = Mutex::new(Some(task));
        let engine = Arc::new(Self { task, reactor, is_busy, spinning: AtomicUsize::new(0) });
        let running = Arc::clone(&engine);
        thread::Builder::new().name("bowline-io".into()).spawn(move || running.run(poll))?;
        Ok(engine)
    }

    fn run(&self, mut poll: Poll) {
        let mut events = Events::with_capacity(EVENTS);
        let waker = Waker::from(&self.reactor);
        let mut cx = Context::from_waker(&waker);
        loop {
            if self.spinning.load(Ordering::Acquire) > 0 {
                self.nap();
            }
            let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(running) = task.as_mut() else { return };
            if turn(running, &mut cx).is_ready() {
                *task = None;
                return;
            }
            let deadline = running.deadline();
            drop(task);
            let timeout = deadline.map(|at| at.since(clock::now().mono));
            self.reactor.wait(&mut poll, &mut events, timeout);
        }
    }

    /// Leaves the I/O to those that wait.
    fn nap(&self) {
        self.reactor.set_spinning(true);
        while self.spinning.load(Ordering::Acquire) > 0 {
            thread::park_timeout(NAP);
        }
        self.reactor.set_spinning(false);
    }

    /// Until what it returns is dropped, this thread does the I/O, where the endpoint is polled busily.
    pub(crate) fn spin(&self) -> Spinning<'_> {
        self.spinning.fetch_add(usize::from(self.is_busy), Ordering::AcqRel);
        Spinning(self)
    }

    /// One turn of the I/O, unless another thread is at it; false where the endpoint is not polled busily.
    pub(crate) fn turn_if_busy(&self) -> bool {
        if !self.is_busy {
            return false;
        }
        let mut task = match self.task.try_lock() {
            Ok(task) => task,
            Err(TryLockError::Poisoned(task)) => task.into_inner(),
            Err(TryLockError::WouldBlock) => {
                std::hint::spin_loop();
                return true;
            }
        };
        let waker = Waker::from(&self.reactor);
        let ended = task.as_mut().map(|task| turn(task, &mut Context::from_waker(&waker)).is_ready());
        if ended == Some(true) {
            *task = None;
        }
        // Once the I/O has ended there is nothing to spin for.
        ended.is_some()
    }
}

/// One turn. After a panic, which was told as panics are, the task is dropped and everybody hears of it.
fn turn(task: &mut Task<Node, Reactor>, cx: &mut Context<'_>) -> std::task::Poll<()> {
    catch_unwind(AssertUnwindSafe(|| task.turn(cx))).unwrap_or(std::task::Poll::Ready(()))
}

/// A thread does the I/O while it waits.
pub(crate) struct Spinning<'a>(&'a Engine);

impl Drop for Spinning<'_> {
    fn drop(&mut self) {
        let Engine { spinning, reactor, is_busy, .. } = self.0;
        // What the engine's thread waits for may have changed; one that naps looks by itself.
        if *is_busy && spinning.fetch_sub(1, Ordering::AcqRel) == 1 {
            reactor.wake();
        }
    }
}
