//! What streams need to know beside their addresses.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use proto_core::{Address as _, Network};
use rustls::{ClientConfig, ServerConfig};

use crate::Path;

/// What streams need to know beside their addresses.
#[derive(Clone)]
pub struct LinkOptions {
    /// For listening on `tls` and `wss`: see [`tls::server`](super::tls::server).
    pub tls_server: Option<Arc<ServerConfig>>,
    /// For dialing them: see [`tls::client`](super::tls::client).
    pub tls_client: Option<Arc<ClientConfig>>,
    /// Longest record that is written, in bytes, at least 1200: what is of more importance waits for at most one.
    pub max_record: u16,
    /// How long a TCP connection is silent before the system asks whether the peer's machine is still there; `None`: never.
    pub keepalive: Option<Duration>,
    /// How long TLS and the upgrade to a web socket may take on an accepted stream.
    pub handshake_timeout: Duration,
    /// How long a dial may take altogether, the lookup of the name included.
    pub dial_timeout: Duration,
    /// How long a record may take to come, from its first byte to its last; then the stream is taken for dead.
    pub record_timeout: Duration,
    /// Pages of browsers that may open web sockets, as these call where they come from: scheme, host and port. Without any, all may.
    pub origins: Arc<[String]>,
    /// How many accepted streams may be at their handshakes: for another one the oldest is closed.
    pub max_handshakes: usize,
    /// How many of them may be of one network (a /24, a /56): others are closed at once. Loopback is none.
    pub max_handshakes_per_prefix: usize,
    /// Networks that are as good as loopback, beside those that the configuration exempts.
    pub exempt_networks: Vec<Network>,
}

impl LinkOptions {
    /// How many accepted streams of the network of `path` may be at their handshakes.
    pub(super) fn max_handshakes_of(&self, path: Path) -> usize {
        if path.is_of(&self.exempt_networks) { usize::MAX } else { self.max_handshakes_per_prefix }
    }
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self {
            tls_server: None,
            tls_client: None,
            max_record: 16 << 10,
            keepalive: Some(Duration::from_secs(30)),
            handshake_timeout: Duration::from_secs(10),
            dial_timeout: Duration::from_secs(10),
            record_timeout: Duration::from_secs(30),
            origins: Arc::default(),
            max_handshakes: 1024,
            max_handshakes_per_prefix: 128,
            exempt_networks: Vec::new(),
        }
    }
}

impl fmt::Debug for LinkOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkOptions")
            .field("tls_server", &self.tls_server.is_some())
            .field("tls_client", &self.tls_client.is_some())
            .field("max_record", &self.max_record)
            .field("keepalive", &self.keepalive)
            .field("handshake_timeout", &self.handshake_timeout)
            .field("dial_timeout", &self.dial_timeout)
            .field("record_timeout", &self.record_timeout)
            .field("origins", &self.origins)
            .field("max_handshakes", &self.max_handshakes)
            .field("max_handshakes_per_prefix", &self.max_handshakes_per_prefix)
            .field("exempt_networks", &self.exempt_networks)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::LinkOptions;
    use crate::{Path, Peer, Scheme};

    #[test]
    fn networks_of_many_clients_may_have_any_number_of_handshakes() {
        let exempt_networks = vec!["10.0.0.0/8".parse().expect("it is one")];
        let options = LinkOptions { exempt_networks, ..LinkOptions::default() };
        let of = |ip: [u8; 4]| {
            let peer = Peer::Stream(Scheme::Tls, SocketAddr::from((ip, 1)));
            options.max_handshakes_of(Path { socket: 0, peer })
        };
        assert_eq!((of([10, 1, 2, 3]), of([11, 1, 2, 3])), (usize::MAX, 128));
    }
}
