//! Proxies before the server, and for whom they ask.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyper::header::{FORWARDED, HeaderMap, HeaderName};
use proto_core::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Who asks, when a proxy says what nobody understands: all such are one.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Vec<Network>);

impl Proxies {
    pub(crate) fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Whether none is named.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(ip))
    }

    /// Who asks: `peer`, or for whom it does if it is believed. Everything before the last address that is not a proxy's may be made up.
    pub(super) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        if !self.has(peer.ip()) {
            return peer;
        }
        let name = if headers.contains_key(X_FORWARDED_FOR) { X_FORWARDED_FOR } else { FORWARDED };
        let is_forwarded = name == FORWARDED;
        let mut client = None;
        for line in headers.get_all(name).iter().rev() {
            for hop in line.to_str().unwrap_or("").rsplit(',') {
                let hop = if is_forwarded { asked_for(hop) } else { Some(hop.trim()) };
                let ip = hop.and_then(address).unwrap_or(NOBODY);
                client = Some(SocketAddr::new(ip, 0));
                if !self.has(ip) {
                    return SocketAddr::new(ip, 0);
                }
            }
        }
        client.unwrap_or(peer)
    }
}

/// The `for` of an element of `Forwarded` (RFC 7239).
fn asked_for(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(HeaderName, &str)]) -> String {
        let networks = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 9);
        Proxies::new(networks.into()).client(peer, &map).ip().to_string()
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_clients() {
        let x = |value| (X_FORWARDED_FOR, value);
        for (peer, headers, expected) in [
            ("10.1.2.3", vec![x("192.0.2.7")], "192.0.2.7"),
            ("10.1.2.3", vec![x("192.0.2.9, 192.0.2.7, 10.9.9.9,127.0.0.1")], "192.0.2.7"),
            ("10.1.2.3", vec![x("192.0.2.9"), x("192.0.2.7:5000")], "192.0.2.7"),
            ("2001:db8::1", vec![x("[2001:db9::7]:443")], "2001:db9::7"),
            ("10.1.2.3", vec![x("::ffff:192.0.2.7")], "192.0.2.7"),
            ("10.1.2.3", vec![x("10.0.0.8, 10.0.0.9")], "10.0.0.8"),
            ("10.1.2.3", vec![], "10.1.2.3"),
            ("192.0.2.1", vec![x("192.0.2.7")], "192.0.2.1"),
            ("127.0.0.2", vec![x("192.0.2.7")], "127.0.0.2"),
            ("10.1.2.3", vec![x("127.0.0.5, unknown")], "0.0.0.0"),
            ("10.1.2.3", vec![x("")], "0.0.0.0"),
            (
                "10.1.2.3",
                vec![(FORWARDED, "for=192.0.2.9, For=\"[2001:db9::7]:99\";proto=http")],
                "2001:db9::7",
            ),
            ("10.1.2.3", vec![(FORWARDED, "for=192.0.2.7;by=10.0.0.1, for=10.0.0.2")], "192.0.2.7"),
            ("10.1.2.3", vec![(FORWARDED, "for=_hidden")], "0.0.0.0"),
            ("10.1.2.3", vec![(FORWARDED, "for=192.0.2.9"), x("192.0.2.7")], "192.0.2.7"),
        ] {
            assert_eq!(client(peer, &headers), expected, "{peer} {headers:?}");
        }
    }
}
