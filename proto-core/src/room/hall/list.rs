//! Lists of rooms for those who want them.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::account::Act;
use super::{Hall, Output};
use crate::room::id::{Peer, UserId};
use crate::room::limits::{LIST_EVERY, MAX_LISTED};
use crate::room::machine::{Audience, Outgoing, Room, Seat};
use crate::room::message::{Event, ListedRoom, Reason, RoomList};
use crate::{Now, Timestamp};

/// Bytes of names in one list.
const MAX_NAMES: usize = 64 * 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    subscribers: BTreeMap<Peer, UserId>,
    changed: BTreeMap<Arc<str>, ListedRoom>,
    due: Option<Timestamp>,
}

impl Lists {
    pub(super) const fn deadline(&self) -> Option<Timestamp> {
        self.due
    }

    pub(super) fn unsubscribe(&mut self, peer: Peer) {
        self.subscribers.remove(&peer);
    }

    pub(super) fn note(&mut self, now: Timestamp, room: ListedRoom) {
        if !self.subscribers.is_empty() {
            self.changed.insert(Arc::clone(&room.room), room);
            self.due = self.due.or(Some(now + LIST_EVERY));
        }
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

impl Hall {
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
            self.tell(peer, Event::Rooms(Arc::new(RoomList { full: true, rooms })));
        }
    }

    /// The rooms that lists show.
    pub fn list(&self) -> impl Iterator<Item = ListedRoom> {
        let shown = |room: &&Room| room.state().settings.visible && !room.is_empty();
        self.rooms().filter(shown).map(Room::listed)
    }

    pub(super) fn tell_lists(&mut self, now: Now) {
        if self.lists.due.is_none_or(|due| due > now.mono) {
            return;
        }
        self.lists.due = None;
        // A room that is hidden from now on is, for lists, empty.
        let hidden = |room: ListedRoom| ListedRoom { count: 0, ..room };
        let changed = core::mem::take(&mut self.lists.changed).into_values();
        let rooms =
            fitting(changed.map(|room| if room.settings.visible { room } else { hidden(room) }).collect());
        let seats: BTreeSet<_> =
            self.lists.subscribers.iter().map(|(&peer, &user)| Seat { peer, user }).collect();
        if !seats.is_empty() {
            let to = Audience::Many { seats: seats.into_iter().collect(), except: None };
            let event = Event::Rooms(Arc::new(RoomList { full: false, rooms }));
            self.outputs.push_back(Output::Tell(Outgoing { to, event }));
        }
    }
}
