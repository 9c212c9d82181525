//! Hosts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::AddressError;

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A DNS name, in lower case.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// An IPv6 address that means something in one zone only, and the zone: a number, or an interface's name.
    V6Zone(Ipv6Addr, String),
}

impl Host {
    /// The address, where it is one in every zone.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::V4(ip) => Some(IpAddr::V4(*ip)),
            Self::V6(ip) => Some(IpAddr::V6(*ip)),
            Self::Name(_) | Self::V6Zone(..) => None,
        }
    }

    /// What a resolver is asked for: without brackets.
    pub fn to_lookup(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::V4(ip) => ip.to_string(),
            Self::V6(ip) => ip.to_string(),
            Self::V6Zone(ip, zone) => format!("{ip}%{zone}"),
        }
    }
}

impl From<SocketAddr> for Host {
    fn from(place: SocketAddr) -> Self {
        match place {
            SocketAddr::V4(place) => Self::V4(*place.ip()),
            SocketAddr::V6(place) if place.scope_id() != 0 => {
                Self::V6Zone(*place.ip(), place.scope_id().to_string())
            }
            SocketAddr::V6(place) => Self::V6(*place.ip()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(_) | Self::V4(_) => f.write_str(&self.to_lookup()),
            Self::V6(_) | Self::V6Zone(..) => write!(f, "[{}]", self.to_lookup()),
        }
    }
}

/// The host, and the port if there is one.
pub(super) fn split(authority: &str) -> Result<(Host, Option<&str>), AddressError> {
    let wrong = || AddressError::Host(authority.to_owned());
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
        let host = v6(host).ok_or_else(|| AddressError::Host(host.to_owned()))?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(wrong()),
        };
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    if port.is_some_and(|port| port.contains(':')) {
        return Err(wrong());
    }
    let host = name_or_v4(host).ok_or_else(|| AddressError::Host(host.to_owned()))?;
    Ok((host, port))
}

fn v6(text: &str) -> Option<Host> {
    let Some((ip, zone)) = text.split_once('%') else { return text.parse().ok().map(Host::V6) };
    let is_zone = !zone.is_empty()
        && zone.len() <= 64
        && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~:@".contains(&byte));
    is_zone.then(|| ip.parse().ok().map(|ip| Host::V6Zone(ip, zone.to_owned())))?
}

/// An IPv4 address, or a name of labels of letters, digits, hyphens and underscores. A last label of digits would be taken for a
/// part of an address by most resolvers.
fn name_or_v4(text: &str) -> Option<Host> {
    if let Ok(ip) = text.parse() {
        return Some(Host::V4(ip));
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels = text.strip_suffix('.').unwrap_or(text);
    let last = labels.rsplit('.').next().unwrap_or_default();
    let is_name = labels.len() <= 253
        && !last.bytes().all(|byte| byte.is_ascii_digit())
        && labels.split('.').all(is_label);
    is_name.then(|| Host::Name(text.to_ascii_lowercase()))
}
