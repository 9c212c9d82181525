//! What an endpoint must know about the addresses of its peers.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use crate::Network;

/// An address of a peer.
pub trait Address: Copy + Ord + fmt::Debug + Send + Sync + 'static {
    /// Appends bytes that tell it from every other address; retry tokens are bound to them.
    fn token_bytes(&self, out: &mut Vec<u8>);

    /// What it shares with the other addresses of one network, for limits; `None` when none apply, as for loopback.
    fn prefix(&self) -> Option<u64>;

    /// Its IP address, where it has one.
    fn ip(&self) -> Option<IpAddr> {
        None
    }

    /// Whether it is of one of these networks.
    fn is_of(&self, networks: &[Network]) -> bool {
        !networks.is_empty()
            && self.ip().is_some_and(|ip| networks.iter().any(|network| network.contains(ip)))
    }

    /// Whether `other` is the same host, perhaps at another port: what is known about the way there holds.
    fn is_same_host(&self, other: &Self) -> bool {
        self == other
    }

    /// Whether a client may move from here to `other`.
    fn may_become(&self, other: &Self) -> bool {
        let _ = other;
        true
    }

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

    fn ip(&self) -> Option<IpAddr> {
        Some(SocketAddr::ip(self).to_canonical())
    }

    fn is_same_host(&self, other: &Self) -> bool {
        SocketAddr::ip(self).to_canonical() == SocketAddr::ip(other).to_canonical()
    }

    fn may_become(&self, other: &Self) -> bool {
        let is_near = |address: &Self| match address.ip().to_canonical() {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
        };
        let ip = other.ip().to_canonical();
        let is_broadcast = ip == IpAddr::V4(core::net::Ipv4Addr::BROADCAST);
        let is_host = !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast && other.port() != 0;
        is_host && (is_near(self) || !is_near(other))
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
