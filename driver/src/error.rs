//! What can go wrong for the holder of a handle.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use proto_core::{CloseReason, Closed, SendError};

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
    /// The endpoint was closed.
    #[error("the endpoint is closed")]
    EndpointClosed,
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
            CloseReason::VersionMismatch => write!(f, "the server speaks none of this side's versions"),
            other => write!(f, "{other:?}"),
        }
    }
}
