//! Out of a room.

use super::{Effects, Room};
use crate::Now;
use crate::room::config::{CrownOnLeave, RoomConfig};
use crate::room::fact::{Crown, Fact};
use crate::room::id::{Peer, UserId};
use crate::room::message::Change;

/// How a connection leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Departure {
    /// Its user wants to: he is gone with his last connection.
    Left,
    /// It was lost: its user has the resume window to come back.
    Lost,
}

impl Room {
    /// A connection is here no longer.
    pub fn leave(
        &mut self,
        now: Now,
        config: &RoomConfig,
        user: UserId,
        peer: Peer,
        how: Departure,
        effects: &mut Effects,
    ) {
        let Some(member) = self.members.get_mut(&user) else { return };
        let had = member.seats.len();
        member.seats.retain(|&(other, _)| other != peer);
        if member.seats.len() == had {
            return;
        }
        self.arriving.retain(|seat| seat.peer != peer);
        self.seats = None;
        if !member.seats.is_empty() {
            return;
        }
        if how == Departure::Lost && !config.resume_window.is_zero() {
            let until = now.mono + config.resume_window;
            member.suspended_until = Some(until);
            if !is_forgotten(config) {
                self.suspended.insert((until, user));
            }
            member.participant.suspended = true;
            let change = Change::Here(member.participant.clone());
            self.note_presence(now, change, effects);
        } else {
            self.remove(now, config, user, effects);
        }
    }

    /// Those whose time to come back is over are gone.
    pub(super) fn expire(&mut self, now: Now, config: &RoomConfig, effects: &mut Effects) {
        while let Some(&(_, user)) = self.suspended.first().filter(|(until, _)| *until <= now.mono) {
            self.remove(now, config, user, effects);
        }
    }

    /// Nobody's connection is waited for any more.
    pub(in crate::room) fn end_suspensions(&mut self, now: Now, config: &RoomConfig, effects: &mut Effects) {
        while let Some(&(_, user)) = self.suspended.first() {
            self.remove(now, config, user, effects);
        }
    }

    pub(super) fn remove(&mut self, now: Now, config: &RoomConfig, user: UserId, effects: &mut Effects) {
        let Some(member) = self.members.remove(&user) else { return };
        if let Some(until) = member.suspended_until {
            self.suspended.remove(&(until, user));
        }
        self.arriving.retain(|seat| seat.user != user);
        self.seats = None;
        self.moved.remove(&user);
        self.hand_on(now, config, user);
        self.note_presence(now, Change::Gone(user), effects);
        if self.members.is_empty() && !self.ahead.kind.is_special() && !self.ahead.is_fresh() {
            self.reclaim_until = None;
            self.propose(now, Fact::Reset);
        }
    }

    /// The crown of `user`, who is there no longer, goes where the configuration says.
    pub(super) fn hand_on(&mut self, now: Now, config: &RoomConfig, user: UserId) {
        let crown = self.ahead.crown;
        if crown.holder != Some(user) || self.members.is_empty() {
            return;
        }
        let present =
            self.members.values().filter(|member| member.suspended_until.is_none() && !member.is_plain);
        let next = match config.crown_on_leave {
            CrownOnLeave::Next => present.min_by_key(|member| member.number),
            CrownOnLeave::Drop => None,
        };
        let holder = next.map(|member| member.participant.user);
        let last = if holder.is_none() { Some(user) } else { None };
        self.propose(now, Fact::Crown(Crown { epoch: crown.epoch + 1, holder, last, ..crown }));
    }
}

#[cfg(not(planted))]
const fn is_forgotten(_: &RoomConfig) -> bool {
    false
}

#[cfg(planted)]
fn is_forgotten(config: &RoomConfig) -> bool {
    config.planted == Some(crate::room::config::Planted::Ghosts)
}
