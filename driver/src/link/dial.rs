//! A stream that this side opens.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use proto_core::DialError;
use rustls::pki_types::{IpAddr, ServerName};
use rustls::{ClientConnection, Connection};
use socket2::{Domain, Protocol, Socket, Type};

use super::LinkOptions;
use super::bytes::Bytes;
use super::handshake::Handshake;
use super::listen::tune;
use super::stream::Stream;
use super::upgrade::Upgrade;
use crate::{Address, Direction, Host, Lookup, Ready as _, Runtime, Scheme};

/// A stream that is being opened.
pub(super) struct Dialing<R: Runtime> {
    address: Arc<Address>,
    step: Step<R>,
    /// Addresses of the name that were not tried.
    rest: VecDeque<SocketAddr>,
    last: DialError,
}

enum Step<R: Runtime> {
    Begin,
    LookUp(Lookup),
    Next,
    Connecting(R::Io),
    Handshake(Handshake<R::Io>),
}

impl<R: Runtime> Dialing<R> {
    pub(super) const fn new(address: Arc<Address>) -> Self {
        Self { address, step: Step::Begin, rest: VecDeque::new(), last: DialError::Unreachable }
    }

    /// Goes on until the stream carries records.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        runtime: &R,
        options: &LinkOptions,
    ) -> Poll<Result<Stream<R::Io>, DialError>> {
        loop {
            self.step = match &mut self.step {
                Step::Begin => match self.begin(runtime) {
                    Ok(step) => step,
                    Err(error) => return Poll::Ready(Err(failure(&error))),
                },
                Step::LookUp(lookup) => match ready!(lookup.as_mut().poll(cx)) {
                    Ok(found) => {
                        self.rest = found.into();
                        Step::Next
                    }
                    Err(_) => return Poll::Ready(Err(DialError::Unreachable)),
                },
                Step::Next => {
                    let Some(next) = self.rest.pop_front() else { return Poll::Ready(Err(self.last)) };
                    match connect_tcp(next, options).and_then(|socket| runtime.register(socket)) {
                        Ok(io) => Step::Connecting(io),
                        Err(error) => {
                            self.last = failure(&error);
                            Step::Next
                        }
                    }
                }
                Step::Connecting(io) => match is_connected(io) {
                    Ok(false) => {
                        // An error of the runtime's shows with the next look at the socket.
                        if ready!(io.poll_ready(cx, Direction::Write)).is_err() {
                            return Poll::Ready(Err(DialError::Unreachable));
                        }
                        // Taken for ready before the connection was there: told so, the runtime waits for more.
                        if matches!(is_connected(io), Ok(false)) {
                            let _: io::Result<()> =
                                io.attempt(Direction::Write, || Err(io::ErrorKind::WouldBlock.into()));
                        }
                        continue;
                    }
                    Ok(true) => match std::mem::replace(&mut self.step, Step::Next) {
                        Step::Connecting(io) => match secure(&self.address, io, options) {
                            Ok(handshake) => Step::Handshake(handshake),
                            Err(error) => return Poll::Ready(Err(error)),
                        },
                        step => step,
                    },
                    Err(error) => {
                        self.last = failure(&error);
                        Step::Next
                    }
                },
                Step::Handshake(handshake) => {
                    return handshake.poll(cx).map_err(|error| failure(&error));
                }
            };
        }
    }

    fn begin(&mut self, runtime: &R) -> io::Result<Step<R>> {
        if let Some(address) = self.address.socket_addr() {
            self.rest = [address].into();
            return Ok(Step::Next);
        }
        match (self.address.host(), self.address.port()) {
            (Some(host), Some(port)) => Ok(Step::LookUp(runtime.look_up(host.to_lookup(), port))),
            _ => runtime.register(connect_unix(&self.address)?).map(Step::Connecting),
        }
    }
}

fn connect_tcp(address: SocketAddr, options: &LinkOptions) -> io::Result<crate::Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    tune(&socket, options);
    begin_connect(&socket, &address.into())?;
    Ok(crate::Socket::Tcp(socket.into()))
}

#[cfg(unix)]
fn connect_unix(address: &Address) -> io::Result<crate::Socket> {
    let name = address.unix().ok_or(io::ErrorKind::Unsupported)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    begin_connect(&socket, &super::listen::socket_name(name)?)?;
    Ok(crate::Socket::Unix(std::os::fd::OwnedFd::from(socket).into()))
}

#[cfg(not(unix))]
fn connect_unix(_: &Address) -> io::Result<crate::Socket> {
    Err(io::ErrorKind::Unsupported.into())
}

fn begin_connect(socket: &Socket, address: &socket2::SockAddr) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    match socket.connect(address) {
        Err(error) if is_under_way(&error) => Ok(()),
        connected => connected,
    }
}

/// What a connect that does not block says.
#[cfg(unix)]
fn is_under_way(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

#[cfg(not(unix))]
fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

fn is_connected(io: &impl crate::Ready) -> io::Result<bool> {
    let socket = io.socket();
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

/// TLS and the upgrade to a web socket, as far as the address wants them.
fn secure<I: crate::Ready>(
    address: &Address,
    io: I,
    options: &LinkOptions,
) -> Result<Handshake<I>, DialError> {
    let scheme = address.scheme();
    let tls = match scheme {
        Scheme::Tls | Scheme::Wss => {
            let config = options.tls_client.clone().ok_or(DialError::Unsupported)?;
            let name = address.host().and_then(server_name).ok_or(DialError::Unsupported)?;
            let client = ClientConnection::new(config, name).map_err(|_| DialError::Unsupported)?;
            Some(Connection::Client(client))
        }
        _ => None,
    };
    let upgrade = matches!(scheme, Scheme::Ws | Scheme::Wss).then(|| Upgrade::client(address));
    Ok(Handshake::new(Bytes::new(io, tls), upgrade))
}

/// The name that the server's certificate must have.
fn server_name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Name(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).ok(),
        Host::V4(ip) => Some(ServerName::IpAddress(IpAddr::V4((*ip).into()))),
        Host::V6(ip) | Host::V6Zone(ip, _) => Some(ServerName::IpAddress(IpAddr::V6((*ip).into()))),
    }
}

/// What an error of the system, of TLS or of the upgrade means.
fn failure(error: &io::Error) -> DialError {
    match error.kind() {
        // A Unix socket's file that is not there, or a full backlog.
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::NotFound
        | io::ErrorKind::WouldBlock => DialError::Refused,
        io::ErrorKind::TimedOut => DialError::TimedOut,
        io::ErrorKind::PermissionDenied => DialError::NotAllowed,
        io::ErrorKind::Unsupported => DialError::Unsupported,
        io::ErrorKind::InvalidData => DialError::Untrusted,
        _ => DialError::Unreachable,
    }
}
