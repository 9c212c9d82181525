//! Nodes of a simulated chat: the server machine on a simulated disk, and clients as the terminal's are.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_core::chat::{self, ChatConfig, ClientConfig, ClientEvent, ClientSecret, Kind};
use proto_core::server::Front;
use proto_core::{
    ChannelId, Config, ConnectionId, Endpoint, Event, Link, Message, SendError, Server, SessionId, Stats,
};
use simtest::{
    Addr, Boot, Dissect, Node, Now, OpId, RecvMeta, StoreError, StoreOp, Time, Transmit, hash_bytes,
};

use super::shards::Shards;
use super::store::{Outcome, Store};
use crate::net::{At, both, dissect, ecn_to, meta, reseal, time, timestamp};
use crate::oracles::Connects;
use crate::peer;

/// A client says something.
#[derive(Clone, Debug)]
pub(crate) struct Say(pub(crate) String);

/// So much of an entry is told.
const TOLD: usize = 24;

/// What the application on a client sees.
#[derive(Clone)]
pub(crate) enum Ev {
    /// It was asked to say something, as number `sequence`.
    Said {
        sequence: u64,
        hash: u64,
    },
    Chat(ClientEvent),
    /// What its connection does.
    Core(peer::Ev),
}

impl fmt::Debug for Ev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(event) => event.fmt(f),
            Self::Said { sequence, .. } => write!(f, "said #{sequence}"),
            Self::Chat(ClientEvent::Joined { latest, next, resumed, .. }) => {
                let how = if *resumed { "again" } else { "anew" };
                write!(f, "joined {how}: latest {latest}, next {next}")
            }
            Self::Chat(ClientEvent::Entry(entry)) => {
                let text = str::from_utf8(&entry.body).unwrap_or("?");
                let told = text.get(..TOLD).unwrap_or(text);
                write!(f, "slot {} = {} #{} {told:?}", entry.slot, entry.name, entry.sequence)?;
                // Two runs that differ in the rest are not the same.
                if told.len() < entry.body.len() {
                    write!(f, "… {:x}", hash_bytes(0, &entry.body))?;
                }
                Ok(())
            }
            Self::Chat(event) => event.fmt(f),
        }
    }
}

/// A server or a client.
#[derive(Clone, Debug)]
pub(crate) enum ChatNode {
    Server(Box<ServerNode>),
    Client(Box<ClientNode>),
}

#[derive(Clone, Debug)]
pub(crate) struct ServerNode {
    server: Server<At>,
    shards: Shards,
    store: Store,
}

impl ServerNode {
    pub(crate) fn boot(boot: &Boot<'_>, config: &Arc<Config>, chat: &ChatConfig) -> ChatNode {
        Self::start(boot, config, chat, Shards::default())
    }

    /// A server whose connections are in shards of these configurations.
    pub(crate) fn boot_sharded(boot: &Boot<'_>, configs: &[Arc<Config>], chat: &ChatConfig) -> ChatNode {
        Self::start(boot, &configs[0], chat, Shards::new(boot, configs))
    }

    fn start(boot: &Boot<'_>, config: &Arc<Config>, chat: &ChatConfig, shards: Shards) -> ChatNode {
        let store = Store::open(boot);
        let link = Link::datagram(1200);
        let mut server = Server::new(Arc::clone(config), link, chat.clone(), boot.seed, both(boot.now));
        if shards.count() > 0 {
            server = server.with_shards(shards.count());
        }
        for room in store.rooms() {
            server.restore(room.clone()).expect("a store restores what it stored");
        }
        ChatNode::Server(Box::new(Self { server, shards, store }))
    }

    pub(crate) fn endpoint_stats(&self) -> Stats {
        let mut stats = self.server.endpoint_stats();
        self.shards.fronts().for_each(|front| stats += &front.endpoint_stats());
        stats
    }

    pub(crate) const fn has_handed_over(&self) -> bool {
        self.shards.has_handed_over
    }

    pub(crate) fn unsettled(&self) -> usize {
        self.server.unsettled() + self.shards.fronts().map(Front::unsettled).sum::<usize>()
    }

    fn pump(&mut self, now: Now) {
        loop {
            let mut quiet = !self.shards.exchange(now, &mut self.server);
            while let Some(batch) = self.server.poll_persist(both(now)) {
                self.store.persist(batch);
                quiet = false;
            }
            while let Some(read) = self.server.poll_read() {
                let entries = self.store.read(&read);
                self.server.handle_read(both(now), read.id, &entries);
                quiet = false;
            }
            while self.server.poll_event().is_some() {}
            if quiet {
                return;
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ClientNode {
    endpoint: Endpoint<At>,
    chat: chat::Client,
    conn: Option<ConnectionId>,
    is_up: bool,
    /// A message that found the queue full.
    held: Option<Bytes>,
    to_say: VecDeque<String>,
    next_slot: Option<u64>,
    /// The highest slot that one of its own entries was acknowledged at.
    acked: u64,
    events: VecDeque<Ev>,
}

impl ClientNode {
    pub(crate) fn boot(
        boot: &Boot<'_>,
        config: &Arc<Config>,
        chat: &ChatConfig,
        server: Addr,
        last: Option<u64>,
    ) -> ChatNode {
        let now = timestamp(boot.now.mono);
        let mut endpoint = Endpoint::new(Arc::clone(config), Link::datagram(1200), boot.seed, now);
        let conn = endpoint.connect(now, At::Datagrams(server)).ok();
        let name = format!("{}#{}", boot.name, boot.life);
        let secret = ClientSecret(*blake3::hash(&boot.seed).as_bytes());
        #[cfg(not(planted))]
        let _ = chat;
        let config = ClientConfig {
            #[cfg(planted)]
            planted: chat.planted,
            last,
            sync_after: Duration::from_secs(1),
            ..ClientConfig::new("lobby", name.as_str(), secret)
        };
        ChatNode::Client(Box::new(Self {
            endpoint,
            chat: chat::Client::new(config).expect("short names"),
            conn,
            is_up: false,
            held: None,
            to_say: VecDeque::new(),
            next_slot: None,
            acked: 0,
            events: conn.map(|conn| Ev::Core(peer::Ev::Asked(conn))).into_iter().collect(),
        }))
    }

    /// Everything said is acknowledged and seen; the slot that it will see next.
    pub(crate) fn settled(&self) -> Option<u64> {
        let is_settled = self.to_say.is_empty() && self.chat.unacknowledged() == 0;
        self.next_slot.filter(|&next| is_settled && next > self.acked)
    }

    fn pump(&mut self, now: Now) {
        loop {
            let mut quiet = true;
            while let Some((id, event)) = self.endpoint.poll_event() {
                let session = SessionId([0; 16]);
                let core = peer::Ev::Core { conn: id, session, pto: Duration::ZERO, event: event.clone() };
                self.events.push_back(Ev::Core(core));
                self.on_event(now, id, &event);
                quiet = false;
            }
            quiet &= !self.take_in(now);
            while let Some(event) = self.chat.poll_event() {
                self.on_chat_event(event);
                quiet = false;
            }
            while let Some(text) = self.to_say.front() {
                let Ok(sequence) = self.chat.append(both(now), Kind::TEXT, text.clone().into()) else {
                    break;
                };
                self.events.push_back(Ev::Said { sequence, hash: hash_bytes(0, text.as_bytes()) });
                self.to_say.pop_front();
                quiet = false;
            }
            quiet &= !self.send(now);
            if quiet {
                return;
            }
        }
    }

    fn on_event(&mut self, now: Now, id: ConnectionId, event: &Event) {
        match event {
            Event::Established { .. } if self.conn == Some(id) => {
                self.is_up = true;
                self.chat.handle_connected(both(now));
            }
            Event::Closed(closed) | Event::ConnectFailed(closed) if self.conn == Some(id) => {
                if std::mem::take(&mut self.is_up) {
                    self.chat.handle_disconnected(both(now));
                }
                self.held = None;
                self.conn = closed.next;
            }
            _ => {}
        }
    }

    fn on_chat_event(&mut self, event: ClientEvent) {
        match &event {
            ClientEvent::Joined { next, .. } => self.next_slot = Some(*next),
            ClientEvent::Entry(entry) => self.next_slot = Some(entry.slot + 1),
            ClientEvent::Acked { slot, .. } => self.acked = self.acked.max(*slot),
            _ => {}
        }
        self.events.push_back(Ev::Chat(event));
    }

    fn take_in(&mut self, now: Now) -> bool {
        let mut any = false;
        while self.is_up
            && self.chat.is_ready()
            && let Some(mut conn) = self.conn.and_then(|id| self.endpoint.connection(id))
            && let Some(message) = conn.channel(ChannelId::DEFAULT).recv(timestamp(now.mono))
        {
            drop(conn);
            self.chat.handle_message(both(now), &message.payload);
            any = true;
        }
        any
    }

    fn send(&mut self, now: Now) -> bool {
        let mut any = false;
        while self.is_up
            && let Some(payload) = self.held.take().or_else(|| self.chat.poll_message())
        {
            let Some(mut conn) = self.conn.and_then(|id| self.endpoint.connection(id)) else { break };
            match conn.channel(ChannelId::DEFAULT).send(timestamp(now.mono), Message::new(payload.clone())) {
                Ok(_) => any = true,
                Err(SendError::Full) => {
                    let channel = ChannelId::DEFAULT;
                    self.events.extend(self.conn.map(|conn| Ev::Core(peer::Ev::Refused { conn, channel })));
                    self.held = Some(payload);
                    break;
                }
                Err(_) => break,
            }
        }
        any
    }
}

impl ChatNode {
    pub(crate) fn is_settled(&self) -> bool {
        match self {
            Self::Server(_) => true,
            Self::Client(client) => client.settled().is_some(),
        }
    }
}

impl Connects for ChatNode {
    fn core(event: &Ev) -> Option<&peer::Ev> {
        match event {
            Ev::Core(event) => Some(event),
            _ => None,
        }
    }
}

impl Dissect for ChatNode {
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        dissect(bytes, text)
    }

    fn reseal(original: &[u8], corrupted: &mut [u8]) {
        reseal(original, corrupted);
    }
}

impl Node for ChatNode {
    type Cmd = Say;
    type Event = Ev;

    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], with: RecvMeta) {
        match self {
            Self::Server(node) => {
                if node.shards.count() > 0 {
                    node.shards.on_datagram(now, from, bytes, with);
                } else {
                    node.server.handle_packet(both(now), meta(from, with.ecn), bytes);
                }
                node.pump(now);
            }
            Self::Client(node) => {
                node.endpoint.handle_packet(timestamp(now.mono), meta(from, with.ecn), bytes);
                node.pump(now);
            }
        }
    }

    fn on_timeout(&mut self, now: Now) {
        match self {
            Self::Server(node) => {
                node.server.handle_timeout(both(now));
                node.shards.on_timeout(now);
                node.store.on_timeout(now.mono);
                node.pump(now);
            }
            Self::Client(node) => {
                node.endpoint.handle_timeout(timestamp(now.mono));
                node.chat.handle_timeout(both(now));
                node.pump(now);
            }
        }
    }

    fn on_cmd(&mut self, now: Now, Say(text): Say) {
        if let Self::Client(node) = self {
            node.to_say.push_back(text);
            node.pump(now);
        }
    }

    fn on_stored(&mut self, now: Now, _: OpId, result: Result<(), StoreError>) {
        let Self::Server(node) = self else { return };
        match node.store.on_stored(now.mono, result) {
            Some(Outcome::Persisted(upto)) => node.server.handle_persisted(both(now), upto),
            Some(Outcome::Failed(from, failure)) => {
                node.server.handle_persist_failed(both(now), from, failure);
            }
            None => {}
        }
        node.pump(now);
    }

    fn poll_transmit(&mut self, now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = match self {
            Self::Server(node) => {
                node.server.poll_transmit(both(now), out).or_else(|| node.shards.poll_transmit(now, out))
            }
            Self::Client(node) => node.endpoint.poll_transmit(timestamp(now.mono), out),
        }?;
        Some(Transmit { dst: transmit.path.addr(), ecn: ecn_to(transmit.ecn), len: transmit.len })
    }

    fn poll_store(&mut self) -> Option<StoreOp> {
        match self {
            Self::Server(node) => node.store.poll_op(),
            Self::Client(_) => None,
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        match self {
            Self::Server(node) => {
                [node.server.poll_timeout().map(time), node.store.deadline(), node.shards.deadline()]
                    .into_iter()
                    .flatten()
                    .min()
            }
            Self::Client(node) => {
                [node.endpoint.poll_timeout(), node.chat.poll_timeout()].into_iter().flatten().min().map(time)
            }
        }
    }

    fn poll_event(&mut self) -> Option<Ev> {
        match self {
            Self::Server(_) => None,
            Self::Client(node) => node.events.pop_front(),
        }
    }
}
