//! Nodes of simulated rooms: the server machine on a simulated disk, and clients with one event stream each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proto_core::chat::{Batch, ChatConfig, ClientSecret, Kind, Record};
use proto_core::room::{
    Carriage, Client, ClientConfig, ClientEvent, Note, Notes, Position, RoomConfig, SettingsChange, Touch,
    UserId,
};
use proto_core::{ChannelId, Close, Config, ConnectionId, Endpoint, Event, Link, Message, SendError, Server};
use simtest::{Addr, Boot, Dissect, Node, Now, OpId, RecvMeta, StoreError, StoreOp, Time, Transmit};

use crate::chat::store::{Outcome, Store};
use crate::net::{At, both, dissect, ecn_to, meta, reseal, time, timestamp};

/// What a user does.
#[derive(Clone, Debug)]
pub(crate) enum Cmd {
    Enter(&'static str),
    Leave,
    Say(String),
    Play(u16),
    Move(i16),
    Rename(String),
    /// Gives the crown to the participant of that rank; to oneself, if nobody has it.
    Give(usize),
    Drop,
    /// Bans the participant of that rank for so many milliseconds.
    Kick(usize, u32),
    Chat(bool),
    Close,
}

/// What a client is told.
#[derive(Clone, Debug)]
pub(crate) enum Ev {
    Me(UserId),
    Told(ClientEvent),
    Saying(u64),
    /// It says goodbye, and waits for no answer any more.
    Closing,
    /// The server ends the log of a room that was unused for so long since the server runs, and in which something was said or nothing.
    Ended(Arc<str>, Duration, bool),
}

#[derive(Clone, Debug)]
pub(crate) enum RoomNode {
    Server(Box<ServerNode>),
    Client(Box<ClientNode>),
}

#[derive(Clone, Debug)]
pub(crate) struct ServerNode {
    server: Server<At>,
    store: Store,
    pub(crate) unix_ms: u64,
    booted: Time,
    /// When each log, by its epoch, was seen in use last.
    used: BTreeMap<u64, Time>,
    ended: BTreeSet<u64>,
    /// The epochs of logs in which something was said.
    spoken: BTreeSet<u64>,
    events: VecDeque<Ev>,
}

impl ServerNode {
    pub(crate) fn boot(boot: &Boot<'_>, config: &Arc<Config>, rooms: &RoomConfig) -> RoomNode {
        Self::boot_with(boot, config, rooms, &ChatConfig::default())
    }

    pub(crate) fn boot_with(
        boot: &Boot<'_>,
        config: &Arc<Config>,
        rooms: &RoomConfig,
        chat: &ChatConfig,
    ) -> RoomNode {
        let store = Store::open(boot);
        let (link, chat, now) = (Link::datagram(1200), chat.clone(), both(boot.now));
        let mut server =
            Server::new(Arc::clone(config), link, chat, boot.seed, now).with_rooms(now, rooms.clone());
        let mut spoken = BTreeSet::new();
        for room in store.rooms() {
            // The room's own author is none of these.
            if !room.clients.is_empty() {
                spoken.insert(room.epoch);
            }
            server.restore(room.clone()).expect("a store restores what it stored");
        }
        RoomNode::Server(Box::new(Self {
            server,
            store,
            unix_ms: now.unix_ms,
            booted: boot.now.mono,
            used: BTreeMap::new(),
            ended: BTreeSet::new(),
            spoken,
            events: VecDeque::new(),
        }))
    }

    pub(crate) fn server(&self) -> &Server<At> {
        &self.server
    }

    fn pump(&mut self, now: Now) {
        self.unix_ms = self.unix_ms.max(now.unix_ms);
        for room in self.server.hall().rooms().filter(|room| !room.is_empty()) {
            if let Some(epoch) = self.server.epoch_of(room.name()) {
                self.used.insert(epoch, now.mono);
            }
        }
        loop {
            let mut quiet = true;
            while let Some(batch) = self.server.poll_persist(both(now)) {
                self.watch(now.mono, &batch);
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

    /// Notes what was used, and tells what ends; that only once, as a batch that has failed comes again.
    fn watch(&mut self, now: Time, batch: &Batch) {
        for record in &batch.records {
            match record {
                Record::Room { epoch, .. } => {
                    self.used.insert(*epoch, now);
                }
                Record::Entry { epoch, entry, .. } => {
                    self.used.insert(*epoch, now);
                    if entry.kind == Kind::TEXT {
                        self.spoken.insert(*epoch);
                    }
                }
                Record::Gone { room, epoch } => {
                    if self.ended.insert(*epoch) {
                        let used = self.used.get(epoch).copied().unwrap_or(self.booted);
                        let has_words = self.spoken.contains(epoch);
                        self.events.push_back(Ev::Ended(Arc::clone(room), now.since(used), has_words));
                    }
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ClientNode {
    endpoint: Endpoint<At>,
    rooms: Client,
    conn: Option<ConnectionId>,
    channels: Option<[ChannelId; 2]>,
    held: Option<(Carriage, Message)>,
    events: VecDeque<Ev>,
    is_closing: bool,
}

impl ClientNode {
    pub(crate) fn boot(boot: &Boot<'_>, config: &Arc<Config>, server: Addr) -> RoomNode {
        let now = timestamp(boot.now.mono);
        let mut endpoint = Endpoint::new(Arc::clone(config), Link::datagram(1200), boot.seed, now);
        let conn = endpoint.connect(now, At::Datagrams(server)).ok();
        // A user who starts anew is the same: its name is its secret.
        let secret = ClientSecret(*blake3::hash(boot.name.as_bytes()).as_bytes());
        let config =
            ClientConfig { sync_after: Duration::from_secs(1), ..ClientConfig::new(secret, boot.name) };
        RoomNode::Client(Box::new(Self {
            endpoint,
            rooms: Client::new(config),
            conn,
            channels: None,
            held: None,
            events: VecDeque::new(),
            is_closing: false,
        }))
    }

    pub(crate) fn rooms(&self) -> &Client {
        &self.rooms
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.channels.is_some()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.is_closing
    }

    fn user(&self, rank: usize) -> Option<UserId> {
        let view = self.rooms.view()?;
        view.participants.keys().nth(rank % view.participants.len().max(1)).copied()
    }

    fn command(&mut self, now: Now, cmd: Cmd) {
        // What is refused, for want of a room or of a crown, is refused.
        let _ = match cmd {
            Cmd::Enter(room) => self.rooms.enter(room, None),
            Cmd::Leave => self.rooms.leave(),
            Cmd::Say(text) => self.rooms.say(both(now), &text).map(|number| {
                self.events.push_back(Ev::Saying(number));
            }),
            Cmd::Play(count) => {
                let note = Note { key: "a1".into(), touch: Touch::Down(None), delay_ms: 0 };
                self.rooms.play(Notes { at_ms: 0, notes: vec![note; count.into()] })
            }
            Cmd::Move(x) => self.rooms.move_cursor(Position { x, y: x }),
            Cmd::Rename(name) => self.rooms.rename(&name),
            Cmd::Give(rank) => self.user(rank).map_or(Ok(()), |user| self.rooms.give_crown(user)),
            Cmd::Drop => self.rooms.drop_crown(),
            Cmd::Kick(rank, ms) => self.user(rank).map_or(Ok(()), |user| self.rooms.kick_ban(user, Some(ms))),
            Cmd::Chat(on) => {
                self.rooms.change_settings(SettingsChange { chat: Some(on), ..SettingsChange::default() })
            }
            Cmd::Close => {
                self.is_closing = true;
                self.events.push_back(Ev::Closing);
                if let Some(mut conn) = self.conn.and_then(|id| self.endpoint.connection(id)) {
                    conn.close(timestamp(now.mono), Close::default());
                }
                Ok(())
            }
        };
    }

    fn pump(&mut self, now: Now) {
        loop {
            let mut quiet = true;
            while let Some((id, event)) = self.endpoint.poll_event() {
                self.on_event(now, id, &event);
                quiet = false;
            }
            quiet &= !self.take_in(now);
            while let Some(event) = self.rooms.poll_event() {
                if let ClientEvent::Welcome(me) = &event {
                    self.events.push_back(Ev::Me(me.user));
                }
                self.events.push_back(Ev::Told(event));
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
                let Some(mut conn) = self.endpoint.connection(id) else { return };
                let channels = Client::channels()
                    .map(|options| conn.open_channel(timestamp(now.mono), &options).expect("two channels"));
                drop(conn);
                self.channels = Some(channels);
                self.rooms.handle_connected(both(now));
            }
            Event::Closed(closed) | Event::ConnectFailed(closed) if self.conn == Some(id) => {
                if self.channels.take().is_some() {
                    self.rooms.handle_disconnected(both(now));
                }
                self.held = None;
                self.conn = closed.next;
            }
            _ => {}
        }
    }

    fn channel(&self, carriage: Carriage) -> Option<ChannelId> {
        let [control, play] = self.channels?;
        Some(match carriage {
            Carriage::Chat => ChannelId::DEFAULT,
            Carriage::Room => control,
            Carriage::Play => play,
        })
    }

    fn take_in(&mut self, now: Now) -> bool {
        let mut any = false;
        for carriage in [Carriage::Room, Carriage::Play, Carriage::Chat] {
            while self.rooms.is_ready()
                && let Some(channel) = self.channel(carriage)
                && let Some(mut conn) = self.conn.and_then(|id| self.endpoint.connection(id))
                && let Some(message) = conn.channel(channel).recv(timestamp(now.mono))
            {
                drop(conn);
                self.rooms.handle_message(both(now), carriage, &message.payload);
                any = true;
            }
        }
        any
    }

    fn send(&mut self, now: Now) -> bool {
        let mut any = false;
        while self.channels.is_some()
            && let Some((carriage, message)) = self.held.take().or_else(|| self.rooms.poll_message())
        {
            let Some(channel) = self.channel(carriage) else { break };
            let Some(mut conn) = self.conn.and_then(|id| self.endpoint.connection(id)) else { break };
            match conn.channel(channel).send(timestamp(now.mono), message.clone()) {
                Err(SendError::Full) if carriage != Carriage::Play => {
                    self.held = Some((carriage, message));
                    break;
                }
                _ => any = true,
            }
        }
        any
    }
}

impl Dissect for RoomNode {
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        dissect(bytes, text)
    }

    fn reseal(original: &[u8], corrupted: &mut [u8]) {
        reseal(original, corrupted);
    }
}

impl Node for RoomNode {
    type Cmd = Cmd;
    type Event = Ev;

    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], with: RecvMeta) {
        match self {
            Self::Server(node) => {
                node.server.handle_packet(both(now), meta(from, with.ecn), bytes);
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
                node.store.on_timeout(now.mono);
                node.pump(now);
            }
            Self::Client(node) => {
                node.endpoint.handle_timeout(timestamp(now.mono));
                node.rooms.handle_timeout(both(now));
                node.pump(now);
            }
        }
    }

    fn on_cmd(&mut self, now: Now, cmd: Cmd) {
        if let Self::Client(node) = self {
            node.command(now, cmd);
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
            Self::Server(node) => node.server.poll_transmit(both(now), out),
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
                [node.server.poll_timeout().map(time), node.store.deadline()].into_iter().flatten().min()
            }
            Self::Client(node) => [node.endpoint.poll_timeout(), node.rooms.poll_timeout()]
                .into_iter()
                .flatten()
                .min()
                .map(time),
        }
    }

    fn poll_event(&mut self) -> Option<Ev> {
        match self {
            Self::Server(node) => node.events.pop_front(),
            Self::Client(node) => node.events.pop_front(),
        }
    }
}
