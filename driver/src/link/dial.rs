//! A stream that this side opens.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use proto_core::{DialError, Timestamp};
use rustls::pki_types::{IpAddr, ServerName};
use rustls::{ClientConnection, Connection};
use socket2::{Domain, Protocol, Socket, Type};

use super::LinkOptions;
use super::bytes::Bytes;
use super::handshake::Handshake;
use super::listen::tune;
use super::stream::Stream;
use super::tls;
use super::upgrade::{Status, Upgrade};
use crate::{Address, Direction, Host, Lookup, Runtime, Scheme};

/// The next address of a name is tried when those before have not answered for this long (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses of a name that are tried at most.
const MAX_PLACES: usize = 8;

/// A stream that is being opened.
pub(super) struct Dialing<R: Runtime> {
    address: Arc<Address>,
    step: Step<R>,
    /// Addresses of the name that were not tried.
    rest: VecDeque<SocketAddr>,
    /// When the next of them is tried.
    next_at: Timestamp,
    /// When it is given up.
    until: Timestamp,
    last: DialError,
}

enum Step<R: Runtime> {
    Begin,
    LookUp(Lookup),
    /// The first that is connected is taken.
    Connecting(Vec<R::Io>),
    Handshake(Handshake<R::Io>),
}

impl<R: Runtime> Dialing<R> {
    pub(super) const fn new(address: Arc<Address>, until: Timestamp) -> Self {
        let last = DialError::Unreachable;
        Self { address, step: Step::Begin, rest: VecDeque::new(), next_at: Timestamp::ZERO, until, last }
    }

    /// When it is given up.
    pub(super) const fn until(&self) -> Timestamp {
        self.until
    }

    /// When it is to be polled again at the latest.
    pub(super) fn deadline(&self) -> Timestamp {
        match &self.step {
            Step::Connecting(_) if !self.rest.is_empty() => self.next_at.min(self.until),
            _ => self.until,
        }
    }

    /// Goes on until the stream carries records.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Timestamp,
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
                    Ok(found) if found.is_empty() => return Poll::Ready(Err(DialError::NoAddress)),
                    Ok(found) => {
                        self.rest = in_turns(found);
                        Step::Connecting(Vec::new())
                    }
                    Err(_) => return Poll::Ready(Err(DialError::NoAddress)),
                },
                Step::Connecting(under_way) => {
                    let Some(io) = connected(under_way, &mut self.last, cx) else {
                        if !under_way.is_empty() && (self.rest.is_empty() || now < self.next_at) {
                            return Poll::Pending;
                        }
                        let Some(next) = self.rest.pop_front() else { return Poll::Ready(Err(self.last)) };
                        self.next_at = now + STAGGER;
                        match connect_tcp(next, options).and_then(|socket| runtime.register(socket)) {
                            Ok(io) => under_way.push(io),
                            Err(error) => self.last = failure(&error),
                        }
                        continue;
                    };
                    match secure(&self.address, io, options) {
                        Ok(handshake) => Step::Handshake(handshake),
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                Step::Handshake(handshake) => {
                    return handshake.poll(cx).map_err(|error| failure_there(&error));
                }
            };
        }
    }

    fn begin(&mut self, runtime: &R) -> io::Result<Step<R>> {
        if let Some(address) = self.address.socket_addr() {
            self.rest = [address].into();
            return Ok(Step::Connecting(Vec::new()));
        }
        match (self.address.host(), self.address.port()) {
            (Some(host), Some(port)) => Ok(Step::LookUp(runtime.look_up(host.to_lookup(), port))),
            _ => runtime.register(connect_unix(&self.address)?).map(|io| Step::Connecting(vec![io])),
        }
    }
}

/// The addresses of a name as they are tried: the families take turns, beginning with the one that the resolver prefers (RFC 8305,
/// section 4).
fn in_turns(found: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (VecDeque<_>, VecDeque<_>) =
        found.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut places = VecDeque::new();
    while places.len() < MAX_PLACES && !(one.is_empty() && other.is_empty()) {
        places.extend(one.pop_front());
        places.extend(other.pop_front());
    }
    places
}

/// The first of `under_way` that is connected; those that fail are removed, and `last` says why.
fn connected<I: crate::Ready>(
    under_way: &mut Vec<I>,
    last: &mut DialError,
    cx: &mut Context<'_>,
) -> Option<I> {
    let mut index = 0;
    while let Some(io) = under_way.get(index) {
        match poll_connected(io, cx) {
            Poll::Ready(Ok(())) => return Some(under_way.swap_remove(index)),
            Poll::Ready(Err(error)) => {
                *last = failure(&error);
                under_way.swap_remove(index);
            }
            Poll::Pending => index += 1,
        }
    }
    None
}

fn poll_connected(io: &impl crate::Ready, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    loop {
        if is_connected(io)? {
            return Poll::Ready(Ok(()));
        }
        ready!(io.poll_ready(cx, Direction::Write))?;
        // Taken for ready before the connection was there: told so, the runtime waits for more.
        if matches!(is_connected(io), Ok(false)) {
            let _: io::Result<()> = io.attempt(Direction::Write, || Err(io::ErrorKind::WouldBlock.into()));
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

/// What an error of TLS or of the upgrade means, where somebody listens.
fn failure_there(error: &io::Error) -> DialError {
    if let Some(Status(status)) = error.get_ref().and_then(|error| error.downcast_ref()) {
        return DialError::Http(*status);
    }
    if tls::is_refusal(error) {
        return DialError::Unauthenticated;
    }
    if let Some(why) = tls::distrust(error) {
        return DialError::Untrusted(why);
    }
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => DialError::HungUp,
        io::ErrorKind::InvalidData => DialError::Foreign,
        _ => failure(error),
    }
}

/// What an error of the system means.
fn failure(error: &io::Error) -> DialError {
    match error.kind() {
        // A Unix socket's file that is not there, or a full backlog.
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::NotFound
        | io::ErrorKind::WouldBlock => DialError::Refused,
        io::ErrorKind::TimedOut => DialError::TimedOut,
        io::ErrorKind::PermissionDenied => DialError::NotAllowed,
        io::ErrorKind::Unsupported => DialError::Unsupported,
        _ => DialError::Unreachable,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::net::TcpListener;
    use std::pin::Pin;
    use std::task::Waker;

    use socket2::SockRef;

    use super::*;

    /// Sockets that are always ready, names that are known, and no time.
    #[derive(Clone)]
    struct Fake(Vec<SocketAddr>);

    struct Io(crate::Socket);

    struct Never;

    impl crate::Ready for Io {
        fn socket(&self) -> SockRef<'_> {
            match &self.0 {
                crate::Socket::Tcp(socket) => SockRef::from(socket),
                other => panic!("{other:?}"),
            }
        }

        fn poll_ready(&self, _: &mut Context<'_>, _: Direction) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl crate::Timer for Never {
        fn poll(&mut self, _: &mut Context<'_>, _: Option<Timestamp>) -> Poll<()> {
            Poll::Pending
        }
    }

    impl Runtime for Fake {
        type Io = Io;
        type Timer = Never;

        fn register(&self, socket: crate::Socket) -> io::Result<Io> {
            Ok(Io(socket))
        }

        fn timer(&self) -> Never {
            Never
        }

        fn look_up(&self, _: String, _: u16) -> Lookup {
            let found = self.0.clone();
            let lookup: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(std::future::ready(Ok(found)));
            lookup
        }
    }

    /// A port that answers nobody: its backlog is full.
    fn black_hole() -> (Socket, Vec<Socket>, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let at = socket.local_addr().unwrap();
        let fill = |_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            begin_connect(&socket, &at).unwrap();
            socket
        };
        let waiting = (0..4).map(fill).collect();
        (socket, waiting, at.as_socket().unwrap())
    }

    #[test]
    fn an_address_that_does_not_answer_costs_a_quarter_of_a_second() {
        let (_hole, _waiting, nobody) = black_hole();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let runtime = Fake(vec![nobody, listener.local_addr().unwrap()]);
        let (begun, until) = (Timestamp::from_millis(1000), Timestamp::from_millis(11_000));
        let mut dialing = Dialing::new(Arc::new("tcp://somewhere:1".parse().unwrap()), until);
        let mut cx = Context::from_waker(Waker::noop());
        let options = LinkOptions::default();
        let mut poll = |now| dialing.poll(&mut cx, now, &runtime, &options).is_ready();
        assert!(!poll(begun));
        let later = begun + STAGGER;
        assert!(!poll(later - Duration::from_nanos(1)));
        while !poll(later) {
            std::thread::yield_now();
        }
        assert!(listener.accept().is_ok());
    }

    #[test]
    fn a_name_without_an_address_is_told_apart() {
        let until = Timestamp::from_millis(10_000);
        let mut dialing = Dialing::new(Arc::new("tls://somewhere:1".parse().unwrap()), until);
        let mut cx = Context::from_waker(Waker::noop());
        let options = LinkOptions::default();
        let dialed = dialing.poll(&mut cx, Timestamp::ZERO, &Fake(Vec::new()), &options);
        assert!(matches!(dialed, Poll::Ready(Err(DialError::NoAddress))));
    }

    #[test]
    fn families_take_turns() {
        let [one, two, three]: [SocketAddr; 3] =
            ["[2001:db8::1]:1", "[2001:db8::2]:1", "192.0.2.1:1"].map(|at| at.parse().unwrap());
        assert_eq!(in_turns(vec![one, two, three]), [one, three, two]);
        assert_eq!(in_turns(vec![three, one, two]), [three, one, two]);
        assert_eq!(in_turns(vec![]), []);
        assert_eq!(in_turns(vec![one; 20]).len(), MAX_PLACES);
    }
}
