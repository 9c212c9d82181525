//! An endpoint on smol.

use std::net::SocketAddr;
use std::ops::Deref;

use driver::{Address, BindError, Options};
use proto_core::ConfigBuilder;

use crate::runtime::Smol;

/// An endpoint, run by a task of smol's global executor: see [`driver::Endpoint`] for what it does. Clones are handles of the same
/// one.
///
/// When the last handle is dropped no connection is accepted any more; once those that exist are over, the task ends and the sockets
/// close. Await [`wait_idle`](driver::Endpoint::wait_idle) before the program ends.
#[derive(Clone, Debug)]
pub struct Endpoint(driver::Endpoint);

impl Endpoint {
    /// An endpoint that takes connections on the UDP address `address`, and can also connect from there. Port 0 picks one that is
    /// free.
    pub fn bind(address: SocketAddr, builder: ConfigBuilder) -> Result<Self, BindError> {
        Self::listen(&[address.into()], builder)
    }

    /// An endpoint that takes connections at `addresses`, of whatever kinds, and can also connect. Port 0 picks one that is free.
    pub fn listen(addresses: &[Address], options: impl Into<Options>) -> Result<Self, BindError> {
        let options = options.into();
        let runtimes = vec![Smol; options.shards.get().into()];
        let (endpoint, tasks) = driver::listen(runtimes, addresses, options)?;
        for task in tasks {
            smol::spawn(task).detach();
        }
        Ok(Self(endpoint))
    }

    /// An endpoint that only connects: to streams, and by UDP over IPv4, and over IPv6 where the machine has it.
    pub fn client(options: impl Into<Options>) -> Result<Self, BindError> {
        let (endpoint, tasks) = driver::client(Smol, options.into())?;
        for task in tasks {
            smol::spawn(task).detach();
        }
        Ok(Self(endpoint))
    }
}

impl Deref for Endpoint {
    type Target = driver::Endpoint;

    fn deref(&self) -> &driver::Endpoint {
        &self.0
    }
}
