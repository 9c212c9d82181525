//! A client's ways to its server: streams to be opened, and which of several ways is kept (docs/spec/connection.md, section 2).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::links::Role;
use super::{Address, Endpoint, Entry};
use crate::connection::{MAX_WAYS, Ways};
use crate::{
    CloseReason, ConnectError, Connection, ConnectionId, Credentials, DialError, DialId, Link, LinkId,
    PathId, State, Timestamp,
};

/// The largest record of a stream that is not open yet.
const UNKNOWN_STREAM: Link = Link::stream(u16::MAX);

/// What an adapter has to do about streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dial<A> {
    /// Open a stream; [`Endpoint::dialed`] or [`Endpoint::dial_failed`] answers.
    Begin {
        /// Names it.
        id: DialId,
        /// Where to.
        address: A,
    },
    /// Nobody waits for it any more. An answer does no harm.
    Cancel(DialId),
}

/// Streams that are being opened.
#[derive(Clone, Debug)]
pub(super) struct Dials<A> {
    next: u64,
    /// For which way of which connection.
    open: BTreeMap<DialId, (u32, u8)>,
    /// What the adapter has not asked for. Each connection has at most one of each way here, and one to be cancelled.
    asks: VecDeque<Dial<A>>,
}

impl<A> Default for Dials<A> {
    fn default() -> Self {
        Self { next: 0, open: BTreeMap::new(), asks: VecDeque::new() }
    }
}

impl<A: Address> Dials<A> {
    /// Numbers that no stream has had before this generation.
    pub(super) fn of_generation(generation: u32) -> Self {
        Self { next: u64::from(generation) << 32, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.asks.is_empty()
    }

    fn begin(&mut self, slot: u32, way: u8, address: A) -> DialId {
        let id = DialId(self.next);
        self.next += 1;
        self.open.insert(id, (slot, way));
        self.asks.push_back(Dial::Begin { id, address });
        id
    }

    /// Nobody waits for `id` any more; an adapter that never heard of it need not hear of that.
    fn cancel(&mut self, id: DialId) {
        self.open.remove(&id);
        let before = self.asks.len();
        self.asks.retain(|ask| !matches!(ask, Dial::Begin { id: asked, .. } if *asked == id));
        if self.asks.len() == before {
            self.asks.push_back(Dial::Cancel(id));
        }
    }
}

/// How far a way has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leg {
    Idle,
    Dialing(DialId),
    /// A stream is open, by its slot.
    Link(u32),
    Failed,
}

/// The ways of one client.
#[derive(Clone, Debug)]
pub(super) struct Race<A> {
    addresses: Box<[A]>,
    legs: Vec<Leg>,
    /// Which attempt they belong to.
    attempt: u32,
}

impl<A: Address> Race<A> {
    fn new(addresses: &[A]) -> Self {
        Self { addresses: addresses.into(), legs: vec![Leg::Idle; addresses.len()], attempt: 1 }
    }

    /// A way leads nowhere.
    pub(super) fn fail(&mut self, way: u8) {
        self.legs[usize::from(way)] = Leg::Failed;
    }

    /// The same ways for another connection.
    pub(super) fn again(&self) -> Self {
        Self::new(&self.addresses)
    }
}

impl<A: Address> Entry<A> {
    /// Whether its packets go out as datagrams.
    pub(super) fn takes_datagrams(&self) -> bool {
        self.link.is_none() && !self.conn.look().link().is_stream()
    }

    pub(super) fn racing(&self) -> Option<&Race<A>> {
        self.race.as_deref().filter(|_| self.conn.look().is_dialling())
    }

    /// Where a packet for `path` goes.
    pub(super) fn address_of(&self, path: PathId) -> A {
        let way = self.racing().and_then(|race| race.addresses.get(usize::from(path.0)));
        way.copied().unwrap_or_else(|| self.known_address(path))
    }

    /// The path of packets from `address`.
    pub(super) fn path_of(&self, address: A) -> PathId {
        let way = self.racing().and_then(|race| race.addresses.iter().position(|&known| known == address));
        PathId(way.unwrap_or(0) as u8)
    }

    /// Whether its peer may send packets from `address`.
    pub(super) fn is_from(&self, address: A) -> bool {
        match self.racing() {
            None => self.address == address,
            Some(race) => (0..)
                .zip(&race.addresses)
                .any(|(way, &known)| known == address && self.conn.look().has_begun(way)),
        }
    }
}

impl<A: Address> Endpoint<A> {
    /// Begins to connect to `address`. When a stream leads there, [`poll_dial`](Self::poll_dial) asks for it.
    pub fn connect(&mut self, now: Timestamp, address: A) -> Result<ConnectionId, ConnectError> {
        self.connect_any(now, &[address])
    }

    /// Begins to connect to a server that has several addresses, 1 to 8 of them, the preferred one first: each is tried when those
    /// before it have failed or have not answered for 250 ms, and the first that works is kept. When a stream leads to one of them, the
    /// first that does is tried after 250 ms. Addresses beyond the eighth are not tried.
    pub fn connect_any(&mut self, now: Timestamp, addresses: &[A]) -> Result<ConnectionId, ConnectError> {
        let now = self.advance(now);
        let addresses = &addresses[..addresses.len().min(MAX_WAYS)];
        let &first = addresses.first().ok_or(ConnectError::NoAddress)?;
        if self.len() >= self.config.max_connections {
            return Err(ConnectError::TooMany { max: self.config.max_connections });
        }
        let ways = Ways::new(addresses.iter().map(Address::is_stream));
        let race = (addresses.len() > 1 || first.is_stream()).then(|| Box::new(Race::new(addresses)));
        let (config, link) = (Arc::clone(&self.config), self.first_link(ways));
        let mut conn = Connection::connect_by(config, link, ways, self.rng.bytes(), now);
        conn.set_replaceable();
        Ok(self.insert(conn, first, None, race))
    }

    /// Begins to connect to `address`, showing `credentials` to the server's application: at most [`Credentials::MAX_TOKEN`]
    /// bytes.
    pub fn connect_with(
        &mut self,
        now: Timestamp,
        address: A,
        credentials: &[u8],
    ) -> Result<ConnectionId, ConnectError> {
        self.connect_any_with(now, &[address], credentials)
    }

    /// As [`connect_any`](Self::connect_any), showing `credentials` likewise.
    pub fn connect_any_with(
        &mut self,
        now: Timestamp,
        addresses: &[A],
        credentials: &[u8],
    ) -> Result<ConnectionId, ConnectError> {
        let max = Credentials::MAX_TOKEN;
        if credentials.len() > max {
            return Err(ConnectError::CredentialsTooLong { max });
        }
        let id = self.connect_any(now, addresses)?;
        if let Some(entry) = self.entry(id.index()) {
            entry.conn.wake().set_credentials(credentials)?;
        }
        Ok(id)
    }

    /// The link that a client begins with.
    pub(super) const fn first_link(&self, ways: Ways) -> Link {
        if ways.is_streams_only() { UNKNOWN_STREAM } else { self.link }
    }

    /// The next stream to open, or to open no more.
    pub fn poll_dial(&mut self) -> Option<Dial<A>> {
        self.dials.asks.pop_front()
    }

    /// The stream `id` is open; `None` when nobody waits for it any more: then it is to be closed.
    pub fn dialed(&mut self, now: Timestamp, id: DialId, link: Link) -> Option<LinkId> {
        self.advance(now);
        let (slot, way) = self.dials.open.remove(&id)?;
        let entry = self.slots.get_mut(slot as usize)?.entry.as_deref_mut()?;
        let race = entry.race.as_deref_mut()?;
        let index = usize::from(way);
        let id = self.links.insert(race.addresses[index], link, Role::Way(slot, way));
        race.legs[index] = Leg::Link(id.slot());
        self.links.writable.push(id.slot());
        Some(id)
    }

    /// The stream `id` cannot be opened. Ids that nobody waits for any more are ignored.
    pub fn dial_failed(&mut self, now: Timestamp, id: DialId, error: DialError) {
        let now = self.advance(now);
        if let Some((slot, way)) = self.dials.open.remove(&id) {
            self.fail_way(now, slot, way, CloseReason::Dial(error));
        }
    }

    /// A way of a connection leads nowhere.
    pub(super) fn fail_way(&mut self, now: Timestamp, slot: u32, way: u8, reason: CloseReason) {
        let Some(entry) = self.entry(slot) else { return };
        if let Some(race) = &mut entry.race {
            race.fail(way);
        }
        entry.conn.wake().on_way_failed(now, way, reason);
        self.refile(slot);
    }

    /// Opens the streams that the connection wants, and closes those that it wants no more.
    pub(super) fn refile_race(&mut self, slot: u32) {
        let Some(entry) = self.slots[slot as usize].entry.as_deref_mut() else { return };
        let Some(mut race) = entry.race.take() else { return };
        let (state, attempt, carrier) = (entry.conn.look().state(), entry.conn.look().attempt(), entry.link);
        let is_dialling = entry.conn.look().is_dialling();
        if state == State::Established
            && let Some(&address) = race.addresses.get(usize::from(entry.conn.look().ways().kept()))
        {
            entry.address = address;
        }
        if !is_dialling || race.attempt != attempt {
            self.end_race(&race, carrier);
            race.legs.fill(Leg::Idle);
            race.attempt = attempt;
        }
        let Self { slots, dials, .. } = self;
        let Some(entry) = slots[slot as usize].entry.as_deref_mut() else { return };
        if is_dialling {
            for ((way, &address), leg) in (0..).zip(&race.addresses).zip(&mut race.legs) {
                if *leg == Leg::Idle && address.is_stream() && entry.conn.look().has_begun(way) {
                    *leg = Leg::Dialing(dials.begin(slot, way, address));
                }
            }
        }
        entry.race = Some(race);
    }

    /// Nobody waits for the ways of a race any more, but for the one that carries the connection.
    pub(super) fn end_race(&mut self, race: &Race<A>, carrier: Option<u32>) {
        for &leg in &race.legs {
            match leg {
                Leg::Dialing(id) => self.dials.cancel(id),
                Leg::Link(link) if carrier != Some(link) => self.let_go(link),
                Leg::Link(_) | Leg::Idle | Leg::Failed => {}
            }
        }
    }
}
