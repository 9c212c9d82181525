//! What a peer shows before it is let in (docs/spec/connection.md, section 2.1).

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::crypto::PublicKey;

/// What is known about a peer that wants to come in. What the link vouches for is there only on links of that kind.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// What the peer says about itself: at most 1024 bytes, empty when it says nothing. On links without encryption everybody on
    /// the way can read it, and repeat it later.
    pub token: Bytes,
    /// Who is at the other end of a Unix socket, as the operating system says.
    pub unix: Option<UnixPeer>,
    /// The certificates of a TLS client, in DER and its own first, which the link has verified; empty without any.
    pub certificates: Vec<Bytes>,
    /// The key that the peer has proven to have, on encrypted datagrams. The proof is fresh: it is good for the token that this
    /// server has just given to this address.
    pub key: Option<PublicKey>,
}

impl Credentials {
    /// Longest token in bytes.
    pub const MAX_TOKEN: usize = crate::wire::params::MAX_CREDENTIALS;
}

/// Tells no secrets.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("token", &format_args!("{} bytes", self.token.len()))
            .field("unix", &self.unix)
            .field("certificates", &self.certificates.len())
            .field("key", &self.key)
            .finish()
    }
}

/// A process at the other end of a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixPeer {
    /// Its number, where the system tells.
    pub pid: Option<i32>,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}
