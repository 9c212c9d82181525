//! Threads that wait.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use driver::{TimedOut, WaitError, clock};

use crate::engine::Engine;

struct Parked {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

thread_local! {
    static PARKED: Arc<Parked> =
        Arc::new(Parked { thread: thread::current(), is_woken: AtomicBool::new(false) });
}

/// Waits for `future`, at most for `timeout`; dropped then, it loses nothing. Where the endpoint is to be polled busily, the thread
/// does the I/O itself meanwhile.
pub(crate) fn block<T>(
    engine: &Engine,
    timeout: Duration,
    future: impl Future<Output = T>,
) -> Result<T, TimedOut> {
    let parked = PARKED.with(Arc::clone);
    let waker = Waker::from(Arc::clone(&parked));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    let deadline = clock::now().mono + timeout;
    let _spinning = engine.spin();
    parked.is_woken.store(false, Ordering::Release);
    if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
        // What it may have left to send goes out at once.
        engine.turn_if_busy();
        return Ok(result);
    }
    loop {
        while !parked.is_woken.load(Ordering::Acquire) {
            let left = deadline.since(clock::now().mono);
            if left.is_zero() {
                return Err(TimedOut);
            }
            if !engine.turn_if_busy() {
                thread::park_timeout(left);
            }
        }
        parked.is_woken.store(false, Ordering::Release);
        if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
            return Ok(result);
        }
    }
}

/// The same for what can fail by itself.
pub(crate) fn wait<T, E>(
    engine: &Engine,
    timeout: Duration,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, WaitError<E>> {
    block(engine, timeout, future)?.map_err(WaitError::Failed)
}

/// Calls that do not wait: those of the handle of `driver` inside.
macro_rules! at_once {
    ($($(#[$doc:meta])* fn $name:ident(&self $(, $argument:ident: $type:ty)*) $(-> $result:ty)?;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(&self $(, $argument: $type)*) $(-> $result)? {
                self.inner.$name($($argument),*)
            }
        )*
    };
}

pub(crate) use at_once;
