//! The handle of an endpoint.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use proto_core::{Close, Drain, Now, Stats};

use crate::node::{Counters, Node};
use crate::{ConnectError, Connecting, Connection, Path, Shared, Undecided, udp, wait};

/// An endpoint. Clones are handles of the same one; when the last is dropped no connection is accepted any more, and once those that
/// exist are over, the I/O task ends.
#[derive(Clone, Debug)]
pub struct Endpoint(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    shared: Shared<Node>,
    /// Of its UDP sockets.
    counters: Arc<udp::Counters>,
    addresses: Vec<SocketAddr>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.with(|node, now, wakes| (node.disown(now, wakes), true));
    }
}

impl Endpoint {
    /// The handle, and what an I/O task must run, for a machine of the caller's on sockets of the caller's. At most `max_backlog`
    /// connections wait to be accepted; those that find no room are told to come back later, and counted.
    pub fn new(
        endpoint: proto_core::Endpoint<Path>,
        clock: fn() -> Now,
        max_backlog: usize,
    ) -> (Self, Shared<Node>) {
        let shared = Shared::new(Node::new(endpoint, max_backlog), clock);
        (Self::on_sockets(shared.clone(), Arc::default(), Vec::new()), shared)
    }

    /// A handle of the endpoint in `shared`, which an I/O task runs on sockets with these counters and addresses.
    pub(crate) fn on_sockets(
        shared: Shared<Node>,
        counters: Arc<udp::Counters>,
        addresses: Vec<SocketAddr>,
    ) -> Self {
        Self(Arc::new(Owner { shared, counters, addresses }))
    }

    fn shared(&self) -> &Shared<Node> {
        &self.0.shared
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
        let socket = self.0.addresses.iter().position(reaches).ok_or(ConnectError::NoSocket(address))?;
        self.dial_path(Path { socket: socket as u16, peer: address }, credentials)
    }

    /// The same by the socket's number.
    pub fn dial_path(&self, path: Path, credentials: &[u8]) -> Result<Connecting, ConnectError> {
        let id = self.shared().command(|node, now| node.connect(now, path, credentials))?;
        Ok(Connecting::new(Connection::new(self.shared().clone(), id, path.peer)))
    }

    /// The next connection that a peer has made; `None` when the endpoint is closed, or takes none.
    pub async fn accept(&self) -> Option<Connection> {
        let accepted = wait::until(self.shared(), |node, _| node.accept()).await;
        accepted.map(|(id, peer)| Connection::new(self.shared().clone(), id, peer))
    }

    /// The next peer that wants to come in, when the configuration has
    /// [`admission`](proto_core::ConfigBuilder::admission): [`Undecided::admit`] or [`Undecided::refuse`] decides. `None` when the
    /// endpoint is closed, or takes none. Whom nobody decides about in time is refused.
    pub async fn undecided(&self) -> Option<Undecided> {
        let undecided = wait::until(self.shared(), |node, _| node.undecided()).await;
        undecided.map(|peer| Undecided::new(self.shared().clone(), peer))
    }

    /// Begins to close every connection, and takes no new ones.
    pub fn close(&self, close: &Close) {
        self.shared().with(|node, now, wakes| (node.close_all(now, close, wakes), true));
    }

    /// Goes away in good order: each peer that has connected here is told, and its connection closes once both sides have finished
    /// what they had begun, at the latest after `how.timeout`. Newcomers are told to come back. [`Self::wait_idle`] waits for the
    /// end.
    pub fn drain(&self, how: Drain) {
        self.shared().with(|node, now, wakes| (node.drain(now, how, wakes), true));
    }

    /// Waits until every connection is over and has said its last words. To be awaited before a program ends, or its peers learn of
    /// that only by its silence.
    pub async fn wait_idle(&self) {
        wait::until(self.shared(), |node, _| node.wait_idle()).await;
    }

    /// Totals of all connections, past and present. The work is proportional to the connections.
    pub fn stats(&self) -> Stats {
        self.shared().inspect(Node::stats)
    }

    /// What the handles had to refuse or throw away.
    pub fn counters(&self) -> Counters {
        self.shared().inspect(Node::counters)
    }

    /// The address of its first socket; port 0 when it has none.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.addresses.first().copied().unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// What the sockets did.
    pub fn udp_stats(&self) -> udp::Stats {
        self.0.counters.get()
    }
}
