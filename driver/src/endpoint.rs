//! The handle of an endpoint.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fmt, io};

use proto_core::{Close, Config, Drain, Now, Stats};

use crate::flight::{Birth, Flight, RecordOptions};
use crate::link::{self, Places};
use crate::node::{Counters, Node};
use crate::open::machine;
use crate::{
    Address, ConnectError, Connecting, Connection, End, Lookup, Path, Scheme, Shared, Undecided, udp, wait,
};

/// An endpoint. Clones are handles of the same one; when the last is dropped no connection is accepted any more, and once those that
/// exist are over, the I/O task ends.
#[derive(Clone, Debug)]
pub struct Endpoint(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    shards: Box<[Shared<Node>]>,
    /// The shard that is asked first next time.
    next: AtomicUsize,
    known: Known,
}

/// Looks up names.
pub(crate) struct Resolver(pub(crate) Box<dyn Fn(String, u16) -> Lookup + Send + Sync>);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// What an I/O task has, and its endpoint's handle must know.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) udp: Vec<Arc<udp::Counters>>,
    pub(crate) links: Vec<Arc<link::Counters>>,
    pub(crate) places: Arc<Places>,
    pub(crate) resolver: Option<Resolver>,
    /// The addresses of its UDP sockets, the same in each shard but for those that it connects from.
    pub(crate) sockets: Vec<SocketAddr>,
    /// The first of them that it connects from.
    pub(crate) dials_from: usize,
    /// Where it listens.
    pub(crate) addresses: Vec<Address>,
    /// It encrypts datagrams, and may not go where that is not possible.
    pub(crate) refuses_plain: bool,
}

impl Drop for Owner {
    fn drop(&mut self) {
        for shard in &self.shards {
            shard.with(|node, now, wakes| (node.disown(now, wakes), true));
        }
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
        let shared = Shared::new(Node::new(Flight::new(endpoint), max_backlog), clock);
        (Self::on_ports(vec![shared.clone()], Known::default()), shared)
    }

    /// The same for a machine that is made here, with `config` and `seed`, and all that it is told is recorded.
    ///
    /// # Errors
    /// If the file of the recording cannot be made.
    pub fn recorded(
        config: &Arc<Config>,
        seed: [u8; 32],
        clock: fn() -> Now,
        max_backlog: usize,
        record: &RecordOptions,
    ) -> io::Result<(Self, Shared<Node>)> {
        let birth = Birth { seed, server_key: None, generation: 0 };
        let shared = machine(Arc::clone(config), clock, &birth, Some(record), max_backlog)?;
        Ok((Self::on_ports(vec![shared.clone()], Known::default()), shared))
    }

    /// A handle of the endpoint in `shards`, each of which an I/O task runs.
    pub(crate) fn on_ports(shards: Vec<Shared<Node>>, known: Known) -> Self {
        Self(Arc::new(Owner { shards: shards.into(), next: AtomicUsize::new(0), known }))
    }

    /// There is at least one.
    pub(crate) fn shards(&self) -> &[Shared<Node>] {
        &self.0.shards
    }

    /// What names are looked up by, if they are.
    pub(crate) fn resolver(&self) -> Option<&(dyn Fn(String, u16) -> Lookup + Send + Sync)> {
        self.0.known.resolver.as_ref().map(|resolver| &*resolver.0)
    }

    /// How many shards it has.
    pub fn shard_count(&self) -> usize {
        self.shards().len()
    }

    /// The number of the shard that is asked first this time.
    fn first(&self) -> usize {
        match self.shards().len() {
            1 => 0,
            shards => self.0.next.fetch_add(1, Ordering::Relaxed) % shards,
        }
    }

    /// Connects to a UDP address.
    pub async fn connect(&self, address: SocketAddr) -> Result<Connection, ConnectError> {
        self.dial(address)?.await
    }

    /// Connects to a UDP address, showing `credentials` to the server: at most 1024 bytes.
    pub async fn connect_with(
        &self,
        address: SocketAddr,
        credentials: &[u8],
    ) -> Result<Connection, ConnectError> {
        self.dial_with(address, credentials)?.await
    }

    /// Begins to connect to a UDP address; the attempts can be watched.
    pub fn dial(&self, address: SocketAddr) -> Result<Connecting, ConnectError> {
        self.dial_with(address, &[])
    }

    /// The same, showing `credentials` to the server: at most 1024 bytes.
    pub fn dial_with(&self, address: SocketAddr, credentials: &[u8]) -> Result<Connecting, ConnectError> {
        self.dial_path(self.udp_path(address)?, credentials)
    }

    /// Begins to connect as [`Self::connect_to_with`] does. The hosts of UDP addresses must be IP addresses: see [`Self::look_up`].
    /// Addresses that this endpoint cannot or may not reach (it has no such socket, or encrypts and they would not) are left out, as
    /// long as there is another; otherwise the error is that of the first.
    pub fn dial_to(&self, addresses: &[Address], credentials: &[u8]) -> Result<Connecting, ConnectError> {
        let (mut paths, mut refused) = (Vec::new(), None);
        for known in addresses.iter().map(|address| self.path(address)) {
            match known {
                Ok(path) => paths.push(path),
                Err(error) => _ = refused.get_or_insert(error),
            }
        }
        match refused {
            Some(error) if paths.is_empty() => Err(error),
            _ => self.dial_paths(&paths, credentials),
        }
    }

    /// The path to an address, if this endpoint can and may go there.
    pub(crate) fn path(&self, address: &Address) -> Result<Path, ConnectError> {
        match (address.scheme(), address.socket_addr()) {
            _ if address.port() == Some(0) => Err(ConnectError::PortZero(address.clone())),
            (Scheme::Udp, Some(at)) => self.udp_path(at),
            (Scheme::Udp, None) => Err(ConnectError::Unresolved(address.clone())),
            (Scheme::Tcp | Scheme::Ws, _) if self.0.known.refuses_plain => {
                Err(ConnectError::NotEncrypted(address.clone()))
            }
            _ => self.0.known.places.path(address.clone()).ok_or(ConnectError::TooManyAddresses),
        }
    }

    pub(crate) fn udp_path(&self, address: SocketAddr) -> Result<Path, ConnectError> {
        if address.port() == 0 {
            return Err(ConnectError::PortZero(address.into()));
        }
        let reaches = |local: &SocketAddr| local.is_ipv4() == address.is_ipv4();
        let Known { sockets, dials_from, .. } = &self.0.known;
        let socket = sockets.iter().skip(*dials_from).position(reaches);
        let socket = dials_from + socket.ok_or(ConnectError::NoSocket(address))?;
        Ok(Path { socket: socket as u16, peer: address.into() })
    }

    /// Begins to connect to a UDP address through a socket of the caller's choice.
    pub fn dial_path(&self, path: Path, credentials: &[u8]) -> Result<Connecting, ConnectError> {
        self.dial_paths(&[path], credentials)
    }

    fn dial_paths(&self, paths: &[Path], credentials: &[u8]) -> Result<Connecting, ConnectError> {
        let shard = &self.shards()[self.first()];
        let id = shard.command(|node, now| node.connect(now, paths, credentials))?;
        let peer = paths.first().map_or_else(|| unspecified().into(), |path| path.peer);
        Ok(Connecting::new(Connection::new(shard.clone(), id, peer)))
    }

    /// The next connection that a peer has made; `None` when the endpoint is closed, or takes none.
    pub async fn accept(&self) -> Option<Connection> {
        let accepted = wait::any(self.shards(), self.first(), |node, _| node.accept()).await;
        accepted.map(|(shard, (id, peer))| Connection::new(shard, id, peer))
    }

    /// The next peer that wants to come in, when the configuration has
    /// [`admission`](proto_core::ConfigBuilder::admission): [`Undecided::admit`] or [`Undecided::refuse`] decides. `None` when the
    /// endpoint is closed, or takes none. Whom nobody decides about in time is refused.
    pub async fn undecided(&self) -> Option<Undecided> {
        let undecided = wait::any(self.shards(), self.first(), |node, _| node.undecided()).await;
        undecided.map(|(shard, peer)| Undecided::new(shard, peer))
    }

    /// Begins to close every connection, and takes no new ones.
    pub fn close(&self, close: &Close) {
        for shard in self.shards() {
            shard.with(|node, now, wakes| (node.close_all(now, close, wakes), true));
        }
    }

    /// Goes away in good order: each peer that has connected here is told, and its connection closes once both sides have finished
    /// what they had begun, at the latest after `how.timeout`. Newcomers are told to come back. [`Self::accept`] gives those who were
    /// connecting, until all are gone; [`Self::wait_idle`] waits for the end.
    pub fn drain(&self, how: Drain) {
        let [first, others @ ..] = self.shards() else { return };
        for shard in others {
            shard.with(|node, now, wakes| (node.drain(now, how.clone(), wakes), true));
        }
        first.with(|node, now, wakes| (node.drain(now, how, wakes), true));
    }

    /// Waits until every connection is over and has said its last words. To be awaited before a program ends, or its peers learn of
    /// that only by its silence.
    pub async fn wait_idle(&self) {
        for shard in self.shards() {
            wait::until(shard, |node, _| node.wait_idle()).await;
        }
    }

    /// How its I/O has ended, if it has, or that of one of its shards; by a panic rather than otherwise. What waits then and what is
    /// called later does not wait: there is nobody to accept, and connections have ended with
    /// [`CloseReason::Ended`](proto_core::CloseReason::Ended).
    pub fn ended(&self) -> Option<End> {
        let ends = self.shards().iter().filter_map(|shard| shard.inspect(Node::ended));
        ends.max_by_key(|end| *end == End::Panicked)
    }

    /// Why the recording that was asked for has ended, or that of one of its shards, if it has: see
    /// [`RecordOptions`](crate::RecordOptions).
    pub fn recording_ended(&self) -> Option<String> {
        self.shards().iter().find_map(|shard| shard.inspect(Node::recording_ended))
    }

    /// Totals of all connections, past and present. The work is proportional to the connections.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.shards().iter().for_each(|shard| stats += &shard.inspect(Node::stats));
        stats
    }

    /// What the handles had to refuse or throw away.
    pub fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        self.shards().iter().for_each(|shard| counters += shard.inspect(Node::counters));
        counters
    }

    /// The address of its first UDP socket; port 0 when it has none.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.known.sockets.first().copied().unwrap_or_else(unspecified)
    }

    /// Where it listens, in the order that was asked for, with the ports that were picked.
    pub fn addresses(&self) -> &[Address] {
        &self.0.known.addresses
    }

    /// What the UDP sockets did.
    pub fn udp_stats(&self) -> udp::Stats {
        let mut stats = udp::Stats::default();
        self.0.known.udp.iter().for_each(|counters| stats += counters.get());
        stats
    }

    /// What the streams did.
    pub fn link_stats(&self) -> link::Stats {
        let mut stats = link::Stats::default();
        self.0.known.links.iter().for_each(|counters| stats += counters.get());
        stats
    }
}

fn unspecified() -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, 0).into()
}
