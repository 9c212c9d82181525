//! What can go wrong for the holder of a handle.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use proto_core::{CloseReason, Closed, DialError, Distrust, SendError};

use crate::Address;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The endpoint cannot hold another connection.
    #[error(transparent)]
    Refused(#[from] proto_core::ConnectError),
    /// No socket of the endpoint is of the address's family.
    #[error("no socket of this endpoint can reach {0}: bind one of the same address family")]
    NoSocket(SocketAddr),
    /// Nobody can be reached at port 0.
    #[error("the port of {0} is 0, where nobody can be reached")]
    PortZero(Address),
    /// The host of a UDP address was not looked up.
    #[error("the name in {0} must be looked up first")]
    Unresolved(Address),
    /// The host has no address, or none that could be found.
    #[error("the name in {0} has no address: {1}")]
    LookUp(Address, String),
    /// The endpoint has dialed too many different addresses.
    #[error("the endpoint has dialed too many different addresses")]
    TooManyAddresses,
    /// The endpoint encrypts datagrams, this stream would not be encrypted, and [`Options::plain_streams`](crate::Options::plain_streams)
    /// is not set.
    #[error(
        "{0} is not encrypted, and this endpoint encrypts what it sends: use tls:// or wss://, or set plain_streams"
    )]
    NotEncrypted(Address),
    /// The endpoint was closed.
    #[error("the endpoint is closed")]
    EndpointClosed,
    /// The endpoint's I/O task has ended.
    #[error("the endpoint's I/O task has ended{}", if *.panicked { " by a panic" } else { ": it was dropped" })]
    EndpointEnded {
        /// By a panic; otherwise it was dropped, with its runtime for instance.
        panicked: bool,
    },
    /// No attempt succeeded.
    #[error("cannot connect: {}", Reason(&.0.reason))]
    Failed(Closed),
}

/// Why a request has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It was not sent.
    #[error(transparent)]
    Refused(#[from] SendError),
    /// The peer answered with an error.
    #[error("the peer answered with error {code:#x}")]
    Failed {
        /// Below 0x100 the transport's, above the application's.
        code: u64,
        /// Whether it is sure that the peer's application never saw the request.
        not_processed: bool,
        /// What came with the error.
        payload: Bytes,
    },
    /// No reply came in time.
    #[error("no reply came in time")]
    TimedOut {
        /// Whether it is sure that the peer's application never saw the request: there was no room to send it.
        not_processed: bool,
    },
    /// It was dropped, replaced or over before it was sent: the peer never saw it.
    #[error("the request was given up before it was sent")]
    NotSent,
    /// The connection ended first.
    #[error("the connection ended before the reply came")]
    Disconnected {
        /// Whether it is sure that the peer's application never saw the request.
        not_processed: bool,
    },
}

/// A reason in words.
struct Reason<'a>(&'a CloseReason);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            CloseReason::Local { code } => write!(f, "this side closed with code {code:#x}"),
            CloseReason::Peer { code, reason } => {
                write!(f, "the peer refused with code {code:#x} ({reason:?})")
            }
            CloseReason::TimedOut => write!(f, "the peer did not answer in time"),
            CloseReason::Reset => write!(f, "the server no longer knows the connection"),
            CloseReason::PeerMisbehaved(text) => write!(f, "the peer broke the protocol: {text}"),
            CloseReason::LinkLost => write!(f, "the stream broke"),
            CloseReason::Dial(DialError::Refused) => write!(f, "nobody listens there"),
            CloseReason::Dial(DialError::Unreachable) => write!(f, "no way leads there"),
            CloseReason::Dial(DialError::NoAddress) => write!(f, "no address is known for its name"),
            CloseReason::Dial(DialError::TimedOut) => write!(f, "there was no answer in time"),
            CloseReason::Dial(DialError::HungUp) => {
                write!(
                    f,
                    "who listens there ended the stream without an answer: it may be going away, or be there for addresses of another kind"
                )
            }
            CloseReason::Dial(DialError::Untrusted(why)) => {
                write!(f, "the server could not show who it is: {}", distrust(*why))
            }
            CloseReason::Dial(DialError::Foreign) => {
                write!(f, "who listens there speaks something else than the address says")
            }
            CloseReason::Dial(DialError::Http(status)) => {
                write!(f, "the server answered the request for a web socket with HTTP status {status}")
            }
            CloseReason::Dial(DialError::Unauthenticated) => {
                write!(f, "the server does not take this side's certificate, or asks for one")
            }
            CloseReason::Dial(DialError::NotAllowed) => write!(f, "this side may not go there"),
            CloseReason::Dial(DialError::Unsupported) => {
                write!(f, "this side is not set up for addresses of that kind")
            }
            CloseReason::NotEncrypted => write!(f, "the server does not encrypt, and this side asks for it"),
            CloseReason::Ended { panicked: true } => write!(f, "this side's I/O task has ended by a panic"),
            CloseReason::Ended { panicked: false } => write!(f, "this side's I/O task was dropped"),
            CloseReason::VersionMismatch => write!(f, "the server speaks none of this side's versions"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Why a certificate does not show whose it is, in words.
const fn distrust(why: Distrust) -> &'static str {
    match why {
        Distrust::UnknownIssuer => "no authority that this side trusts has signed its certificate",
        Distrust::WrongName => "its certificate is for other names than the address has",
        Distrust::Expired => "its certificate has expired",
        Distrust::NotYetValid => "its certificate is not valid yet",
        Distrust::Authority => "its certificate is an authority's, and good for signing others only",
        _ => "its certificate cannot be used",
    }
}

/// What was waited for did not happen in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it did not happen in time")]
pub struct TimedOut;

/// Why a call that waits has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError<E> {
    /// It did not happen in time. Nothing was done, and nothing was lost.
    #[error("it did not happen in time")]
    TimedOut,
    /// It was refused, or failed.
    #[error(transparent)]
    Failed(E),
}

impl<E> From<TimedOut> for WaitError<E> {
    fn from(_: TimedOut) -> Self {
        Self::TimedOut
    }
}
