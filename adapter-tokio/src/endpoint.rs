//! An endpoint on tokio.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;

use driver::{Address, BindError, Options};
use proto_core::ConfigBuilder;
use tokio::runtime::Handle;

use crate::runtime::Tokio;
use crate::udp;

/// An endpoint, run by a task of the present tokio runtime: see [`driver::Endpoint`] for what it does. Clones are handles of the
/// same one.
///
/// When the last handle is dropped no connection is accepted any more; once those that exist are over, the task ends and the sockets
/// close. Dropping the runtime ends everything at once: await [`wait_idle`](driver::Endpoint::wait_idle) before.
#[derive(Clone, Debug)]
pub struct Endpoint(driver::Endpoint);

impl Endpoint {
    /// An endpoint that takes connections on the UDP address `address`, and can also connect from there. Port 0 picks one that is
    /// free.
    ///
    /// # Panics
    /// When the present tokio runtime was built without I/O or time.
    pub fn bind(address: SocketAddr, builder: ConfigBuilder) -> Result<Self, BindError> {
        Self::listen(&[address.into()], builder)
    }

    /// An endpoint that takes connections at `addresses`, of whatever kinds, and can also connect. Port 0 picks one that is free.
    ///
    /// # Panics
    /// When the present tokio runtime was built without I/O or time.
    pub fn listen(addresses: &[Address], options: impl Into<Options>) -> Result<Self, BindError> {
        inside()?;
        let options = options.into();
        let runtimes = vec![Tokio; options.shards.get().into()];
        let (endpoint, tasks) = driver::listen(runtimes, addresses, options)?;
        tasks.into_iter().for_each(udp::run);
        Ok(Self(endpoint))
    }

    /// An endpoint that only connects: to streams, and by UDP over IPv4, and over IPv6 where the machine has it.
    ///
    /// # Panics
    /// When the present tokio runtime was built without I/O or time.
    pub fn client(options: impl Into<Options>) -> Result<Self, BindError> {
        inside()?;
        let (endpoint, tasks) = driver::client(Tokio, options.into())?;
        tasks.into_iter().for_each(udp::run);
        Ok(Self(endpoint))
    }
}

impl Deref for Endpoint {
    type Target = driver::Endpoint;

    fn deref(&self) -> &driver::Endpoint {
        &self.0
    }
}

/// Outside of a tokio runtime there is an error, and no panic.
fn inside() -> Result<(), BindError> {
    Handle::try_current().map(|_| ()).map_err(|error| BindError::Runtime(io::Error::other(error)))
}
