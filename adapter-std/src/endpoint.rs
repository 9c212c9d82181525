//! An endpoint on threads.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use driver::{
    Address, BindError, ConnectError, Counters, End, LinkOptions, Node, RecordOptions, Task, Undecided, link,
    udp,
};
use proto_core::{Close, ConfigBuilder, Drain, Shard, Stats};

use crate::block::{at_once, block, wait};
use crate::engine::Engine;
use crate::runtime::Reactor;
use crate::{Connecting, Connection, Error, TimedOut};

/// The handle of an endpoint, and what is to be run for it.
type Opened = (driver::Endpoint, Vec<Task<Node, Reactor>>);

/// How an endpoint is run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The protocol's settings.
    pub config: ConfigBuilder,
    /// Those of its streams.
    pub links: LinkOptions,
    /// May connect to streams in the clear although it encrypts datagrams: see [`driver::Options::plain_streams`]. `false`.
    pub plain_streams: bool,
    /// Threads that wait do the endpoint's I/O themselves, and ask the sockets over and over instead of sleeping: the shortest latency, for
    /// a processor that does nothing else. While none waits, the endpoint's own thread does it as ever, a millisecond later at most.
    pub busy_poll: bool,
    /// Over how many shards an endpoint that listens spreads its connections, each with a thread of its own: see
    /// [`driver::Options::shards`]. 1.
    pub shards: NonZeroU8,
    /// Records all that the endpoint is told: see [`RecordOptions`]. `None`.
    pub record: Option<RecordOptions>,
}

impl Default for Options {
    fn default() -> Self {
        ConfigBuilder::default().into()
    }
}

impl Options {
    /// The same, polled busily or not.
    #[must_use]
    pub fn busy_poll(self, busy_poll: bool) -> Self {
        Self { busy_poll, ..self }
    }

    /// The same in so many shards.
    #[must_use]
    pub fn shards(self, shards: NonZeroU8) -> Self {
        Self { shards, ..self }
    }
}

impl From<ConfigBuilder> for Options {
    fn from(config: ConfigBuilder) -> Self {
        let driver::Options { config, links, plain_streams, shards, record } = config.into();
        Self { config, links, plain_streams, busy_poll: false, shards, record }
    }
}

/// An endpoint, run by a thread of its own for each shard. Clones are handles of the same one.
///
/// When the last handle is dropped no connection is accepted any more; once those that exist are over, the thread ends and the
/// sockets close. Call [`Self::wait_idle`] before the program ends.
#[derive(Clone, Debug)]
pub struct Endpoint {
    inner: driver::Endpoint,
    engines: Arc<[Arc<Engine>]>,
}

impl Endpoint {
    /// An endpoint that takes connections on the UDP address `address`, and can also connect from there. Port 0 picks one that is
    /// free.
    pub fn bind(address: SocketAddr, options: impl Into<Options>) -> Result<Self, BindError> {
        Self::listen(&[address.into()], options)
    }

    /// An endpoint that takes connections at `addresses`, of whatever kinds, and can also connect. Port 0 picks one that is free.
    pub fn listen(addresses: &[Address], options: impl Into<Options>) -> Result<Self, BindError> {
        let options = options.into();
        Self::start(options.shards, options, |reactors, options| driver::listen(reactors, addresses, options))
    }

    /// An endpoint that only connects: to streams, and by UDP over IPv4, and over IPv6 where the machine has it.
    pub fn client(options: impl Into<Options>) -> Result<Self, BindError> {
        Self::start(NonZeroU8::MIN, options.into(), |mut reactors, options| {
            driver::client(reactors.remove(0), options)
        })
    }

    fn start(
        shards: NonZeroU8,
        options: Options,
        open: impl FnOnce(Vec<Reactor>, driver::Options) -> Result<Opened, BindError>,
    ) -> Result<Self, BindError> {
        let Options { config, links, plain_streams, busy_poll, record, .. } = options;
        let options = driver::Options { config, links, plain_streams, shards, record };
        let reactors = (0..shards.get()).map(|_| Reactor::new()).collect::<io::Result<Vec<_>>>();
        let (reactors, polls): (Vec<_>, Vec<_>) = reactors.map_err(BindError::Runtime)?.into_iter().unzip();
        let (inner, tasks) = open(reactors.clone(), options)?;
        let start = |((task, reactor), poll)| Engine::start(task, reactor, poll, busy_poll);
        let engines = tasks.into_iter().zip(reactors).zip(polls).map(start).collect::<io::Result<Vec<_>>>();
        Ok(Self { inner, engines: engines.map_err(BindError::Runtime)?.into() })
    }

    /// The thread that waits for any connection does the I/O of the first shard meanwhile, where it does any.
    fn engine(&self) -> &Arc<Engine> {
        &self.engines[0]
    }

    fn engine_of(&self, Shard(shard): Shard) -> Arc<Engine> {
        Arc::clone(self.engines.get(usize::from(shard)).unwrap_or_else(|| self.engine()))
    }

    fn connection(&self, inner: driver::Connection) -> Connection {
        let engine = self.engine_of(inner.shard());
        Connection::new(inner, engine)
    }

    /// Connects to a UDP address.
    pub fn connect(&self, address: SocketAddr, timeout: Duration) -> Result<Connection, Error<ConnectError>> {
        self.dial(address).map_err(Error::Failed)?.wait(timeout)
    }

    /// The same, showing `credentials` to the server: at most 1024 bytes.
    pub fn connect_with(
        &self,
        address: SocketAddr,
        credentials: &[u8],
        timeout: Duration,
    ) -> Result<Connection, Error<ConnectError>> {
        self.dial_with(address, credentials).map_err(Error::Failed)?.wait(timeout)
    }

    /// Connects to a server that has several addresses, the preferred one first; at most eight are tried. Each is tried when those
    /// before it have failed or have not answered for a moment, and the first that works is kept.
    pub fn connect_to(
        &self,
        addresses: &[Address],
        timeout: Duration,
    ) -> Result<Connection, Error<ConnectError>> {
        self.connect_to_with(addresses, &[], timeout)
    }

    /// The same, showing `credentials` to the server: at most 1024 bytes.
    pub fn connect_to_with(
        &self,
        addresses: &[Address],
        credentials: &[u8],
        timeout: Duration,
    ) -> Result<Connection, Error<ConnectError>> {
        let connecting = self.inner.connect_to_with(addresses, credentials);
        wait(self.engine(), timeout, connecting).map(|inner| self.connection(inner))
    }

    /// Begins to connect as [`Self::connect_to_with`] does. The hosts of UDP addresses must be IP addresses.
    pub fn dial_to(&self, addresses: &[Address], credentials: &[u8]) -> Result<Connecting, ConnectError> {
        Ok(self.connecting(self.inner.dial_to(addresses, credentials)?))
    }

    /// Begins to connect to a UDP address; the attempts can be watched.
    pub fn dial(&self, address: SocketAddr) -> Result<Connecting, ConnectError> {
        Ok(self.connecting(self.inner.dial(address)?))
    }

    /// Begins to connect to a UDP address, showing `credentials` to the server: at most 1024 bytes.
    pub fn dial_with(&self, address: SocketAddr, credentials: &[u8]) -> Result<Connecting, ConnectError> {
        Ok(self.connecting(self.inner.dial_with(address, credentials)?))
    }

    /// The addresses with names of UDP hosts looked up: see [`driver::Endpoint::look_up`].
    pub fn look_up(
        &self,
        addresses: &[Address],
        timeout: Duration,
    ) -> Result<Vec<Address>, Error<ConnectError>> {
        wait(self.engine(), timeout, self.inner.look_up(addresses))
    }

    fn connecting(&self, inner: driver::Connecting) -> Connecting {
        let engine = self.engine_of(inner.shard());
        Connecting::new(inner, engine)
    }

    /// The next connection that a peer has made; `None` when the endpoint is closed, or takes none.
    pub fn accept(&self, timeout: Duration) -> Result<Option<Connection>, TimedOut> {
        let accepted = block(self.engine(), timeout, self.inner.accept())?;
        Ok(accepted.map(|inner| self.connection(inner)))
    }

    /// The next peer that waits to be let in: see [`driver::Endpoint::undecided`]. `None` when the endpoint is closed, or takes none.
    pub fn undecided(&self, timeout: Duration) -> Result<Option<Undecided>, TimedOut> {
        block(self.engine(), timeout, self.inner.undecided())
    }

    /// Waits until every connection is over and has said its last words. Without it a program's end is told by silence only.
    pub fn wait_idle(&self, timeout: Duration) -> Result<(), TimedOut> {
        block(self.engine(), timeout, self.inner.wait_idle())
    }

    at_once! {
        /// Begins to close every connection, and takes no new ones.
        fn close(&self, close: &Close);
        /// Goes away in good order: see [`driver::Endpoint::drain`].
        fn drain(&self, how: Drain);
        /// Where it listens, in the order that was asked for, with the ports that were picked.
        fn addresses(&self) -> &[Address];
        /// The address of its first UDP socket; port 0 when it has none.
        fn local_addr(&self) -> SocketAddr;
        /// How many shards it has: see [`Options::shards`].
        fn shard_count(&self) -> usize;
        /// How its I/O has ended, if it has: see [`driver::Endpoint::ended`].
        fn ended(&self) -> Option<End>;
        /// Why recording has ended, if it has: see [`driver::Endpoint::recording_ended`].
        fn recording_ended(&self) -> Option<String>;
        /// Totals of all connections, past and present. The work is proportional to the connections.
        fn stats(&self) -> Stats;
        /// What the handles had to refuse or throw away.
        fn counters(&self) -> Counters;
        /// What the sockets did.
        fn udp_stats(&self) -> udp::Stats;
        /// What the streams did.
        fn link_stats(&self) -> link::Stats;
    }
}
