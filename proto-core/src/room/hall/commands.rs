//! What peers ask for.

use alloc::sync::Arc;

use super::account::Act;
use super::opening::Place;
use super::{Hall, Who};
use crate::Now;
use crate::chat::ClientId;
use crate::room::id::{Color, Peer, Position, UserId};
use crate::room::machine::{By, Effects, Room};
use crate::room::message::{Command, Notes, Reason};
use crate::room::name::participant_name;

impl Hall {
    /// Does what a peer asks for, or tells it why not. `prefix` is what its address shares with its neighbours'.
    pub fn handle(&mut self, now: Now, peer: Peer, prefix: Option<u64>, command: Command) {
        let now = self.observe(now);
        let code = command.code();
        if let Err(reason) = self.command(now, peer, prefix, command) {
            match (code, reason) {
                // So many that an answer to each would be a burden; the client knows its quota.
                (0x04 | 0x05, _) => self.stats.refused(reason),
                _ => self.refuse(peer, code, reason),
            }
        }
    }

    /// A message was no command.
    pub fn handle_malformed(&mut self, now: Now, peer: Peer) {
        self.observe(now);
        self.refuse(peer, 0, Reason::Malformed);
    }

    fn command(&mut self, now: Now, peer: Peer, prefix: Option<u64>, command: Command) -> Result<(), Reason> {
        match command {
            Command::Hello { secret, name, color } => {
                let user = UserId::of_client(ClientId::of(&secret));
                self.open(now, peer, Who { user, prefix, name, color, is_plain: false })
            }
            Command::Enter { room, set } => self.enter(now, peer, room, set),
            Command::Leave => self.leave(now, peer),
            Command::Notes(notes) => self.play(now, peer, notes),
            Command::Cursor(at) => self.cursor(now, peer, at),
            Command::Rename(name) => {
                let name = participant_name(&name).ok_or(Reason::BadName)?;
                self.rename(now, peer, Some(&Arc::from(name)), None)
            }
            Command::Recolor(color) => self.rename(now, peer, None, Some(color)),
            Command::Settings { epoch, change } => self
                .by(now, peer, Act::Settings, |room, user, _| room.set(now, By::User(user, epoch), &change)),
            Command::GiveCrown { epoch, to } => {
                self.by(now, peer, Act::Crown, |room, user, _| room.give_crown(now, user, epoch, to))
            }
            Command::DropCrown { epoch } => self.by(now, peer, Act::Crown, |room, user, _| {
                // Where the original lets it land: below where it fell from.
                let end = Position { x: 5000, y: 8000 };
                room.drop_crown(now, user, epoch, end)
            }),
            Command::KickBan { epoch, user: whom, ms } => {
                let config = self.config.clone();
                self.by(now, peer, Act::Ban, |room, user, _| {
                    room.kick_ban(now, &config, By::User(user, epoch), whom, ms)
                })
            }
            Command::Unban { epoch, target } => {
                self.by(now, peer, Act::Ban, |room, user, _| room.unban(now, By::User(user, epoch), target))
            }
            Command::ListRooms(on) => self.list_rooms(now, peer, on),
        }
    }

    /// Does something with the room that `peer` is in, if it may do so once more.
    fn by(
        &mut self,
        now: Now,
        peer: Peer,
        act: Act,
        what: impl FnOnce(&mut Room, UserId, &mut Effects) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let log = self.place_of(peer).cloned().ok_or(Reason::NotInRoom)?;
        let user = self.user_of(peer).ok_or(Reason::NotInRoom)?;
        if !self.may(now, peer, act) {
            return Err(Reason::Rate);
        }
        let Some(Place::Open(open)) = self.places.get_mut(&log) else { return Err(Reason::NotInRoom) };
        let mut effects = Effects::default();
        let result = what(&mut open.room, user, &mut effects);
        self.settle(now, &log, effects);
        result
    }

    fn play(&mut self, now: Now, peer: Peer, notes: Notes) -> Result<(), Reason> {
        let log = self.place_of(peer).cloned().ok_or(Reason::NotInRoom)?;
        let user = self.user_of(peer).ok_or(Reason::NotInRoom)?;
        let count = notes.notes.len() as u32;
        let params = self.room(&log).ok_or(Reason::NotInRoom)?.quota_of(user);
        if !self.may_play(now, peer, params, count) {
            return Err(Reason::Rate);
        }
        let mut effects = Effects::default();
        let Some(Place::Open(open)) = self.places.get_mut(&log) else { return Err(Reason::NotInRoom) };
        open.room.play(now, &self.config, user, notes, &mut effects)?;
        self.pay_for_notes(now, peer, count);
        self.stats.notes += u64::from(count);
        self.outputs.extend(effects.outgoing.into_iter().map(super::Output::Tell));
        Ok(())
    }

    fn cursor(&mut self, now: Now, peer: Peer, at: Position) -> Result<(), Reason> {
        self.by(now, peer, Act::Cursor, |room, user, _| {
            room.move_cursor(now, user, at);
            Ok(())
        })
    }

    /// A peer changes what it is called, its colour, or both at the price of one.
    ///
    /// # Errors
    /// Why it may not.
    pub fn change_profile(
        &mut self,
        now: Now,
        peer: Peer,
        name: Option<&str>,
        color: Option<Color>,
    ) -> Result<(), Reason> {
        let now = self.observe(now);
        let name = name.map(|name| participant_name(name).ok_or(Reason::BadName)).transpose();
        let changed = name.and_then(|name| self.rename(now, peer, name.map(Arc::from).as_ref(), color));
        changed.inspect_err(|&reason| self.stats.refused(reason))
    }

    fn rename(
        &mut self,
        now: Now,
        peer: Peer,
        name: Option<&Arc<str>>,
        color: Option<Color>,
    ) -> Result<(), Reason> {
        let user = self.user_of(peer).ok_or(Reason::NotNow)?;
        if !self.may(now, peer, Act::Profile) {
            return Err(Reason::Rate);
        }
        self.rename_account(user, name, color);
        // Wherever the user is: two tabs may be in two rooms.
        let places: alloc::collections::BTreeSet<_> =
            self.accounts.peers_of(user).filter_map(|peer| self.sessions.get(&peer)?.place.clone()).collect();
        for log in places {
            let mut effects = Effects::default();
            if let Some(Place::Open(open)) = self.places.get_mut(&log) {
                open.room.change_profile(now, user, name.cloned(), color, &mut effects);
            }
            self.settle(now, &log, effects);
        }
        Ok(())
    }

    /// The connection has missed something and can take it now: it gets its room's snapshot, and the list of rooms if it wants such.
    pub fn resync(&mut self, peer: Peer) {
        self.resync_room(peer);
        self.resync_list(peer);
    }

    fn resync_room(&mut self, peer: Peer) {
        if self.greet_again(peer) {
            self.stats.resynced += 1;
        }
    }

    /// Tells a peer the room that it is in, unless it will be told anyway; says whether it was.
    pub(super) fn greet_again(&mut self, peer: Peer) -> bool {
        let Some(session) = self.sessions.get(&peer) else { return false };
        let room = session.place.as_ref().and_then(|log| self.room(log));
        let seat =
            room.and_then(|room| room.seat_of(session.user, peer).filter(|&seat| !room.is_arriving(seat)));
        let (Some(room), Some(seat)) = (room, seat) else { return false };
        let mut effects = Effects::default();
        room.greet(seat, &mut effects);
        self.outputs.extend(effects.outgoing.into_iter().map(super::Output::Tell));
        true
    }
}
