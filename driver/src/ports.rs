//! What a machine is run on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::handover::Handover;
use crate::link::{LinkOptions, Links, ListenError, Places, Sharing, listen, reserve};
use crate::{Address, Runtime, Scheme, Socket, udp};

/// Sockets for a machine: its UDP sockets, where streams come in, and what is needed to open others.
pub struct Ports<R: Runtime> {
    pub(crate) sockets: Vec<udp::Socket<R::Io>>,
    pub(crate) links: Links<R>,
    pub(crate) timer: R::Timer,
    pub(crate) places: Arc<Places>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) handover: Option<Handover>,
    pub(crate) shared_sockets: usize,
    runtime: R,
    options: LinkOptions,
    listeners: u16,
}

impl<R: Runtime> Ports<R> {
    /// Without any socket, streams can be dialed.
    pub fn new(runtime: R, options: LinkOptions) -> Self {
        Self::with(runtime, options, Arc::default(), None)
    }

    /// Sockets for each shard of an endpoint, at most 255: one of `runtimes` runs each.
    pub fn shards(runtimes: Vec<R>, options: &LinkOptions) -> Vec<Self> {
        let places = Arc::<Places>::default();
        if runtimes.len() == 1 {
            return runtimes.into_iter().map(|runtime| Self::new(runtime, options.clone())).collect();
        }
        let ways = Handover::all(u8::try_from(runtimes.len()).unwrap_or(u8::MAX));
        let one = |(runtime, way)| Self::with(runtime, options.clone(), Arc::clone(&places), Some(way));
        runtimes.into_iter().zip(ways).map(one).collect()
    }

    fn with(runtime: R, options: LinkOptions, places: Arc<Places>, handover: Option<Handover>) -> Self {
        Self {
            sockets: Vec::new(),
            links: Links::new(runtime.clone(), options.clone(), Arc::clone(&places)),
            timer: runtime.timer(),
            places,
            addresses: Vec::new(),
            handover,
            shared_sockets: 0,
            runtime,
            options,
            listeners: 0,
        }
    }

    /// Listens at `address`, whose host must be an IP address; returns where that is. Port 0 picks one that is free.
    pub fn listen(&mut self, address: &Address) -> Result<Address, ListenError> {
        self.listen_as(address, Sharing::Alone)
    }

    /// The same for all shards of an endpoint: each has a socket of its own there, and the system spreads what comes over them. A Unix
    /// socket is the first one's, who deals its streams out.
    pub fn listen_all(shards: &mut [Self], address: &Address) -> Result<Address, ListenError> {
        let [first, others @ ..] = shards else {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "there are no shards");
            return Err(ListenError { address: address.clone(), error });
        };
        if others.is_empty() {
            return first.listen(address);
        }
        let Some(at) = address.socket_addr() else {
            let actual = first.listen(address)?;
            // A path's socket means the same in every shard.
            for other in others {
                other.listeners = first.listeners;
            }
            return Ok(actual);
        };
        let reserved = match address.scheme() {
            Scheme::Udp => udp::bind(at).and_then(|socket| socket.local_addr()),
            _ => reserve(at),
        };
        let at = reserved.map_err(|error| ListenError { address: address.clone(), error })?;
        let actual = first.listen_as(&address.at(at), Sharing::Shared)?;
        others.iter_mut().try_for_each(|other| other.listen_as(&actual, Sharing::Shared).map(|_| ()))?;
        Ok(actual)
    }

    fn listen_as(&mut self, address: &Address, sharing: Sharing) -> Result<Address, ListenError> {
        let fail = |error| ListenError { address: address.clone(), error };
        let actual = match (address.scheme(), address.socket_addr()) {
            (Scheme::Udp, Some(at)) => {
                let bound = match sharing {
                    Sharing::Alone => udp::bind(at),
                    Sharing::Shared => udp::bind_shared(at),
                };
                let bound = bound.and_then(|socket| self.runtime.register(Socket::Udp(socket)));
                let socket = bound.and_then(udp::Socket::new).map_err(fail)?;
                self.shared_sockets += usize::from(sharing == Sharing::Shared);
                address.at(self.add(socket))
            }
            (Scheme::Udp, None) => {
                return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "a name is no address")));
            }
            _ => {
                let listening = listen(address, &self.options, sharing)?;
                let actual = listening.address().clone();
                self.links.add_listener(self.listeners, listening, sharing).map_err(fail)?;
                self.listeners += 1;
                actual
            }
        };
        self.addresses.push(actual.clone());
        Ok(actual)
    }

    /// UDP sockets beside those that other shards share, to connect from: what comes there is this shard's.
    pub(crate) fn add_private(&mut self) -> Result<(), ListenError> {
        for number in 0..self.shared_sockets {
            let at = SocketAddr::new(self.sockets[number].local_addr().ip(), 0);
            self.listen_as(&at.into(), Sharing::Alone)?;
            self.addresses.pop();
        }
        Ok(())
    }

    pub(crate) const fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Takes a UDP socket; returns its address. A path's socket is its place among them.
    pub fn add(&mut self, socket: udp::Socket<R::Io>) -> SocketAddr {
        let address = socket.local_addr();
        self.sockets.push(socket);
        address
    }
}
