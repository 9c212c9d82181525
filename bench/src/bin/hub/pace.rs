//! Ticks for those who send so many messages a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

const EVERY: Duration = Duration::from_micros(200);

/// Ticks of a thread that sleeps in between: timers of tokio are too coarse, and who waits busily has the processor that the server needs.
pub(crate) struct Ticks {
    next: Arc<Notify>,
    is_over: Arc<AtomicBool>,
}

impl Ticks {
    pub(crate) fn start() -> Self {
        let ticks = Self { next: Arc::default(), is_over: Arc::default() };
        let (next, is_over) = (Arc::clone(&ticks.next), Arc::clone(&ticks.is_over));
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                std::thread::sleep(EVERY);
                next.notify_one();
            }
        });
        ticks
    }

    pub(crate) async fn tick(&self) {
        self.next.notified().await;
    }
}

impl Drop for Ticks {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
