//! What the loop of a chat needs of whoever talks.

use bytes::Bytes;
use proto_core::room::Carriage;
use proto_core::{Message, Now, Timestamp};

use super::session::{Outcome, Output, Session};

/// One who talks: in the log of one room ([`Session`]), or as a participant in rooms.
pub(super) trait Talk {
    /// There is a connection, with the channels of rooms if it was asked for them.
    fn handle_connected(&mut self, now: Now);
    /// It is gone.
    fn handle_disconnected(&mut self, now: Now);
    /// A message has come. Only while [`is_ready`](Self::is_ready).
    fn handle_message(&mut self, now: Now, carriage: Carriage, payload: &Bytes);
    /// The time that `poll_timeout` gave has come.
    fn handle_timeout(&mut self, now: Now);
    /// When to look again.
    fn poll_timeout(&self) -> Option<Timestamp>;
    /// Whether one more message can be handed in.
    fn is_ready(&self) -> bool;
    /// The next message to send.
    fn poll_message(&mut self) -> Option<(Carriage, Message)>;
    /// The next thing for the user.
    fn poll_output(&mut self, now: Now) -> Option<Output>;
    /// Whether it is in a room, for all that it knows.
    fn is_joined(&self) -> bool;
    /// Whether one more line finds a place.
    fn wants_line(&self) -> bool;
    /// Takes a line. Only while one is wanted.
    fn line(&mut self, now: Now, line: Bytes);
    /// There will be no more lines.
    fn end_input(&mut self, now: Now);
    /// Whether and how the chat is over. Only when no output is left to poll.
    fn outcome(&self, now: Now) -> Option<Outcome>;
    /// The lines that are neither acknowledged nor refused, in order.
    fn unacknowledged(&self) -> Vec<Bytes>;
    /// How many lines were refused.
    fn rejected(&self) -> u64;
}

impl Talk for Session {
    fn handle_connected(&mut self, now: Now) {
        self.handle_connected(now);
    }

    fn handle_disconnected(&mut self, now: Now) {
        self.handle_disconnected(now);
    }

    fn handle_message(&mut self, now: Now, _: Carriage, payload: &Bytes) {
        self.handle_message(now, payload);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.poll_timeout()
    }

    fn is_ready(&self) -> bool {
        self.is_ready()
    }

    fn poll_message(&mut self) -> Option<(Carriage, Message)> {
        self.poll_message().map(|payload| (Carriage::Chat, Message::new(payload)))
    }

    fn poll_output(&mut self, now: Now) -> Option<Output> {
        self.poll_output(now)
    }

    fn is_joined(&self) -> bool {
        self.is_joined()
    }

    fn wants_line(&self) -> bool {
        self.wants_line()
    }

    fn line(&mut self, now: Now, line: Bytes) {
        self.line(now, line);
    }

    fn end_input(&mut self, now: Now) {
        self.end_input(now);
    }

    fn outcome(&self, now: Now) -> Option<Outcome> {
        self.outcome(now)
    }

    fn unacknowledged(&self) -> Vec<Bytes> {
        self.unacknowledged().cloned().collect()
    }

    fn rejected(&self) -> u64 {
        self.rejected()
    }
}
