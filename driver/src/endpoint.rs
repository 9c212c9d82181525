//! The handle of an endpoint.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use std::{fmt, io};

use proto_core::{Close, Config, Drain, Now, Stats};

use crate::flight::{Birth, Flight, RecordOptions, Tape};
use crate::link::{self, Places};
use crate::node::{Counters, Node, Topic};
use crate::wait::Attempt;
use crate::{
    Address, ConnectError, Connecting, Connection, End, LINK, Lookup, Path, Scheme, Shared, Undecided, udp,
    wait,
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

/// How long a name is waited for while there is something else to try.
const LOOKUP_PATIENCE: Duration = Duration::from_millis(250);

/// What a lookup has found.
type Found = io::Result<Vec<SocketAddr>>;

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
    /// It encrypts datagrams.
    pub(crate) encrypts: bool,
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
        let now = clock();
        let tape = Tape::new(record, config, &Birth { seed, server_key: None, generation: 0 }, now)?;
        let endpoint = proto_core::Endpoint::new(Arc::clone(config), LINK, seed, now.mono);
        let shared = Shared::new(Node::new(Flight::new(endpoint).on(Some(tape)), max_backlog), clock);
        Ok((Self::on_ports(vec![shared.clone()], Known::default()), shared))
    }

    /// A handle of the endpoint in `shards`, each of which an I/O task runs.
    pub(crate) fn on_ports(shards: Vec<Shared<Node>>, known: Known) -> Self {
        Self(Arc::new(Owner { shards: shards.into(), next: AtomicUsize::new(0), known }))
    }

    fn shards(&self) -> &[Shared<Node>] {
        &self.0.shards
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

    /// Connects to a server that has several addresses, the preferred one first; at most eight are tried. Each is tried when those
    /// before it have failed or have not answered for a moment, and the first that works is kept.
    pub async fn connect_to(&self, addresses: &[Address]) -> Result<Connection, ConnectError> {
        self.connect_to_with(addresses, &[]).await
    }

    /// The same, showing `credentials` to the server: at most 1024 bytes.
    pub async fn connect_to_with(
        &self,
        addresses: &[Address],
        credentials: &[u8],
    ) -> Result<Connection, ConnectError> {
        self.dial_to(&self.look_up(addresses).await?, credentials)?.await
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
        let path = |address: &Address| match (address.scheme(), address.socket_addr()) {
            (Scheme::Udp, Some(at)) => self.udp_path(at),
            (Scheme::Udp, None) => Err(ConnectError::Unresolved(address.clone())),
            (Scheme::Tcp | Scheme::Ws, _) if self.0.known.encrypts => {
                Err(ConnectError::NotEncrypted(address.clone()))
            }
            _ => self.0.known.places.path(address.clone()).ok_or(ConnectError::TooManyAddresses),
        };
        let (mut paths, mut refused) = (Vec::new(), None);
        for known in addresses.iter().map(path) {
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

    /// The same addresses with the names of UDP addresses looked up, all at once, which takes at most 8 s, and no longer than 250 ms
    /// where there is anything else to try. A name becomes the first of
    /// its addresses that a socket can reach, those of IPv4 before others; the rest are tried after everything else, so that blocked
    /// UDP costs the time of one way and not of each. A name without an address is left out, as long as there is anything else to try.
    /// The names of streams are looked up each time that they are dialed.
    pub async fn look_up(&self, addresses: &[Address]) -> Result<Vec<Address>, ConnectError> {
        let lookup = |address: &Address| {
            let is_known = address.scheme() != Scheme::Udp || address.socket_addr().is_some();
            let (host, port) = (address.host()?, address.port()?);
            let resolver = self.0.known.resolver.as_ref().filter(|_| !is_known)?;
            Some((resolver.0)(host.to_lookup(), port))
        };
        let mut looked_up = self.join_all(addresses.iter().map(lookup).collect()).await;
        let (mut found, mut others, mut failed) = (Vec::new(), Vec::new(), None);
        for (address, looked_up) in addresses.iter().zip(&mut looked_up) {
            let Some(looked_up) = looked_up.take() else {
                found.push(address.clone());
                continue;
            };
            let mut why = "none that can be reached".to_owned();
            let mut places = looked_up.unwrap_or_else(|error| {
                why = error.to_string();
                Vec::new()
            });
            places.retain(|&place| self.udp_path(place).is_ok());
            places.sort_by_key(SocketAddr::is_ipv6);
            places.dedup();
            if places.is_empty() {
                failed = Some(ConnectError::LookUp(address.clone(), why));
            }
            let mut places = places.into_iter().map(|place| address.at(place));
            found.extend(places.next());
            others.extend(places);
        }
        found.append(&mut others);
        failed.filter(|_| found.is_empty()).map_or(Ok(found), Err)
    }

    /// The results of all lookups, which go on together. Where one is `None`, or has found something, the others have not much time
    /// left.
    async fn join_all(&self, mut lookups: Vec<Option<Lookup>>) -> Vec<Option<Found>> {
        let shard = &self.shards()[0];
        let mut found: Vec<Option<Found>> = lookups.iter().map(|_| None).collect();
        let mut can_go_on = lookups.iter().any(Option::is_none);
        let mut patience = None;
        poll_fn(|cx| {
            for (lookup, found) in lookups.iter_mut().zip(&mut found) {
                if let Some(Poll::Ready(places)) = lookup.as_mut().map(|lookup| lookup.as_mut().poll(cx)) {
                    can_go_on |= places.as_ref().is_ok_and(|places| !places.is_empty());
                    *found = Some(places);
                    *lookup = None;
                }
            }
            if lookups.iter().all(Option::is_none) {
                return Poll::Ready(());
            }
            if !can_go_on {
                return Poll::Pending;
            }
            let patience = patience.get_or_insert_with(|| {
                let until = shard.now().mono + LOOKUP_PATIENCE;
                wait::until(shard, move |_, now| {
                    if until <= now.mono {
                        Attempt::Look(())
                    } else {
                        Attempt::Wait(Topic::Time, Some(until))
                    }
                })
            });
            Pin::new(patience).poll(cx)
        })
        .await;
        let late = || Err(io::Error::new(io::ErrorKind::TimedOut, "it takes longer than to try the others"));
        let with = |(lookup, found): (Option<Lookup>, Option<Found>)| lookup.map_or(found, |_| Some(late()));
        lookups.into_iter().zip(found).map(with).collect()
    }

    fn udp_path(&self, address: SocketAddr) -> Result<Path, ConnectError> {
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
    /// what they had begun, at the latest after `how.timeout`. Newcomers are told to come back. [`Self::wait_idle`] waits for the
    /// end.
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
