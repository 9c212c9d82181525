//! Streams, as the endpoint has them. A server accepts them and dials none.

use alloc::vec::Vec;

use super::Server;
use crate::{Address, Credentials, Link, LinkId, Now, Output};

impl<A: Address> Server<A> {
    /// A stream was accepted: see [`Endpoint::link_up_from`](crate::Endpoint::link_up_from).
    pub fn link_up(&mut self, now: Now, address: A, link: Link, vouched: Credentials) -> LinkId {
        let id = self.peers.endpoint.link_up_from(now.mono, address, link, vouched);
        self.pump(now);
        id
    }

    /// A stream died, or its peer writes no more: see [`Endpoint::link_down`](crate::Endpoint::link_down).
    pub fn link_down(&mut self, now: Now, id: LinkId) {
        self.peers.endpoint.link_down(now.mono, id);
        self.pump(now);
    }

    /// What came on a stream makes no sense: see [`Endpoint::link_broken`](crate::Endpoint::link_broken).
    pub fn link_broken(&mut self, now: Now, id: LinkId, text: &'static str) {
        self.peers.endpoint.link_broken(now.mono, id, text);
        self.pump(now);
    }

    /// Takes in a record: see [`Endpoint::handle_record`](crate::Endpoint::handle_record).
    pub fn handle_record(&mut self, now: Now, id: LinkId, record: &[u8]) {
        self.peers.endpoint.handle_record(now.mono, id, record);
        self.pump(now);
    }

    /// How long the next record of a stream may be, in bytes.
    pub fn record_limit(&self, id: LinkId) -> usize {
        self.peers.endpoint.record_limit(id)
    }

    /// The next stream that may have something to write: see [`Endpoint::poll_link`](crate::Endpoint::poll_link).
    pub fn poll_link(&mut self) -> Option<LinkId> {
        self.peers.endpoint.poll_link()
    }

    /// Appends a stream's next record to `buf`: see [`Endpoint::poll_record`](crate::Endpoint::poll_record).
    pub fn poll_record(&mut self, now: Now, id: LinkId, buf: &mut Vec<u8>) -> Output {
        self.peers.endpoint.poll_record(now.mono, id, buf)
    }

    /// Whether a stream is still of use.
    pub fn has_link(&self, id: LinkId) -> bool {
        self.peers.endpoint.has_link(id)
    }
}
