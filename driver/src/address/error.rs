//! Which part of an address is wrong.

use super::Scheme;

/// Which part of an address is wrong, and what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no `://`.
    #[error("the scheme is missing: write udp://, tcp://, tls://, uds://, ws:// or wss:// before {0:?}")]
    NoScheme(String),
    /// A scheme that nothing speaks.
    #[error("the scheme {0:?} is unknown: there are udp, tcp, tls, uds, ws and wss")]
    Scheme(String),
    /// A scheme where another must stand.
    #[error("the scheme {found:?} is wrong here: expected {expected}")]
    OtherScheme {
        /// The one that must stand here.
        expected: Scheme,
        /// The one that does.
        found: String,
    },
    /// Something before an `@`.
    #[error("the part before '@' is not supported: there are no users or passwords")]
    User,
    /// Not a DNS name or IP address.
    #[error("the host {0:?} is neither a DNS name nor an IP address (an IPv6 address stands in [brackets])")]
    Host(String),
    /// Not a port.
    #[error("the port {0:?} is not a number from 0 to 65535")]
    Port(String),
    /// Port 0 where a peer is to be found.
    #[error("the port \"0\" is for listening only: write one from 1 to 65535")]
    PortZero,
    /// Something behind the port of a link that has no paths.
    #[error("the path {path:?} is not supported: a {scheme} address ends after the port")]
    Path {
        /// The kind of link.
        scheme: Scheme,
        /// What stands there.
        path: String,
    },
    /// A character that no path has.
    #[error("the path {0:?} has a character that must be percent-encoded, or a fragment")]
    PathCharacter(String),
    /// Not the name of a Unix socket.
    #[error("the path {path:?} cannot name a Unix socket: {why}")]
    UnixPath {
        /// What stands there.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
}
