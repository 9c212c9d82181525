//! Making endpoints.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use proto_core::{ConfigBuilder, ConfigError};

use crate::config::{BACKLOG, LINK, config, seed};
use crate::endpoint::{Known, Resolver};
use crate::link::{LinkOptions, ListenError};
use crate::node::Node;
use crate::{Address, Endpoint, Ports, Runtime, Shared, Task, clock, udp};

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The settings cannot work.
    #[error("the configuration cannot work: {0}")]
    Config(#[from] ConfigError),
    /// An address cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Seed(io::Error),
    /// The I/O task cannot run.
    #[error("the I/O cannot run: {0}")]
    Runtime(io::Error),
}

/// The settings of an endpoint.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The protocol's.
    pub config: ConfigBuilder,
    /// Those of its streams.
    pub links: LinkOptions,
}

impl From<ConfigBuilder> for Options {
    fn from(config: ConfigBuilder) -> Self {
        Self { config, links: LinkOptions::default() }
    }
}

/// An endpoint that takes connections at `addresses`, of whatever kinds, and can also connect, by UDP from its UDP sockets; and its
/// I/O task. Port 0 picks one that is free.
pub fn listen<R: Runtime>(
    runtime: &R,
    addresses: &[Address],
    options: Options,
) -> Result<(Endpoint, Task<Node, R>), BindError> {
    let mut ports = Ports::new(runtime.clone(), options.links);
    for address in addresses {
        ports.listen(address)?;
    }
    open(runtime, ports, options.config, true)
}

/// An endpoint that only connects: to streams, and by UDP over IPv4, and over IPv6 where the machine has it; and its I/O task.
pub fn client<R: Runtime>(runtime: &R, options: Options) -> Result<(Endpoint, Task<Node, R>), BindError> {
    let mut ports = Ports::new(runtime.clone(), options.links);
    let any = |ip| Address::from(SocketAddr::new(ip, 0));
    ports.listen(&any(Ipv4Addr::UNSPECIFIED.into()))?;
    // A machine without IPv6 does without.
    let _ = ports.listen(&any(Ipv6Addr::UNSPECIFIED.into()));
    ports.addresses.clear();
    open(runtime, ports, options.config, false)
}

fn open<R: Runtime>(
    runtime: &R,
    mut ports: Ports<R>,
    mut builder: ConfigBuilder,
    accept: bool,
) -> Result<(Endpoint, Task<Node, R>), BindError> {
    builder.accept = accept;
    if builder.wall_epoch.is_zero() {
        builder.wall_epoch = clock::wall_epoch();
    }
    let encrypts = builder.crypto.is_some();
    let settings = config(builder).build()?;
    let seed = seed().map_err(BindError::Seed)?;
    let machine = proto_core::Endpoint::new(settings, LINK, seed, clock::now().mono);
    let shared = Shared::new(Node::new(machine, BACKLOG), clock::now);
    let sockets = ports.sockets.iter().map(udp::Socket::local_addr).collect();
    let (places, addresses) = (Arc::clone(&ports.places), std::mem::take(&mut ports.addresses));
    let task = Task::new(shared.clone(), ports);
    let runtime = runtime.clone();
    let resolver = Resolver(Box::new(move |host, port| runtime.look_up(host, port)));
    let known = Known {
        udp: task.udp_counters(),
        links: task.link_counters(),
        places,
        resolver: Some(resolver),
        sockets,
        addresses,
        encrypts,
    };
    Ok((Endpoint::on_ports(shared, known), task))
}
