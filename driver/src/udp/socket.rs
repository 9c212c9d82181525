//! One UDP socket.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::task::{Context, Poll};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Type};

use super::outbound::Outlet;
use crate::{Direction, Ready};

/// What the system is asked to hold of datagrams that were not read yet. Systems often allow less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Whether a read that leaves room has taken all there was: elsewhere one takes a datagram at most.
const READS_ALL: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// A UDP socket, bound to `address`, that does not block; port 0 picks one that is free. An IPv6 socket carries IPv6 only.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    open(address, false)
}

/// The same for an address that other sockets of the process have, too: each gets what the system gives it (`SO_REUSEPORT`).
pub(crate) fn bind_shared(address: SocketAddr) -> io::Result<UdpSocket> {
    open(address, true)
}

fn open(address: SocketAddr, is_shared: bool) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // With less, bursts are lost sooner; nothing else changes.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    if is_shared {
        share_port(&socket)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Lets other sockets of the process have the same port; the system spreads what comes there over them by its senders.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn share_port(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn share_port(_: &socket2::Socket) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system spreads no port over several sockets"))
}

/// A UDP socket that sends and receives in batches.
#[derive(Debug)]
pub struct Socket<I> {
    io: I,
    state: UdpSocketState,
    local: SocketAddr,
}

impl<I: Ready> Socket<I> {
    /// `io` is a UDP socket.
    pub fn new(io: I) -> io::Result<Self> {
        let state = UdpSocketState::new((&*io.socket()).into())?;
        let local = io.socket().local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { io, state, local })
    }

    /// The address that it is bound to.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Reads what is there, if the runtime has heard of anything.
    pub(super) fn try_recv(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> io::Result<usize> {
        let mut taken = None;
        let read = self.io.attempt(Direction::Read, || match self.recv_now(buffers, metas) {
            // The runtime learns that there is nothing more without another call that says so.
            Ok(filled) if filled < BATCH_SIZE && READS_ALL => {
                taken = Some(filled);
                Err(io::ErrorKind::WouldBlock.into())
            }
            read => read,
        });
        taken.map_or(read, Ok)
    }

    /// Reads what is there.
    pub(super) fn recv_now(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> io::Result<usize> {
        self.state.recv((&*self.io.socket()).into(), buffers, metas)
    }

    /// Waits for something to read.
    pub(super) fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_ready(cx, Direction::Read)
    }

    /// Takes the socket for empty until the system says otherwise.
    pub(super) fn clear_recv_ready(&self) {
        let cleared: io::Result<()> =
            self.io.attempt(Direction::Read, || Err(io::ErrorKind::WouldBlock.into()));
        drop(cleared);
    }
}

impl<I: Ready> Outlet for Socket<I> {
    fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.attempt(Direction::Write, || self.state.try_send((&*self.io.socket()).into(), transmit))
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_ready(cx, Direction::Write)
    }
}
