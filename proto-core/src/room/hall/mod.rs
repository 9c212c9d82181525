//! All rooms of a server, and who is in which: one machine.
//!
//! Peers open, command and close; what they are told comes out of `poll_output`. Rooms read and write their logs by `poll_ask` and
//! `handle_opened`, `handle_entries`, `handle_committed`.

mod account;
mod commands;
mod enter;
mod list;
mod log;
mod opening;
mod operator;
mod stats;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use account::{Accounts, Session};
use opening::Place;

pub use account::Who;
pub use log::{Ask, ChatLine, Said};
pub use stats::HallStats;

use super::config::RoomConfig;
use super::id::{Peer, UserId};
use super::machine::{Departure, Effects, Outgoing, Room, Seat};
use super::message::{Event, Participant, Reason, Refused};
use crate::rng::Rng;
use crate::{Now, Timestamp};

/// What leaves the hall, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Tell this.
    Tell(Outgoing),
    /// Somebody has said something in a room: for its guests. Native peers hear of it from the chat log.
    Chat(Arc<[Seat]>, Arc<ChatLine>),
    /// The peer is in the room with this log now; `None`: in none any more.
    Seated(Peer, Option<Arc<str>>),
    /// What the guest said under this number is not heard.
    Unsaid(Peer, u64, Reason),
    /// The peer was not let into the room that it asked for, and is where it was.
    Refused(Peer, Reason),
}

/// Every room and everybody in them.
#[derive(Clone, Debug)]
pub struct Hall {
    config: RoomConfig,
    rng: Rng,
    now: Timestamp,
    /// By the name of its log.
    places: BTreeMap<Arc<str>, Place>,
    sessions: BTreeMap<Peer, Session>,
    accounts: Accounts,
    deadlines: BTreeSet<(Timestamp, Arc<str>)>,
    lists: list::Lists,
    outputs: VecDeque<Output>,
    asks: VecDeque<Ask>,
    /// The store has no room: nobody waits for what is not durable.
    is_stalled: bool,
    is_stopped: bool,
    /// The server goes away: its rooms stay as they are.
    is_draining: bool,
    stats: HallStats,
}

impl Hall {
    /// A hall without anybody. `seed` decides the ids of guests where no salt does.
    pub fn new(config: RoomConfig, seed: [u8; 32]) -> Self {
        Self {
            config,
            rng: Rng::new(&seed, "room hall"),
            now: Timestamp::ZERO,
            places: BTreeMap::new(),
            sessions: BTreeMap::new(),
            accounts: Accounts::default(),
            deadlines: BTreeSet::new(),
            lists: list::Lists::default(),
            outputs: VecDeque::new(),
            asks: VecDeque::new(),
            is_stalled: false,
            is_stopped: false,
            is_draining: false,
            stats: HallStats::default(),
        }
    }

    /// What it goes by.
    pub fn config(&self) -> &RoomConfig {
        &self.config
    }

    /// The next thing to tell or to know.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next thing to ask of the logs.
    pub fn poll_ask(&mut self) -> Option<Ask> {
        self.asks.pop_front()
    }

    /// Counters since the hall was created.
    pub fn stats(&self) -> &HallStats {
        &self.stats
    }

    /// The rooms that somebody is in, or was a moment ago.
    pub fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.places.values().filter_map(Place::room)
    }

    /// The room with this log, if it is open.
    pub fn room(&self, log: &str) -> Option<&Room> {
        self.places.get(log).and_then(Place::room)
    }

    /// What was said last in the room with this log, oldest first: at most 32 lines. Who comes in is shown them, with his snapshot.
    pub fn recent(&self, log: &str) -> impl Iterator<Item = &Arc<ChatLine>> {
        let open = match self.places.get(log) {
            Some(Place::Open(open)) => Some(open),
            _ => None,
        };
        open.into_iter().flat_map(|open| &open.recent)
    }

    /// The log of the room that `peer` is in.
    pub fn place_of(&self, peer: Peer) -> Option<&Arc<str>> {
        self.sessions.get(&peer).and_then(|session| session.place.as_ref())
    }

    /// Who `peer` is.
    pub fn user_of(&self, peer: Peer) -> Option<UserId> {
        self.sessions.get(&peer).map(|session| session.user)
    }

    /// `user` as others see it outside of rooms.
    pub fn profile(&self, user: UserId) -> Participant {
        self.participant(user)
    }

    /// What `peer` is called.
    pub fn name_of(&self, peer: Peer) -> Option<Arc<str>> {
        self.user_of(peer).map(|user| self.participant(user).name)
    }

    /// Every peer, and who it is.
    pub fn connected(&self) -> impl Iterator<Item = (Peer, UserId)> {
        self.sessions.iter().map(|(peer, session)| (*peer, session.user))
    }

    /// How many peers there are.
    pub fn peers(&self) -> usize {
        self.sessions.len()
    }

    /// To be called at the time that `poll_timeout` gives; earlier or later calls do no harm.
    pub fn handle_timeout(&mut self, now: Now) {
        let now = self.observe(now);
        while self.deadlines.first().is_some_and(|(at, _)| *at <= now.mono)
            && let Some((_, log)) = self.deadlines.pop_first()
        {
            match self.places.get_mut(&log) {
                Some(Place::Opening(_)) => self.read_again(&log),
                Some(Place::Open(open)) => {
                    open.deadline = None;
                    let mut effects = Effects::default();
                    open.room.handle_timeout(now, &self.config, &mut effects);
                    self.settle(now, &log, effects);
                }
                None => {}
            }
        }
        self.tell_lists(now);
        self.accounts.forget(now.mono);
    }

    /// When `handle_timeout` has something to do.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let first = self.deadlines.first().map(|(at, _)| *at);
        [first, self.lists.deadline()].into_iter().flatten().min()
    }

    fn observe(&mut self, now: Now) -> Now {
        self.now = self.now.max(now.mono);
        Now { mono: self.now, ..now }
    }

    fn tell(&mut self, peer: Peer, event: Event) {
        let mut effects = Effects::default();
        effects.one(peer, event);
        self.outputs.extend(effects.outgoing.into_iter().map(Output::Tell));
    }

    fn refuse(&mut self, peer: Peer, command: u8, reason: Reason) {
        self.stats.refused(reason);
        self.tell(peer, Event::Refused(Refused { command, reason }));
    }

    /// After anything that was done to a room: tells what there is to tell, writes what there is to write.
    fn settle(&mut self, now: Now, log: &Arc<str>, effects: Effects) {
        let mut evicted = Vec::new();
        let mut next = Some(effects);
        while let Some(effects) = next.take() {
            self.outputs.extend(effects.outgoing.into_iter().map(Output::Tell));
            evicted.extend(effects.evicted);
            let Some(Place::Open(open)) = self.places.get_mut(log) else { break };
            let checkpoint_due =
                open.room.state().slot - open.room.state().checkpoint >= super::limits::CHECKPOINT_EVERY;
            if checkpoint_due {
                open.room.checkpoint(now);
            }
            while let Some(fact) = open.room.poll_fact() {
                self.asks.push_back(Ask::Fact(Arc::clone(log), fact));
            }
            if self.is_stalled || self.is_stopped {
                let mut effects = Effects::default();
                open.room.greet_arriving(&mut effects);
                next = (effects != Effects::default()).then_some(effects);
            }
        }
        self.refile(now, log);
        for gone in evicted {
            self.move_away(now, gone.seat.peer);
        }
    }

    /// Files the room's next deadline; forgets the room, if it is over.
    fn refile(&mut self, now: Now, log: &Arc<str>) {
        let Some(Place::Open(open)) = self.places.get_mut(log) else { return };
        if open.room.is_over() {
            if let Some(at) = open.deadline.take() {
                self.deadlines.remove(&(at, Arc::clone(log)));
            }
            let bans = open.room.state().bans.values();
            let banned = bans.map(|until| until.saturating_sub(now.unix_ms)).max().unwrap_or(0);
            let is_silent = open.is_silent.then(|| Duration::from_millis(banned));
            if open.listed.is_some() {
                self.lists.note(self.now, open.room.name(), None);
            }
            self.places.remove(log);
            self.asks.push_back(Ask::Close(Arc::clone(log), is_silent));
            return;
        }
        let deadline = open.room.poll_timeout().filter(|_| !self.is_draining);
        if deadline != open.deadline {
            if let Some(at) = open.deadline {
                self.deadlines.remove(&(at, Arc::clone(log)));
            }
            if let Some(at) = deadline {
                self.deadlines.insert((at, Arc::clone(log)));
            }
            open.deadline = deadline;
        }
        let Some(Place::Open(open)) = self.places.get(log) else { return };
        let listed = self.to_list(open);
        if let Some(Place::Open(open)) = self.places.get_mut(log)
            && open.listed != listed
        {
            open.listed.clone_from(&listed);
            self.lists.note(self.now, open.room.name(), listed);
        }
    }

    /// The server goes away. Whoever is closed from now on leaves his rooms as a crash of the server would: with his crown, and with
    /// all settings, for when he comes back to its next life. No time runs out any more.
    pub fn drain(&mut self) {
        self.is_draining = true;
        self.deadlines.clear();
        for place in self.places.values_mut() {
            if let Place::Open(open) = place {
                open.deadline = None;
            }
        }
    }

    /// A peer is gone. `Lost` leaves its user some time to come back; it is for those who can.
    pub fn close(&mut self, now: Now, peer: Peer, how: Departure) {
        let now = self.observe(now);
        if self.is_draining {
            self.stay_in_place(peer);
        } else {
            self.leave_place(now, peer, how);
        }
        self.forget_waiting(peer);
        self.lists.unsubscribe(peer);
        if let Some(session) = self.sessions.remove(&peer) {
            self.accounts.release(now.mono, peer, session.user, session.prefix);
        }
    }
}
