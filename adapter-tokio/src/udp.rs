//! Sockets, and the task that runs a machine on them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;

use driver::udp::{Counters, bind};
use driver::{Address, LinkOptions, ListenError, Machine, Ports, Runtime as _, Shared, Task, link};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::runtime::{Io, Tokio};

pub use driver::udp::Stats;

/// A UDP socket that sends and receives in batches.
#[derive(Debug)]
pub struct Socket(driver::udp::Socket<Io>);

impl Socket {
    /// Binds `address`; port 0 picks one that is free. An IPv6 socket carries IPv6 only. Fails outside of a tokio runtime.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Handle::try_current().map_err(io::Error::other)?;
        let io = Tokio.register(driver::Socket::Udp(bind(address)?))?;
        driver::udp::Socket::new(io).map(Self)
    }

    /// The address that it is bound to.
    pub const fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }
}

/// Sockets of all kinds for a machine that is run by a [`Pump`], or for the shards of one, each of which has a pump.
pub struct Sockets(Vec<Ports<Tokio>>);

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets").finish_non_exhaustive()
    }
}

impl Sockets {
    /// None yet.
    pub fn new(options: LinkOptions) -> Self {
        Self(vec![Ports::new(Tokio, options)])
    }

    /// None yet, for so many shards.
    pub fn sharded(shards: NonZeroU8, options: &LinkOptions) -> Self {
        Self(Ports::shards(vec![Tokio; shards.get().into()], options))
    }

    /// Listens at `address`, whose host must be an IP address; returns where that is. Port 0 picks one that is free. A path's socket
    /// is its place among those of UDP, or among the others. Several shards have it together. Fails outside of a tokio runtime.
    pub fn listen(&mut self, address: &Address) -> Result<Address, ListenError> {
        let is_inside = Handle::try_current().map_err(io::Error::other);
        is_inside.map_err(|error| ListenError { address: address.clone(), error })?;
        Ports::listen_all(&mut self.0, address)
    }
}

/// A task that runs a machine on sockets, until the machine is over. Dropping this handle leaves it running.
///
/// It sleeps until something arrives, a command or the machine's deadline. Packets that have arrived are handed in before timers fire.
pub struct Pump {
    counters: Arc<Counters>,
    links: Arc<link::Counters>,
    ended: watch::Receiver<()>,
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Pump {
    /// Spawns the task on the present tokio runtime. A path's socket is its place in `sockets`.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or when that was built without time.
    pub fn spawn<M: Machine>(shared: Shared<M>, sockets: Vec<Socket>) -> Self {
        let mut ports = Ports::new(Tokio, LinkOptions::default());
        for socket in sockets {
            ports.add(socket.0);
        }
        Self::start(shared, ports)
    }

    /// The same on sockets of all kinds, which are one shard's.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or when that was built without time.
    pub fn spawn_on<M: Machine>(shared: Shared<M>, mut sockets: Sockets) -> Self {
        let ports = sockets.0.pop().unwrap_or_else(|| Ports::new(Tokio, LinkOptions::default()));
        Self::start(shared, ports)
    }

    /// The same for each shard of a machine.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or when that was built without time.
    pub fn spawn_shards<M: Machine>(shards: Vec<Shared<M>>, sockets: Sockets) -> Vec<Self> {
        shards.into_iter().zip(sockets.0).map(|(shared, ports)| Self::start(shared, ports)).collect()
    }

    fn start<M: Machine>(shared: Shared<M>, ports: Ports<Tokio>) -> Self {
        let (alive, ended) = watch::channel(());
        let task = Task::new(shared, ports);
        let (counters, links) = (task.udp_counters(), task.link_counters());
        run(async move {
            task.await;
            drop(alive);
        });
        Self { counters, links, ended }
    }

    /// What the streams did.
    pub fn link_stats(&self) -> link::Stats {
        self.links.get()
    }

    /// What the UDP sockets did.
    pub fn stats(&self) -> Stats {
        self.counters.get()
    }

    /// Waits until the task has ended.
    pub async fn ended(&self) {
        // Nothing is ever sent: the error says that the task and its end of the channel are gone.
        let _ = self.ended.clone().changed().await;
    }
}

/// An I/O task has work limits of its own, and must be able to tell an empty socket from a used-up budget.
pub(crate) fn run(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(tokio::task::unconstrained(task));
}
