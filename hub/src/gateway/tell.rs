//! What the rooms tell their guests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proto_core::Now;
use proto_core::room::hall::{ChatLine, Hall, Output};
use proto_core::room::{
    Audience, Change, CursorAt, Diff, Event, Notification, NotificationClass, Outgoing, Peer, Position,
    Reason, Room, Seat, Snapshot, UserId,
};

use super::guest::Weight;
use super::json::Text;
use super::limits::MAX_CLOCK_ERROR_MS;
use super::{Gateway, GuestId};

/// The guests in one room.
#[derive(Debug, Default)]
pub(super) struct Here {
    pub(super) guests: BTreeSet<GuestId>,
    /// Where they were last shown cursors.
    pub(super) shown: BTreeMap<UserId, Position>,
}

/// The rooms with guests in them, by their logs.
pub(super) type Places = BTreeMap<Arc<str>, Here>;

impl Gateway {
    /// Takes in what the rooms have to say to guests.
    pub(crate) fn handle_output(&mut self, now: Now, hall: &Hall, output: &Output) {
        match output {
            Output::Tell(outgoing) => self.tell(now, hall, outgoing),
            Output::Chat(seats, line) => self.chat(now, hall, seats, line),
            Output::Seated(Peer::Guest(id), log) => {
                let Some(guest) = self.guests.get_mut(id) else { return };
                guest.owes_history = log.is_some();
                guest.last_slot = 0;
                let before = std::mem::replace(&mut guest.place, log.clone());
                self.leaves(*id, before.as_ref());
                if let Some(log) = log {
                    self.places.entry(Arc::clone(log)).or_default().guests.insert(*id);
                }
            }
            Output::Refused(Peer::Guest(id), reason) => self.not_let_in(now, *id, *reason),
            Output::Unsaid(Peer::Guest(id), number, reason) => self.unsaid(now, *id, *number, *reason),
            Output::Seated(..) | Output::Refused(..) | Output::Unsaid(..) => {}
        }
    }

    /// A guest is in this room no longer. Where none is any more, nobody says what changes there, and nothing is remembered of it.
    pub(super) fn leaves(&mut self, id: GuestId, log: Option<&Arc<str>>) {
        let Some(log) = log else { return };
        let Some(here) = self.places.get_mut(log) else { return };
        here.guests.remove(&id);
        if here.guests.is_empty() {
            self.places.remove(log);
        }
    }

    /// The same text for all guests of an audience.
    fn publish(&mut self, now: Now, to: &Audience, text: &Bytes, weight: Weight) {
        match to {
            Audience::One(Peer::Guest(id)) => self.push(now, *id, text, weight),
            Audience::One(Peer::Native(_)) => {}
            Audience::Many { seats, except } => {
                for (id, _) in guests(seats).filter(|(_, user)| Some(*user) != *except) {
                    self.push(now, id, text, weight);
                }
            }
        }
    }

    fn tell(&mut self, now: Now, hall: &Hall, Outgoing { to, event }: &Outgoing) {
        let (text, weight) = match event {
            Event::Welcome(own) => {
                (Text::of(|text| text.hi(now.unix_ms, own, &self.config.motd)), Weight::State)
            }
            Event::Snapshot(snapshot) => return self.show(now, hall, to, snapshot),
            Event::Diff(diff) => {
                self.forget_cursors(to, diff);
                match self.diff(hall, to, diff) {
                    Some(text) => (text, Weight::State),
                    None => return,
                }
            }
            Event::Notes(notes) => {
                let at = notes.notes.at_ms;
                let at = if at.abs_diff(now.unix_ms) > MAX_CLOCK_ERROR_MS { now.unix_ms } else { at };
                (Text::of(|text| text.notes(notes.user, at, &notes.notes)), Weight::Play)
            }
            Event::Cursors(cursors) => return self.cursors(now, to, cursors),
            Event::Quota(quota) => (Text::of(|text| text.quota(*quota)), Weight::State),
            Event::Notification(words) => (Text::of(|text| text.notification(words)), Weight::State),
            Event::Rooms(list) => (Text::of(|text| text.rooms(list.full, list.rooms.iter())), Weight::State),
            // The original says nothing, and clients do not ask.
            Event::Refused(_) | Event::Left(_) => return,
        };
        self.publish(now, to, &text, weight);
    }

    /// A guest gets the state of its room, and what was said there that it has not seen.
    fn show(&mut self, now: Now, hall: &Hall, to: &Audience, snapshot: &Snapshot) {
        let Audience::One(Peer::Guest(id)) = to else { return };
        let Some(guest) = self.guests.get_mut(id) else { return };
        let Snapshot { room, settings, crown, participants, .. } = snapshot;
        let mut text = Text::new();
        text.room(room, settings, crown.as_ref(), participants, guest.user);
        let log = guest.place.clone().unwrap_or_default();
        let new = hall.recent(&log).filter(|line| line.slot > guest.last_slot);
        let new = new.map(|line| (line, hall.profile(line.user).color));
        if guest.owes_history {
            text.history(new);
        } else {
            new.for_each(|(line, color)| text.line(line, color));
        }
        let text = text.finish();
        let last = hall.recent(&log).last().map_or(0, |line| line.slot);
        self.push(now, *id, &text, Weight::Whole);
        if let Some(guest) = self.guests.get_mut(id).filter(|guest| guest.behind.is_none()) {
            guest.owes_history = false;
            guest.last_slot = guest.last_slot.max(last);
        }
    }

    /// Those who are gone have no cursors.
    fn forget_cursors(&mut self, to: &Audience, diff: &Diff) {
        let Some(log) = self.log_of(to).cloned() else { return };
        let Some(Here { shown, .. }) = self.places.get_mut(&log) else { return };
        for change in &diff.changes {
            if let Change::Gone(user) = change {
                shown.remove(user);
            }
        }
    }

    fn diff(&self, hall: &Hall, to: &Audience, diff: &Diff) -> Option<Bytes> {
        let mut text = Text::new();
        let mut is_room_other = false;
        let room = self.room_of(hall, to);
        for change in &diff.changes {
            match change {
                Change::Here(participant) => {
                    text.here(participant);
                    // A crown that waited for its holder names him as a participant again.
                    is_room_other |= room.is_some_and(|room| room.is_holder(participant.user));
                }
                Change::Gone(user) => text.gone(*user),
                Change::Settings(_) | Change::Crown(_) => is_room_other = true,
            }
        }
        if is_room_other && let Some(room) = room {
            let state = room.state();
            let crown = (!state.kind.is_special()).then_some(&state.crown);
            text.room(room.name(), &state.settings, crown, &room.participants(), None);
        }
        (!text.is_empty()).then(|| text.finish())
    }

    /// The room whose guests these are.
    fn room_of<'a>(&self, hall: &'a Hall, to: &Audience) -> Option<&'a Room> {
        self.log_of(to).and_then(|log| hall.room(log))
    }

    fn log_of(&self, to: &Audience) -> Option<&Arc<str>> {
        let id = match to {
            Audience::One(Peer::Guest(id)) => *id,
            Audience::One(Peer::Native(_)) => return None,
            Audience::Many { seats, .. } => guests(seats).next()?.0,
        };
        self.guests.get(&id)?.place.as_ref()
    }

    /// Cursors come again and again for a while; guests, who miss nothing on their way, are shown those that have moved.
    fn cursors(&mut self, now: Now, to: &Audience, cursors: &[CursorAt]) {
        let Some(log) = self.log_of(to).cloned() else { return };
        let Some(Here { shown, .. }) = self.places.get_mut(&log) else { return };
        let moved: Vec<_> =
            cursors.iter().filter(|cursor| shown.insert(cursor.user, cursor.at) != Some(cursor.at)).collect();
        let text_without = |user: Option<UserId>| {
            let mut text = Text::new();
            for cursor in moved.iter().filter(|cursor| Some(cursor.user) != user) {
                text.cursor(cursor.user, cursor.at);
            }
            (!text.is_empty()).then(|| text.finish())
        };
        let (Some(all), Audience::Many { seats, .. }) = (text_without(None), to) else { return };
        for (id, user) in guests(seats) {
            if moved.iter().any(|cursor| cursor.user == user) {
                if let Some(text) = text_without(Some(user)) {
                    self.push(now, id, &text, Weight::Play);
                }
            } else {
                self.push(now, id, &all, Weight::Play);
            }
        }
    }

    fn chat(&mut self, now: Now, hall: &Hall, seats: &[Seat], line: &ChatLine) {
        let text = Text::of(|text| text.line(line, hall.profile(line.user).color));
        for (id, _) in guests(seats) {
            let Some(guest) = self.guests.get_mut(&id) else { continue };
            if line.slot <= guest.last_slot {
                continue;
            }
            self.push(now, id, &text, Weight::State);
            if let Some(guest) = self.guests.get_mut(&id).filter(|guest| guest.behind.is_none()) {
                guest.last_slot = line.slot;
            }
        }
    }

    /// A line is not heard, whose guest wants to know.
    pub(super) fn unsaid(&mut self, now: Now, id: GuestId, number: u64, reason: Reason) {
        let (why, is_final) = match reason {
            Reason::Rate => ("rate", false),
            Reason::Busy | Reason::NotInRoom => ("busy", false),
            Reason::ChatOff => ("there is no chat in this room", true),
            Reason::TooEarly => ("you have not been here long enough", true),
            _ => ("nobody could read it", true),
        };
        self.push(now, id, &Text::of(|text| text.unsaid(number, why, is_final)), Weight::Play);
    }

    /// A line was meant for a room where its guest is not, or not any more.
    pub(super) fn said_elsewhere(&mut self, now: Now, id: GuestId, number: u64) {
        let text = Text::of(|text| text.unsaid(number, "it was for another room", true));
        self.push(now, id, &text, Weight::Play);
    }

    fn not_let_in(&mut self, now: Now, id: GuestId, reason: Reason) {
        let text = match reason {
            Reason::RoomFull => "The room is full.",
            Reason::TooManyTabs => "You are in that room too many times.",
            Reason::TooManyNew => "You have made too many new rooms. Wait a little.",
            Reason::TooManyRooms | Reason::Busy => "There are too many rooms. Come back later.",
            Reason::Banned => "You are banned from that room.",
            Reason::Stopped => "The server cannot read or write its log.",
            _ => return,
        };
        let words = Notification {
            title: "Notice".into(),
            text: text.into(),
            duration_ms: 7000,
            class: NotificationClass::Short,
        };
        self.push(now, id, &Text::of(|json| json.notification(&words)), Weight::State);
    }
}

/// The guests among those in a room.
fn guests(seats: &[Seat]) -> impl Iterator<Item = (GuestId, UserId)> {
    seats.iter().filter_map(|seat| match seat.peer {
        Peer::Guest(id) => Some((id, seat.user)),
        Peer::Native(_) => None,
    })
}
