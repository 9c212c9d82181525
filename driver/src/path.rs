//! Where packets and records come from and go to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use proto_core::Address;

use crate::Scheme;

/// A peer, and the socket through which it is reached: one machine can own several sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// For UDP the socket's place among those of its machine, from 0; for a stream that was accepted the listener's.
    pub socket: u16,
    /// The peer.
    pub peer: Peer,
}

/// A peer, as far as the link tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// Packets of UDP come from there.
    Udp(SocketAddr),
    /// A stream was accepted from there.
    Stream(Scheme, SocketAddr),
    /// A Unix socket's stream was accepted; whose, where the system tells.
    Unix(Option<UnixCredentials>),
    /// A stream that this side dials. The number is its endpoint's for the address.
    Dialed(Scheme, u32),
}

/// Who has the other end of a Unix socket, as the system saw it when the stream was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixCredentials {
    /// The process; it may be over, and its number another's.
    pub pid: i32,
    /// The user.
    pub uid: u32,
    /// The user's group.
    pub gid: u32,
}

impl Peer {
    /// The kind of link.
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Udp(_) => Scheme::Udp,
            Self::Stream(scheme, _) | Self::Dialed(scheme, _) => *scheme,
            Self::Unix(_) => Scheme::Uds,
        }
    }

    /// Its IP address and port, where it has one and it was not dialed.
    pub const fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Udp(address) | Self::Stream(_, address) => Some(*address),
            Self::Unix(_) | Self::Dialed(..) => None,
        }
    }

    /// Whose process it is, for a Unix socket of a system that tells (Linux).
    pub const fn credentials(&self) -> Option<UnixCredentials> {
        match self {
            Self::Unix(credentials) => *credentials,
            _ => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    /// A peer that is reached by UDP.
    fn from(address: SocketAddr) -> Self {
        Self::Udp(address)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme();
        match self {
            Self::Udp(address) | Self::Stream(_, address) => write!(f, "{scheme}://{address}"),
            Self::Unix(Some(UnixCredentials { pid, uid, .. })) => {
                write!(f, "{scheme} (process {pid} of user {uid})")
            }
            Self::Unix(None) | Self::Dialed(..) => write!(f, "{scheme}"),
        }
    }
}

impl Address for Path {
    fn token_bytes(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.socket.to_be_bytes());
        match self.peer {
            Peer::Udp(address) | Peer::Stream(_, address) => address.token_bytes(out),
            // Streams prove where they come from by themselves.
            Peer::Unix(_) | Peer::Dialed(..) => {}
        }
    }

    fn is_same_host(&self, other: &Self) -> bool {
        matches!((self.peer, other.peer), (Peer::Udp(one), Peer::Udp(two)) if one.is_same_host(&two))
    }

    fn may_become(&self, other: &Self) -> bool {
        matches!((self.peer, other.peer), (Peer::Udp(one), Peer::Udp(two)) if one.may_become(&two))
    }

    fn ip(&self) -> Option<IpAddr> {
        self.peer.socket_addr().map(|address| address.ip().to_canonical())
    }

    fn prefix(&self) -> Option<u64> {
        self.peer.socket_addr().and_then(|address| address.prefix())
    }

    fn is_stream(&self) -> bool {
        !matches!(self.peer, Peer::Udp(_))
    }
}
