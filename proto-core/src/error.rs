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
    /// The server is going away: what has begun may end, and anything new is for another connection.
    #[error("the server is going away: what is new is for another connection")]
    Draining,
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
    /// No channel of that id is open.
    #[error("no such channel is open")]
    NoChannel,
    /// A name over 64 bytes, no class, a priority over 7, a weight of 0, or a limit out of its range: what it must be.
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
    /// The list of addresses is empty.
    #[error("there is no address to connect to")]
    NoAddress,
    /// The credentials are longer than may be shown.
    #[error("the credentials are too long: at most {max} bytes")]
    CredentialsTooLong {
        /// The most, in bytes.
        max: usize,
    },
}

/// The value of a setting, or a bound of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Setting {
    /// A span of time.
    Time(Duration),
    /// A number of bytes.
    Bytes(u64),
    /// A number of other things.
    Count(u64),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |value: u128, units: &[(u128, &'static str)]| {
            units
                .iter()
                .find(|&&(size, _)| value > 0 && value.is_multiple_of(size))
                .map(|&(size, unit)| (value / size, unit))
        };
        match *self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Bytes(bytes) => {
                let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
                let (count, unit) = exact(bytes.into(), &units).unwrap_or((bytes.into(), "bytes"));
                write!(f, "{count} {unit}")
            }
            Self::Time(time) if time.is_zero() => f.write_str("0 ms"),
            Self::Time(time) => {
                let units = [
                    (3_600_000_000_000, "h"),
                    (60_000_000_000, "min"),
                    (1_000_000_000, "s"),
                    (1_000_000, "ms"),
                ];
                let (count, unit) = exact(time.as_nanos(), &units).unwrap_or((time.as_nanos(), "ns"));
                write!(f, "{count} {unit}")
            }
        }
    }
}

/// What a setting may be, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingRange {
    /// The least.
    pub min: Setting,
    /// The most.
    pub max: Setting,
}

impl fmt::Display for SettingRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// A configuration that cannot work: which field, what it is, and what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value} is out of range {range}")]
pub struct ConfigError {
    /// The field of `ConfigBuilder`; a dot stands before a part of one.
    pub field: &'static str,
    /// Its value.
    pub value: Setting,
    /// What it may be, given the fields before it.
    pub range: SettingRange,
}
