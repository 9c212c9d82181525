//! From room to room: steps 1 to 8 of a join, and where to go instead.

use alloc::format;
use alloc::sync::Arc;

use super::account::{Act, Entering};
use super::opening::{Opening, Place};
use super::{Ask, Hall, Output};
use crate::Now;
use crate::room::id::Peer;
use crate::room::machine::{Departure, Effects, notification};
use crate::room::message::{Event, Left, Reason};
use crate::room::name::{AWKWARD, RoomKind, has_place, is_room_name, log_name, next_lobby};
use crate::room::settings::SettingsChange;

/// Full lobbies, or other places, that are tried for one who wants to enter: more than 20,000 people are in them.
const MAX_HOPS: usize = 1024;

impl Hall {
    /// A peer wants to be in a room: `Output::Seated` or `Output::Refused` follows, unless this fails.
    ///
    /// # Errors
    /// Why it may not even try.
    pub fn enter_room(&mut self, now: Now, peer: Peer, room: Arc<str>) -> Result<(), Reason> {
        let now = self.observe(now);
        self.enter(now, peer, room, None)
    }

    /// A peer wants to be in a room.
    pub(super) fn enter(
        &mut self,
        now: Now,
        peer: Peer,
        room: Arc<str>,
        set: Option<SettingsChange>,
    ) -> Result<(), Reason> {
        if self.is_stopped {
            return Err(Reason::Stopped);
        }
        if !is_room_name(&room) {
            return Err(Reason::BadName);
        }
        let session = self.sessions.get(&peer).ok_or(Reason::NotNow)?;
        let is_there = |log: &Arc<str>| self.room(log).is_some_and(|there| **there.name() == *room);
        if session.entering.is_none() && session.place.as_ref().is_some_and(is_there) {
            return Err(Reason::AlreadyThere);
        }
        if !self.may(now, peer, Act::Enter) {
            return Err(Reason::Rate);
        }
        self.forget_waiting(peer);
        self.go(now, peer, Entering { room, set });
        Ok(())
    }

    /// Brings a peer into the room that it is to enter, or has the room opened first.
    pub(super) fn go(&mut self, now: Now, peer: Peer, mut entering: Entering) {
        for _ in 0..MAX_HOPS {
            let log = log_name(&entering.room);
            let is_full = self.places.len() >= self.config.max_rooms && !has_place(&entering.room);
            match self.places.get_mut(&log) {
                None if is_full => {
                    return self.turned_away(peer, Reason::TooManyRooms);
                }
                None => {
                    let opening = Opening::new(Arc::clone(&entering.room), peer);
                    self.places.insert(Arc::clone(&log), Place::Opening(opening));
                    self.asks.push_back(Ask::Open(log));
                    self.wait(peer, entering);
                    return;
                }
                Some(Place::Opening(opening)) => {
                    opening.waiting.push(peer);
                    self.wait(peer, entering);
                    return;
                }
                Some(Place::Open(_)) => {}
            }
            match self.admit(now, peer, &log, &entering) {
                Ok(()) => return,
                Err(Reason::RoomFull) if RoomKind::of(&entering.room) == RoomKind::Lobby => {
                    let Some(next) = next_lobby(&entering.room) else { break };
                    entering.room = next;
                }
                Err(Reason::Banned) if self.is_movable(peer) && *entering.room != *AWKWARD => {
                    self.tell_banned(now, peer, &log, &entering.room);
                    entering = Entering { room: AWKWARD.into(), set: None };
                }
                Err(reason) => return self.turned_away(peer, reason),
            }
        }
        self.turned_away(peer, Reason::RoomFull);
    }

    fn wait(&mut self, peer: Peer, entering: Entering) {
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.entering = Some(entering);
        }
    }

    pub(super) fn is_movable(&self, peer: Peer) -> bool {
        self.sessions.get(&peer).is_some_and(|session| !session.is_plain)
    }

    fn turned_away(&mut self, peer: Peer, reason: Reason) {
        self.refuse(peer, 0x02, reason);
        self.outputs.push_back(Output::Refused(peer, reason));
    }

    fn tell_banned(&mut self, now: Now, peer: Peer, log: &Arc<str>, room: &str) {
        let Some(session) = self.sessions.get(&peer) else { return };
        let left = self
            .room(log)
            .and_then(|there| there.state().banned_for(session.user, session.prefix, now.unix_ms));
        let minutes = left.unwrap_or(0) / 60_000;
        let text = format!("Currently banned from \"{room}\" for {minutes} minutes.");
        self.tell(peer, notification("Notice", &text));
    }

    /// Out of the old room and into this one, which is open.
    fn admit(&mut self, now: Now, peer: Peer, log: &Arc<str>, entering: &Entering) -> Result<(), Reason> {
        let newcomer = self.newcomer(peer).ok_or(Reason::NotNow)?;
        if let Some(session) = self.sessions.get_mut(&peer)
            && session.place.as_ref() == Some(log)
        {
            // Where it was sent instead it is already: the room says so again.
            session.entering = None;
            self.greet_again(peer);
            return Ok(());
        }
        self.room(log).ok_or(Reason::NotNow)?.may_join(now, &self.config, &newcomer)?;
        self.leave_place(now, peer, Departure::Left);
        let mut effects = Effects::default();
        if let Some(Place::Open(open)) = self.places.get_mut(log) {
            open.room.join(now, &self.config, newcomer, entering.set.as_ref(), &mut effects)?;
        }
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.place = Some(Arc::clone(log));
            session.entering = None;
        }
        self.stats.joined += 1;
        self.outputs.push_back(Output::Seated(peer, Some(Arc::clone(log))));
        self.settle(now, log, effects);
        Ok(())
    }

    /// Out of the room that a peer is in.
    pub(super) fn leave_place(&mut self, now: Now, peer: Peer, how: Departure) {
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        let Some(log) = session.place.take() else { return };
        let user = session.user;
        self.outputs.push_back(Output::Seated(peer, None));
        let mut effects = Effects::default();
        if let Some(Place::Open(open)) = self.places.get_mut(&log) {
            open.room.leave(now, &self.config, user, peer, how, &mut effects);
        }
        self.settle(now, &log, effects);
    }

    /// Its connection is gone, and its user stays in the room.
    pub(super) fn stay_in_place(&mut self, peer: Peer) {
        let place = self.sessions.get_mut(&peer).and_then(|session| session.place.take());
        if place.is_some() {
            self.outputs.push_back(Output::Seated(peer, None));
        }
    }

    /// A peer leaves because it wants to.
    pub(super) fn leave(&mut self, now: Now, peer: Peer) -> Result<(), Reason> {
        let room = self.place_of(peer).and_then(|log| Some(Arc::clone(self.room(log)?.name())));
        self.forget_waiting(peer);
        let room = room.ok_or(Reason::NotInRoom)?;
        self.leave_place(now, peer, Departure::Left);
        self.tell(peer, Event::Left(Left { room }));
        Ok(())
    }

    /// A peer has lost its place by a ban.
    pub(super) fn move_away(&mut self, now: Now, peer: Peer) {
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        session.place = None;
        self.stats.evicted += 1;
        self.outputs.push_back(Output::Seated(peer, None));
        if self.is_movable(peer) {
            self.forget_waiting(peer);
            self.go(now, peer, Entering { room: AWKWARD.into(), set: None });
        }
    }

    /// It waits for no room any more.
    pub(super) fn forget_waiting(&mut self, peer: Peer) {
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        let Some(entering) = session.entering.take() else { return };
        if let Some(Place::Opening(opening)) = self.places.get_mut(&log_name(&entering.room)) {
            opening.waiting.retain(|&other| other != peer);
        }
    }
}
