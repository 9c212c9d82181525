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

/// A room that lists show otherwise than they did, or not any more.
#[derive(Clone, Debug)]
struct Changed {
    now: Option<ListedRoom>,
    /// Whether subscribers know of it.
    is_known: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    subscribers: BTreeMap<Peer, UserId>,
    /// Those of them who were told all while changes waited to be told.
    fresh: BTreeSet<Peer>,
    changed: BTreeMap<Arc<str>, Changed>,
    due: Option<Timestamp>,
}

impl Lists {
    pub(super) const fn deadline(&self) -> Option<Timestamp> {
        self.due
    }

    pub(super) fn unsubscribe(&mut self, peer: Peer) {
        self.subscribers.remove(&peer);
        self.fresh.remove(&peer);
    }

    /// A room was shown in lists or not, and is from now on or not.
    pub(super) fn note(
        &mut self,
        now: Timestamp,
        name: &Arc<str>,
        was_shown: bool,
        room: Option<ListedRoom>,
    ) {
        if self.subscribers.is_empty() {
            return;
        }
        let changed = Changed { now: None, is_known: was_shown };
        self.changed.entry(Arc::clone(name)).or_insert(changed).now = room;
        self.due = self.due.or(Some(now + LIST_EVERY));
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
            let rooms = fitting(self.list().collect());
            if !self.lists.changed.is_empty() {
                self.lists.fresh.insert(peer);
            }
            self.tell(peer, Event::Rooms(Arc::new(RoomList { full: true, rooms })));
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
        let is_gone = changed.values().any(|changed| changed.now.is_none());
        let rooms = changed.into_iter().filter_map(|(name, changed)| match changed.now {
            None if changed.is_known => Some(gone(name)),
            now => now,
        });
        let changed = RoomList { full: false, rooms: fitting(rooms.collect()) };
        let seats = self.lists.subscribers.iter().map(|(&peer, &user)| Seat { peer, user });
        // Who has come meanwhile may not have been shown what is gone, and is told all again instead.
        let (others, fresh): (BTreeSet<_>, BTreeSet<_>) =
            seats.partition(|seat| !is_gone || !fresh.contains(&seat.peer));
        let all = if fresh.is_empty() { Vec::new() } else { fitting(self.list().collect()) };
        let all = RoomList { full: true, rooms: all };
        for (seats, list) in [(others, changed), (fresh, all)] {
            if !seats.is_empty() && (list.full || !list.rooms.is_empty()) {
                let to = Audience::Many { seats: seats.into_iter().collect(), except: None };
                self.outputs.push_back(Output::Tell(Outgoing { to, event: Event::Rooms(Arc::new(list)) }));
            }
        }
    }
}
