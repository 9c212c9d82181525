//! tokio, as `driver` sees it.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use driver::{Direction, LOOKUP_TIMEOUT, Lookup, Ready, Runtime, Socket, clock};
use proto_core::Timestamp;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, Sleep};

/// The tokio runtime that the caller runs in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokio;

/// A socket of tokio's.
#[derive(Debug)]
pub(crate) enum Io {
    Udp(UdpSocket),
    Tcp(TcpStream),
    TcpListener(TcpListener),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(unix)]
    UnixListener(UnixListener),
}

impl Runtime for Tokio {
    type Io = Io;
    type Timer = Timer;

    fn register(&self, socket: Socket) -> io::Result<Io> {
        match socket {
            Socket::Udp(socket) => UdpSocket::from_std(socket).map(Io::Udp),
            Socket::Tcp(socket) => TcpStream::from_std(socket).map(Io::Tcp),
            Socket::TcpListener(socket) => TcpListener::from_std(socket).map(Io::TcpListener),
            #[cfg(unix)]
            Socket::Unix(socket) => UnixStream::from_std(socket).map(Io::Unix),
            #[cfg(unix)]
            Socket::UnixListener(socket) => UnixListener::from_std(socket).map(Io::UnixListener),
        }
    }

    fn timer(&self) -> Timer {
        Timer::default()
    }

    /// The future that `block_on` was given would else have a turn after 61 of this task's.
    fn yield_now(cx: &mut Context<'_>) {
        let _ = pin!(tokio::task::yield_now()).poll(cx);
    }

    fn look_up(&self, host: String, port: u16) -> Lookup {
        let found = async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) };
        Box::pin(async { tokio::time::timeout(LOOKUP_TIMEOUT, found).await? })
    }
}

impl Ready for Io {
    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Udp(socket) => socket.into(),
            Self::Tcp(socket) => socket.into(),
            Self::TcpListener(socket) => socket.into(),
            #[cfg(unix)]
            Self::Unix(socket) => socket.into(),
            #[cfg(unix)]
            Self::UnixListener(socket) => socket.into(),
        }
    }

    fn attempt<T>(&self, direction: Direction, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let interest = match direction {
            Direction::Read => Interest::READABLE,
            Direction::Write => Interest::WRITABLE,
        };
        match self {
            Self::Udp(socket) => socket.try_io(interest, call),
            Self::Tcp(socket) => socket.try_io(interest, call),
            #[cfg(unix)]
            Self::Unix(socket) => socket.try_io(interest, call),
            _ => call(),
        }
    }

    fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        match (self, direction) {
            (Self::Udp(socket), Direction::Read) => socket.poll_recv_ready(cx),
            (Self::Udp(socket), Direction::Write) => socket.poll_send_ready(cx),
            (Self::Tcp(socket), Direction::Read) => socket.poll_read_ready(cx),
            (Self::Tcp(socket), Direction::Write) => socket.poll_write_ready(cx),
            #[cfg(unix)]
            (Self::Unix(socket), Direction::Read) => socket.poll_read_ready(cx),
            #[cfg(unix)]
            (Self::Unix(socket), Direction::Write) => socket.poll_write_ready(cx),
            // A listener is asked by `poll_accept` only.
            _ => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        match self {
            Self::TcpListener(listener) => listener
                .poll_accept(cx)
                .map(|accepted| accepted.and_then(|(stream, _)| stream.into_std().map(Socket::Tcp))),
            #[cfg(unix)]
            Self::UnixListener(listener) => listener
                .poll_accept(cx)
                .map(|accepted| accepted.and_then(|(stream, _)| stream.into_std().map(Socket::Unix))),
            _ => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }
}

/// tokio's timer, and what it is set to.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<(Timestamp, Pin<Box<Sleep>>)>);

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
