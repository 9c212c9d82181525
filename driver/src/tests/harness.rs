//! The network, the clock, and tasks whose wakes are counted.

use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use proto_core::{ConfigBuilder, Meta, Now, Timestamp};
use simtest::Recording;
use tempfile::TempDir;

use crate::node::Node;
use crate::{Connection, End, Endpoint, Machine, Path, RECORDED, RecordOptions, Replay, Shared};

thread_local! {
    static NOW: Cell<Timestamp> = const { Cell::new(Timestamp::from_millis(1_000_000)) };
}

pub(crate) fn now() -> Now {
    Now { mono: NOW.get(), unix_ms: 0 }
}

/// Counts its wakes.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future that is polled when it was woken, and never otherwise.
pub(crate) struct Task<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    count: Arc<Count>,
    seen: Option<usize>,
}

impl<'a, T> Task<'a, T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self { future: Box::pin(future), count: Arc::default(), seen: None }
    }

    /// A task that was polled once and is not ready.
    pub(crate) fn waiting(future: impl Future<Output = T> + 'a) -> Self {
        let mut task = Self::new(future);
        assert!(task.poll().is_none(), "nothing to wait for");
        task
    }

    pub(crate) fn poll(&mut self) -> Option<T> {
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

    pub(crate) fn wakes(&self) -> usize {
        self.count.get()
    }

    fn is_woken(&self) -> bool {
        self.seen != Some(self.wakes())
    }
}

/// One endpoint and its I/O task.
pub(crate) struct Host {
    pub(crate) shared: Shared<Node>,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) path: Path,
    io: Arc<Count>,
    /// Whether packets reach it and leave it.
    pub(crate) is_linked: bool,
}

impl Host {
    fn new(port: u16, seed: u8, config: ConfigBuilder, backlog: usize, record: &RecordOptions) -> Self {
        let settings = config.build().expect("the test's configuration is sound");
        let recorded = Endpoint::recorded(&settings, [seed; 32], now, backlog, record);
        let (endpoint, shared) = recorded.expect("there is a folder");
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

    pub(crate) fn endpoint(&self) -> &Endpoint {
        self.endpoint.as_ref().expect("the test has not dropped it")
    }

    fn begin_turn(&self) {
        self.shared.begin_turn(&Waker::from(Arc::clone(&self.io)));
    }

    /// How often the I/O task was woken.
    pub(crate) fn io_wakes(&self) -> usize {
        self.io.get()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.shared.quietly(|node| node.waiters().len())
    }
}

pub(crate) const CLIENT: usize = 0;
pub(crate) const SERVER: usize = 1;
const BACKLOG: usize = 4;

/// A client, a server, and what lies between them. What they are told is recorded, and told again to others at the end.
pub(crate) struct Net {
    pub(crate) hosts: Vec<Host>,
    config: ConfigBuilder,
    pub(crate) records: Vec<(RecordOptions, ConfigBuilder)>,
    folder: TempDir,
}

impl Net {
    pub(crate) fn new(config: ConfigBuilder) -> Self {
        Self::recorded(config, |record| record)
    }

    /// Recorded with these options.
    pub(crate) fn recorded(config: ConfigBuilder, with: impl Fn(RecordOptions) -> RecordOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut net = Self { hosts: Vec::new(), config: config.clone(), records: Vec::new(), folder };
        net.add(1, 1, config, &with);
        net.add(2, 2, net.server_config(), &with);
        net
    }

    fn server_config(&self) -> ConfigBuilder {
        ConfigBuilder { accept: true, server_key: Some([9; 32].into()), ..self.config.clone() }
    }

    fn add(
        &mut self,
        port: u16,
        seed: u8,
        config: ConfigBuilder,
        with: impl Fn(RecordOptions) -> RecordOptions,
    ) {
        let file = self.folder.path().join(format!("{}.rec", self.records.len()));
        let record = with(RecordOptions::new(file));
        self.hosts.push(Host::new(port, seed, config.clone(), BACKLOG, &record));
        self.records.push((record, config));
    }

    /// All that was recorded until now, with the settings of whom it was told.
    pub(crate) fn recordings(&self) -> Vec<(Recording, ConfigBuilder)> {
        for host in &self.hosts {
            host.shared.quietly(|node| node.endpoint_mut().flush());
        }
        let read = |(record, config): &(RecordOptions, ConfigBuilder)| {
            // Not every recording has begun anew. What was recorded before is another thread's to write, until it lets go of the file.
            let old = fs::File::open(record.old_file()).map(|old| old.lock_shared().expect("a lock"));
            [Some(record.file.clone()), old.ok().map(|()| record.old_file())].map(|file| {
                let bytes = fs::read(file?).ok()?;
                Some((Recording::parse(&bytes).expect("it is a recording"), config.clone()))
            })
        };
        self.records.iter().flat_map(read).flatten().collect()
    }

    pub(crate) fn client(&self) -> &Host {
        &self.hosts[CLIENT]
    }

    pub(crate) fn server(&self) -> &Host {
        &self.hosts[SERVER]
    }

    /// Both ends of a new connection.
    pub(crate) fn connect(&mut self) -> (Connection, Connection) {
        let dial = self.client().endpoint().dial_path(self.server().path, &[]).expect("there is room");
        let client = self.run(dial).expect("the server answers");
        let endpoint = self.server().endpoint().clone();
        let server = self.run(endpoint.accept()).expect("the server accepts");
        (client, server)
    }

    /// A server of the same key and address, which has forgotten everything.
    pub(crate) fn restart_server(&mut self, seed: u8) {
        self.hosts[SERVER].shared.end(End::Dropped);
        self.add(2, seed, self.server_config(), |record| record);
        self.hosts.swap_remove(SERVER);
    }

    /// Carries every packet there is to where it goes; returns whether there was any.
    pub(crate) fn carry(&self) -> bool {
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

    pub(crate) fn quiesce(&self) {
        while self.carry() {}
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.hosts.iter().filter_map(|host| host.shared.inspect(Machine::poll_timeout)).min()
    }

    /// Lets `time` pass.
    pub(crate) fn pass(&self, time: Duration) {
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
    pub(crate) fn finish<T>(&self, task: &mut Task<'_, T>) -> T {
        self.finish_both(task, &mut Task::new(std::future::ready(()))).0
    }

    pub(crate) fn finish_both<T, U>(&self, one: &mut Task<'_, T>, other: &mut Task<'_, U>) -> (T, U) {
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

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.finish(&mut Task::new(future))
    }
}

/// Tells an endpoint with `config` what was recorded.
pub(crate) fn replay(recording: &Recording, config: &ConfigBuilder, compare: bool) -> Result<(), String> {
    assert_eq!(recording.protocol, RECORDED);
    let mut replay = Replay::new(config.clone(), compare);
    recording.inputs.iter().try_for_each(|input| replay.input(input.at, input.kind, &input.bytes))
}

impl Drop for Net {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            for (recording, config) in self.recordings() {
                replay(&recording, &config, true).expect("it does the same again");
            }
        }
    }
}

/// Settings that reach their limits soon.
pub(crate) fn small() -> ConfigBuilder {
    ConfigBuilder { send_messages: 4, receive_messages: 4, max_requests: 2, ..ConfigBuilder::default() }
}
