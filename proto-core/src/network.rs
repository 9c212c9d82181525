//! Networks, by how their addresses begin.

use alloc::string::{String, ToString as _};
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

/// Addresses that begin alike: `10.0.0.0/8`, `2001:db8::/32`, or one address. An IPv4 address that is written as one of IPv6 is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// Those that share the first `bits` with `first`; `None` when it has fewer.
    pub const fn new(first: IpAddr, bits: u8) -> Option<Self> {
        let width = if first.is_ipv4() { 32 } else { 128 };
        if bits <= width { Some(Self { first, bits }) } else { None }
    }

    /// Whether an address is one of them.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let beyond = |width: u8| u32::from(width - self.bits);
        match (self.first, ip.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => {
                (first.to_bits() ^ ip.to_bits()).checked_shr(beyond(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(ip)) => {
                (first.to_bits() ^ ip.to_bits()).checked_shr(beyond(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl From<IpAddr> for Network {
    fn from(ip: IpAddr) -> Self {
        let first = ip.to_canonical();
        Self { first, bits: if first.is_ipv4() { 32 } else { 128 } }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

/// What is no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotNetwork(String);

impl fmt::Display for NotNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no IP address or network, such as 10.0.0.7 or 10.0.0.0/8", self.0)
    }
}

impl core::error::Error for NotNetwork {}

impl FromStr for Network {
    type Err = NotNetwork;

    fn from_str(text: &str) -> Result<Self, NotNetwork> {
        let parsed = || match text.split_once('/') {
            None => text.parse::<IpAddr>().ok().map(Self::from),
            Some((ip, bits)) => Self::new(ip.parse().ok()?, bits.parse().ok()?),
        };
        parsed().ok_or_else(|| NotNetwork(text.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString as _;

    use super::Network;

    #[test]
    fn addresses_are_of_a_network_when_they_begin_alike() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3", "::ffff:10.1.2.3", "10.1.2.4"),
            ("::ffff:10.1.2.3", "10.1.2.3", "::1"),
            ("10.1.2.128/25", "10.1.2.200", "10.1.2.127"),
            ("0.0.0.0/0", "255.1.1.1", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("2001:db8::1/128", "2001:db8::1", "2001:db8::2"),
        ] {
            let parsed: Network = network.parse().expect(network);
            let contains = |ip: &str| parsed.contains(ip.parse().expect("it is sound"));
            assert!(contains(inside) && !contains(outside), "{network}");
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
    }

    #[test]
    fn what_is_no_network_is_shown() {
        for text in
            ["", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "localhost", "10.0.0.0/8/8"]
        {
            let error = text.parse::<Network>().expect_err(text);
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
