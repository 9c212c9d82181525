//! What a runtime must bring: sockets that say when they are ready, and a timer.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use proto_core::Timestamp;
use socket2::SockRef;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the network.
    Read,
    /// To the network.
    Write,
}

/// A socket that does not block, before a runtime has it.
#[derive(Debug)]
pub enum Socket {
    /// UDP.
    Udp(UdpSocket),
    /// A TCP connection; it may still be in the making.
    Tcp(TcpStream),
    /// Where TCP connections come in.
    TcpListener(TcpListener),
    /// A connection between Unix sockets.
    #[cfg(unix)]
    Unix(UnixStream),
    /// Where they come in.
    #[cfg(unix)]
    UnixListener(UnixListener),
}

impl Socket {
    fn accept(listener: &socket2::Socket) -> io::Result<Self> {
        let (socket, peer) = listener.accept()?;
        socket.set_nonblocking(true)?;
        #[cfg(unix)]
        if peer.is_unix() {
            return Ok(Self::Unix(std::os::fd::OwnedFd::from(socket).into()));
        }
        let _ = peer;
        Ok(Self::Tcp(socket.into()))
    }
}

/// A socket in the hands of a runtime that tells when it is ready.
pub trait Ready: Send + 'static {
    /// The socket itself.
    fn socket(&self) -> SockRef<'_>;

    /// Runs `call`, a system call on the socket that goes in `direction`. A runtime that keeps an account of what is ready may
    /// answer [`WouldBlock`](io::ErrorKind::WouldBlock) without it, and must hear of it when `call` says so.
    fn attempt<T>(&self, direction: Direction, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let _ = direction;
        call()
    }

    /// Waits until another attempt is worth while. An error says that the runtime is shutting down.
    fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>>;

    /// For a listener: the next connection.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        loop {
            match self.attempt(Direction::Read, || Socket::accept(&self.socket())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.poll_ready(cx, Direction::Read))?;
                }
                accepted => return Poll::Ready(accepted),
            }
        }
    }
}

/// A runtime's timer.
pub trait Timer: Send + 'static {
    /// Sets the timer to `at`, or turns it off: ready when that time has come, and otherwise the task of `cx` is woken then.
    fn poll(&mut self, cx: &mut Context<'_>, at: Option<Timestamp>) -> Poll<()>;
}

/// How long a lookup may take, whatever the system's resolver does. Many a resolver asks its second server after 5 s.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(8);

/// Addresses that are being looked up.
pub type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// A runtime.
pub trait Runtime: Clone + Send + Sync + Unpin + 'static {
    /// Its sockets.
    type Io: Ready + Unpin;
    /// Its timer.
    type Timer: Timer + Unpin;

    /// Takes a socket.
    fn register(&self, socket: Socket) -> io::Result<Self::Io>;

    /// A timer that is off.
    fn timer(&self) -> Self::Timer;

    /// Wakes the task of `cx`, after all others that can run: whoever reads what has arrived must have had a turn before more is read.
    fn yield_now(cx: &mut Context<'_>) {
        cx.waker().wake_by_ref();
    }

    /// Asks the system's resolver, on some other thread, for at most [`LOOKUP_TIMEOUT`].
    fn look_up(&self, host: String, port: u16) -> Lookup;
}
