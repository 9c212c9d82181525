//! UDP: sockets, and the task that runs a machine on them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use driver::udp::{Counters, Task, bind};
use driver::{Machine, Runtime as _, Shared};
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

/// A task that runs a machine on UDP sockets, until the machine is over. Dropping this handle leaves it running.
///
/// It sleeps until a packet, a command or the machine's deadline. Packets that have arrived are handed in before timers fire.
pub struct Pump {
    counters: Arc<Counters>,
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
        let (alive, ended) = watch::channel(());
        let sockets = sockets.into_iter().map(|socket| socket.0).collect();
        let task = Task::new(shared, sockets, &Tokio);
        let counters = task.counters();
        run(async move {
            task.await;
            drop(alive);
        });
        Self { counters, ended }
    }

    /// What the sockets did.
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
