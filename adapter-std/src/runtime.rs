//! The thread's reactor: who waits for which socket.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use driver::{Direction, Lookup, Ready, Runtime, Socket, clock};
use mio::event::{Event, Source};
use mio::net::{TcpListener, TcpStream, UdpSocket};
#[cfg(unix)]
use mio::net::{UnixListener, UnixStream};
use mio::{Events, Interest, Registry, Token};
use proto_core::Timestamp;
use socket2::SockRef;

/// The token of the wakes that come from other threads.
const WAKE: Token = Token(usize::MAX);

/// What is known about the sockets of one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Reactor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    sockets: Mutex<BTreeMap<usize, Arc<State>>>,
    next: AtomicUsize,
    waker: mio::Waker,
    /// Nobody waits for events, so sockets are asked without having heard of any.
    is_spinning: AtomicBool,
}

/// What is known about one socket. Events come at edges: what was heard holds until a call says otherwise.
#[derive(Debug)]
struct State {
    ready: [AtomicBool; 2],
    /// Nothing more will come, or can be sent: there is no other event.
    closed: [AtomicBool; 2],
    wakers: Mutex<[Option<Waker>; 2]>,
}

impl Reactor {
    /// A reactor, and what its thread waits with.
    pub(crate) fn new() -> io::Result<(Self, mio::Poll)> {
        let poll = mio::Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = mio::Waker::new(&registry, WAKE)?;
        let sockets = Mutex::default();
        let (next, is_spinning) = (AtomicUsize::new(0), AtomicBool::new(false));
        Ok((Self(Arc::new(Inner { registry, sockets, next, waker, is_spinning })), poll))
    }

    /// Waits for events, at most for `timeout`, and tells whoever waits for them.
    pub(crate) fn wait(&self, poll: &mut mio::Poll, events: &mut Events, timeout: Option<Duration>) {
        // An interrupted wait is an early one.
        if poll.poll(events, timeout).is_err() {
            return;
        }
        for event in events.iter().filter(|event| event.token() != WAKE) {
            let state = self.sockets().get(&event.token().0).cloned();
            if let Some(state) = state {
                state.hear(event);
            }
        }
    }

    /// From here on, until it is called again, sockets are asked without having heard of anything.
    pub(crate) fn set_spinning(&self, is_spinning: bool) {
        self.0.is_spinning.store(is_spinning, Ordering::Release);
        if !is_spinning {
            // What was heard meanwhile may have been forgotten.
            for state in self.sockets().values() {
                state.ready.iter().for_each(|ready| ready.store(true, Ordering::Release));
            }
        }
    }

    /// Ends the wait of the thread, if it waits for events.
    pub(crate) fn wake(&self) {
        self.0.wake_by_ref();
    }

    fn sockets(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, Arc<State>>> {
        self.0.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the wait of the thread.
impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_spinning.load(Ordering::Acquire) {
            // It fails only when the system is out of resources; the thread then comes at its next deadline.
            let _ = self.waker.wake();
        }
    }
}

impl From<&Reactor> for Waker {
    fn from(reactor: &Reactor) -> Self {
        Arc::clone(&reactor.0).into()
    }
}

impl State {
    fn is_ready(&self, direction: Direction) -> bool {
        [&self.ready, &self.closed].iter().any(|known| known[direction as usize].load(Ordering::Acquire))
    }

    fn hear(&self, event: &Event) {
        let error = event.is_error();
        let closed = [event.is_read_closed() || error, event.is_write_closed() || error];
        let heard = [event.is_readable() || closed[0], event.is_writable() || closed[1]];
        for (direction, (closed, heard)) in closed.into_iter().zip(heard).enumerate() {
            self.closed[direction].fetch_or(closed, Ordering::AcqRel);
            if heard {
                self.ready[direction].store(true, Ordering::Release);
                let waker = self.wakers.lock().unwrap_or_else(PoisonError::into_inner)[direction].take();
                waker.into_iter().for_each(Waker::wake);
            }
        }
    }
}

/// A socket in the reactor.
#[derive(Debug)]
pub(crate) struct Io {
    source: Kind,
    state: Arc<State>,
    token: Token,
    reactor: Reactor,
}

#[derive(Debug)]
enum Kind {
    Udp(UdpSocket),
    Tcp(TcpStream),
    TcpListener(TcpListener),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(unix)]
    UnixListener(UnixListener),
}

/// The same on whichever socket it is.
macro_rules! each {
    ($kind:expr, $socket:ident => $call:expr) => {
        match $kind {
            Kind::Udp($socket) => $call,
            Kind::Tcp($socket) => $call,
            Kind::TcpListener($socket) => $call,
            #[cfg(unix)]
            Kind::Unix($socket) => $call,
            #[cfg(unix)]
            Kind::UnixListener($socket) => $call,
        }
    };
}

impl Kind {
    fn source(&mut self) -> &mut dyn Source {
        each!(self, socket => socket)
    }

    const fn interest(&self) -> Interest {
        match self {
            Self::TcpListener(_) => Interest::READABLE,
            #[cfg(unix)]
            Self::UnixListener(_) => Interest::READABLE,
            _ => Interest::READABLE.add(Interest::WRITABLE),
        }
    }
}

impl Runtime for Reactor {
    type Io = Io;
    type Timer = Timer;

    fn register(&self, socket: Socket) -> io::Result<Io> {
        let mut source = match socket {
            Socket::Udp(socket) => Kind::Udp(UdpSocket::from_std(socket)),
            Socket::Tcp(socket) => Kind::Tcp(TcpStream::from_std(socket)),
            Socket::TcpListener(socket) => Kind::TcpListener(TcpListener::from_std(socket)),
            #[cfg(unix)]
            Socket::Unix(socket) => Kind::Unix(UnixStream::from_std(socket)),
            #[cfg(unix)]
            Socket::UnixListener(socket) => Kind::UnixListener(UnixListener::from_std(socket)),
        };
        // Until the system has said something, nothing is known: the first attempts are made.
        let ready = [AtomicBool::new(true), AtomicBool::new(true)];
        let state = Arc::new(State { ready, closed: Default::default(), wakers: Mutex::default() });
        let token = Token(self.0.next.fetch_add(1, Ordering::Relaxed));
        self.sockets().insert(token.0, Arc::clone(&state));
        let interest = source.interest();
        let registered = self.0.registry.register(source.source(), token, interest);
        let io = Io { source, state, token, reactor: self.clone() };
        registered.map(|()| io)
    }

    fn timer(&self) -> Timer {
        Timer
    }

    fn look_up(&self, host: String, port: u16) -> Lookup {
        driver::look_up(host, port)
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        self.reactor.sockets().remove(&self.token.0);
        // It fails for a socket that could not be registered.
        let _ = self.reactor.0.registry.deregister(self.source.source());
    }
}

impl Ready for Io {
    fn socket(&self) -> SockRef<'_> {
        each!(&self.source, socket => SockRef::from(socket))
    }

    fn attempt<T>(&self, direction: Direction, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let ready = &self.state.ready[direction as usize];
        if !self.state.is_ready(direction) && !self.reactor.0.is_spinning.load(Ordering::Acquire) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // Forgotten before the call: an event that comes during it must not be lost.
        ready.store(false, Ordering::Release);
        let result = call();
        if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            ready.store(true, Ordering::Release);
        }
        result
    }

    fn poll_ready(&self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<()>> {
        let mut wakers = self.state.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state.is_ready(direction) {
            return Poll::Ready(Ok(()));
        }
        wakers[direction as usize] = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The thread asks the machine itself how long to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer;

impl driver::Timer for Timer {
    fn poll(&mut self, _: &mut Context<'_>, at: Option<Timestamp>) -> Poll<()> {
        match at {
            Some(at) if at <= clock::now().mono => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}
