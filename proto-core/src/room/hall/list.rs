//! Lists of rooms for those who want them.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::account::Act;
use super::opening::{Open, Place};
use super::{Hall, Output};
use crate::room::id::{Peer, UserId};
use crate::room::limits::{LIST_EVERY, MAX_LISTED};
use crate::room::machine::{Audience, Outgoing, Seat};
use crate::room::message::{Event, ListedRoom, Reason, RoomList};
use crate::room::name::RoomKind;
use crate::room::settings::Settings;
use crate::{Now, Timestamp};

/// Bytes of names in one list.
const MAX_NAMES: usize = 64 * 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    subscribers: BTreeMap<Peer, UserId>,
    /// Those of them who were told all while changes waited to be told.
    fresh: BTreeSet<Peer>,
    /// Rooms that lists show otherwise than they did, or not any more.
    changed: BTreeMap<Arc<str>, Option<ListedRoom>>,
    /// The rooms that any list has named and none has taken back: lists have an end, and not every room was in one.
    told: BTreeSet<Arc<str>>,
    due: Option<Timestamp>,
}

impl Lists {
    pub(super) const fn deadline(&self) -> Option<Timestamp> {
        self.due
    }

    pub(super) fn unsubscribe(&mut self, peer: Peer) {
        self.subscribers.remove(&peer);
        self.fresh.remove(&peer);
        if self.subscribers.is_empty() {
            self.told.clear();
        }
    }

    /// A room is shown in lists otherwise from now on, or not any more.
    pub(super) fn note(&mut self, now: Timestamp, name: &Arc<str>, room: Option<ListedRoom>) {
        if self.subscribers.is_empty() {
            return;
        }
        self.changed.insert(Arc::clone(name), room);
        self.due = self.due.or(Some(now + LIST_EVERY));
    }

    /// As many rooms as fit, which are told.
    fn all(&mut self, rooms: Vec<ListedRoom>) -> RoomList {
        let rooms = fitting(rooms);
        self.told.extend(rooms.iter().map(|room| Arc::clone(&room.room)));
        RoomList { full: true, rooms }
    }

    /// What has changed, with the names of those that are gone and that somebody knows of; `None`: it does not fit into one list.
    fn changes(&mut self, changed: BTreeMap<Arc<str>, Option<ListedRoom>>) -> Option<RoomList> {
        let rooms = changed.into_iter().filter_map(|(name, now)| match now {
            Some(room) => Some(room),
            None => self.told.remove(&name).then(|| gone(name)),
        });
        let rooms: Vec<_> = rooms.collect();
        let count = rooms.len();
        let rooms = fitting(rooms);
        if rooms.len() < count {
            return None;
        }
        self.told.extend(rooms.iter().filter(|room| room.count > 0).map(|room| Arc::clone(&room.room)));
        Some(RoomList { full: false, rooms })
    }
}

/// Those with the most participants, as many as fit.
fn fitting(mut rooms: Vec<ListedRoom>) -> Vec<ListedRoom> {
    rooms.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.room.cmp(&b.room)));
    rooms.truncate(MAX_LISTED);
    let mut bytes = 0;
    rooms.retain(|room| {
        bytes += room.room.len();
        bytes <= MAX_NAMES
    });
    rooms
}

/// What lists say of a room that they do not show any more: nothing but its name.
fn gone(room: Arc<str>) -> ListedRoom {
    let settings = Settings::new(RoomKind::of(&room));
    ListedRoom { room, count: 0, settings, crown: None }
}

impl Hall {
    /// What lists are to show of an open room from now on. A room that they do not show yet waits until all that was asked for when it was made
    /// is durable: it may be hidden.
    pub(super) fn to_list(&self, open: &Open) -> Option<ListedRoom> {
        let Open { room, listed, .. } = open;
        let is_known = listed.is_some() || room.is_settled() || self.is_stalled || self.is_stopped;
        (room.is_visible() && !room.is_empty() && is_known).then(|| room.listed())
    }

    pub(super) fn list_rooms(&mut self, now: Now, peer: Peer, on: bool) -> Result<(), Reason> {
        let user = self.user_of(peer).ok_or(Reason::NotNow)?;
        if !self.may(now, peer, Act::List) {
            return Err(Reason::Rate);
        }
        if !on {
            self.lists.unsubscribe(peer);
            return Ok(());
        }
        self.lists.subscribers.insert(peer, user);
        self.resync_list(peer);
        Ok(())
    }

    /// Tells all rooms to who wants lists.
    pub(super) fn resync_list(&mut self, peer: Peer) {
        if self.lists.subscribers.contains_key(&peer) {
            let rooms = self.list().collect();
            let all = self.lists.all(rooms);
            if !self.lists.changed.is_empty() {
                self.lists.fresh.insert(peer);
            }
            self.tell(peer, Event::Rooms(Arc::new(all)));
        }
    }

    /// The rooms that lists show.
    pub fn list(&self) -> impl Iterator<Item = ListedRoom> {
        self.places.values().filter_map(|place| match place {
            Place::Open(open) => open.listed.clone(),
            Place::Opening(_) => None,
        })
    }

    pub(super) fn tell_lists(&mut self, now: Now) {
        if self.lists.due.is_none_or(|due| due > now.mono) {
            return;
        }
        self.lists.due = None;
        let changed = core::mem::take(&mut self.lists.changed);
        let fresh = core::mem::take(&mut self.lists.fresh);
        let is_gone = changed.values().any(Option::is_none);
        let changes = self.lists.changes(changed);
        let seats = self.lists.subscribers.iter().map(|(&peer, &user)| Seat { peer, user });
        // Who has come meanwhile may not have been shown what is gone, and is told all again instead; so is everybody, if a change would be
        // missing: a list that was not told what is gone would go on to name it.
        let (others, fresh): (BTreeSet<_>, BTreeSet<_>) =
            seats.partition(|seat| changes.is_some() && !(is_gone && fresh.contains(&seat.peer)));
        let all = if fresh.is_empty() { Vec::new() } else { self.list().collect() };
        let all = self.lists.all(all);
        for (seats, list) in [(others, changes), (fresh, Some(all))] {
            if let Some(list) = list.filter(|list| list.full || !list.rooms.is_empty())
                && !seats.is_empty()
            {
                let to = Audience::Many { seats: seats.into_iter().collect(), except: None };
                self.outputs.push_back(Output::Tell(Outgoing { to, event: Event::Rooms(Arc::new(list)) }));
            }
        }
    }
}
