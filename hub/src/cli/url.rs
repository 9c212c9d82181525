//! Where a server is: `udp://HOST[:PORT]`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The port when a URL names none.
const DEFAULT_PORT: u16 = 4100;

/// A server's address as a user writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    /// A DNS name, or an IP address without brackets.
    host: String,
    port: u16,
}

/// Which part of a URL is wrong, and what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    /// There is no `://`.
    #[error("the scheme is missing: write udp://{0}")]
    NoScheme(String),
    /// A scheme that this version does not speak.
    #[error("the scheme {0:?} is unknown: only udp is supported")]
    Scheme(String),
    /// Something before an `@`.
    #[error("the part before '@' is not supported: there are no users or passwords")]
    User,
    /// Something behind the port.
    #[error("the part {0:?} is not supported: an address ends after the port")]
    Path(String),
    /// Not a DNS name or IP address.
    #[error("the host {0:?} is neither a DNS name nor an IP address (an IPv6 address stands in [brackets])")]
    Host(String),
    /// Not a port.
    #[error("the port {0:?} is not a number from 1 to 65535")]
    Port(String),
}

impl ServerUrl {
    /// A DNS name or an IP address.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| UrlError::NoScheme(text.to_owned()))?;
        if !scheme.eq_ignore_ascii_case("udp") {
            return Err(UrlError::Scheme(scheme.to_owned()));
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !matches!(path, "" | "/") {
            return Err(UrlError::Path(path.to_owned()));
        }
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        let (host, port) = split(authority)?;
        let port = match port.map(|port| (port, port.parse())) {
            None => DEFAULT_PORT,
            Some((digits, Ok(port))) if port != 0 && digits.bytes().all(|byte| byte.is_ascii_digit()) => port,
            Some((digits, _)) => return Err(UrlError::Port(digits.to_owned())),
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

/// The host without brackets, and the port if there is one.
fn split(authority: &str) -> Result<(&str, Option<&str>), UrlError> {
    let wrong = || UrlError::Host(authority.to_owned());
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
        host.parse::<Ipv6Addr>().map_err(|_| UrlError::Host(host.to_owned()))?;
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
    if is_host(host) { Ok((host, port)) } else { Err(UrlError::Host(host.to_owned())) }
}

/// An IPv4 address, or a name of labels of letters, digits, hyphens and underscores. A last label of digits would be taken for a
/// part of an address by most resolvers.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels = host.strip_suffix('.').unwrap_or(host);
    let numeric =
        labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    host.parse::<IpAddr>().is_ok() || (host.len() <= 253 && !numeric && labels.split('.').all(is_label))
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "udp://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "udp://{}:{}", self.host, self.port)
        }
    }
}
