//! Calls that are refused: nothing has changed when one of these comes back.

use core::fmt;
use core::time::Duration;

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The channel's queue is at its limit. `Event::Writable` follows when there is room again.
    #[error("the channel's send queue is full: wait for Writable")]
    Full,
    /// The message would wait in the queue for longer than it lives.
    #[error("the message would expire in the queue, which takes {} ms", queue_time.as_millis())]
    WouldExpire {
        /// How long the queue is thought to take.
        queue_time: Duration,
    },
    /// 1024 batches have begun on the connection whose last message was not sent, or whose messages are not settled.
    #[error("too many batches are open")]
    TooManyBatches,
    /// The message is larger than either side takes.
    #[error("the message is too large: at most {max} bytes")]
    TooLarge {
        /// Largest message of this class, in bytes.
        max: usize,
    },
    /// No channel of that id is open.
    #[error("no such channel is open")]
    NoChannel,
    /// The channel was opened without this class; for a request, without a reliable one for the reply.
    #[error("the channel was opened without this class")]
    ClassNotAllowed,
    /// The connection is closing or over.
    #[error("the connection is closed")]
    Closed,
    /// As many requests as allowed are waiting for their replies.
    #[error("too many requests are waiting for replies")]
    TooManyRequests,
    /// Nobody waits for this reply: the request is unknown, answered already, or its connection is over.
    #[error("no such request is waiting for a reply")]
    NoRequest,
}

/// Why a channel was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The connection is not established.
    #[error("the connection is not established")]
    NotEstablished,
    /// The peer takes no more channels.
    #[error("the peer takes no more than {max} channels")]
    TooMany {
        /// How many it takes.
        max: u64,
    },
    /// A name over 64 bytes, no class, a priority over 7, or a limit out of its range: what it must be.
    #[error("{0}")]
    Invalid(&'static str),
}

/// Why no connection was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The endpoint holds as many connections as it may.
    #[error("the endpoint is at its limit of {max} connections")]
    TooMany {
        /// The limit.
        max: usize,
    },
}

/// A configuration that cannot work: which field, and what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The field of `ConfigBuilder`.
    pub field: &'static str,
    /// What it must be.
    pub must: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.field, self.must)
    }
}

impl core::error::Error for ConfigError {}
