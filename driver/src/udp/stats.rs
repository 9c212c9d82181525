//! What the sockets did.

use std::io;

use crate::counters::counters;

counters! {
    "What the UDP sockets of an endpoint did.";
    /// Turns of the task.
    turns,
    /// Turns that ended at the work limit, with more to read.
    cut_turns,
    /// Datagrams read.
    packets_received,
    /// System calls that read them.
    receives,
    /// Datagrams that were handed to the shard which has their connection.
    handed_over,
    /// Datagrams for another shard that found no room there.
    handover_drops,
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
