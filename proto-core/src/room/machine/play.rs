//! What only must be fast, and who is what.

use alloc::sync::Arc;
use core::time::Duration;

use super::{Effects, Room};
use crate::Now;
use crate::room::config::RoomConfig;
use crate::room::id::{Color, Position, UserId};
use crate::room::message::{Change, Event, Notes, NotesOf, Reason};

impl Room {
    /// Plays notes to everybody else.
    ///
    /// # Errors
    /// When the room does not let `user` play, or he has played too much: then `Rate`.
    pub fn play(
        &mut self,
        now: Now,
        config: &RoomConfig,
        user: UserId,
        notes: Notes,
        effects: &mut Effects,
    ) -> Result<(), Reason> {
        if self.state.settings.crownsolo && !self.is_holder(user) {
            return Err(Reason::CrownSolo);
        }
        self.has_been_online(now, user)?;
        let member = self.members.get_mut(&user).ok_or(Reason::NotInRoom)?;
        let count = notes.notes.len() as u32;
        if is_limited(config) && !member.quota.spend(now.mono, count) {
            return Err(Reason::Rate);
        }
        self.tell(Some(user), Event::Notes(Arc::new(NotesOf { user, notes })), effects);
        Ok(())
    }

    /// Whether `user` may say something, his rate aside.
    ///
    /// # Errors
    /// Why not.
    pub fn may_say(&self, now: Now, user: UserId) -> Result<(), Reason> {
        if !self.has(user) {
            return Err(Reason::NotInRoom);
        }
        if !self.state.settings.chat {
            return Err(Reason::ChatOff);
        }
        self.has_been_online(now, user)
    }

    fn has_been_online(&self, now: Now, user: UserId) -> Result<(), Reason> {
        let member = self.members.get(&user).ok_or(Reason::NotInRoom)?;
        let least = self.state.settings.min_online_ms.filter(|_| !self.is_holder(user));
        let least = Duration::from_millis(least.unwrap_or(0).into());
        if now.mono.since(member.online_since) < least { Err(Reason::TooEarly) } else { Ok(()) }
    }

    /// The cursor of `user` is elsewhere.
    pub fn move_cursor(&mut self, now: Now, user: UserId, at: Position) {
        if let Some(member) = self.members.get_mut(&user)
            && member.participant.position != at
        {
            member.participant.position = at;
            self.note_cursor(now, user);
        }
    }

    /// `user` is called so, or of this colour, from now on.
    pub fn change_profile(
        &mut self,
        now: Now,
        user: UserId,
        name: Option<Arc<str>>,
        color: Option<Color>,
        effects: &mut Effects,
    ) {
        let Some(member) = self.members.get_mut(&user) else { return };
        let before = member.participant.clone();
        let participant = &mut member.participant;
        participant.name = name.unwrap_or_else(|| Arc::clone(&before.name));
        participant.color = color.unwrap_or(before.color);
        if *participant != before {
            let change = Change::Here(participant.clone());
            self.note_presence(now, change, effects);
        }
    }
}

#[cfg(not(planted))]
const fn is_limited(config: &RoomConfig) -> bool {
    config.note_quota
}

#[cfg(planted)]
fn is_limited(config: &RoomConfig) -> bool {
    config.note_quota && config.planted != Some(crate::room::config::Planted::QuotaOff)
}
