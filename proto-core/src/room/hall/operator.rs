//! What who runs the server may.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::opening::Place;
use super::{Hall, Output};
use crate::Now;
use crate::room::fact::BanTarget;
use crate::room::machine::{Audience, By, Effects, Outgoing, Room};
use crate::room::message::{Event, Notification, Reason};
use crate::room::name::log_name;
use crate::room::settings::SettingsChange;

impl Hall {
    /// Bans somebody from a room that is open.
    ///
    /// # Errors
    /// When it is not, or too much waits to be remembered.
    pub fn ban(&mut self, now: Now, room: &str, target: BanTarget, ms: Option<u32>) -> Result<(), Reason> {
        self.operate(now, room, |room, now| room.ban_any(now, target, ms))
    }

    /// Lifts a ban in a room that is open.
    ///
    /// # Errors
    /// As for `ban`.
    pub fn unban(&mut self, now: Now, room: &str, target: BanTarget) -> Result<(), Reason> {
        self.operate(now, room, |room, now| room.unban(now, By::Operator, target))
    }

    /// Changes the settings of a room that is open.
    ///
    /// # Errors
    /// As for `ban`.
    pub fn configure(&mut self, now: Now, room: &str, change: &SettingsChange) -> Result<(), Reason> {
        self.operate(now, room, |room, now| room.set(now, By::Operator, change))
    }

    fn operate(
        &mut self,
        now: Now,
        room: &str,
        what: impl FnOnce(&mut Room, Now) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let now = self.observe(now);
        let log = log_name(&Arc::from(room));
        let Some(Place::Open(open)) = self.places.get_mut(&log) else { return Err(Reason::NotInRoom) };
        let result = what(&mut open.room, now);
        self.settle(now, &log, Effects::default());
        result
    }

    /// Tells everybody in a room something, or everybody.
    pub fn notify(&mut self, room: Option<&str>, words: Notification) {
        let log = room.map(|room| log_name(&Arc::from(room)));
        let event = Event::Notification(Arc::new(words));
        let mut outgoing = Vec::new();
        for (key, place) in &mut self.places {
            if let Place::Open(open) = place
                && log.as_ref().is_none_or(|log| log == key)
            {
                let to = Audience::Many { seats: open.room.audience(), except: None };
                outgoing.push(Output::Tell(Outgoing { to, event: event.clone() }));
            }
        }
        self.outputs.extend(outgoing);
    }

    /// Sends everybody in a room to the lobby, those too who are on their way in; who has lost his connection is there no longer, and who knows
    /// only chat is sent away.
    pub fn close_room(&mut self, now: Now, room: &str) {
        let now = self.observe(now);
        let log = log_name(&Arc::from(room));
        let Some(Place::Open(open)) = self.places.get_mut(&log) else { return };
        let seats = open.room.seats();
        let mut effects = Effects::default();
        open.room.end_suspensions(now, &self.config, &mut effects);
        self.settle(now, &log, effects);
        for seat in seats {
            self.forget_waiting(seat.peer);
            self.leave_place(now, seat.peer, crate::room::machine::Departure::Left);
            if self.is_movable(seat.peer) {
                let room = crate::room::name::LOBBY.into();
                self.go(now, seat.peer, super::account::Entering { room, set: None });
            }
        }
    }
}
