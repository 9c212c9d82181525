//! UDP: sockets, and the task that runs a machine on them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use driver::udp::{Counters, Datagrams, Task, bind};
use driver::{Direction, Machine, Ready, Shared, clock};
use proto_core::Timestamp;
use quinn_udp::UdpSockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

pub use driver::udp::Stats;

/// A UDP socket that sends and receives in batches.
#[derive(Debug)]
pub struct Socket(driver::udp::Socket<Io>);

impl Socket {
    /// Binds `address`; port 0 picks one that is free. An IPv6 socket carries IPv6 only. Fails outside of a tokio runtime.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Handle::try_current().map_err(io::Error::other)?;
        let io = UdpSocket::from_std(bind(address)?)?;
        let local = io.local_addr()?;
        driver::udp::Socket::new(Io(io), local).map(Self)
    }

    /// The address that it is bound to.
    pub const fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }
}

#[derive(Debug)]
struct Io(UdpSocket);

impl Ready for Io {
    fn attempt<T>(&self, direction: Direction, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let interest = match direction {
            Direction::Read => Interest::READABLE,
            Direction::Write => Interest::WRITABLE,
        };
        self.0.try_io(interest, call)
    }

    fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        match direction {
            Direction::Read => self.0.poll_recv_ready(cx),
            Direction::Write => self.0.poll_send_ready(cx),
        }
    }
}

impl Datagrams for Io {
    fn socket(&self) -> UdpSockRef<'_> {
        (&self.0).into()
    }
}

/// tokio's timer, and what it is set to.
#[derive(Debug, Default)]
struct Timer(Option<(Timestamp, Pin<Box<Sleep>>)>);

impl driver::Timer for Timer {
    fn poll(&mut self, cx: &mut Context<'_>, at: Option<Timestamp>) -> Poll<()> {
        let Some(at) = at else {
            self.0 = None;
            return Poll::Pending;
        };
        let instant = |at| Instant::from_std(clock::instant(at));
        let sleep = match &mut self.0 {
            Some((armed, sleep)) if *armed == at => sleep,
            Some((armed, sleep)) => {
                *armed = at;
                sleep.as_mut().reset(instant(at));
                sleep
            }
            None => &mut self.0.insert((at, Box::pin(tokio::time::sleep_until(instant(at))))).1,
        };
        sleep.as_mut().poll(cx)
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
        let task = Task::new(shared, sockets, Timer::default());
        let counters = task.counters();
        let run = async move {
            task.await;
            drop(alive);
        };
        // It has work limits of its own, and must be able to tell an empty socket from a used-up budget.
        tokio::spawn(tokio::task::unconstrained(run));
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
