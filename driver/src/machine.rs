//! Anything that the I/O task of an adapter can run.

use std::iter;
use std::task::Waker;

use proto_core::server::Front;
use proto_core::{
    Credentials, Dial, DialError, DialId, Endpoint, Link, LinkId, Meta, Now, Output, Timestamp, Transmit,
};

use crate::{Path, Wakes};

/// A machine with the core's verbs (docs/spec/connection.md, section 5): packets and timeouts in, packets and a deadline out.
///
/// It lives in a [`Shared`](crate::Shared); the I/O task calls the verbs, and everybody else gives commands.
pub trait Machine: Send + 'static {
    /// Takes in a packet.
    fn handle_packet(&mut self, now: Now, meta: Meta<Path>, packet: &[u8]);

    /// Takes in packets that came together and the same way, of `stride` bytes each but for the last, which may be shorter.
    fn handle_packets(&mut self, now: Now, meta: Meta<Path>, packets: &[u8], stride: usize) {
        // A datagram may be empty.
        let (first, rest) = packets.split_at(stride.min(packets.len()));
        self.handle_packet(now, meta, first);
        for packet in rest.chunks(stride.max(1)) {
            self.handle_packet(now, meta, packet);
        }
    }

    /// Does what is due at `now`. Afterwards [`poll_timeout`](Self::poll_timeout) is `None` or later than `now`.
    fn handle_timeout(&mut self, now: Now);

    /// Appends one packet to `buf`, if there is one to send.
    fn poll_transmit(&mut self, now: Now, buf: &mut Vec<u8>) -> Option<Transmit<Path>>;

    /// Appends up to `max` packets to `buf` and what each of them is to `packets`; fewer say that there are no more.
    fn poll_packets(
        &mut self,
        now: Now,
        max: usize,
        buf: &mut Vec<u8>,
        packets: &mut Vec<Transmit<Path>>,
    ) -> usize {
        let before = packets.len();
        packets.extend(iter::from_fn(|| self.poll_transmit(now, buf)).take(max));
        packets.len() - before
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    fn poll_timeout(&self) -> Option<Timestamp>;

    /// A stream was accepted, and this is what it vouches for; `None` closes it. Machines that are given no listener need none of the
    /// calls about streams.
    fn link_up(&mut self, now: Now, path: Path, link: Link, vouched: Credentials) -> Option<LinkId> {
        let _ = (now, path, link, vouched);
        None
    }

    /// A stream died, or its peer writes no more.
    fn link_down(&mut self, now: Now, id: LinkId) {
        let _ = (now, id);
    }

    /// A stream is another shard's from here on; `false` when it stays.
    fn release_link(&mut self, now: Now, id: LinkId) -> bool {
        let _ = (now, id);
        false
    }

    /// What came on a stream makes no sense.
    fn link_broken(&mut self, now: Now, id: LinkId, why: &'static str) {
        let _ = (now, id, why);
    }

    /// The peer ended a stream, for it does not take the certificate that this side showed, or misses one. Only a machine that dials
    /// has a use for that.
    fn link_refused(&mut self, now: Now, id: LinkId) {
        self.link_down(now, id);
    }

    /// Takes in a record.
    fn handle_record(&mut self, now: Now, id: LinkId, record: &[u8]) {
        let _ = (now, id, record);
    }

    /// How long the next record of a stream may be, in bytes.
    fn record_limit(&self, id: LinkId) -> usize {
        let _ = id;
        0
    }

    /// The next stream that may have something to write.
    fn poll_link(&mut self) -> Option<LinkId> {
        None
    }

    /// Appends the next record of a stream to `buf`, if there is one.
    fn poll_record(&mut self, now: Now, id: LinkId, buf: &mut Vec<u8>) -> Output {
        let _ = (now, id, buf);
        Output::Close
    }

    /// Whether a stream is still of use.
    fn has_link(&self, id: LinkId) -> bool {
        let _ = id;
        false
    }

    /// The next stream to open, or to open no more.
    fn poll_dial(&mut self) -> Option<Dial<Path>> {
        None
    }

    /// A stream is open; `None` closes it: nobody waits for it any more.
    fn dialed(&mut self, now: Now, id: DialId, link: Link) -> Option<LinkId> {
        let _ = (now, id, link);
        None
    }

    /// A stream cannot be opened.
    fn dial_failed(&mut self, now: Now, id: DialId, error: DialError) {
        let _ = (now, id, error);
    }

    /// A turn of the I/O task begins: whoever brings the machine something is to wake `task`, who then settles it.
    fn attend(&mut self, task: &Waker) {
        let _ = task;
    }

    /// Runs after each turn of the I/O task and after each command, under the lock: the place to poll events, and whatever else
    /// must reach others. It must not block.
    fn settle(&mut self, now: Now, wakes: &mut Wakes) {
        let _ = (now, wakes);
    }

    /// Whether [`settle`](Self::settle) has left something for the I/O task's next turn: others are to have theirs in between.
    fn has_more(&self) -> bool {
        false
    }

    /// Whether nothing more will come of it: the I/O task ends and closes its sockets.
    fn is_over(&self) -> bool {
        false
    }

    /// The I/O task has ended: nothing will be sent or received any more. After a panic, what was being changed is in no state that
    /// makes sense.
    fn handle_end(&mut self, how: End, wakes: &mut Wakes) {
        let _ = (how, wakes);
    }
}

/// How an I/O task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The machine was over.
    Over,
    /// It was dropped before, with its runtime for instance.
    Dropped,
    /// By a panic, in the machine or in what it called.
    Panicked,
}

impl Machine for Endpoint<Path> {
    fn handle_packet(&mut self, now: Now, meta: Meta<Path>, packet: &[u8]) {
        self.handle_packet(now.mono, meta, packet);
    }

    fn handle_packets(&mut self, now: Now, meta: Meta<Path>, packets: &[u8], stride: usize) {
        self.handle_packets(now.mono, meta, packets, stride);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.handle_timeout(now.mono);
    }

    fn poll_transmit(&mut self, now: Now, buf: &mut Vec<u8>) -> Option<Transmit<Path>> {
        self.poll_transmit(now.mono, buf)
    }

    fn poll_packets(
        &mut self,
        now: Now,
        max: usize,
        buf: &mut Vec<u8>,
        packets: &mut Vec<Transmit<Path>>,
    ) -> usize {
        self.poll_packets(now.mono, max, buf, packets)
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.poll_timeout()
    }

    fn link_up(&mut self, now: Now, path: Path, link: Link, vouched: Credentials) -> Option<LinkId> {
        Some(self.link_up_from(now.mono, path, link, vouched))
    }

    fn link_down(&mut self, now: Now, id: LinkId) {
        self.link_down(now.mono, id);
    }

    fn release_link(&mut self, _: Now, id: LinkId) -> bool {
        self.release_link(id)
    }

    fn link_broken(&mut self, now: Now, id: LinkId, why: &'static str) {
        self.link_broken(now.mono, id, why);
    }

    fn link_refused(&mut self, now: Now, id: LinkId) {
        self.link_refused(now.mono, id);
    }

    fn handle_record(&mut self, now: Now, id: LinkId, record: &[u8]) {
        self.handle_record(now.mono, id, record);
    }

    fn record_limit(&self, id: LinkId) -> usize {
        self.record_limit(id)
    }

    fn poll_link(&mut self) -> Option<LinkId> {
        self.poll_link()
    }

    fn poll_record(&mut self, now: Now, id: LinkId, buf: &mut Vec<u8>) -> Output {
        self.poll_record(now.mono, id, buf)
    }

    fn has_link(&self, id: LinkId) -> bool {
        self.has_link(id)
    }

    fn poll_dial(&mut self) -> Option<Dial<Path>> {
        self.poll_dial()
    }

    fn dialed(&mut self, now: Now, id: DialId, link: Link) -> Option<LinkId> {
        self.dialed(now.mono, id, link)
    }

    fn dial_failed(&mut self, now: Now, id: DialId, error: DialError) {
        self.dial_failed(now.mono, id, error);
    }
}

impl Machine for Front<Path> {
    fn handle_packet(&mut self, now: Now, meta: Meta<Path>, packet: &[u8]) {
        self.handle_packet(now, meta, packet);
    }

    fn handle_packets(&mut self, now: Now, meta: Meta<Path>, packets: &[u8], stride: usize) {
        self.handle_packets(now, meta, packets, stride);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Now, buf: &mut Vec<u8>) -> Option<Transmit<Path>> {
        self.poll_transmit(now, buf)
    }

    fn poll_packets(
        &mut self,
        now: Now,
        max: usize,
        buf: &mut Vec<u8>,
        packets: &mut Vec<Transmit<Path>>,
    ) -> usize {
        self.poll_packets(now, max, buf, packets)
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.poll_timeout()
    }

    fn link_up(&mut self, now: Now, path: Path, link: Link, vouched: Credentials) -> Option<LinkId> {
        Some(self.link_up(now, path, link, vouched))
    }

    fn link_down(&mut self, now: Now, id: LinkId) {
        self.link_down(now, id);
    }

    fn release_link(&mut self, _: Now, id: LinkId) -> bool {
        self.release_link(id)
    }

    fn link_broken(&mut self, now: Now, id: LinkId, why: &'static str) {
        self.link_broken(now, id, why);
    }

    fn handle_record(&mut self, now: Now, id: LinkId, record: &[u8]) {
        self.handle_record(now, id, record);
    }

    fn record_limit(&self, id: LinkId) -> usize {
        self.record_limit(id)
    }

    fn poll_link(&mut self) -> Option<LinkId> {
        self.poll_link()
    }

    fn poll_record(&mut self, now: Now, id: LinkId, buf: &mut Vec<u8>) -> Output {
        self.poll_record(now, id, buf)
    }

    fn has_link(&self, id: LinkId) -> bool {
        self.has_link(id)
    }
}
