//! Anything that the I/O task of an adapter can run.

use proto_core::{Endpoint, Meta, Now, Timestamp, Transmit};

use crate::{Path, Wakes};

/// A machine with the core's verbs (docs/spec/connection.md, section 5): packets and timeouts in, packets and a deadline out.
///
/// It lives in a [`Shared`](crate::Shared); the I/O task calls the verbs, and everybody else gives commands.
pub trait Machine: Send + 'static {
    /// Takes in a packet.
    fn handle_packet(&mut self, now: Now, meta: Meta<Path>, packet: &[u8]);

    /// Does what is due at `now`. Afterwards [`poll_timeout`](Self::poll_timeout) is `None` or later than `now`.
    fn handle_timeout(&mut self, now: Now);

    /// Appends one packet to `buf`, if there is one to send.
    fn poll_transmit(&mut self, now: Now, buf: &mut Vec<u8>) -> Option<Transmit<Path>>;

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    fn poll_timeout(&self) -> Option<Timestamp>;

    /// Runs after each turn of the I/O task and after each command, under the lock: the place to poll events, and whatever else
    /// must reach others. It must not block.
    fn settle(&mut self, now: Now, wakes: &mut Wakes) {
        let _ = (now, wakes);
    }

    /// Whether nothing more will come of it: the I/O task ends and closes its sockets.
    fn is_over(&self) -> bool {
        false
    }

    /// The I/O task has ended, for whatever reason: nothing will be sent or received any more.
    fn handle_end(&mut self, wakes: &mut Wakes) {
        let _ = wakes;
    }
}

impl Machine for Endpoint<Path> {
    fn handle_packet(&mut self, now: Now, meta: Meta<Path>, packet: &[u8]) {
        self.handle_packet(now.mono, meta, packet);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.handle_timeout(now.mono);
    }

    fn poll_transmit(&mut self, now: Now, buf: &mut Vec<u8>) -> Option<Transmit<Path>> {
        self.poll_transmit(now.mono, buf)
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.poll_timeout()
    }
}
