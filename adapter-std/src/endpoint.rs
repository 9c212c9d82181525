//! An endpoint on threads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use driver::udp::Task;
use driver::{BindError, ConnectError, Counters, Node, udp};
use proto_core::{Close, ConfigBuilder, Stats};

use crate::block::{Error, TimedOut, block};
use crate::engine::Engine;
use crate::runtime::Reactor;
use crate::{Connecting, Connection};

/// How an endpoint is run.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// The protocol's settings.
    pub config: ConfigBuilder,
    /// Threads that wait do the endpoint's I/O themselves, and ask the sockets over and over instead of sleeping: the shortest
    /// latency, for a processor that does nothing else. While no thread waits, the endpoint's own thread does the I/O as ever,
    /// a millisecond later at most.
    pub busy_poll: bool,
}

impl Options {
    /// The same, polled busily or not.
    #[must_use]
    pub fn busy_poll(self, busy_poll: bool) -> Self {
        Self { busy_poll, ..self }
    }
}

impl From<ConfigBuilder> for Options {
    fn from(config: ConfigBuilder) -> Self {
        Self { config, ..Self::default() }
    }
}

/// An endpoint, run by a thread of its own. Clones are handles of the same one.
///
/// When the last handle is dropped no connection is accepted any more; once those that exist are over, the thread ends and the
/// sockets close. Call [`Self::wait_idle`] before the program ends.
#[derive(Clone, Debug)]
pub struct Endpoint {
    inner: driver::Endpoint,
    engine: Arc<Engine>,
}

impl Endpoint {
    /// An endpoint that takes connections on the UDP address `address`, and can also connect from there. Port 0 picks one that is
    /// free.
    pub fn bind(address: SocketAddr, options: impl Into<Options>) -> Result<Self, BindError> {
        Self::start(options.into(), |reactor, config| driver::bind(reactor, address, config))
    }

    /// An endpoint that only connects: over IPv4, and over IPv6 where the machine has it.
    pub fn client(options: impl Into<Options>) -> Result<Self, BindError> {
        Self::start(options.into(), driver::client)
    }

    fn start(
        options: Options,
        open: impl FnOnce(&Reactor, ConfigBuilder) -> Result<(driver::Endpoint, Task<Node, Reactor>), BindError>,
    ) -> Result<Self, BindError> {
        let (reactor, poll) = Reactor::new().map_err(BindError::Runtime)?;
        let (inner, task) = open(&reactor, options.config)?;
        let engine = Engine::start(task, reactor, poll, options.busy_poll).map_err(BindError::Runtime)?;
        Ok(Self { inner, engine })
    }

    /// Connects to `address`.
    pub fn connect(&self, address: SocketAddr, timeout: Duration) -> Result<Connection, Error<ConnectError>> {
        self.dial(address).map_err(Error::Failed)?.wait(timeout)
    }

    /// Begins to connect to `address`; the attempts can be watched.
    pub fn dial(&self, address: SocketAddr) -> Result<Connecting, ConnectError> {
        Ok(Connecting::new(self.inner.dial(address)?, Arc::clone(&self.engine)))
    }

    /// The next connection that a peer has made; `None` when the endpoint is closed, or takes none.
    pub fn accept(&self, timeout: Duration) -> Result<Option<Connection>, TimedOut> {
        let accepted = block(&self.engine, timeout, self.inner.accept())?;
        Ok(accepted.map(|inner| Connection::new(inner, Arc::clone(&self.engine))))
    }

    /// Begins to close every connection, and takes no new ones.
    pub fn close(&self, close: &Close) {
        self.inner.close(close);
    }

    /// Waits until every connection is over and has said its last words. To be called before a program ends, or its peers learn of
    /// that only by its silence.
    pub fn wait_idle(&self, timeout: Duration) -> Result<(), TimedOut> {
        block(&self.engine, timeout, self.inner.wait_idle())
    }

    /// The address of its first socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr()
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
        self.inner.udp_stats()
    }
}
