//! Making endpoints.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use proto_core::{ConfigBuilder, ConfigError};

use crate::config::{BACKLOG, LINK, config, seed};
use crate::node::Node;
use crate::{Endpoint, Runtime, Shared, Socket, clock, udp};

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The settings cannot work.
    #[error("the configuration cannot work: {0}")]
    Config(#[from] ConfigError),
    /// The socket cannot be had.
    #[error("cannot bind udp {address}: {error}")]
    Socket {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Seed(io::Error),
    /// The I/O task cannot run.
    #[error("the I/O cannot run: {0}")]
    Runtime(io::Error),
}

/// An endpoint that takes connections on `address`, and can also connect from there; and its I/O task. Port 0 picks one that is free.
pub fn bind<R: Runtime>(
    runtime: &R,
    address: SocketAddr,
    builder: ConfigBuilder,
) -> Result<(Endpoint, udp::Task<Node, R>), BindError> {
    open(runtime, vec![socket(runtime, address)?], builder, true)
}

/// An endpoint that only connects, over IPv4, and over IPv6 where the machine has it; and its I/O task.
pub fn client<R: Runtime>(
    runtime: &R,
    builder: ConfigBuilder,
) -> Result<(Endpoint, udp::Task<Node, R>), BindError> {
    let v4 = socket(runtime, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
    let v6 = socket(runtime, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).ok();
    open(runtime, [Some(v4), v6].into_iter().flatten().collect(), builder, false)
}

fn socket<R: Runtime>(runtime: &R, address: SocketAddr) -> Result<udp::Socket<R::Io>, BindError> {
    let bound = udp::bind(address).and_then(|socket| runtime.register(Socket::Udp(socket)));
    bound.and_then(udp::Socket::new).map_err(|error| BindError::Socket { address, error })
}

fn open<R: Runtime>(
    runtime: &R,
    sockets: Vec<udp::Socket<R::Io>>,
    mut builder: ConfigBuilder,
    accept: bool,
) -> Result<(Endpoint, udp::Task<Node, R>), BindError> {
    builder.accept = accept;
    if builder.wall_epoch.is_zero() {
        builder.wall_epoch = clock::wall_epoch();
    }
    let settings = config(builder).build()?;
    let seed = seed().map_err(BindError::Seed)?;
    let machine = proto_core::Endpoint::new(settings, LINK, seed, clock::now().mono);
    let shared = Shared::new(Node::new(machine, BACKLOG), clock::now);
    let addresses = sockets.iter().map(udp::Socket::local_addr).collect();
    let task = udp::Task::new(shared.clone(), sockets, runtime);
    Ok((Endpoint::on_sockets(shared, task.counters(), addresses), task))
}
