//! What the sockets did.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What the sockets of a task did.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The same, while they are counted.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(pub(super) $name: Counter,)*
        }

        impl Counters {
            /// What was counted so far.
            pub fn get(&self) -> Stats {
                Stats { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Turns of the task.
    turns,
    /// Turns that ended at the work limit, with more to read.
    cut_turns,
    /// Datagrams read.
    packets_received,
    /// System calls that read them.
    receives,
    /// Datagrams sent.
    packets_sent,
    /// System calls that sent them: each a train of one datagram or more.
    sends,
    /// Times that a socket had no room and a train had to wait.
    blocked,
    /// Reads that failed.
    receive_errors,
    /// Datagrams that the peer's host refused: nobody listens there.
    refused,
    /// Datagrams that were too large for the way.
    too_large,
    /// Datagrams for a host or a network that cannot be reached.
    unreachable,
    /// Datagrams that could not be sent for another reason.
    send_errors,
}

/// A count that one task increments and anybody reads.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }
}

impl Counters {
    /// `count` datagrams could not be sent. The protocol repeats what matters.
    pub(super) fn on_send_error(&self, error: &io::Error, count: usize) {
        let counter = match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => &self.refused,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => &self.unreachable,
            _ if quinn_udp::is_msg_size_err(error) => &self.too_large,
            _ => &self.send_errors,
        };
        counter.add(count);
    }
}
