//! Where packets come from and go to.

use std::net::SocketAddr;

use proto_core::Address;

/// A peer, and the socket through which it is reached: one machine can own several sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The socket's place among those of its machine, from 0.
    pub socket: u16,
    /// The peer's address.
    pub peer: SocketAddr,
}

impl Address for Path {
    fn token_bytes(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.socket.to_be_bytes());
        self.peer.token_bytes(out);
    }

    fn is_same_host(&self, other: &Self) -> bool {
        self.peer.is_same_host(&other.peer)
    }

    fn may_become(&self, other: &Self) -> bool {
        self.peer.may_become(&other.peer)
    }

    fn prefix(&self) -> Option<u64> {
        self.peer.prefix()
    }
}
