//! The core's endpoint, as what its streams belong to.

use proto_core::{Dial, DialError, DialId, Endpoint, Link, LinkId, Output, Timestamp};
use simtest::Addr;

use crate::net::At;
use crate::wires::Linked;

impl Linked for Endpoint<At> {
    fn link_up(&mut self, now: Timestamp, from: Addr, link: Link) -> Option<LinkId> {
        Some(self.link_up(now, At::Stream(from), link))
    }

    fn link_down(&mut self, now: Timestamp, id: LinkId) {
        self.link_down(now, id);
    }

    fn link_broken(&mut self, now: Timestamp, id: LinkId, why: &'static str) {
        self.link_broken(now, id, why);
    }

    fn handle_record(&mut self, now: Timestamp, id: LinkId, record: &[u8]) {
        self.handle_record(now, id, record);
    }

    fn record_limit(&self, id: LinkId) -> usize {
        self.record_limit(id)
    }

    fn poll_link(&mut self) -> Option<LinkId> {
        self.poll_link()
    }

    fn poll_record(&mut self, now: Timestamp, id: LinkId, out: &mut Vec<u8>) -> Output {
        self.poll_record(now, id, out)
    }

    fn has_link(&self, id: LinkId) -> bool {
        self.has_link(id)
    }

    fn poll_dial(&mut self) -> Option<Dial<Addr>> {
        Some(match self.poll_dial()? {
            Dial::Begin { id, address } => Dial::Begin { id, address: address.addr() },
            Dial::Cancel(id) => Dial::Cancel(id),
        })
    }

    fn dialed(&mut self, now: Timestamp, id: DialId, link: Link) -> Option<LinkId> {
        self.dialed(now, id, link)
    }

    fn dial_failed(&mut self, now: Timestamp, id: DialId, error: DialError) {
        self.dial_failed(now, id, error);
    }
}
