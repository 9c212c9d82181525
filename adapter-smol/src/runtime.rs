//! smol, as `driver` sees it.

use std::io;
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::Pin;
use std::task::{Context, Poll};

use driver::{Direction, LOOKUP_TIMEOUT, Lookup, Ready, Runtime, Socket, clock};
use proto_core::Timestamp;
use smol::{Async, future};
use socket2::SockRef;

/// smol's reactor, which every thread shares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Smol;

/// A socket in the reactor.
#[derive(Debug)]
pub(crate) enum Io {
    Udp(Async<UdpSocket>),
    Tcp(Async<TcpStream>),
    TcpListener(Async<TcpListener>),
    #[cfg(unix)]
    Unix(Async<UnixStream>),
    #[cfg(unix)]
    UnixListener(Async<UnixListener>),
}

impl Runtime for Smol {
    type Io = Io;
    type Timer = Timer;

    fn register(&self, socket: Socket) -> io::Result<Io> {
        match socket {
            Socket::Udp(socket) => Async::new_nonblocking(socket).map(Io::Udp),
            Socket::Tcp(socket) => Async::new_nonblocking(socket).map(Io::Tcp),
            Socket::TcpListener(socket) => Async::new_nonblocking(socket).map(Io::TcpListener),
            #[cfg(unix)]
            Socket::Unix(socket) => Async::new_nonblocking(socket).map(Io::Unix),
            #[cfg(unix)]
            Socket::UnixListener(socket) => Async::new_nonblocking(socket).map(Io::UnixListener),
        }
    }

    fn timer(&self) -> Timer {
        Timer { armed: None, timer: smol::Timer::never() }
    }

    fn look_up(&self, host: String, port: u16) -> Lookup {
        let found = smol::unblock(move || Ok((host, port).to_socket_addrs()?.collect()));
        let late = async {
            smol::Timer::after(LOOKUP_TIMEOUT).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        Box::pin(future::or(found, late))
    }
}

/// The same on whichever socket it is.
macro_rules! each {
    ($io:expr, $socket:ident => $call:expr) => {
        match $io {
            Io::Udp($socket) => $call,
            Io::Tcp($socket) => $call,
            Io::TcpListener($socket) => $call,
            #[cfg(unix)]
            Io::Unix($socket) => $call,
            #[cfg(unix)]
            Io::UnixListener($socket) => $call,
        }
    };
}

impl Ready for Io {
    fn socket(&self) -> SockRef<'_> {
        each!(self, socket => SockRef::from(socket.get_ref()))
    }

    fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        match direction {
            Direction::Read => each!(self, socket => socket.poll_readable(cx)),
            Direction::Write => each!(self, socket => socket.poll_writable(cx)),
        }
    }
}

/// smol's timer, and what it is set to.
#[derive(Debug)]
pub(crate) struct Timer {
    armed: Option<Timestamp>,
    timer: smol::Timer,
}

impl driver::Timer for Timer {
    fn poll(&mut self, cx: &mut Context<'_>, at: Option<Timestamp>) -> Poll<()> {
        if at != self.armed {
            self.armed = at;
            match at {
                Some(at) => self.timer.set_at(clock::instant(at)),
                None => self.timer = smol::Timer::never(),
            }
        }
        // It fires once: asked again for the same time, it must be set again.
        Pin::new(&mut self.timer).poll(cx).map(|_| self.armed = None)
    }
}
