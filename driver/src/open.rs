//! Making endpoints.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use proto_core::{Config, ConfigBuilder, ConfigError, Now, Timestamp};

use crate::config::{BACKLOG, LINK, config, seed};
use crate::endpoint::{Known, Resolver};
use crate::flight::{Birth, Flight, RecordOptions, Tape};
use crate::link::{LinkOptions, ListenError, Places};
use crate::node::Node;
use crate::{Address, Endpoint, Ports, Runtime, Shared, Task, clock, udp};

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The settings cannot work.
    #[error("the configuration cannot work: {0}")]
    Config(#[from] ConfigError),
    /// There is no address to listen on.
    #[error("there is no address to listen on: name one, or make a client")]
    NoAddress,
    /// An address cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Seed(io::Error),
    /// The I/O task cannot run.
    #[error("the I/O cannot run: {0}")]
    Runtime(io::Error),
    /// The file of a recording cannot be made.
    #[error("nothing can be recorded: {0}")]
    Record(io::Error),
}

/// The settings of an endpoint.
#[derive(Clone, Debug)]
pub struct Options {
    /// The protocol's. Its limits hold for each shard; with several, they are numbered here.
    pub config: ConfigBuilder,
    /// Those of its streams.
    pub links: LinkOptions,
    /// Whether an endpoint that encrypts datagrams may connect to `tcp` and `ws` addresses, too, which are as open as their way:
    /// whoever can hold up its datagrams brings it there. `false`: such addresses are refused.
    pub plain_streams: bool,
    /// Over how many shards an endpoint that listens spreads its connections: each has sockets, a lock and an I/O task of its own, so
    /// that they run on as many processors. What comes to another shard than its own is handed over without waiting: a session
    /// goes on over whatever link its client finds. More than one needs Linux. 1.
    pub shards: NonZeroU8,
    /// Records all that the endpoint is told, for `simtest replay`: see [`Replay`](crate::Replay). `None`: nothing is recorded.
    pub record: Option<RecordOptions>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: ConfigBuilder::default(),
            links: LinkOptions::default(),
            plain_streams: false,
            shards: NonZeroU8::MIN,
            record: None,
        }
    }
}

impl From<ConfigBuilder> for Options {
    fn from(config: ConfigBuilder) -> Self {
        Self { config, ..Self::default() }
    }
}

/// An endpoint that takes connections at `addresses`, of whatever kinds, and can also connect; and an I/O task for each of its shards,
/// which one of `runtimes` is to run. Port 0 picks one that is free.
///
/// With one shard it connects by UDP from its UDP sockets, and with several from others of the same hosts.
pub fn listen<R: Runtime>(
    runtimes: Vec<R>,
    addresses: &[Address],
    mut options: Options,
) -> Result<(Endpoint, Vec<Task<Node, R>>), BindError> {
    if addresses.is_empty() {
        return Err(BindError::NoAddress);
    }
    options.links.exempt_networks.extend_from_slice(&options.config.exempt_networks);
    let mut ports = Ports::shards(runtimes, &options.links);
    for address in addresses {
        Ports::listen_all(&mut ports, address)?;
    }
    for shard in &mut ports {
        shard.add_private()?;
    }
    open(ports, options, true)
}

/// An endpoint that only connects: to streams, and by UDP over IPv4, and over IPv6 where the machine has it; and its I/O task. It is
/// one shard.
pub fn client<R: Runtime>(runtime: R, options: Options) -> Result<(Endpoint, Vec<Task<Node, R>>), BindError> {
    let mut ports = Ports::new(runtime, options.links.clone());
    let any = |ip| Address::from(SocketAddr::new(ip, 0));
    ports.listen(&any(Ipv4Addr::UNSPECIFIED.into()))?;
    // A machine without IPv6 does without.
    let _ = ports.listen(&any(Ipv6Addr::UNSPECIFIED.into()));
    ports.addresses.clear();
    open(vec![ports], options, false)
}

/// Where an endpoint lives whose packets, records and timers somebody else carries, a simulator for instance.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    /// Read once for each turn and each command.
    pub clock: fn() -> Now,
    /// All the randomness that it has.
    pub seed: [u8; 32],
    /// The address that its datagrams come from; `None` when none can be sent. It is socket 0 of its [paths](crate::Path).
    pub socket: Option<SocketAddr>,
    /// Where it says that it listens. Without any it only connects.
    pub addresses: Vec<Address>,
}

/// An endpoint that lives elsewhere.
#[derive(Debug)]
pub struct Carried {
    /// The handle.
    pub endpoint: Endpoint,
    /// The machine to carry for: what a [`Task`] does otherwise.
    pub machine: Shared<Node>,
    /// Where the paths lead that it dials.
    pub places: Arc<Places>,
}

/// An endpoint without sockets: see [`Elsewhere`]. It is one shard, whatever `options` say; settings of streams are the caller's to keep,
/// and names are not looked up. Whoever carries for it does what a [`Task`] does:
///
/// - [`Shared::begin_turn`] with a waker, which is woken when a handle has given it something to do, and then again;
/// - [`Shared::turn`] with what has come, and with [`Machine::handle_timeout`](crate::Machine::handle_timeout) when its time has come;
///   after each, and after each wake, all that the machine's `poll_` verbs give;
/// - [`Shared::end`] once [`Machine::is_over`](crate::Machine::is_over) and all of it is on its way, and when a turn has panicked.
pub fn carried(elsewhere: Elsewhere, options: Options) -> Result<Carried, BindError> {
    let Options { config: mut builder, record, plain_streams, .. } = options;
    let Elsewhere { clock, seed, socket, addresses } = elsewhere;
    builder.accept = !addresses.is_empty();
    if builder.wall_epoch.is_zero() {
        let now = clock();
        builder.wall_epoch =
            Duration::from_millis(now.unix_ms).saturating_sub(now.mono.since(Timestamp::ZERO));
    }
    let places = Arc::<Places>::default();
    let known = Known {
        refuses_plain: builder.crypto.is_some() && !plain_streams,
        sockets: socket.into_iter().collect(),
        places: Arc::clone(&places),
        addresses,
        ..Known::default()
    };
    let (settings, birth) = (config(builder).build()?, Birth { seed, server_key: None, generation: 0 });
    let machine = machine(settings, clock, &birth, record.as_ref(), BACKLOG).map_err(BindError::Record)?;
    Ok(Carried { endpoint: Endpoint::on_ports(vec![machine.clone()], known), machine, places })
}

/// The machine of one shard; it fails where the file of its recording cannot be made.
pub(crate) fn machine(
    settings: Arc<Config>,
    clock: fn() -> Now,
    birth: &Birth,
    record: Option<&RecordOptions>,
    max_backlog: usize,
) -> io::Result<Shared<Node>> {
    let now = clock();
    let tape = record.map(|record| Tape::new(record, &settings, birth, now)).transpose()?;
    let endpoint = proto_core::Endpoint::new(settings, LINK, birth.seed, now.mono);
    Ok(Shared::new(Node::new(Flight::new(endpoint).on(tape), max_backlog), clock))
}

fn open<R: Runtime>(
    ports: Vec<Ports<R>>,
    options: Options,
    accept: bool,
) -> Result<(Endpoint, Vec<Task<Node, R>>), BindError> {
    let Options { config: mut builder, record, plain_streams, .. } = options;
    builder.accept = accept;
    if builder.wall_epoch.is_zero() {
        builder.wall_epoch = clock::wall_epoch();
    }
    let is_sharded = ports.len() > 1;
    let mut drawn = None;
    if is_sharded && builder.server_key.is_none() {
        // Where one shard has ended, another says so to its peers.
        drawn = Some(seed().map_err(BindError::Seed)?);
        builder.server_key = drawn.map(Into::into);
    }
    let refuses_plain = builder.crypto.is_some() && !plain_streams;
    let (mut shards, mut tasks) = (Vec::new(), Vec::new());
    let mut known = Known { refuses_plain, ..Known::default() };
    for (number, mut ports) in ports.into_iter().enumerate() {
        let mut builder = builder.clone();
        if is_sharded {
            builder.shard = number as u8;
        }
        let birth = Birth { seed: seed().map_err(BindError::Seed)?, server_key: drawn, generation: 0 };
        let record = record.as_ref().map(|record| record.of_shard(number as u8));
        let settings = config(builder).build()?;
        let shared = machine(settings, clock::now, &birth, record.as_ref(), BACKLOG);
        let shared = shared.map_err(BindError::Record)?;
        if number == 0 {
            known.sockets = ports.sockets.iter().map(udp::Socket::local_addr).collect();
            known.dials_from = ports.shared_sockets;
            known.places = Arc::clone(&ports.places);
            known.addresses = std::mem::take(&mut ports.addresses);
            let runtime = ports.runtime().clone();
            known.resolver = Some(Resolver(Box::new(move |host, port| runtime.look_up(host, port))));
        }
        let task = Task::new(shared.clone(), ports);
        known.udp.push(task.udp_counters());
        known.links.push(task.link_counters());
        shards.push(shared);
        tasks.push(task);
    }
    Ok((Endpoint::on_ports(shards, known), tasks))
}
