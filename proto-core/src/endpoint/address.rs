//! What an endpoint must know about the addresses of its peers.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

/// An address of a peer.
pub trait Address: Copy + Ord + fmt::Debug + Send + Sync + 'static {
    /// Appends bytes that tell it from every other address; retry tokens are bound to them.
    fn token_bytes(&self, out: &mut Vec<u8>);

    /// What it shares with the other addresses of one network, for limits; `None` when none apply, as for loopback.
    fn prefix(&self) -> Option<u64>;

    /// Whether a stream leads there, which must be opened before anything can be said. No.
    fn is_stream(&self) -> bool {
        false
    }
}

impl Address for SocketAddr {
    fn token_bytes(&self, out: &mut Vec<u8>) {
        match self.ip() {
            IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
        }
        out.extend_from_slice(&self.port().to_be_bytes());
    }

    /// The /24 of an IPv4 address, the /56 of an IPv6 one.
    fn prefix(&self) -> Option<u64> {
        let ip = self.ip().to_canonical();
        match ip {
            _ if ip.is_loopback() => None,
            IpAddr::V4(ip) => Some(u64::from(u32::from(ip) >> 8)),
            IpAddr::V6(ip) => Some((u128::from(ip) >> 72) as u64 | 1 << 63),
        }
    }
}
