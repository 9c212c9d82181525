//! Streams: links that open, carry one connection's records, and die (docs/spec/connection.md, section 5).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::incoming::Unread;
use super::rates::vouched_user;
use super::schedule::{Deadlines, ReadyList};
use super::waiting::{Ticket, Waiter};
use super::{Address, Endpoint};
use crate::framing::MAX_RECORD;
use crate::wire::packet::VERSION;
use crate::wire::{Cid, Frame, Init, Record, RecordWriter, Version};
use crate::{CloseReason, Connection, Credentials, DialError, Drop, Link, LinkId, State, Timestamp};

/// Longest record of a handshake.
const MAX_FIRST: usize = 4096;
/// INIT must have come by then.
const FIRST_WITHIN: Duration = Duration::from_secs(10);

/// What [`Endpoint::poll_record`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// It appended a record of so many bytes, which now counts as sent.
    Record(usize),
    /// There is nothing to send now. [`Endpoint::poll_link`] names the link when there may be.
    Idle,
    /// Nothing will follow: the stream is to be closed once what was written before has left. The link is forgotten.
    Close,
}

/// What a stream is to its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A client's INIT is waited for.
    Waiting(Ticket),
    /// A client was refused, and is told so later.
    Held,
    /// It is a way of the connection in a slot, whose server has not answered.
    Way(u32, u8),
    /// A client claimed the session in a slot on it, and has not chosen it yet.
    Bid(u32),
    /// It carries the connection in a slot.
    Carrier(u32),
    /// Nobody needs it any more.
    Over,
}

#[derive(Clone, Debug)]
struct Entry<A> {
    address: A,
    link: Link,
    role: Role,
    /// What it vouches for.
    vouched: Option<Box<Credentials>>,
    /// The record that it ends with.
    farewell: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Slot<A> {
    generation: u32,
    entry: Option<Entry<A>>,
}

/// The streams of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Links<A> {
    slots: Vec<Slot<A>>,
    free: Vec<u32>,
    /// The generation of a slot that is used for the first time.
    pub(super) generation: u32,
    /// Those that may have something to write.
    pub(super) writable: ReadyList,
    /// When INIT must have come.
    deadlines: Deadlines,
    /// Those whose clients are refused later.
    pub(super) held: usize,
}

impl<A> Default for Links<A> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            generation: 0,
            writable: ReadyList::default(),
            deadlines: Deadlines::default(),
            held: 0,
        }
    }
}

impl<A: Address> Links<A> {
    pub(super) fn insert(&mut self, address: A, link: Link, role: Role) -> LinkId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: self.generation, entry: None });
            self.slots.len() as u32 - 1
        });
        let place = &mut self.slots[slot as usize];
        place.entry = Some(Entry { address, link, role, vouched: None, farewell: Vec::new() });
        LinkId::new(slot, place.generation)
    }

    fn id(&self, slot: u32) -> LinkId {
        LinkId::new(slot, self.slots[slot as usize].generation)
    }

    fn lookup(&self, id: LinkId) -> Option<&Entry<A>> {
        let entry = self.slots.get(id.slot() as usize)?.entry.as_ref();
        entry.filter(|_| self.id(id.slot()) == id)
    }

    fn entry(&mut self, slot: u32) -> Option<&mut Entry<A>> {
        self.slots.get_mut(slot as usize)?.entry.as_mut()
    }

    fn remove(&mut self, slot: u32) {
        self.deadlines.set(slot, None);
        self.writable.remove(slot);
        let place = &mut self.slots[slot as usize];
        if place.entry.take().is_some() {
            place.generation = place.generation.wrapping_add(1);
            self.free.push(slot);
        }
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    /// One that no slot has had.
    pub(super) fn next_generation(&self) -> u32 {
        let latest = self.slots.iter().map(|slot| slot.generation).max();
        latest.map_or(self.generation, |latest| latest.max(self.generation)).wrapping_add(1)
    }

    /// What the address of a stream shares with others of its network.
    pub(super) fn prefix(&self, slot: u32) -> Option<u64> {
        self.slots.get(slot as usize)?.entry.as_ref()?.address.prefix()
    }

    /// Nothing is said on a stream that waits before `until`, and nothing more heard.
    pub(super) fn hold(&mut self, slot: u32, until: Timestamp) {
        if let Some(entry) = self.entry(slot) {
            entry.role = Role::Held;
            self.held += 1;
            self.deadlines.set(slot, Some(until));
        }
    }

    /// When the first INIT is overdue, or the first refusal due.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| at)
    }
}

impl<A: Address> Endpoint<A> {
    /// A stream was accepted. Its client must say what it wants within 10 s; when there is no room for it, it is told so.
    pub fn link_up(&mut self, now: Timestamp, address: A, link: Link) -> LinkId {
        self.link_up_from(now, address, link, Credentials::default())
    }

    /// The same, and what the stream vouches for: who is at the other end of it. The application sees that in
    /// [`Event::Undecided`](crate::Event::Undecided); its token counts for nothing.
    pub fn link_up_from(
        &mut self,
        now: Timestamp,
        address: A,
        link: Link,
        credentials: Credentials,
    ) -> LinkId {
        let now = self.advance(now);
        let id = self.links.insert(address, link, Role::Over);
        let room = if self.is_crowded(address) {
            Err(Drop::Busy)
        } else {
            self.make_waiting_room(now);
            self.room(true)
        };
        if let Err(reason) = room {
            let close = self.busy(reason);
            self.say_farewell(id.slot(), &Frame::Close(close));
        } else {
            let ticket = self.incoming.waiting.begin(now, address, Waiter::Stream(id.slot()));
            if let Some(entry) = self.links.entry(id.slot()) {
                entry.role = Role::Waiting(ticket);
                entry.vouched = (credentials != Credentials::default()).then(|| Box::new(credentials));
            }
            let within = FIRST_WITHIN.min(self.config.handshake_timeout);
            self.links.deadlines.set(id.slot(), Some(now + within));
        }
        id
    }

    /// The stream died, or its peer will write nothing more on it. Ids of links that are gone are ignored.
    pub fn link_down(&mut self, now: Timestamp, id: LinkId) {
        let now = self.advance(now);
        let Some(&Entry { address, role, .. }) = self.links.lookup(id) else { return };
        self.links.remove(id.slot());
        match role {
            Role::Over => {}
            Role::Waiting(ticket) => {
                self.incoming.waiting.end(address, ticket);
                self.count(Drop::HandshakeWithdrawn);
            }
            Role::Held => self.links.held -= 1,
            Role::Way(slot, way) => {
                self.fail_way(now, slot, way, CloseReason::Dial(DialError::HungUp));
            }
            Role::Bid(slot) => self.forget_bid(id.slot(), slot),
            Role::Carrier(slot) => {
                if let Some(entry) = self.entry(slot) {
                    entry.link = None;
                    entry.conn.wake().on_link_lost(now);
                    self.refile(slot);
                }
            }
        }
    }

    /// The stream is another shard's from here on, which its first record named: it is forgotten, and counted nowhere. `false` when
    /// it is too late for that, or nobody knows the link.
    pub fn release_link(&mut self, id: LinkId) -> bool {
        let Some(&Entry { address, role: Role::Waiting(ticket), .. }) = self.links.lookup(id) else {
            return false;
        };
        self.links.remove(id.slot());
        self.incoming.waiting.end(address, ticket);
        true
    }

    /// Takes in a record, whole. What makes no sense is counted and ends the link; no timer fires.
    pub fn handle_record(&mut self, now: Timestamp, id: LinkId, record: &[u8]) {
        let now = self.advance(now);
        self.relieve(now);
        let Some(&Entry { link, role, address, .. }) = self.links.lookup(id) else {
            return self.count(Drop::UnknownLink);
        };
        match role {
            Role::Over | Role::Held => self.count(Drop::UnknownLink),
            Role::Waiting(_) => self.on_first_record(now, id.slot(), record),
            Role::Way(slot, way) => self.on_answer(now, id.slot(), (slot, way), link, record),
            Role::Bid(slot) => self.on_bid(now, id.slot(), slot, link, address, record),
            Role::Carrier(slot) => {
                let meta = crate::Meta::default();
                self.lend_arena_to(slot, |conn| conn.handle_packet(now, meta, record));
            }
        }
    }

    /// What came on the stream is no record, for instance by a [`FrameError`](crate::framing::FrameError): the link ends, and the
    /// connection with it.
    pub fn link_broken(&mut self, now: Timestamp, id: LinkId, text: &'static str) {
        let now = self.advance(now);
        match self.links.lookup(id).map(|entry| entry.role) {
            None | Some(Role::Over | Role::Held) => {}
            Some(Role::Waiting(_)) => {
                self.count(Drop::MalformedRecord);
                self.let_go(id.slot());
            }
            Some(Role::Bid(slot)) => {
                self.count(Drop::MalformedRecord);
                self.forget_bid(id.slot(), slot);
            }
            Some(Role::Way(slot, way)) => {
                self.count(Drop::MalformedRecord);
                self.let_go(id.slot());
                self.fail_way(now, slot, way, CloseReason::Dial(DialError::Foreign));
            }
            Some(Role::Carrier(slot)) => {
                if let Some(entry) = self.entry(slot) {
                    entry.conn.wake().on_broken_link(now, text);
                    self.refile(slot);
                }
            }
        }
    }

    /// The peer has ended the stream because it does not take what this side showed of itself below the protocol, a certificate for
    /// instance: an attempt to connect over it fails for that reason. Any other stream is down.
    pub fn link_refused(&mut self, now: Timestamp, id: LinkId) {
        let Some(Role::Way(slot, way)) = self.links.lookup(id).map(|entry| entry.role) else {
            return self.link_down(now, id);
        };
        let now = self.advance(now);
        self.let_go(id.slot());
        self.fail_way(now, slot, way, CloseReason::Dial(DialError::Unauthenticated));
    }

    /// How long the next record of a link may be, in bytes: 4096 for the first, then 65,536.
    pub fn record_limit(&self, id: LinkId) -> usize {
        match self.links.lookup(id).map(|entry| entry.role) {
            Some(Role::Carrier(_)) => MAX_RECORD,
            _ => MAX_FIRST,
        }
    }

    /// The next link that may have something to write, or is to be closed: [`poll_record`](Self::poll_record) tells. It is named
    /// again whenever something was done to it; an adapter whose stream takes no more must ask again by itself once it does.
    pub fn poll_link(&mut self) -> Option<LinkId> {
        let slot = self.links.writable.front()?;
        self.links.writable.pop();
        Some(self.links.id(slot))
    }

    /// Appends the link's next record to `buf`, without a length. To be called only when the stream can take it: what waits,
    /// waits in the connection, where newer messages may take its place and lifetimes end.
    pub fn poll_record(&mut self, now: Timestamp, id: LinkId, buf: &mut Vec<u8>) -> Output {
        let now = self.advance(now);
        match self.links.lookup(id).map(|entry| entry.role) {
            None => Output::Close,
            Some(Role::Waiting(_) | Role::Held) => Output::Idle,
            Some(Role::Over) => self.poll_farewell(id.slot(), buf),
            Some(Role::Bid(_)) => match self.take_written(id.slot(), buf) {
                0 => Output::Idle,
                len => Output::Record(len),
            },
            Some(Role::Way(slot, way)) => {
                let start = buf.len();
                let is_written =
                    self.entry(slot).is_some_and(|entry| entry.conn.wake().poll_init(now, way, buf));
                if is_written { Output::Record(buf.len() - start) } else { Output::Idle }
            }
            Some(Role::Carrier(slot)) => self.poll_carrier(now, id.slot(), slot, buf),
        }
    }

    /// Whether the endpoint has a use for the link. One without is to be closed, even when it takes no more bytes.
    pub fn has_link(&self, id: LinkId) -> bool {
        self.links.lookup(id).is_some_and(|entry| entry.role != Role::Over)
    }

    fn poll_farewell(&mut self, link: u32, buf: &mut Vec<u8>) -> Output {
        match self.take_written(link, buf) {
            0 => {
                self.links.remove(link);
                Output::Close
            }
            len => Output::Record(len),
        }
    }

    /// Appends the record that is kept for a link.
    fn take_written(&mut self, link: u32, buf: &mut Vec<u8>) -> usize {
        let record =
            self.links.entry(link).map(|entry| core::mem::take(&mut entry.farewell)).unwrap_or_default();
        if !record.is_empty() {
            buf.extend_from_slice(&record);
            self.stats.packets_sent += 1;
            self.stats.bytes_sent += record.len() as u64;
        }
        record.len()
    }

    /// A client claimed the session in `slot` on a link, and is to be answered with this.
    pub(super) fn answer_bid(&mut self, link: u32, slot: u32, answer: Vec<u8>) {
        let Some(entry) = self.links.entry(link) else { return };
        let (address, role) = (entry.address, core::mem::replace(&mut entry.role, Role::Bid(slot)));
        entry.farewell = answer;
        if let Role::Waiting(ticket) = role {
            self.incoming.waiting.end(address, ticket);
        }
        self.links.writable.push(link);
    }

    /// A link carries the connection in `slot` from here on.
    pub(super) fn carry(&mut self, link: u32, slot: u32) {
        self.links.deadlines.set(link, None);
        if let Some(entry) = self.links.entry(link) {
            entry.role = Role::Carrier(slot);
        }
    }

    fn poll_carrier(&mut self, now: Timestamp, link: u32, slot: u32, buf: &mut Vec<u8>) -> Output {
        self.lend_rates(slot);
        let Some(conn) = self.entry(slot).and_then(|entry| entry.conn.awake_mut()) else {
            return Output::Idle;
        };
        let transmit = conn.poll_transmit(now, buf);
        let (is_done, has_events) = (conn.is_done_writing(), conn.has_events());
        self.take_rates(slot);
        if has_events {
            self.speaking.push(slot);
        }
        self.touch(slot);
        match transmit {
            Some(transmit) => Output::Record(transmit.len),
            None if is_done => {
                if let Some(entry) = self.entry(slot) {
                    entry.link = None;
                }
                self.links.remove(link);
                Output::Close
            }
            None => {
                let Self { slots, config, asleep, .. } = self;
                if let Some(entry) = slots.get_mut(slot as usize).and_then(|slot| slot.entry.as_deref_mut()) {
                    entry.conn.doze(config, asleep);
                }
                Output::Idle
            }
        }
    }

    /// The first record of a client.
    fn on_first_record(&mut self, now: Timestamp, link: u32, bytes: &[u8]) {
        let mut record = Record::new(bytes);
        let frame = record.next();
        let init = match frame {
            Some(Ok(Frame::Init(init))) if record.is_empty() && bytes.len() <= MAX_FIRST => init,
            _ => {
                self.count(Drop::MalformedHandshake);
                return self.let_go(link);
            }
        };
        if !self.is_accepting {
            self.count(Drop::NotAccepting);
            self.let_go(link);
        } else if !speaks_version(&init) {
            self.count(Drop::WrongVersion);
            let versions = VERSION.to_be_bytes();
            match Version::from_bytes(&versions) {
                Some(list) => self.say_farewell(link, &Frame::Version(list)),
                None => self.let_go(link),
            }
        } else if self.on_stream_claim(now, link, &init, bytes) {
            self.stats.packets_received += 1;
            self.stats.bytes_received += bytes.len() as u64;
        } else {
            self.on_first_init(now, link, &init, bytes.len());
        }
    }

    /// A client begins a connection over a stream.
    fn on_first_init(&mut self, now: Timestamp, link: u32, init: &Init<'_>, size: usize) {
        let Some(&mut Entry { address, link: kind, role: Role::Waiting(ticket), .. }) =
            self.links.entry(link)
        else {
            return;
        };
        let asked = match self.read_init(now, self.limited_prefix(address), init) {
            Ok(asked) => asked,
            Err(Unread::Delayed) => {
                self.count(Drop::WrongKey);
                return self.let_go(link);
            }
            Err(Unread::Dropped(reason)) => {
                self.count(reason);
                return self.let_go(link);
            }
        };
        if let Some(reason) = self.take_accept(now).err().or_else(|| self.room_for_first()) {
            let close = self.busy(reason);
            self.say_farewell(link, &Frame::Close(close));
        } else {
            let mut conn = Connection::accept(Arc::clone(&self.config), kind, self.rng.bytes(), now);
            let mut user = None;
            if let Some(vouched) = self.links.entry(link).and_then(|entry| entry.vouched.take()) {
                user = vouched_user(&vouched);
                conn.set_vouched(*vouched);
            }
            let slot = self.insert(conn, address, None, None).index();
            self.links.deadlines.set(link, None);
            if let Some(entry) = self.links.entry(link) {
                entry.role = Role::Carrier(slot);
            }
            if let Some(entry) = self.entry(slot) {
                entry.link = Some(link);
                entry.pending = Some(ticket);
                entry.user = user;
            }
            self.incoming.waiting.pass_on(ticket, Waiter::Connection(slot));
            self.lend_arena_to(slot, |conn| conn.handle_init(now, Cid::default(), init, asked, size));
        }
    }

    /// Why there is no room for a client that has said INIT, and counts among the handshakes since it came.
    fn room_for_first(&mut self) -> Option<Drop> {
        let is_full = self.len() >= self.config.max_connections && !self.make_room();
        let is_undecided = self.config.admission && self.incoming.undecided >= self.config.max_undecided;
        (self.is_draining().then_some(Drop::Draining))
            .or(is_full.then_some(Drop::Busy))
            .or(is_undecided.then_some(Drop::UndecidedFull))
    }

    /// The first record of a server, on a way of the connection in `slot`.
    fn on_answer(&mut self, now: Timestamp, link: u32, (slot, way): (u32, u8), kind: Link, record: &[u8]) {
        let Some(entry) = self.entry(slot) else { return };
        entry.conn.wake().handle_first_record(now, way, kind, record);
        let has_failed = entry.conn.look().has_failed(way);
        let is_chosen =
            entry.conn.look().state() == State::Established || entry.conn.look().has_successor_by(way);
        if is_chosen {
            entry.link = Some(link);
            if let Some(entry) = self.links.entry(link) {
                entry.role = Role::Carrier(slot);
            }
        } else if has_failed {
            if let Some(race) = &mut entry.race {
                race.fail(way);
            }
            self.let_go(link);
        }
        self.refile(slot);
    }

    /// Nobody needs a link any more.
    pub(super) fn let_go(&mut self, link: u32) {
        let Some(entry) = self.links.entry(link) else { return };
        let (address, role) = (entry.address, core::mem::replace(&mut entry.role, Role::Over));
        if let Role::Bid(_) = role {
            entry.farewell.clear();
        }
        match role {
            Role::Waiting(ticket) => self.incoming.waiting.end(address, ticket),
            Role::Held => self.links.held -= 1,
            _ => {}
        }
        if matches!(role, Role::Waiting(_) | Role::Held | Role::Bid(_)) {
            self.links.deadlines.set(link, None);
        }
        self.links.writable.push(link);
    }

    /// The last that is said on a link without a connection.
    pub(super) fn say_farewell(&mut self, link: u32, frame: &Frame<'_>) {
        self.let_go(link);
        self.write_farewell(link, frame);
    }

    /// Keeps the record that a link ends with.
    pub(super) fn write_farewell(&mut self, link: u32, frame: &Frame<'_>) {
        if let Some(entry) = self.links.entry(link) {
            RecordWriter::new(&mut entry.farewell).write(frame, false);
        }
    }

    /// Clients that took a stream and said nothing on it, and those that were refused a while ago.
    pub(super) fn expire_links(&mut self, now: Timestamp) {
        while let Some((_, link)) = self.links.deadlines.first().filter(|&(at, _)| at <= now) {
            let role = self.links.entry(link).map(|entry| entry.role);
            if !matches!(role, Some(Role::Held)) {
                self.count(Drop::HandshakeExpired);
            }
            match role {
                Some(Role::Bid(slot)) => self.forget_bid(link, slot),
                _ => self.let_go(link),
            }
        }
    }
}

fn speaks_version(init: &Init<'_>) -> bool {
    init.versions.iter().any(|version| version == VERSION)
}
