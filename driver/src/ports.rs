//! What a machine is run on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::link::{LinkOptions, Links, ListenError, Places, listen};
use crate::{Address, Runtime, Scheme, Socket, udp};

/// Sockets for a machine: its UDP sockets, where streams come in, and what is needed to open others.
pub struct Ports<R: Runtime> {
    pub(crate) sockets: Vec<udp::Socket<R::Io>>,
    pub(crate) links: Links<R>,
    pub(crate) timer: R::Timer,
    pub(crate) places: Arc<Places>,
    pub(crate) addresses: Vec<Address>,
    runtime: R,
    options: LinkOptions,
    listeners: u16,
}

impl<R: Runtime> Ports<R> {
    /// Without any socket, streams can be dialed.
    pub fn new(runtime: R, options: LinkOptions) -> Self {
        let places = Arc::<Places>::default();
        Self {
            sockets: Vec::new(),
            links: Links::new(runtime.clone(), options.clone(), Arc::clone(&places)),
            timer: runtime.timer(),
            places,
            addresses: Vec::new(),
            runtime,
            options,
            listeners: 0,
        }
    }

    /// Listens at `address`, whose host must be an IP address; returns where that is. Port 0 picks one that is free.
    pub fn listen(&mut self, address: &Address) -> Result<Address, ListenError> {
        let fail = |error| ListenError { address: address.clone(), error };
        let actual = match (address.scheme(), address.socket_addr()) {
            (Scheme::Udp, Some(at)) => {
                let bound = udp::bind(at).and_then(|socket| self.runtime.register(Socket::Udp(socket)));
                let socket = bound.and_then(udp::Socket::new).map_err(fail)?;
                address.at(self.add(socket))
            }
            (Scheme::Udp, None) => {
                return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "a name is no address")));
            }
            _ => {
                let listening = listen(address, &self.options)?;
                let actual = listening.address().clone();
                self.links.add_listener(self.listeners, listening).map_err(fail)?;
                self.listeners += 1;
                actual
            }
        };
        self.addresses.push(actual.clone());
        Ok(actual)
    }

    /// Takes a UDP socket; returns its address. A path's socket is its place among them.
    pub fn add(&mut self, socket: udp::Socket<R::Io>) -> SocketAddr {
        let address = socket.local_addr();
        self.sockets.push(socket);
        address
    }
}
