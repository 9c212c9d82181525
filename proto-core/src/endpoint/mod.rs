//! Many peers behind the same verbs (docs/spec/connection.md, section 5).

mod address;
mod dial;
mod drain;
mod failures;
mod guard;
mod incoming;
mod links;
mod memory;
mod packets;
mod rates;
mod reborn;
mod refusals;
mod replace;
mod roaming;
mod routes;
mod schedule;
mod secrecy;
mod sessions;
mod sleeper;
mod token;
mod waiting;

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

pub use self::address::Address;
pub use self::dial::Dial;
use self::dial::{Dials, Race};
pub use self::drain::Drain;
use self::drain::Draining;
pub use self::guard::ConnectionMut;
use self::incoming::Incoming;
use self::links::Links;
pub use self::links::Output;
use self::memory::Memory;
use self::rates::{SharedRates, User};
use self::refusals::Refusals;
use self::roaming::Others;
use self::routes::{Initial, Routes};
use self::schedule::{Deadlines, ReadyList};
use self::sessions::{Filed, Sessions};
pub use self::sleeper::ConnectionRef;
use self::sleeper::Sleeper;
use self::waiting::{Ticket, Waiter};
use crate::arena::Arena;
use crate::rng::Rng;
use crate::secret::ResetToken;
use crate::wire::Cid;
use crate::{
    ChannelId, Close, Config, Connection, ConnectionId, Drop, Event, Link, Message, SendError, Shard, State,
    Stats, Timestamp,
};

/// Many peers: it owns their connections, and takes and gives packets with addresses.
///
/// One endpoint is one shard: one task, one socket. The verbs are those of [`Connection`]; polls come in any order.
#[derive(Clone, Debug)]
pub struct Endpoint<A: Address = SocketAddr> {
    config: Arc<Config>,
    link: Link,
    rng: Rng,
    clock: Timestamp,
    is_accepting: bool,
    draining: Option<Box<Draining>>,
    slots: Vec<Slot<A>>,
    free: Vec<u32>,
    /// The generation of a slot that is used for the first time.
    generation: u32,
    routes: Routes,
    incoming: Incoming<A>,
    sessions: Sessions,
    /// Answers of no connection: RETRY, VERSION, CLOSE and stateless resets.
    answers: VecDeque<(A, Vec<u8>)>,
    refusals: Refusals<A>,
    sending: ReadyList,
    burst: u8,
    speaking: ReadyList,
    deadlines: Deadlines,
    links: Links<A>,
    dials: Dials<A>,
    /// The connection that was touched last, whose deadline is not filed yet: it may be touched again at once.
    unfiled: Option<u32>,
    arena: Option<Box<Arena>>,
    /// Of the connections that are put away, once there was one.
    asleep: Option<Arc<sleeper::Common>>,
    memory: Memory,
    rates: SharedRates,
    stats: Stats,
}

#[derive(Clone, Debug)]
struct Slot<A> {
    generation: u32,
    entry: Option<Box<Entry<A>>>,
}

#[derive(Clone, Debug)]
struct Entry<A> {
    conn: Sleeper,
    address: A,
    others: Others<A>,
    /// The stream that carries it.
    link: Option<u32>,
    /// A client's ways to its server, unless it is one that is reached by datagrams.
    race: Option<Box<Race<A>>>,
    /// The routes that lead here.
    cid: Cid,
    /// More ids of its own.
    cids: Option<Box<[Cid]>>,
    reset: Option<ResetToken>,
    initial: Option<Initial>,
    session: Filed,
    /// Its place among the handshakes under way.
    pending: Option<Ticket>,
    /// It waits for the application's decision.
    is_undecided: bool,
    /// Its loss has been seen to.
    is_replaced: bool,
    /// Whose connection it is, where somebody was vouched for or has shown a key.
    user: Option<User>,
    /// What it held when it was filed last, in bytes.
    cost: usize,
    /// Its state when it was filed last, if it ever was.
    filed: Option<State>,
}

impl<A: Address> Endpoint<A> {
    /// An endpoint without connections. `seed` must be unpredictable: ids, tokens and jitter come from it.
    pub fn new(config: Arc<Config>, link: Link, seed: [u8; 32], now: Timestamp) -> Self {
        let mut rng = Rng::new(&seed, "endpoint");
        let key = config.server_key.clone().unwrap_or_else(|| rng.secret());
        Self {
            incoming: Incoming::new(key, &mut rng),
            is_accepting: config.accept,
            draining: None,
            config,
            link,
            rng,
            clock: now,
            slots: Vec::new(),
            free: Vec::new(),
            generation: 0,
            routes: Routes::new(&seed),
            sessions: Sessions::default(),
            answers: VecDeque::new(),
            refusals: Refusals::default(),
            sending: ReadyList::default(),
            burst: 0,
            speaking: ReadyList::default(),
            deadlines: Deadlines::default(),
            links: Links::default(),
            dials: Dials::default(),
            unfiled: None,
            arena: None,
            asleep: None,
            memory: Memory::default(),
            rates: SharedRates::default(),
            stats: Stats::default(),
        }
    }

    /// All that it and its connections are, as text: what is not the same in two states is not the same there. Of secrets it says only
    /// that they are there.
    #[doc(hidden)]
    pub fn whole(&self) -> String {
        let mut text = alloc::format!("{self:?}");
        for entry in self.slots.iter().filter_map(|slot| slot.entry.as_deref()) {
            entry.conn.write_whole(&mut text).expect("a string takes everything");
        }
        text
    }

    /// Which shard a packet belongs to, or the first record of a stream; `None` when any will do, as for a new client's. One that
    /// claims a session belongs to the shard that the session is kept in.
    pub fn route(packet: &[u8]) -> Option<Shard> {
        let &[first, shard, ..] = packet else { return None };
        match first & 0xC0 {
            0x40 => Some(Shard(shard)),
            0xC0 => sessions::claimed(packet),
            0x00 => sessions::claimed_by(packet),
            _ => None,
        }
    }

    /// Lets a client in that is [`Event::Undecided`]. `false` when there was nothing to decide any more.
    pub fn admit(&mut self, now: Timestamp, id: ConnectionId) -> bool {
        self.connection(id).is_some_and(|mut conn| conn.admit(now))
    }

    /// Sends a client away that is [`Event::Undecided`]: it learns code, reason, advice and `retry_after`. `false` when there
    /// was nothing to decide any more.
    pub fn refuse(&mut self, now: Timestamp, id: ConnectionId, close: Close) -> bool {
        self.connection(id).is_some_and(|mut conn| conn.refuse(now, close))
    }

    /// Does what is due at `now`. Afterwards [`poll_timeout`](Self::poll_timeout) is `None` or later than `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let now = self.advance(now);
        self.relieve(now);
        self.expire_links(now);
        self.expire_refusals(now);
        self.file();
        while let Some((deadline, slot)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            if let Some(entry) = self.entry(slot) {
                entry.conn.wake();
            }
            self.lend_rates(slot);
            if let Some(conn) = self.awake(slot) {
                conn.handle_timeout(now);
            }
            self.refile(slot);
            self.file();
        }
    }

    /// The next event, and whose it is: all of one connection before the next one's. The end of a lost connection comes before
    /// the beginning of the one that takes its place.
    pub fn poll_event(&mut self) -> Option<(ConnectionId, Event)> {
        while let Some(slot) = self.speaking.front() {
            let generation = self.slots[slot as usize].generation;
            let event = self.awake(slot).and_then(Connection::poll_event);
            match event {
                None => self.speaking.pop(),
                Some(event) => {
                    self.remove_if_over(slot);
                    return Some((ConnectionId::new(self.shard(), slot, generation), event));
                }
            }
        }
        None
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::BusyLoop) && !self.is_empty() {
            return Some(self.clock);
        }
        let waiting = self.links.deadline().into_iter().chain(self.refusals.deadline());
        let Some(slot) = self.unfiled else {
            return self.deadlines.first().map(|(deadline, _)| deadline).into_iter().chain(waiting).min();
        };
        let entry = self.slots[slot as usize].entry.as_deref();
        let unfiled = entry.and_then(|entry| entry.conn.poll_timeout());
        self.deadlines.first_but(slot).into_iter().chain(unfiled).chain(waiting).min()
    }

    /// The connection `id`, for commands; `None` once it is over and everything of it was polled and received.
    pub fn connection(&mut self, id: ConnectionId) -> Option<ConnectionMut<'_, A>> {
        self.lookup(id)?;
        if let Some(entry) = self.entry(id.index()) {
            entry.conn.wake();
        }
        self.lend_rates(id.index());
        Some(ConnectionMut::new(self, id.index()))
    }

    /// The connection `id`, to look at.
    pub fn get(&self, id: ConnectionId) -> Option<ConnectionRef<'_>> {
        self.lookup(id).map(|entry| entry.conn.look())
    }

    /// The address of the connection's peer.
    pub fn address(&self, id: ConnectionId) -> Option<A> {
        self.lookup(id).map(|entry| entry.address)
    }

    /// Queues one message for many receivers, sharing its payload; returns who refused it and why.
    pub fn broadcast(
        &mut self,
        now: Timestamp,
        list: &[ConnectionId],
        channel: ChannelId,
        message: &Message,
    ) -> Vec<(ConnectionId, SendError)> {
        let mut refused = Vec::new();
        for &id in list {
            let sent = match self.connection(id) {
                Some(mut conn) => conn.channel(channel).send(now, message.clone()).map(|_| ()),
                None => Err(SendError::Closed),
            };
            if let Err(error) = sent {
                refused.push((id, error));
            }
        }
        refused
    }

    /// Takes no new connections from here on.
    pub const fn stop_accepting(&mut self) {
        self.is_accepting = false;
    }

    /// Closes every connection.
    pub fn close_all(&mut self, now: Timestamp, close: &Close) {
        for slot in 0..self.slots.len() as u32 {
            if let Some(entry) = self.entry(slot) {
                entry.conn.wake().close(now, close.clone());
                self.refile(slot);
            }
        }
    }

    /// Throws a connection away, with whatever was not polled or received: for handles that nobody holds any more. A peer that
    /// still sends learns of it by a stateless reset.
    pub fn forget(&mut self, id: ConnectionId) {
        if self.lookup(id).is_some() {
            self.remove(id.index());
        }
    }

    /// Connections, the handshakes under way included.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether it has no connections.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Messages accepted and not settled, over all connections. The work is proportional to them.
    pub fn unsettled(&self) -> usize {
        let entries = self.slots.iter().filter_map(|slot| slot.entry.as_ref());
        entries.filter_map(|entry| entry.conn.awake()).map(Connection::unsettled).sum()
    }

    /// Totals of the endpoint and all its connections, past and present. The work is proportional to the connections.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        for entry in self.slots.iter().filter_map(|slot| slot.entry.as_ref()) {
            entry.conn.add_stats(&mut stats);
        }
        stats
    }

    /// The settings.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The shard that it is.
    pub fn shard(&self) -> Shard {
        Shard(self.config.shard)
    }

    fn count(&mut self, reason: Drop) {
        self.stats.drops.count(reason);
    }

    fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.clock = self.clock.max(now);
        self.clock
    }

    fn lookup(&self, id: ConnectionId) -> Option<&Entry<A>> {
        let slot = self.slots.get(id.index() as usize).filter(|slot| slot.generation == id.generation)?;
        slot.entry.as_deref().filter(|_| id.shard() == self.shard())
    }

    fn entry(&mut self, slot: u32) -> Option<&mut Entry<A>> {
        self.slots.get_mut(slot as usize)?.entry.as_deref_mut()
    }

    fn awake(&mut self, slot: u32) -> Option<&mut Connection> {
        self.entry(slot)?.conn.awake_mut()
    }

    fn insert(
        &mut self,
        conn: Connection,
        address: A,
        initial: Option<Cid>,
        race: Option<Box<Race<A>>>,
    ) -> ConnectionId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: self.generation, entry: None });
            self.slots.len() as u32 - 1
        });
        let cid = conn.local_cid();
        if conn.has_route() {
            self.routes.add_cid(cid, slot);
        }
        let initial = initial.map(|cid| self.routes.initial(cid, address));
        if let Some(initial) = initial {
            self.routes.add_initial(initial, slot);
        }
        let pending =
            initial.map(|_| self.incoming.waiting.begin(self.clock, address, Waiter::Connection(slot)));
        let conn = Sleeper::new(conn);
        let entry = Entry {
            conn,
            address,
            others: Others::default(),
            link: None,
            race,
            cid,
            cids: None,
            reset: None,
            initial,
            session: Filed::default(),
            pending,
            is_undecided: false,
            is_replaced: false,
            user: None,
            cost: 0,
            filed: None,
        };
        self.slots[slot as usize].entry = Some(Box::new(entry));
        let id = ConnectionId::new(self.shard(), slot, self.slots[slot as usize].generation);
        self.limit_first_grant(slot);
        self.refile(slot);
        id
    }

    fn remove(&mut self, slot: u32) {
        let Some(entry) = self.slots[slot as usize].entry.take() else { return };
        self.memory.forget(entry.cost);
        self.routes.remove_cid(entry.cid);
        for &cid in entry.cids.iter().flatten() {
            self.routes.remove_cid(cid);
        }
        if let Some(token) = entry.reset {
            self.routes.remove_reset(token);
        }
        if let Some(initial) = entry.initial {
            self.routes.remove_initial(initial);
        }
        if let Some(ticket) = entry.pending {
            self.incoming.waiting.end(entry.address, ticket);
        }
        self.forget_session(slot, entry.session);
        if let Some(link) = entry.link {
            self.let_go(link);
        }
        if let Some(race) = entry.race {
            self.end_race(&race, None);
        }
        if entry.is_undecided {
            self.incoming.undecided -= 1;
        }
        entry.conn.add_stats(&mut self.stats);
        self.deadlines.set(slot, None);
        if self.unfiled == Some(slot) {
            self.unfiled = None;
        }
        self.speaking.remove(slot);
        let generation = &mut self.slots[slot as usize].generation;
        *generation = generation.wrapping_add(1);
        self.free.push(slot);
    }

    fn remove_if_over(&mut self, slot: u32) {
        if self.awake(slot).is_some_and(|conn| conn.is_over()) {
            self.remove(slot);
        }
    }

    #[inline]
    fn lend_arena_to<T>(&mut self, slot: u32, hand_over: impl FnOnce(&mut Connection) -> T) -> Option<T> {
        self.entry(slot)?.conn.wake();
        self.lend_rates(slot);
        let Self { slots, arena, .. } = self;
        let entry = slots.get_mut(slot as usize)?.entry.as_deref_mut()?;
        let conn = entry.conn.wake();
        core::mem::swap(arena, conn.arena_mut());
        let handed_over = hand_over(conn);
        core::mem::swap(arena, conn.arena_mut());
        self.refile(slot);
        Some(handed_over)
    }

    /// Brings everything that the endpoint keeps about a connection up to date after the connection may have changed.
    #[inline]
    fn refile(&mut self, slot: u32) {
        self.take_rates(slot);
        let Some(entry) = self.slots[slot as usize].entry.as_deref_mut() else { return };
        entry.sync_paths();
        let Some(conn) = entry.conn.awake() else { return };
        if conn.has_events() {
            self.speaking.push(slot);
        }
        match entry.link {
            Some(link) => self.links.writable.push(link),
            None => self.sending.push(slot),
        }
        // Ids and routes change on the way to `Established`, and where it says so, and nothing is over while it lasts.
        let state = conn.state();
        if state != State::Established || entry.filed != Some(State::Established) || conn.has_new_cids() {
            entry.filed = Some(state);
            self.refile_changed(slot);
        } else {
            self.touch(slot);
        }
    }

    #[inline(never)]
    fn refile_changed(&mut self, slot: u32) {
        self.refile_routes(slot);
        self.refile_session(slot);
        self.refile_race(slot);
        self.tell_going_away(slot);
        self.replace_if_lost(slot);
        self.touch(slot);
        self.remove_if_over(slot);
    }

    fn refile_routes(&mut self, slot: u32) {
        let Some(entry) = self.slots[slot as usize].entry.as_deref_mut() else { return };
        let Some(conn) = entry.conn.awake() else { return };
        let (cid, reset) = (conn.local_cid(), conn.reset_token());
        let (is_handshaking, is_undecided) = (conn.is_handshaking(), conn.is_undecided());
        let has_route = conn.has_route();
        if cid != entry.cid && has_route {
            #[cfg(planted)]
            let is_fenced = self.config.planted != Some(crate::planted::Planted::FenceOpen);
            #[cfg(not(planted))]
            let is_fenced = true;
            if is_fenced {
                self.routes.remove_cid(entry.cid);
            }
            if conn.incarnation() > 0 {
                self.sessions.fence(entry.cid, self.clock + conn.pto() * 3);
            }
            self.routes.add_cid(cid, slot);
            entry.cid = cid;
        }
        self.refile_cids(slot);
        let Some(entry) = self.slots[slot as usize].entry.as_deref_mut() else { return };
        if reset != entry.reset {
            if let Some(old) = entry.reset {
                self.routes.remove_reset(old);
            }
            if let Some(new) = reset {
                self.routes.add_reset(new, slot);
            }
            entry.reset = reset;
        }
        if let Some(ticket) = entry.pending.take_if(|_| !is_handshaking) {
            self.incoming.waiting.end(entry.address, ticket);
        }
        match (entry.is_undecided, is_undecided) {
            (false, true) => {
                self.incoming.undecided += 1;
                if let Some(ticket) = entry.pending {
                    self.incoming.waiting.has_proven(ticket);
                }
            }
            (true, false) => {
                self.incoming.undecided -= 1;
                if let Some(ticket) = &mut entry.pending {
                    *ticket = self.incoming.waiting.wait_again(self.clock, Waiter::Connection(slot));
                }
            }
            _ => {}
        }
        entry.is_undecided = is_undecided;
    }

    /// Ids that the peer was given lead here, and those that it has given back do no more.
    fn refile_cids(&mut self, slot: u32) {
        let Some(entry) = self.slots[slot as usize].entry.as_deref_mut() else { return };
        let Some(conn) = entry.conn.awake_mut() else { return };
        conn.take_cids();
        let now: Box<[Cid]> = conn.other_cids().collect();
        let first = conn.is_first_given_back().then_some(entry.cid);
        let before = entry.cids.take().unwrap_or_default();
        let late = self.clock + conn.pto() * 3;
        for &gone in before.iter().filter(|cid| !now.contains(cid)).chain(&first) {
            if self.routes.by_cid(gone) == Some(slot) {
                self.routes.remove_cid(gone);
                self.sessions.fence(gone, late);
            }
        }
        for &cid in now.iter().filter(|cid| !before.contains(cid)) {
            self.routes.add_cid(cid, slot);
        }
        entry.cids = (!now.is_empty()).then_some(now);
    }
}
