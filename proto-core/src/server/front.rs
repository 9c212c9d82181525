//! One shard of a server: its connections, and what passes between them and the services.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;

use super::gate::{Gate, decide};
use super::shards::{Order, Report, TOLD, Told, WINDOW, cost};
use crate::{
    Address, ChannelId, Config, ConnectionId, Credentials, Endpoint, Event, Link, LinkId, Message, Meta, Now,
    Output, SendError, Stats, Timestamp, Transmit,
};

/// Counters of a shard beside those of its endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrontStats {
    /// Messages for connections that were already over.
    pub undeliverable: u64,
}

/// The connections of one shard of a server whose services are elsewhere: packets and orders in, packets and reports out.
///
/// The verbs are those of [`Endpoint`]; whatever the connections have for the services is polled as [`Report`]s, to be handed to
/// [`Server::handle_report`](super::Server::handle_report), and what they have for the connections comes by
/// [`handle_order`](Self::handle_order).
#[derive(Clone, Debug)]
pub struct Front<A: Address = SocketAddr> {
    endpoint: Endpoint<A>,
    lines: BTreeMap<(ConnectionId, ChannelId), Line>,
    reports: VecDeque<Told<A>>,
    is_over: bool,
    stats: FrontStats,
    pub(super) gate: Option<Arc<dyn Gate>>,
}

/// One channel of a connection, both ways.
#[derive(Clone, Debug, Default)]
struct Line {
    /// What was reported and not taken.
    reported: usize,
    /// What was queued and not told.
    queued: usize,
    /// What the channel had no room for.
    parked: VecDeque<Message>,
}

impl<A: Address> Front<A> {
    /// The shard that `config` names, without connections. `seed` must be unpredictable, and no other shard's.
    pub fn new(config: Arc<Config>, link: Link, seed: [u8; 32], now: Timestamp) -> Self {
        Self {
            endpoint: Endpoint::new(config, link, seed, now),
            lines: BTreeMap::new(),
            reports: VecDeque::new(),
            is_over: false,
            stats: FrontStats::default(),
            gate: None,
        }
    }

    /// Takes in a packet.
    pub fn handle_packet(&mut self, now: Now, meta: Meta<A>, packet: &[u8]) {
        self.endpoint.handle_packet(now.mono, meta, packet);
        self.pump(now);
    }

    /// Takes in packets that came together: see [`Endpoint::handle_packets`].
    pub fn handle_packets(&mut self, now: Now, meta: Meta<A>, packets: &[u8], stride: usize) {
        self.endpoint.handle_packets(now.mono, meta, packets, stride);
        self.pump(now);
    }

    /// Does what is due at `now`. Afterwards [`poll_timeout`](Self::poll_timeout) is `None` or later than `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        self.endpoint.handle_timeout(now.mono);
        self.pump(now);
    }

    /// Appends one packet to `buf`, if there is one to send.
    pub fn poll_transmit(&mut self, now: Now, buf: &mut Vec<u8>) -> Option<Transmit<A>> {
        self.endpoint.poll_transmit(now.mono, buf)
    }

    /// Appends up to `max` packets to `buf`: see [`Endpoint::poll_packets`].
    pub fn poll_packets(
        &mut self,
        now: Now,
        max: usize,
        buf: &mut Vec<u8>,
        packets: &mut Vec<Transmit<A>>,
    ) -> usize {
        self.endpoint.poll_packets(now.mono, max, buf, packets)
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.endpoint.poll_timeout()
    }

    /// The next report for the services. They come in the order in which things happened.
    pub fn poll_report(&mut self) -> Option<Report<A>> {
        if !self.is_over && self.is_drained() {
            self.is_over = true;
            self.reports.push_back(Told::Drained);
        }
        let shard = self.endpoint.shard();
        self.reports.pop_front().map(|what| Report { shard, what })
    }

    /// Does what the services want.
    pub fn handle_order(&mut self, now: Now, order: Order) {
        match order {
            Order::Send(id, channel, message) => self.send(now, id, channel, message),
            Order::Taken(id, channel, cost) => {
                if let Some(line) = self.lines.get_mut(&(id, channel)) {
                    line.reported = line.reported.saturating_sub(cost);
                    self.take_in(now, id, channel);
                }
            }
            Order::Refuse(id, request, code) => {
                if let Some(mut conn) = self.endpoint.connection(id) {
                    // Refused or not, the request ends: by this answer or by its deadline.
                    let _ = conn.reply_error(now.mono, request, code, Bytes::new());
                }
            }
            Order::Close(id, close) => {
                if let Some(mut conn) = self.endpoint.connection(id) {
                    conn.close(now.mono, close);
                }
            }
            Order::Drain(how) => self.endpoint.drain(now.mono, how),
        }
        self.pump(now);
    }

    /// A stream was accepted: see [`Endpoint::link_up_from`].
    pub fn link_up(&mut self, now: Now, address: A, link: Link, vouched: Credentials) -> LinkId {
        let id = self.endpoint.link_up_from(now.mono, address, link, vouched);
        self.pump(now);
        id
    }

    /// A stream died, or its peer writes no more: see [`Endpoint::link_down`].
    pub fn link_down(&mut self, now: Now, id: LinkId) {
        self.endpoint.link_down(now.mono, id);
        self.pump(now);
    }

    /// A stream is another shard's: see [`Endpoint::release_link`].
    pub fn release_link(&mut self, id: LinkId) -> bool {
        self.endpoint.release_link(id)
    }

    /// What came on a stream makes no sense: see [`Endpoint::link_broken`].
    pub fn link_broken(&mut self, now: Now, id: LinkId, text: &'static str) {
        self.endpoint.link_broken(now.mono, id, text);
        self.pump(now);
    }

    /// Takes in a record: see [`Endpoint::handle_record`].
    pub fn handle_record(&mut self, now: Now, id: LinkId, record: &[u8]) {
        self.endpoint.handle_record(now.mono, id, record);
        self.pump(now);
    }

    /// How long the next record of a stream may be, in bytes.
    pub fn record_limit(&self, id: LinkId) -> usize {
        self.endpoint.record_limit(id)
    }

    /// The next stream that may have something to write: see [`Endpoint::poll_link`].
    pub fn poll_link(&mut self) -> Option<LinkId> {
        self.endpoint.poll_link()
    }

    /// Appends a stream's next record to `buf`: see [`Endpoint::poll_record`].
    pub fn poll_record(&mut self, now: Now, id: LinkId, buf: &mut Vec<u8>) -> Output {
        self.endpoint.poll_record(now.mono, id, buf)
    }

    /// Whether a stream is still of use.
    pub fn has_link(&self, id: LinkId) -> bool {
        self.endpoint.has_link(id)
    }

    /// Whether everybody is gone after the drain.
    pub fn is_drained(&self) -> bool {
        self.endpoint.is_draining() && self.endpoint.is_empty()
    }

    /// Connections, the handshakes under way included.
    pub fn connections(&self) -> usize {
        self.endpoint.len()
    }

    /// Messages accepted for sending and not settled.
    pub fn unsettled(&self) -> usize {
        self.endpoint.unsettled()
    }

    /// Totals of the endpoint.
    pub fn endpoint_stats(&self) -> Stats {
        self.endpoint.stats()
    }

    /// The shard's own totals.
    pub const fn stats(&self) -> &FrontStats {
        &self.stats
    }

    fn pump(&mut self, now: Now) {
        while let Some((id, event)) = self.endpoint.poll_event() {
            match event {
                Event::Established { .. } => {
                    if let Some(address) = self.endpoint.address(id) {
                        self.lines.entry((id, ChannelId::DEFAULT)).or_default();
                        self.reports.push_back(Told::Connected(id, address));
                    }
                }
                Event::Undecided(credentials) => {
                    decide(&mut self.endpoint, now.mono, id, &credentials, self.gate.as_deref());
                }
                Event::Opened(channel) => {
                    let name = self
                        .endpoint
                        .connection(id)
                        .and_then(|mut conn| conn.channel(channel).name().map(ToString::to_string));
                    self.lines.entry((id, channel)).or_default();
                    self.reports.push_back(Told::Opened(id, channel, name.unwrap_or_default()));
                    self.take_in(now, id, channel);
                }
                Event::Readable(channel) => self.take_in(now, id, channel),
                Event::Writable(channel) => self.unpark(now, id, channel),
                Event::Closed(closed) => {
                    let channels: Vec<_> = self.lines_of(id).collect();
                    for channel in channels {
                        while self.report(now, id, channel) {}
                        let line = self.lines.remove(&(id, channel));
                        self.stats.undeliverable += line.map_or(0, |line| line.parked.len() as u64);
                    }
                    self.reports.push_back(Told::Closed(id, closed));
                }
                _ => {}
            }
        }
    }

    fn lines_of(&self, id: ConnectionId) -> impl Iterator<Item = ChannelId> + '_ {
        let first = (id, ChannelId::DEFAULT);
        self.lines.range(first..).take_while(move |((of, _), _)| *of == id).map(|((_, channel), _)| *channel)
    }

    /// Reports what a channel has received, as long as the services have room: otherwise it stays where the peer feels it.
    fn take_in(&mut self, now: Now, id: ConnectionId, channel: ChannelId) {
        let has_room =
            |front: &Self| front.lines.get(&(id, channel)).is_some_and(|line| line.reported < WINDOW);
        while has_room(self) && self.report(now, id, channel) {}
    }

    fn report(&mut self, now: Now, id: ConnectionId, channel: ChannelId) -> bool {
        let received = self.endpoint.connection(id).and_then(|mut conn| conn.channel(channel).recv(now.mono));
        let Some(received) = received else { return false };
        if let Some(line) = self.lines.get_mut(&(id, channel)) {
            line.reported += cost(received.payload.len());
        }
        self.reports.push_back(Told::Message(id, channel, received));
        true
    }

    fn send(&mut self, now: Now, id: ConnectionId, channel: ChannelId, message: Message) {
        let Some(line) = self.lines.get_mut(&(id, channel)) else {
            self.stats.undeliverable += 1;
            return;
        };
        line.parked.push_back(message);
        if line.parked.len() == 1 {
            self.unpark(now, id, channel);
        }
    }

    /// Queues a message; `false` when it must wait for room.
    fn queue(&mut self, now: Now, id: ConnectionId, channel: ChannelId, message: &Message) -> bool {
        let Some(mut conn) = self.endpoint.connection(id) else {
            self.stats.undeliverable += 1;
            return true;
        };
        let sent = conn.channel(channel).send(now.mono, message.clone());
        drop(conn);
        match sent {
            Ok(_) => {}
            Err(SendError::Full) => return false,
            Err(_) => self.stats.undeliverable += 1,
        }
        let Some(line) = self.lines.get_mut(&(id, channel)) else { return true };
        line.queued += cost(message.payload.len());
        if line.queued >= TOLD {
            let queued = core::mem::take(&mut line.queued);
            self.reports.push_back(Told::Queued(id, channel, queued));
        }
        true
    }

    /// There may be room in a channel's queue.
    fn unpark(&mut self, now: Now, id: ConnectionId, channel: ChannelId) {
        while let Some(message) = self.lines.get(&(id, channel)).and_then(|line| line.parked.front()).cloned()
        {
            if !self.queue(now, id, channel, &message) {
                return;
            }
            if let Some(line) = self.lines.get_mut(&(id, channel)) {
                line.parked.pop_front();
            }
        }
    }
}
