//! What a runtime knows about its sockets.

use std::io;
use std::task::{Context, Poll};

use proto_core::Timestamp;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the network.
    Read,
    /// To the network.
    Write,
}

/// A socket that never blocks, in the hands of a runtime that tells when it is ready.
pub trait Ready: Send + 'static {
    /// Runs `call`, a system call on the socket that goes in `direction`. A runtime that keeps an account of what is ready may
    /// answer [`WouldBlock`](io::ErrorKind::WouldBlock) without it, and must hear of it when `call` says so.
    fn attempt<T>(&self, direction: Direction, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let _ = direction;
        call()
    }

    /// Waits until another attempt is worth while. An error says that the runtime is shutting down.
    fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>>;
}

/// A runtime's timer.
pub trait Timer: Send + 'static {
    /// Sets the timer to `at`, or turns it off: ready when that time has come, and otherwise the task of `cx` is woken then.
    fn poll(&mut self, cx: &mut Context<'_>, at: Option<Timestamp>) -> Poll<()>;
}
