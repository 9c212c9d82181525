//! The client: one room, over any number of connections.

mod appends;
mod config;
mod event;
mod log;
mod receive;
mod stats;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use core::time::Duration;

use bytes::Bytes;

pub use config::{ClientConfig, InvalidClient};
pub use event::{ClientEvent, Entry};
pub use stats::ClientStats;

use super::identity::Kind;
use super::message::{ClientAppend, ClientJoin, ClientUpdate, MAX_BODY, MAX_PAGE_ENTRIES, Message};
use crate::{Now, Timestamp};

/// Events that may wait to be polled before the client takes no further message.
const MAX_EVENTS: usize = 256;

/// The chat log's client.
///
/// Say when a connection is there and when it is gone, hand in what arrives while [`is_ready`](Self::is_ready), and poll messages
/// (as long as the connection takes them) and events. Appends survive connections: each is sent again until it is answered.
/// Entries are delivered slot by slot and once, over any number of connections and lives of the server.
#[derive(Clone, Debug)]
pub struct Client {
    config: ClientConfig,
    /// The latest monotonic time seen: a clock that runs backwards is clamped to it.
    now: Timestamp,
    phase: Phase,
    /// The number of the latest connection, above that of any before it: wall time, so that it is also above those of an
    /// earlier program with the same secret.
    incarnation: u64,
    log: log::Log,
    appends: appends::Appends,
    /// The largest body that the room takes, as the last join said.
    max_body: usize,
    last_joined: Option<Timestamp>,
    /// Whether the user knows that the server's store is full.
    stalled: bool,
    /// Whether the user has been told that the store cannot read on.
    unreadable: bool,
    events: VecDeque<ClientEvent>,
    stats: ClientStats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Offline,
    /// Connected; the join is to be sent.
    Entering,
    /// The join is sent.
    Joining,
    Joined,
    /// Nothing more happens on this connection.
    Refused,
}

/// Why an append was not taken; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// 64 appends are unacknowledged: go on after the next `Acked` or `Rejected`.
    #[error("64 appends wait for their acknowledgement")]
    Full,
    /// The body is larger than the room takes.
    #[error("the body is larger than {max} bytes")]
    TooLarge {
        /// The largest body in bytes.
        max: usize,
    },
}

impl Client {
    /// A client that has no connection yet.
    ///
    /// # Errors
    /// When the room's or the client's name has a length that no server accepts.
    pub fn new(mut config: ClientConfig) -> Result<Self, InvalidClient> {
        config.check()?;
        // A timer finer than this would spin.
        config.sync_after = config.sync_after.max(Duration::from_millis(1));
        Ok(Self {
            config,
            now: Timestamp::ZERO,
            phase: Phase::Offline,
            incarnation: 0,
            log: log::Log::default(),
            appends: appends::Appends::new(),
            max_body: MAX_BODY,
            last_joined: None,
            stalled: false,
            unreadable: false,
            events: VecDeque::new(),
            stats: ClientStats::default(),
        })
    }

    /// There is a new connection: joins on it, then sends every unacknowledged append again and gets what it lacks.
    pub fn handle_connected(&mut self, now: Now) {
        self.observe(now);
        self.incarnation = self.incarnation.saturating_add(1).max(now.unix_ms);
        self.phase = Phase::Entering;
        self.appends.restart();
        self.log.stop();
    }

    /// The connection is gone.
    pub fn handle_disconnected(&mut self, now: Now) {
        let now = self.observe(now);
        if self.phase == Phase::Joined {
            self.last_joined = Some(now.mono);
        }
        self.phase = Phase::Offline;
        self.log.stop();
    }

    /// Takes an append to be committed, connected or not, and gives the number that its answer will have: 1, 2, 3 ... for each
    /// client. It is the application's number; the one on the wire is the client's affair.
    ///
    /// # Errors
    /// When 64 are unacknowledged, or the body is too large.
    pub fn append(&mut self, now: Now, kind: Kind, body: Bytes) -> Result<u64, AppendError> {
        self.observe(now);
        if self.appends.is_full() {
            return Err(AppendError::Full);
        }
        if body.len() > self.max_body {
            return Err(AppendError::TooLarge { max: self.max_body });
        }
        Ok(self.appends.push(now.unix_ms, kind, body))
    }

    /// How many appends have neither been acknowledged nor rejected.
    pub fn unacknowledged(&self) -> usize {
        self.appends.len()
    }

    /// Whether one more message finds a place. False while 256 events wait to be polled, so that a slow user is felt by the
    /// server and not by memory.
    pub fn is_ready(&self) -> bool {
        self.events.len() < MAX_EVENTS
    }

    /// The next message to send on the connection. It counts as sent: poll only while the connection takes one.
    pub fn poll_message(&mut self) -> Option<Bytes> {
        match self.phase {
            // Without room for the answer's events the join waits.
            Phase::Entering if self.is_ready() => {
                self.phase = Phase::Joining;
                Some(self.join())
            }
            Phase::Joined => self.next_append().or_else(|| self.next_update()),
            _ => None,
        }
    }

    fn join(&self) -> Bytes {
        let join = ClientJoin {
            room: &self.config.room,
            secret: self.config.secret,
            incarnation: self.incarnation,
            name: &self.config.name,
            epoch: self.log.epoch,
            has: self.log.has,
            last: self.last(),
        };
        Message::ClientJoin(join).to_bytes()
    }

    fn next_append(&mut self) -> Option<Bytes> {
        let seen = self.log.has;
        let (sequence, append) = self.appends.next()?;
        let message = ClientAppend {
            room: &self.config.room,
            sequence,
            seen,
            author_ms: append.author_ms,
            kind: append.kind,
            body: &append.body,
        };
        Some(Message::ClientAppend(message).to_bytes())
    }

    fn next_update(&mut self) -> Option<Bytes> {
        let n = MAX_PAGE_ENTRIES as u64;
        let update = ClientUpdate { room: &self.config.room, n, upto: self.log.has.saturating_add(n) };
        self.log.take_due().then(|| Message::ClientUpdate(update).to_bytes())
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// To be called at the time that `poll_timeout` gives; earlier or later calls do no harm.
    pub fn handle_timeout(&mut self, now: Now) {
        let now = self.observe(now);
        self.log.handle_timeout(now.mono, self.config.sync_after);
    }

    /// When `handle_timeout` has something to do.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.log.deadline()
    }

    /// Counters since the client was created.
    pub fn stats(&self) -> &ClientStats {
        &self.stats
    }

    /// How many of the latest entries are wanted of a log that is new to this client.
    fn last(&self) -> u64 {
        self.config.last.unwrap_or(u64::MAX)
    }

    fn observe(&mut self, now: Now) -> Now {
        self.now = self.now.max(now.mono);
        Now { mono: self.now, ..now }
    }
}
