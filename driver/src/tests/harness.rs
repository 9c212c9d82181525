//! The network, the clock, and tasks whose wakes are counted.

use std::cell::Cell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use proto_core::{ConfigBuilder, Link, Meta, Now, Timestamp};

use crate::node::Node;
use crate::{Connection, End, Endpoint, Machine, Path, Shared};

thread_local! {
    static NOW: Cell<Timestamp> = const { Cell::new(Timestamp::from_millis(1_000_000)) };
}

pub(super) fn now() -> Now {
    Now { mono: NOW.get(), unix_ms: 0 }
}

/// Counts its wakes.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicUsize);

impl Count {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future that is polled when it was woken, and never otherwise.
pub(super) struct Task<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    count: Arc<Count>,
    seen: Option<usize>,
}

impl<'a, T> Task<'a, T> {
    pub(super) fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self { future: Box::pin(future), count: Arc::default(), seen: None }
    }

    /// A task that was polled once and is not ready.
    pub(super) fn waiting(future: impl Future<Output = T> + 'a) -> Self {
        let mut task = Self::new(future);
        assert!(task.poll().is_none(), "nothing to wait for");
        task
    }

    pub(super) fn poll(&mut self) -> Option<T> {
        let woken = self.wakes();
        if self.seen.replace(woken) == Some(woken) {
            return None;
        }
        let waker = Waker::from(Arc::clone(&self.count));
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    pub(super) fn wakes(&self) -> usize {
        self.count.get()
    }

    fn is_woken(&self) -> bool {
        self.seen != Some(self.wakes())
    }
}

/// One endpoint and its I/O task.
pub(super) struct Host {
    pub(super) shared: Shared<Node>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) path: Path,
    io: Arc<Count>,
    /// Whether packets reach it and leave it.
    pub(super) is_linked: bool,
}

impl Host {
    fn new(port: u16, seed: u8, config: ConfigBuilder, backlog: usize) -> Self {
        let settings = config.build().expect("the test's configuration is sound");
        let endpoint = proto_core::Endpoint::new(settings, Link::datagram(1200), [seed; 32], now().mono);
        let (endpoint, shared) = Endpoint::new(endpoint, now, backlog);
        let peer = SocketAddr::from(([127, 0, 0, 1], port));
        let host = Self {
            shared,
            endpoint: Some(endpoint),
            path: Path { socket: 0, peer: peer.into() },
            io: Arc::default(),
            is_linked: true,
        };
        host.begin_turn();
        host
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        self.endpoint.as_ref().expect("the test has not dropped it")
    }

    fn begin_turn(&self) {
        self.shared.begin_turn(&Waker::from(Arc::clone(&self.io)));
    }

    /// How often the I/O task was woken.
    pub(super) fn io_wakes(&self) -> usize {
        self.io.get()
    }

    pub(super) fn waiting(&self) -> usize {
        self.shared.quietly(|node| node.waiters().len())
    }
}

pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;
const BACKLOG: usize = 4;

/// A client, a server, and what lies between them.
pub(super) struct Net {
    pub(super) hosts: Vec<Host>,
    config: ConfigBuilder,
}

impl Net {
    pub(super) fn new(config: ConfigBuilder) -> Self {
        let server = ConfigBuilder { accept: true, server_key: Some([9; 32].into()), ..config.clone() };
        let hosts = vec![Host::new(1, 1, config.clone(), BACKLOG), Host::new(2, 2, server, BACKLOG)];
        Self { hosts, config }
    }

    pub(super) fn client(&self) -> &Host {
        &self.hosts[CLIENT]
    }

    pub(super) fn server(&self) -> &Host {
        &self.hosts[SERVER]
    }

    /// Both ends of a new connection.
    pub(super) fn connect(&mut self) -> (Connection, Connection) {
        let dial = self.client().endpoint().dial_path(self.server().path, &[]).expect("there is room");
        let client = self.run(dial).expect("the server answers");
        let endpoint = self.server().endpoint().clone();
        let server = self.run(endpoint.accept()).expect("the server accepts");
        (client, server)
    }

    /// A server of the same key and address, which has forgotten everything.
    pub(super) fn restart_server(&mut self, seed: u8) {
        self.hosts[SERVER].shared.end(End::Dropped);
        let config = ConfigBuilder { accept: true, server_key: Some([9; 32].into()), ..self.config.clone() };
        self.hosts[SERVER] = Host::new(2, seed, config, BACKLOG);
    }

    /// Carries every packet there is to where it goes; returns whether there was any.
    pub(super) fn carry(&self) -> bool {
        let mut moved = false;
        for from in &self.hosts {
            from.begin_turn();
            from.shared.turn(Machine::handle_timeout);
            let mut bytes = Vec::new();
            while let Some(sent) = from.shared.turn(|node, now| {
                bytes.clear();
                node.poll_transmit(now, &mut bytes)
            }) {
                moved = true;
                let to = self.hosts.iter().find(|host| host.path == sent.path);
                let meta = Meta { path: from.path, ecn: None };
                if let Some(to) = to.filter(|to| to.is_linked && from.is_linked) {
                    to.shared.turn(|node, now| node.handle_packet(now, meta, &bytes));
                }
            }
        }
        moved
    }

    pub(super) fn quiesce(&self) {
        while self.carry() {}
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.hosts.iter().filter_map(|host| host.shared.inspect(Machine::poll_timeout)).min()
    }

    /// Lets `time` pass.
    pub(super) fn pass(&self, time: Duration) {
        let end = NOW.get() + time;
        self.quiesce();
        while let Some(at) = self.deadline().filter(|&at| at <= end) {
            NOW.set(NOW.get().max(at));
            self.quiesce();
        }
        NOW.set(end);
        self.quiesce();
    }

    /// Lets time pass until the task is done; panics when nothing is left that could wake it, or after an hour.
    pub(super) fn finish<T>(&self, task: &mut Task<'_, T>) -> T {
        self.finish_both(task, &mut Task::new(std::future::ready(()))).0
    }

    pub(super) fn finish_both<T, U>(&self, one: &mut Task<'_, T>, other: &mut Task<'_, U>) -> (T, U) {
        let limit = NOW.get() + Duration::from_hours(1);
        let (mut first, mut second) = (None, None);
        loop {
            first = first.or_else(|| one.poll());
            second = second.or_else(|| other.poll());
            match (first, second) {
                (Some(first), Some(second)) => return (first, second),
                unfinished => (first, second) = unfinished,
            }
            if self.carry() {
                continue;
            }
            let is_woken = first.is_none() && one.is_woken() || second.is_none() && other.is_woken();
            if !is_woken {
                let at = self.deadline().filter(|&at| at < limit);
                NOW.set(NOW.get().max(at.expect("nothing will wake the task any more")));
            }
        }
    }

    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.finish(&mut Task::new(future))
    }
}

/// Settings that reach their limits soon.
pub(super) fn small() -> ConfigBuilder {
    ConfigBuilder { send_messages: 4, receive_messages: 4, max_requests: 2, ..ConfigBuilder::default() }
}
