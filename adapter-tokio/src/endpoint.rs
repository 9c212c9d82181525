//! An endpoint on UDP sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use driver::{
    BACKLOG, ConnectError, Connecting, Connection, Counters, LINK, Path, Undecided, clock, config, seed,
};
use proto_core::{Close, ConfigBuilder, ConfigError, Stats};

use crate::udp::{self, Pump, Socket};

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The settings cannot work.
    #[error("the configuration cannot work: {0}")]
    Config(#[from] ConfigError),
    /// The socket cannot be had.
    #[error("cannot bind udp {address}: {error}")]
    Socket {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Seed(io::Error),
}

/// An endpoint on UDP sockets, run by a task of the present tokio runtime. Clones are handles of the same one.
///
/// When the last handle is dropped no connection is accepted any more; once those that exist are over, the task ends and the sockets
/// close. Dropping the runtime ends everything at once: await [`Endpoint::wait_idle`] before.
#[derive(Clone, Debug)]
pub struct Endpoint {
    inner: driver::Endpoint,
    pump: Arc<Pump>,
    addresses: Arc<[SocketAddr]>,
}

impl Endpoint {
    /// An endpoint that takes connections on `address`, and can also connect from there. Port 0 picks one that is free.
    ///
    /// # Panics
    /// When the present tokio runtime was built without I/O or time.
    pub fn bind(address: SocketAddr, builder: ConfigBuilder) -> Result<Self, BindError> {
        let socket = Socket::bind(address).map_err(|error| BindError::Socket { address, error })?;
        Self::new(vec![socket], builder, true)
    }

    /// An endpoint that only connects: over IPv4, and over IPv6 where the machine has it.
    ///
    /// # Panics
    /// When the present tokio runtime was built without I/O or time.
    pub fn client(builder: ConfigBuilder) -> Result<Self, BindError> {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let v4 = Socket::bind(address).map_err(|error| BindError::Socket { address, error })?;
        let v6 = Socket::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).ok();
        Self::new([Some(v4), v6].into_iter().flatten().collect(), builder, false)
    }

    fn new(sockets: Vec<Socket>, mut builder: ConfigBuilder, accept: bool) -> Result<Self, BindError> {
        builder.accept = accept;
        if builder.wall_epoch.is_zero() {
            builder.wall_epoch = clock::wall_epoch();
        }
        let settings = config(builder).build()?;
        let seed = seed().map_err(BindError::Seed)?;
        let machine = proto_core::Endpoint::new(settings, LINK, seed, clock::now().mono);
        let (inner, shared) = driver::Endpoint::new(machine, clock::now, BACKLOG);
        let addresses = sockets.iter().map(Socket::local_addr).collect();
        let pump = Arc::new(Pump::spawn(shared, sockets));
        Ok(Self { inner, pump, addresses })
    }

    /// Connects to `address`.
    pub async fn connect(&self, address: SocketAddr) -> Result<Connection, ConnectError> {
        self.dial(address)?.await
    }

    /// Connects to `address`, showing `credentials` to the server: at most 1024 bytes.
    pub async fn connect_with(
        &self,
        address: SocketAddr,
        credentials: &[u8],
    ) -> Result<Connection, ConnectError> {
        self.dial_with(address, credentials)?.await
    }

    /// Begins to connect to `address`; the attempts can be watched.
    pub fn dial(&self, address: SocketAddr) -> Result<Connecting, ConnectError> {
        self.dial_with(address, &[])
    }

    /// The same, showing `credentials` to the server: at most 1024 bytes.
    pub fn dial_with(&self, address: SocketAddr, credentials: &[u8]) -> Result<Connecting, ConnectError> {
        let reaches = |local: &SocketAddr| local.is_ipv4() == address.is_ipv4();
        let socket = self.addresses.iter().position(reaches).ok_or(ConnectError::NoSocket(address))?;
        self.inner.dial_with(Path { socket: socket as u16, peer: address }, credentials)
    }

    /// The next peer that wants to come in, when the configuration has
    /// [`admission`](proto_core::ConfigBuilder::admission): [`Undecided::admit`] or [`Undecided::refuse`] decides. `None` when the
    /// endpoint is closed, or takes none. Whom nobody decides about in time is refused.
    pub async fn undecided(&self) -> Option<Undecided> {
        self.inner.undecided().await
    }

    /// The next connection that a peer has made; `None` when the endpoint is closed, or takes none.
    pub async fn accept(&self) -> Option<Connection> {
        self.inner.accept().await
    }

    /// Begins to close every connection, and takes no new ones.
    pub fn close(&self, close: &Close) {
        self.inner.close(close);
    }

    /// Waits until every connection is over and has said its last words. To be awaited before a program ends, or its peers learn of
    /// that only by its silence.
    pub async fn wait_idle(&self) {
        self.inner.wait_idle().await;
    }

    /// The address of its first socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Totals of all connections, past and present. The work is proportional to the connections.
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    /// What the handles had to refuse or throw away.
    pub fn counters(&self) -> Counters {
        self.inner.counters()
    }

    /// What the sockets did.
    pub fn udp_stats(&self) -> udp::Stats {
        self.pump.stats()
    }
}
