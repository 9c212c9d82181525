//! A server, whole: endpoint, chat log, rooms, and what must be persisted, joined as one machine. The hub runs it on sockets and
//! a store; the simulator runs the very same one.

mod board;
mod expiry;
mod front;
mod gate;
mod links;
mod look;
mod peers;
mod rooms;
mod shards;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;

use crate::chat::{
    self, Audience, Batch, ChatConfig, Delivery, EndReason, Outgoing, PersistFailure, Read, ReadFailure,
    ReadId,
};
use crate::room::hall::{Hall, Output};
use crate::room::{Departure, RoomConfig};
use crate::{
    Address, ChannelId, Close, Closed, Config, ConnectionId, Drain, Endpoint, Event, Link, Message, Meta,
    SendError, Shard, Stats, Timestamp, Transmit, code,
};
use crate::{Now, chat::StoredEntry};

use self::board::Board;
pub use self::front::{Front, FrontStats};
pub use self::gate::Gate;
use self::peers::Peers;
pub use self::shards::{Order, Report, Told};
pub use rooms::{CLOSE_SENT_AWAY, CLOSE_SLOW, PLAY_CHANNEL, ROOM_CHANNEL};

/// Code of a CLOSE that ends a connection for what the chat log says of it.
pub const CLOSE_CHAT: u64 = code::APPLICATION;
/// Code of the error that answers requests, of which this server knows none.
pub const UNKNOWN_REQUEST: u64 = code::APPLICATION + 1;

/// Events that wait for the operator; what is over is counted and dropped.
const MAX_EVENTS: usize = 1024;

/// Something that an operator may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent<A> {
    /// A client is connected.
    Connected(ConnectionId, A),
    /// A client is gone.
    Disconnected(ConnectionId, Closed),
    /// A client was sent away.
    Ended(ConnectionId, EndReason),
    /// The store has no room; nothing is acknowledged until it has.
    DiskFull,
    /// The store has room again.
    DiskRecovered,
    /// The store is broken; no append is taken any more.
    Stopped,
}

/// Counters of what joins the parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Entries that a client's full queue had no room for; it will see the gap and ask.
    pub entries_skipped: u64,
    /// Messages on channels of no meaning, and requests.
    pub not_chat: u64,
    /// Room events that a client's full queue had no room for: it gets a snapshot when it has.
    pub room_events_skipped: u64,
    /// Notes and cursors that a client's full queue had no room for.
    pub notes_skipped: u64,
    /// Clients closed because they did not take what happened in their rooms.
    pub slow: u64,
    /// Outputs for guests that nobody polled in time.
    pub guest_outputs_dropped: u64,
    /// Events that nobody polled in time.
    pub events_dropped: u64,
    /// Messages for connections that were already over.
    pub undeliverable: u64,
}

/// The whole server as a state machine: packets and what the store says in; packets and what the store must do out.
#[derive(Clone, Debug)]
pub struct Server<A: Address = SocketAddr> {
    peers: Peers<A>,
    chat: chat::Server,
    /// What could not be queued yet for a connection whose queue is full, in order. While there is any, nothing of that
    /// connection is taken in, which bounds it (see [`chat::Server`]).
    held: BTreeMap<ConnectionId, VecDeque<Bytes>>,
    /// The newest entry that a connection's full queue had no room for. It follows as soon as there is room, so that the client
    /// sees the gap at once and asks.
    skipped: BTreeMap<ConnectionId, Bytes>,
    hall: Hall,
    hall_seed: [u8; 32],
    links: rooms::Links,
    events: VecDeque<ServerEvent<A>>,
    /// Batches handed out and not answered: the highest number of each kind.
    handed_out: u64,
    answered: u64,
    expiry: expiry::Expiry,
    look: look::Look,
    stats: ServerStats,
    gate: Option<Arc<dyn Gate>>,
}

impl<A: Address> Server<A> {
    /// A server without rooms or clients. `seed` must be unpredictable.
    pub fn new(config: Arc<Config>, link: Link, chat: ChatConfig, seed: [u8; 32], now: Now) -> Self {
        let hall_seed = *blake3::keyed_hash(&seed, b"hall").as_bytes();
        let chat_seed = *blake3::keyed_hash(&seed, b"chat").as_bytes();
        Self {
            peers: Peers { endpoint: Endpoint::new(config, link, seed, now.mono), board: None },
            chat: chat::Server::new(chat, chat_seed),
            held: BTreeMap::new(),
            skipped: BTreeMap::new(),
            hall: Hall::new(RoomConfig::default(), hall_seed),
            hall_seed,
            links: rooms::Links::default(),
            events: VecDeque::new(),
            handed_out: 0,
            answered: 0,
            expiry: expiry::Expiry::default(),
            look: look::Look::default(),
            stats: ServerStats::default(),
            gate: None,
        }
    }

    /// The same with these rooms; only before the first packet. Logs of empty rooms expire from `now` on, if they do.
    #[must_use]
    pub fn with_rooms(mut self, now: Now, config: RoomConfig) -> Self {
        self.expiry = expiry::Expiry::new(now.mono, config.keep, config.keep_silent);
        self.look = config.keep_silent.map(|keep| look::Look::from(now.mono + keep)).unwrap_or_default();
        self.hall = Hall::new(config, self.hall_seed);
        self
    }

    /// The same with its connections in `shards` [`Front`]s, whose configurations number them from 0; only before the first packet. It
    /// is given no packets itself, but the shards' [reports](Self::handle_report), and says what they are to
    /// [do](Self::poll_order).
    #[must_use]
    pub fn with_shards(mut self, shards: u8) -> Self {
        self.peers.board = Some(Board::new(shards));
        self
    }

    /// A shard has something to report. Reports of one shard must come in their order.
    pub fn handle_report(&mut self, now: Now, report: Report<A>) {
        self.peers.handle_report(report);
        self.pump(now);
    }

    /// What a shard is to do next. Orders to one shard must be handed to it in their order.
    pub fn poll_order(&mut self) -> Option<(Shard, Order)> {
        self.peers.poll_order()
    }

    /// Takes a room over from the store; only before the first packet.
    pub fn restore(&mut self, room: chat::RoomState) -> Result<(), chat::RestoreError> {
        self.chat.restore(room)
    }

    /// Takes in a packet.
    pub fn handle_packet(&mut self, now: Now, meta: Meta<A>, packet: &[u8]) {
        self.peers.endpoint.handle_packet(now.mono, meta, packet);
        self.pump(now);
    }

    /// Takes in packets that came together: see [`Endpoint::handle_packets`].
    pub fn handle_packets(&mut self, now: Now, meta: Meta<A>, packets: &[u8], stride: usize) {
        self.peers.endpoint.handle_packets(now.mono, meta, packets, stride);
        self.pump(now);
    }

    /// Does what is due at `now`. Afterwards [`poll_timeout`](Self::poll_timeout) is `None` or later than `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        self.peers.endpoint.handle_timeout(now.mono);
        self.chat.handle_timeout(now);
        self.hall.handle_timeout(now);
        self.close_slow(now);
        self.look(now);
        self.expire_logs(now);
        self.pump(now);
    }

    /// Appends one packet to `buf`, if there is one to send.
    pub fn poll_transmit(&mut self, now: Now, buf: &mut Vec<u8>) -> Option<Transmit<A>> {
        self.peers.endpoint.poll_transmit(now.mono, buf)
    }

    /// Appends up to `max` packets to `buf`: see [`Endpoint::poll_packets`].
    pub fn poll_packets(
        &mut self,
        now: Now,
        max: usize,
        buf: &mut Vec<u8>,
        packets: &mut Vec<Transmit<A>>,
    ) -> usize {
        self.peers.endpoint.poll_packets(now.mono, max, buf, packets)
    }

    /// The next event for the operator.
    pub fn poll_event(&mut self) -> Option<ServerEvent<A>> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let services = [self.chat.poll_timeout(), self.hall.poll_timeout(), self.links.deadline()];
        services
            .into_iter()
            .chain([self.expiry.deadline(), self.look.deadline(), self.peers.endpoint.poll_timeout()])
            .flatten()
            .min()
    }

    /// The next batch to make durable.
    pub fn poll_persist(&mut self, now: Now) -> Option<Batch> {
        let batch = self.chat.poll_persist(now)?;
        self.handed_out = batch.number;
        Some(batch)
    }

    /// Every batch up to number `upto` is durable.
    pub fn handle_persisted(&mut self, now: Now, upto: u64) {
        self.answered = self.answered.max(upto);
        self.chat.handle_persisted(now, upto);
        self.pump(now);
    }

    /// No batch from number `from` on is durable, or ever will be.
    pub fn handle_persist_failed(&mut self, now: Now, from: u64, failure: PersistFailure) {
        self.answered = self.handed_out;
        self.chat.handle_persist_failed(now, from, failure);
        self.pump(now);
    }

    /// The next page to read from the store.
    pub fn poll_read(&mut self) -> Option<Read> {
        self.chat.poll_read().or_else(|| self.poll_room_read()).or_else(|| self.poll_look_read())
    }

    /// The entries that a read found.
    pub fn handle_read(&mut self, now: Now, id: ReadId, entries: &[StoredEntry]) {
        match self.links.answered(id) {
            Some(log) => self.hall.handle_entries(now, &log, entries),
            None if look::Look::is_of(id) => self.handle_look(now, entries),
            None => self.chat.handle_read(now, id, entries),
        }
        self.pump(now);
    }

    /// A read gave nothing.
    pub fn handle_read_failed(&mut self, now: Now, id: ReadId, failure: ReadFailure) {
        match self.links.answered(id) {
            Some(log) => self.hall.handle_read_failed(now, &log, failure),
            None if look::Look::is_of(id) => self.handle_look_failed(now, failure),
            None => self.chat.handle_read_failed(now, id, failure),
        }
        self.pump(now);
    }

    /// Goes away in good order: takes no new clients, lets the others finish what they have begun, and asks them to come back as
    /// `how` says. Rooms stay as they are for then.
    pub fn drain(&mut self, now: Now, how: Drain) {
        self.hall.drain();
        self.expiry = expiry::Expiry::default();
        self.look = look::Look::default();
        self.peers.drain(now, how);
        self.pump(now);
    }

    /// Whether everybody is gone after [`drain`](Self::drain), and the store has answered.
    pub fn is_drained(&self) -> bool {
        self.peers.is_drained() && self.answered >= self.handed_out
    }

    /// Connections, the handshakes under way included.
    pub fn connections(&self) -> usize {
        self.peers.endpoint.len()
    }

    /// Messages accepted for sending and not settled.
    pub fn unsettled(&self) -> usize {
        self.peers.endpoint.unsettled()
    }

    /// Totals of the endpoint.
    pub fn endpoint_stats(&self) -> Stats {
        self.peers.endpoint.stats()
    }

    /// Totals of the chat log.
    pub fn chat_stats(&self) -> &chat::ServerStats {
        self.chat.stats()
    }

    /// How many logs there are, those of rooms in which nobody is included.
    pub fn logs(&self) -> usize {
        self.chat.logs()
    }

    /// The epoch of a room's log, if there is one.
    pub fn epoch_of(&self, log: &str) -> Option<u64> {
        self.chat.epoch_of(log)
    }

    /// Totals of what joins the two.
    pub const fn stats(&self) -> &ServerStats {
        &self.stats
    }

    /// Moves everything between the parts until all are quiet.
    fn pump(&mut self, now: Now) {
        loop {
            let mut quiet = true;
            while let Some((id, event)) = self.peers.poll_event() {
                self.on_event(now, id, event);
                quiet = false;
            }
            while let Some(outgoing) = self.chat.poll_message() {
                self.send(now, outgoing);
                quiet = false;
            }
            while let Some(event) = self.chat.poll_event() {
                self.on_chat_event(now, event);
                quiet = false;
            }
            quiet &= !self.pump_rooms(now);
            if quiet {
                break;
            }
        }
    }

    fn on_event(&mut self, now: Now, id: ConnectionId, event: Event) {
        match event {
            Event::Established { .. } => {
                if let Some(address) = self.peers.address(id) {
                    self.tell(ServerEvent::Connected(id, address));
                }
            }
            // In shards it is their affair.
            Event::Undecided(credentials) => {
                gate::decide(&mut self.peers.endpoint, now.mono, id, &credentials, self.gate.as_deref());
            }
            Event::Readable(ChannelId::DEFAULT) => self.take_in(now, id),
            // Who opens a channel and only listens is told on it, too.
            Event::Opened(channel) | Event::Readable(channel) => self.take_in_room(now, id, channel),
            Event::Writable(ChannelId::DEFAULT) => {
                self.release_held(now, id);
                self.take_in(now, id);
            }
            Event::Writable(channel) => self.room_writable(now, id, channel),
            Event::Closed(closed) => {
                self.take_in(now, id);
                self.held.remove(&id);
                self.skipped.remove(&id);
                self.chat.handle_disconnected(now, id);
                self.close_room_link(now, id, &closed);
                // What could not be taken in was never acknowledged by the chat log; the client has it still.
                self.throw_away(now, id, ChannelId::DEFAULT);
                self.peers.forget(id);
                self.tell(ServerEvent::Disconnected(id, closed));
            }
            _ => {}
        }
    }

    fn on_chat_event(&mut self, now: Now, event: chat::ServerEvent) {
        match event {
            chat::ServerEvent::Ready(id) => self.take_in(now, id),
            chat::ServerEvent::Ended(id, reason) => {
                let said = alloc::format!("{reason}");
                self.peers.close(now, id, Close { code: CLOSE_CHAT, reason: said, ..Close::default() });
                self.tell(ServerEvent::Ended(id, reason));
            }
            chat::ServerEvent::DiskFull => {
                self.hall.handle_stalled(now, true);
                self.tell(ServerEvent::DiskFull);
            }
            chat::ServerEvent::DiskRecovered => {
                self.hall.handle_stalled(now, false);
                self.tell(ServerEvent::DiskRecovered);
            }
            chat::ServerEvent::Stopped => {
                self.hall.handle_stopped(now);
                self.tell(ServerEvent::Stopped);
            }
        }
    }

    /// Hands a connection's messages to the chat log for as long as both sides have room: otherwise they stay where the peer
    /// feels them.
    fn take_in(&mut self, now: Now, id: ConnectionId) {
        while self.chat.is_ready(id) && !self.held.contains_key(&id) && !self.links.is_entering(id) {
            let Some(message) = self.peers.recv(now, id, ChannelId::DEFAULT) else { return };
            if let Some(request) = message.request {
                self.peers.refuse(now, id, request, UNKNOWN_REQUEST);
                self.stats.not_chat += 1;
                continue;
            }
            self.handle_chat(now, id, &message.payload);
            while let Some(outgoing) = self.chat.poll_message() {
                self.send(now, outgoing);
            }
        }
    }

    fn throw_away(&mut self, now: Now, id: ConnectionId, channel: ChannelId) {
        while self.peers.recv(now, id, channel).is_some() {
            self.stats.not_chat += 1;
        }
    }

    fn send(&mut self, now: Now, outgoing: Outgoing) {
        let Outgoing { to, payload, delivery } = outgoing;
        match to {
            Audience::One(id) => self.send_one(now, id, payload, delivery),
            Audience::Many(list) => {
                for &id in &*list {
                    self.send_one(now, id, payload.clone(), delivery);
                }
            }
        }
    }

    fn send_one(&mut self, now: Now, id: ConnectionId, payload: Bytes, delivery: Delivery) {
        let error =
            if self.held.contains_key(&id) { Some(SendError::Full) } else { self.queue(now, id, &payload) };
        match (error, delivery) {
            (None, Delivery::Essential) => {}
            (None, Delivery::Droppable) => {
                self.skipped.remove(&id);
            }
            (Some(SendError::Full), Delivery::Essential) => {
                self.held.entry(id).or_default().push_back(payload);
            }
            (Some(SendError::Full), Delivery::Droppable) => {
                self.stats.entries_skipped += 1;
                self.skipped.insert(id, payload);
            }
            (Some(_), _) => self.stats.undeliverable += 1,
        }
    }

    fn queue(&mut self, now: Now, id: ConnectionId, payload: &Bytes) -> Option<SendError> {
        self.peers.send(now, id, ChannelId::DEFAULT, Message::new(payload.clone())).err()
    }

    fn release_held(&mut self, now: Now, id: ConnectionId) {
        while let Some(payload) = self.held.get(&id).and_then(VecDeque::front).cloned() {
            match self.queue(now, id, &payload) {
                Some(SendError::Full) => return,
                Some(_) => self.stats.undeliverable += 1,
                None => {}
            }
            if let Some(held) = self.held.get_mut(&id) {
                held.pop_front();
                if held.is_empty() {
                    self.held.remove(&id);
                }
            }
        }
        if let Some(payload) = self.skipped.remove(&id)
            && self.queue(now, id, &payload) == Some(SendError::Full)
        {
            self.skipped.insert(id, payload);
        }
    }

    fn tell(&mut self, event: ServerEvent<A>) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
            self.stats.events_dropped += 1;
        }
        self.events.push_back(event);
    }
}
