//! Into a room.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Effects, Member, Room, Seat};
use crate::room::config::RoomConfig;
use crate::room::fact::{Authority, Crown, Fact};
use crate::room::id::{Color, Peer, Position, UserId};
use crate::room::limits::{LOBBY_CAPACITY, MAX_PARTICIPANTS, MAX_TABS, MAX_WAITING_FACTS};
use crate::room::message::{Change, Participant, Reason};
use crate::room::name::RoomKind;
use crate::room::quota::NoteQuota;
use crate::room::settings::SettingsChange;
use crate::{Now, Timestamp};

/// Who wants to be in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Newcomer {
    /// On which connection.
    pub peer: Peer,
    /// Who.
    pub user: UserId,
    /// From which addresses, if that matters.
    pub prefix: Option<u64>,
    /// What he is called.
    pub name: Arc<str>,
    /// His colour.
    pub color: Color,
    /// Since when he is connected.
    pub online_since: Timestamp,
    /// Whether he knows nothing but chat: then he is let in where others are turned away for want of room, and gets no crown.
    pub is_plain: bool,
}

impl Room {
    /// Whether `newcomer` may come in.
    ///
    /// # Errors
    /// Why not. Nothing has changed.
    pub fn may_join(&self, now: Now, config: &RoomConfig, newcomer: &Newcomer) -> Result<(), Reason> {
        let user = newcomer.user;
        if bans_hold(config) && self.ahead.banned_for(user, newcomer.prefix, now.unix_ms).is_some() {
            return Err(Reason::Banned);
        }
        if let Some(member) = self.members.get(&user) {
            return if member.seats.len() < MAX_TABS { Ok(()) } else { Err(Reason::TooManyTabs) };
        }
        let capacity = match self.state.kind {
            _ if newcomer.is_plain => MAX_PARTICIPANTS,
            RoomKind::Lobby => LOBBY_CAPACITY,
            RoomKind::Test => MAX_PARTICIPANTS,
            RoomKind::Normal if self.ahead.crown.holder == Some(user) => MAX_PARTICIPANTS,
            RoomKind::Normal => {
                let limit = self.state.settings.limit.filter(|&limit| limit > 0);
                limit.map_or(MAX_PARTICIPANTS, usize::from)
            }
        };
        if self.members.len() < capacity { Ok(()) } else { Err(Reason::RoomFull) }
    }

    /// Takes `newcomer` in. He gets a snapshot, others hear of him; where nobody has the crown it is his. `set` counts if the
    /// room is new.
    ///
    /// # Errors
    /// As [`may_join`](Self::may_join).
    pub fn join(
        &mut self,
        now: Now,
        config: &RoomConfig,
        newcomer: Newcomer,
        set: Option<&SettingsChange>,
        effects: &mut Effects,
    ) -> Result<(), Reason> {
        self.may_join(now, config, &newcomer)?;
        let Newcomer { peer, user, prefix, name, color, online_since, is_plain } = newcomer;
        let seat = Seat { peer, user };
        if let Some(member) = self.members.get_mut(&user) {
            member.online_since = member.online_since.min(online_since);
            member.is_plain &= is_plain;
            let was_suspended = member.suspended_until.take();
            let position = member.participant.position;
            let participant = Participant { user, name, color, position, suspended: false };
            if member.participant != participant {
                member.participant = participant.clone();
                self.note_presence(now, Change::Here(participant), effects);
            }
            if let Some(until) = was_suspended {
                self.suspended.remove(&(until, user));
                self.crown_newcomer(now, user, None);
            }
        } else {
            self.arrivals += 1;
            let position = Position::default();
            let participant = Participant { user, name, color, position, suspended: false };
            let change = Change::Here(participant.clone());
            let member = Member {
                participant,
                number: self.arrivals,
                seats: Vec::new(),
                suspended_until: None,
                online_since,
                quota: NoteQuota::new(now.mono, self.quota_of(user)),
                is_plain,
            };
            self.members.insert(user, member);
            self.note_presence(now, change, effects);
            self.crown_newcomer(now, user, set);
        }
        if let Some(member) = self.members.get_mut(&user) {
            // Most have one.
            member.seats.reserve_exact(1);
            member.seats.push((peer, prefix));
        }
        self.seats = None;
        if self.is_settled() || shows_proposals(config) {
            self.greet(seat, effects);
        } else {
            self.arriving.push(seat);
        }
        Ok(())
    }

    /// The crown comes back to its holder; it is given to who makes the room, or who had it last.
    fn crown_newcomer(&mut self, now: Now, user: UserId, set: Option<&SettingsChange>) {
        let crown = self.ahead.crown;
        if crown.holder == Some(user) {
            self.reclaim_until = None;
        }
        let can_hold = |member: &&Member| !member.is_plain;
        if self.members.get(&user).is_none_or(|member| member.is_plain) {
            return;
        }
        let is_alone = self.members.values().filter(can_hold).count() == 1;
        let is_free = crown.holder.is_none() && (is_alone || crown.last == Some(user));
        if self.ahead.kind.is_special() || !is_free {
            return;
        }
        let is_new = is_alone && self.ahead.is_fresh();
        let epoch = crown.epoch + 1;
        self.propose(now, Fact::Crown(Crown { epoch, holder: Some(user), last: None, ..crown }));
        if let Some(set) = set.filter(|_| is_new && self.proposed.len() < MAX_WAITING_FACTS) {
            let settings = self.ahead.settings.changed(&set.clamped());
            self.propose(now, Fact::Settings(Authority::Crown(self.ahead.crown.epoch), settings));
        }
    }
}

#[cfg(not(planted))]
const fn shows_proposals(_: &RoomConfig) -> bool {
    false
}

#[cfg(planted)]
fn shows_proposals(config: &RoomConfig) -> bool {
    config.planted == Some(crate::room::config::Planted::CrownBeforeDurable)
}

#[cfg(not(planted))]
const fn bans_hold(_: &RoomConfig) -> bool {
    true
}

#[cfg(planted)]
fn bans_hold(config: &RoomConfig) -> bool {
    config.planted != Some(crate::room::config::Planted::BansIgnored)
}
