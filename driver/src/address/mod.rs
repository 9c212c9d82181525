//! Where a peer is, as people write it: `scheme://host:port/path`.

mod error;
mod host;
#[cfg(test)]
mod tests;
mod unix;

use std::fmt;
use std::net::{SocketAddr, SocketAddrV6};
use std::str::FromStr;

pub use error::AddressError;
pub use host::Host;
pub use unix::UnixName;

/// A kind of link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// A Unix socket.
    Uds,
    /// WebSocket over TCP.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 6] = [Self::Udp, Self::Tcp, Self::Tls, Self::Uds, Self::Ws, Self::Wss];

    /// What stands before `://`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Uds => "uds",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// The port when none is written: the web's for WebSocket, and our own for the others. A Unix socket has none.
    pub const fn default_port(self) -> Option<u16> {
        match self {
            Self::Udp | Self::Tcp => Some(4100),
            Self::Tls => Some(4101),
            Self::Ws => Some(80),
            Self::Wss => Some(443),
            Self::Uds => None,
        }
    }

    const fn has_path(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A place to listen at or to connect to.
///
/// | text | meaning |
/// | --- | --- |
/// | `udp://host:port`, `tcp://host:port`, `tls://host:port` | ports 4100, 4100 and 4101 when none is written |
/// | `ws://host:port/path`, `wss://host:port/path` | ports 80 and 443, and the path `/`; a query belongs to the path |
/// | `uds:///absolute/path`, `uds://relative/path` | a Unix socket in the file system; the path stands as it is |
/// | `uds://@name` | a Unix socket of Linux that has a name and no file |
///
/// A host is a DNS name, an IPv4 address, or an IPv6 address in brackets, with its zone if it needs one (`[fe80::1%eth0]`). Port 0 is
/// for listening: any that is free. Who listens at a path other than `/` serves no other. Schemes may be written in
/// capitals; what is shown is always the same and reads back as equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Place);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Place {
    Net { scheme: Scheme, host: Host, port: u16, path: String },
    Unix(UnixName),
}

impl Address {
    /// Reads an address of kind `scheme`, with or without the scheme before it.
    pub fn with_scheme(scheme: Scheme, text: &str) -> Result<Self, AddressError> {
        match text.split_once("://") {
            Some((other, rest)) if other.eq_ignore_ascii_case(scheme.name()) => parse(scheme, rest),
            Some((other, _)) => Err(AddressError::OtherScheme { expected: scheme, found: other.to_owned() }),
            None => parse(scheme, text),
        }
    }

    /// The kind of link.
    pub const fn scheme(&self) -> Scheme {
        match &self.0 {
            Place::Net { scheme, .. } => *scheme,
            Place::Unix(_) => Scheme::Uds,
        }
    }

    /// The host; `None` for a Unix socket.
    pub const fn host(&self) -> Option<&Host> {
        match &self.0 {
            Place::Net { host, .. } => Some(host),
            Place::Unix(_) => None,
        }
    }

    /// The port; `None` for a Unix socket.
    pub const fn port(&self) -> Option<u16> {
        match &self.0 {
            Place::Net { port, .. } => Some(*port),
            Place::Unix(_) => None,
        }
    }

    /// The path that a WebSocket is asked for, with its query: `/` at least.
    pub fn path(&self) -> Option<&str> {
        match &self.0 {
            Place::Net { scheme, path, .. } if scheme.has_path() => Some(path),
            _ => None,
        }
    }

    /// The name of a Unix socket.
    pub const fn unix(&self) -> Option<&UnixName> {
        match &self.0 {
            Place::Net { .. } => None,
            Place::Unix(name) => Some(name),
        }
    }

    /// The IP address and port, where they are written and no name has to be looked up, that of a zone neither.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Place::Net { host: Host::V6Zone(ip, zone), port, .. } => {
                let zone = zone.parse().ok()?;
                Some(SocketAddrV6::new(*ip, *port, 0, zone).into())
            }
            Place::Net { host, port, .. } => host.ip().map(|ip| SocketAddr::new(ip, *port)),
            Place::Unix(_) => None,
        }
    }

    /// The same with another IP address and port, for a Unix socket the same.
    #[must_use]
    pub fn at(&self, place: SocketAddr) -> Self {
        match &self.0 {
            Place::Net { scheme, path, .. } => Self(Place::Net {
                scheme: *scheme,
                host: Host::from(place),
                port: place.port(),
                path: path.clone(),
            }),
            Place::Unix(_) => self.clone(),
        }
    }

    /// The same, if it can be connected to: port 0 cannot.
    pub fn for_dialing(self) -> Result<Self, AddressError> {
        match self.port() {
            Some(0) => Err(AddressError::PortZero),
            _ => Ok(self),
        }
    }
}

impl From<SocketAddr> for Address {
    /// A UDP address.
    fn from(place: SocketAddr) -> Self {
        let (host, port) = (Host::from(place), place.port());
        Self(Place::Net { scheme: Scheme::Udp, host, port, path: String::new() })
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (name, rest) = text.split_once("://").ok_or_else(|| AddressError::NoScheme(text.to_owned()))?;
        let scheme = Scheme::ALL.into_iter().find(|scheme| name.eq_ignore_ascii_case(scheme.name()));
        parse(scheme.ok_or_else(|| AddressError::Scheme(name.to_owned()))?, rest)
    }
}

/// What stands behind `scheme://`.
fn parse(scheme: Scheme, rest: &str) -> Result<Address, AddressError> {
    if scheme == Scheme::Uds {
        return rest.parse().map(|name| Address(Place::Unix(name)));
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(AddressError::User);
    }
    let (host, port) = host::split(authority)?;
    let port = match port {
        None => scheme.default_port().unwrap_or_default(),
        Some(digits) => parse_port(digits)?,
    };
    Ok(Address(Place::Net { scheme, host, port, path: parse_path(scheme, path)? }))
}

fn parse_port(digits: &str) -> Result<u16, AddressError> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = is_number.then(|| digits.parse().ok()).flatten();
    port.ok_or_else(|| AddressError::Port(digits.to_owned()))
}

fn parse_path(scheme: Scheme, path: &str) -> Result<String, AddressError> {
    if !scheme.has_path() {
        return match path {
            "" | "/" => Ok(String::new()),
            path => Err(AddressError::Path { scheme, path: path.to_owned() }),
        };
    }
    let is_legal = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte));
    if !is_legal {
        return Err(AddressError::PathCharacter(path.to_owned()));
    }
    Ok(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Net { scheme, host, port, path } => {
                let path = if path == "/" { "" } else { path };
                write!(f, "{scheme}://{host}:{port}{path}")
            }
            Place::Unix(name) => write!(f, "uds://{name}"),
        }
    }
}
