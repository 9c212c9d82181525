//! Rooms, joined to connections and to the logs (spec: rooms.md, section 2).

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;

use bytes::Bytes;

use super::{Departure, Hall, Output, Server};
use crate::chat::{self, ClientId, Kind, Read, ReadId, RejectReason};
use crate::room::fact::{ROOM, ROOM_AUTHOR};
use crate::room::hall::{Ask, Said, Who};
use crate::room::limits::{NOTE_LIFETIME, SLOW_FOR};
use crate::room::{Audience, Command, Event, Outgoing, Peer, Reason, UserId};
use crate::{
    Address, Advice, ChannelId, Class, Close, CloseReason, Closed, ConnectionId, Message, Now, SendError,
    Timestamp, code,
};

/// The name of the channel that carries commands and what they change, reliably and in order.
pub const ROOM_CHANNEL: &str = "room";
/// The name of the channel that carries notes and cursors.
pub const PLAY_CHANNEL: &str = "room-play";
/// Code of a CLOSE for a client that did not take what happened in its room.
pub const CLOSE_SLOW: u64 = code::APPLICATION + 2;

/// Code of a CLOSE for a client whom the operator sends away.
pub const CLOSE_SENT_AWAY: u64 = code::APPLICATION + 3;

/// Reads of logs that may be with the store for rooms that are being opened.
const MAX_READS: usize = 64;
/// What waits for guests; more is dropped and counted.
const MAX_GUEST_OUTPUTS: usize = 65_536;
/// Ids of reads for rooms have this bit, which those of the chat log never reach.
const ROOM_READ: u64 = 1 << 63;

/// Which channels clients use for rooms, and how far they are behind.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    by_id: BTreeMap<ConnectionId, Link>,
    /// Those that are behind, by when they are closed for it.
    slow: BTreeSet<(Timestamp, ConnectionId)>,
    /// What those still have to hear who have left their room while they were behind: that they have.
    left: BTreeMap<ConnectionId, Bytes>,
    /// Joins of clients that know nothing of rooms, while their rooms are being opened.
    entering: BTreeMap<ConnectionId, Bytes>,
    reads: VecDeque<(Arc<str>, u64, u64)>,
    with_store: BTreeMap<ReadId, Arc<str>>,
    last_read: u64,
    guests: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    control: Option<ChannelId>,
    play: Option<ChannelId>,
    /// When it is closed, unless it has caught up before.
    behind: Option<Timestamp>,
}

impl Links {
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.slow.first().map(|(at, _)| *at)
    }

    pub(super) fn answered(&mut self, id: ReadId) -> Option<Arc<str>> {
        self.with_store.remove(&id)
    }

    pub(super) fn is_entering(&self, id: ConnectionId) -> bool {
        self.entering.contains_key(&id)
    }

    fn set_behind(&mut self, id: ConnectionId, until: Option<Timestamp>) {
        let Some(link) = self.by_id.get_mut(&id) else { return };
        if let Some(at) = link.behind.take() {
            self.slow.remove(&(at, id));
        }
        link.behind = until;
        if let Some(at) = until {
            self.slow.insert((at, id));
        }
    }

    fn forget(&mut self, id: ConnectionId) {
        self.set_behind(id, None);
        self.by_id.remove(&id);
        self.left.remove(&id);
        self.entering.remove(&id);
    }
}

impl<A: Address> Server<A> {
    /// All rooms and who is in them.
    pub const fn hall(&self) -> &Hall {
        &self.hall
    }

    /// Does something with the rooms: what guests of a gateway ask for, and what the operator wants.
    pub fn with_hall<R>(&mut self, now: Now, what: impl FnOnce(&mut Hall) -> R) -> R {
        let result = what(&mut self.hall);
        self.pump(now);
        result
    }

    /// Ends a client's connection: the operator wants it.
    pub fn send_away(&mut self, now: Now, id: ConnectionId) {
        let reason = "sent away by the operator".into();
        let close = Close { code: CLOSE_SENT_AWAY, reason, advice: Advice::After, ..Close::default() };
        self.peers.close(now, id, close);
        self.pump(now);
    }

    /// The next thing that a guest is told. Its audience may hold native clients too, which have been told already.
    pub fn poll_guest(&mut self) -> Option<Output> {
        self.links.guests.pop_front()
    }

    /// Moves what there is between the rooms, the logs and the connections; says whether there was anything.
    pub(super) fn pump_rooms(&mut self, now: Now) -> bool {
        let mut any = false;
        while let Some(ask) = self.hall.poll_ask() {
            self.ask(now, ask);
            any = true;
        }
        while let Some((log, entry)) = self.chat.poll_committed() {
            self.hall.handle_committed(now, &log, &entry);
            any = true;
        }
        while let Some(output) = self.hall.poll_output() {
            self.put_out(now, output);
            any = true;
        }
        any
    }

    fn ask(&mut self, now: Now, ask: Ask) {
        match ask {
            Ask::Open(log) if self.chat.epoch_of(&log).is_none() && !self.hall.may_make(now, &log) => {
                self.hall.handle_open_failed(now, &log, Reason::TooManyNew);
            }
            Ask::Open(log) => match self.open_log(now, &log) {
                Ok((_, latest)) => self.hall.handle_opened(now, &log, latest),
                Err(RejectReason::TooManyRooms) => {
                    self.hall.handle_open_failed(now, &log, Reason::TooManyRooms);
                }
                Err(_) => self.hall.handle_open_failed(now, &log, Reason::Stopped),
            },
            Ask::Read(log, from, upto) => self.links.reads.push_back((log, from, upto)),
            Ask::Fact(log, fact) => {
                if self.chat.append_own(now, &log, ROOM_AUTHOR, "", ROOM, &fact.to_bytes()).is_err() {
                    self.hall.handle_fact_refused(&log);
                }
            }
            Ask::Say(log, said) => {
                let Said { client, name, text, .. } = &said;
                if self.chat.append_own(now, &log, *client, name, Kind::TEXT, text).is_err() {
                    self.hall.handle_say_failed(&said);
                }
            }
            Ask::Close(log, is_silent) => {
                self.chat.close_log(now, &log);
                match is_silent {
                    Some(banned) => self.expiry.is_silent(now.mono + banned, log),
                    None => self.expiry.is_used(&log),
                }
            }
        }
    }

    pub(super) fn poll_room_read(&mut self) -> Option<Read> {
        if self.links.with_store.len() >= MAX_READS {
            return None;
        }
        let (room, from, upto) = self.links.reads.pop_front()?;
        let epoch = self.chat.epoch_of(&room)?;
        self.links.last_read += 1;
        let id = ReadId(ROOM_READ | self.links.last_read);
        self.links.with_store.insert(id, Arc::clone(&room));
        Some(Read { id, room, epoch, from, upto, max_bytes: chat::MAX_PAGE_BYTES })
    }

    fn put_out(&mut self, now: Now, output: Output) {
        match output {
            Output::Tell(outgoing) => self.tell_peers(now, outgoing),
            Output::Seated(Peer::Native(id), log) => self.seated(now, id, log.is_some()),
            Output::Refused(Peer::Native(id), reason) => self.not_let_in(id, reason),
            Output::Chat(..) | Output::Seated(..) | Output::Refused(..) | Output::Unsaid(..) => {
                self.tell_guests(output);
            }
        }
    }

    fn tell_guests(&mut self, output: Output) {
        if self.links.guests.len() >= MAX_GUEST_OUTPUTS {
            self.stats.guest_outputs_dropped += 1;
        } else {
            self.links.guests.push_back(output);
        }
    }

    fn tell_peers(&mut self, now: Now, outgoing: Outgoing) {
        let mut payload = None;
        let mut has_guests = false;
        let mut send = |server: &mut Self, peer: Peer| match peer {
            Peer::Native(id) => {
                let payload = payload.get_or_insert_with(|| outgoing.event.to_bytes());
                server.send_room(now, id, &outgoing.event, payload);
            }
            Peer::Guest(_) => has_guests = true,
        };
        match &outgoing.to {
            Audience::One(peer) => send(self, *peer),
            Audience::Many { seats, except } => {
                for seat in seats.iter().filter(|seat| Some(seat.user) != *except) {
                    send(self, seat.peer);
                }
            }
        }
        if has_guests {
            self.tell_guests(Output::Tell(outgoing));
        }
    }

    fn send_room(&mut self, now: Now, id: ConnectionId, event: &Event, payload: &Bytes) {
        let Some(link) = self.links.by_id.get(&id).copied() else { return };
        let message = Message::new(payload.clone());
        let (channel, message) = match event {
            Event::Notes(_) => (link.play, message.class(Class::ReliableUnordered).lifetime(NOTE_LIFETIME)),
            Event::Cursors(_) => (link.play, message.class(Class::Sequenced)),
            _ => (link.control, message),
        };
        let is_play = matches!(event, Event::Notes(_) | Event::Cursors(_));
        if link.behind.is_some() && !is_play && !matches!(event, Event::Snapshot(_)) {
            self.skipped(id, event, payload);
            return;
        }
        let Some(channel) = channel else { return };
        match self.peers.send(now, id, channel, message) {
            Ok(()) if is_play => {}
            Ok(()) => {
                self.links.left.remove(&id);
                self.links.set_behind(id, None);
            }
            Err(SendError::Closed) => self.stats.undeliverable += 1,
            Err(_) if is_play => self.stats.notes_skipped += 1,
            Err(SendError::Full) => {
                self.skipped(id, event, payload);
                let until = link.behind.unwrap_or(now.mono + SLOW_FOR);
                if self.makes_good() {
                    self.links.set_behind(id, Some(until));
                }
            }
            Err(_) => self.stats.undeliverable += 1,
        }
    }

    /// A snapshot makes good for what somebody in a room has missed; who is in none must hear that he is.
    fn skipped(&mut self, id: ConnectionId, event: &Event, payload: &Bytes) {
        self.stats.room_events_skipped += 1;
        if matches!(event, Event::Left(_)) {
            self.links.left.insert(id, payload.clone());
        }
    }

    #[cfg(not(planted))]
    #[expect(clippy::unused_self, reason = "the planted build looks at the configuration")]
    fn makes_good(&self) -> bool {
        true
    }

    #[cfg(planted)]
    fn makes_good(&self) -> bool {
        self.hall.config().planted != Some(crate::room::Planted::DiffsLost)
    }

    /// There is room again: what was missed is made good by a snapshot.
    pub(super) fn room_writable(&mut self, now: Now, id: ConnectionId, channel: ChannelId) {
        let is_behind = |link: &Link| link.control == Some(channel) && link.behind.is_some();
        if !self.links.by_id.get(&id).is_some_and(is_behind) {
            return;
        }
        let peer = Peer::Native(id);
        if self.hall.place_of(peer).is_none() {
            if let Some(left) = self.links.left.get(&id).cloned()
                && self.peers.send(now, id, channel, Message::new(left)).is_err()
            {
                return;
            }
            self.links.left.remove(&id);
            self.links.set_behind(id, None);
        }
        self.hall.resync(peer);
    }

    pub(super) fn close_slow(&mut self, now: Now) {
        while let Some(&(_, id)) = self.links.slow.first().filter(|(at, _)| *at <= now.mono) {
            self.links.set_behind(id, None);
            self.stats.slow += 1;
            let reason = "what happens in the room was not taken".into();
            let close = Close { code: CLOSE_SLOW, reason, advice: Advice::After, ..Close::default() };
            self.peers.close(now, id, close);
        }
    }

    pub(super) fn take_in_room(&mut self, now: Now, id: ConnectionId, channel: ChannelId) {
        let Some(address) = self.peers.address(id) else { return };
        let link = self.links.by_id.get(&id).copied().unwrap_or_default();
        if self.peers.is_called(id, channel, ROOM_CHANNEL) {
            self.links.by_id.insert(id, Link { control: Some(channel), ..link });
        } else if self.peers.is_called(id, channel, PLAY_CHANNEL) {
            self.links.by_id.insert(id, Link { play: Some(channel), ..link });
        } else {
            return self.throw_away(now, id, channel);
        }
        let peer = Peer::Native(id);
        let prefix = address.prefix();
        while let Some(message) = self.peers.recv(now, id, channel) {
            if let Some(request) = message.request {
                self.peers.refuse(now, id, request, super::UNKNOWN_REQUEST);
                self.stats.not_chat += 1;
                continue;
            }
            match Command::decode(&message.payload) {
                Ok(command) => {
                    let renames = matches!(command, Command::Rename(_));
                    self.hall.handle(now, peer, prefix, command);
                    if renames {
                        self.sign(id);
                    }
                }
                Err(_) => self.hall.handle_malformed(now, peer),
            }
        }
    }

    /// What this connection says is signed with the name that its user has in rooms.
    fn sign(&mut self, id: ConnectionId) {
        if let Some(name) = self.hall.name_of(Peer::Native(id)) {
            self.chat.rename(id, &name);
        }
    }

    pub(super) fn close_room_link(&mut self, now: Now, id: ConnectionId, closed: &Closed) {
        self.links.forget(id);
        // Who says goodbye has left; who falls silent may come back.
        let how = match closed.reason {
            CloseReason::Peer { code: code::NO_ERROR, .. } | CloseReason::Local { .. } => Departure::Left,
            _ => Departure::Lost,
        };
        self.hall.close(now, Peer::Native(id), how);
    }

    /// A message for the chat log, which knows nothing of rooms: only who is in a room may be in its log.
    pub(super) fn handle_chat(&mut self, now: Now, id: ConnectionId, payload: &Bytes) {
        let peer = Peer::Native(id);
        match chat::Message::decode(payload) {
            Ok(chat::Message::ClientJoin(join)) => {
                let user = UserId::of_client(ClientId::of(&join.secret));
                if self.links.by_id.contains_key(&id) {
                    let is_there = self.hall.place_of(peer).is_some_and(|log| **log == *join.room);
                    if is_there && self.hall.user_of(peer) == Some(user) {
                        self.chat.handle_message(now, id, payload);
                        // It may have been renamed since it asked.
                        self.sign(id);
                    } else {
                        self.chat.refuse_join(id, join.room, RejectReason::Barred);
                    }
                } else {
                    self.enter_plainly(now, id, user, &join, payload);
                }
            }
            Ok(chat::Message::ClientLeave(leave)) => {
                let is_there = self.hall.place_of(peer).is_some_and(|log| **log == *leave.room);
                if is_there && !self.links.by_id.contains_key(&id) {
                    self.hall.handle(now, peer, None, Command::Leave);
                }
                self.chat.handle_message(now, id, payload);
            }
            _ => {
                let hall = &mut self.hall;
                self.chat.handle_guarded(now, id, payload, &mut |room, kind| {
                    let said =
                        if kind == ROOM { Err(Reason::NotHolder) } else { hall.may_say(now, peer, room) };
                    said.map_err(|reason| match reason {
                        Reason::Rate => RejectReason::Rate,
                        _ => RejectReason::Forbidden,
                    })
                });
            }
        }
    }

    /// A client that knows only chat is in its room like anybody else; it waits while the room is opened.
    fn enter_plainly(
        &mut self,
        now: Now,
        id: ConnectionId,
        user: UserId,
        join: &chat::ClientJoin<'_>,
        payload: &Bytes,
    ) {
        let peer = Peer::Native(id);
        if self.hall.place_of(peer).is_some() {
            // It is in a room already, and the log says so.
            self.chat.handle_message(now, id, payload);
            return;
        }
        if self.hall.user_of(peer).is_none() {
            let prefix = self.peers.address(id).and_then(|address| address.prefix());
            let who = Who { user, prefix, name: join.name.into(), color: None, is_plain: true };
            if self.hall.open(now, peer, who).is_err() {
                self.chat.refuse_join(id, join.room, RejectReason::TooManyClients);
                return;
            }
        }
        self.links.entering.insert(id, payload.clone());
        if let Err(reason) = self.hall.enter_room(now, peer, join.room.into()) {
            self.not_let_in(id, reason);
        }
    }

    fn seated(&mut self, now: Now, id: ConnectionId, is_in: bool) {
        let is_plain = !self.links.by_id.contains_key(&id);
        match is_in {
            true => {
                if let Some(join) = self.links.entering.remove(&id) {
                    self.chat.handle_message(now, id, &join);
                    self.take_in(now, id);
                }
            }
            false if is_plain => {
                if let Some(room) = self.chat.room_of(id) {
                    self.chat.bar(id, &room);
                }
            }
            false => self.chat.expel(id),
        }
    }

    fn not_let_in(&mut self, id: ConnectionId, reason: Reason) {
        let Some(join) = self.links.entering.remove(&id) else { return };
        let Ok(chat::Message::ClientJoin(join)) = chat::Message::decode(&join) else { return };
        let reason = match reason {
            Reason::TooManyRooms | Reason::TooManyNew => RejectReason::TooManyRooms,
            Reason::RoomFull | Reason::TooManyTabs | Reason::Busy => RejectReason::TooManyClients,
            Reason::Stopped => RejectReason::Stopped,
            Reason::Rate => RejectReason::Rate,
            _ => RejectReason::Barred,
        };
        self.chat.refuse_join(id, join.room, reason);
    }
}
