//! Who is next: of all clients' oldest waiting appends, the one with the smallest effective time (spec: chat.md, section 5).

use alloc::collections::BTreeSet;
use core::time::Duration;

use super::Server;
use super::room::{RoomKey, Waiting};
use crate::chat::identity::ClientId;
use crate::{Now, Timestamp};

/// One candidate per client that has something waiting, in the order in which they get their slots.
#[derive(Clone, Debug, Default)]
pub(super) struct Sequencer {
    heads: BTreeSet<Head>,
}

/// Ordered by effective time, then client. The room comes last: it decides nothing within a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head {
    effective: Timestamp,
    client: ClientId,
    room: RoomKey,
}

impl Head {
    pub(super) fn of(room: RoomKey, client: ClientId, append: &Waiting) -> Self {
        Self { effective: append.effective, client, room }
    }
}

impl Sequencer {
    pub(super) fn insert(&mut self, head: Head) {
        self.heads.insert(head);
    }

    pub(super) fn remove(&mut self, head: Head) {
        self.heads.remove(&head);
    }

    pub(super) fn first(&self) -> Option<(RoomKey, ClientId)> {
        self.heads.first().map(|head| (head.room, head.client))
    }

    pub(super) fn clear(&mut self) {
        self.heads.clear();
    }
}

/// The arrival, less what the author's clock says the append took to get here, but not less than `overtake` allows. Counted on
/// the monotonic clock and shifted by `overtake`, so that neither a step of the wall clock nor an early start changes the order.
pub(super) fn effective_time(now: Now, author_ms: u64, overtake: Duration, previous: Timestamp) -> Timestamp {
    let travelled = Duration::from_millis(now.unix_ms.saturating_sub(author_ms));
    (now.mono + overtake.saturating_sub(travelled)).max(previous)
}

impl Server {
    /// Puts the client's next append among the candidates, if it has one.
    pub(super) fn file_head(&mut self, room: RoomKey, client: ClientId) {
        if let Some(append) = self.rooms[room.0].members.get(&client).and_then(|member| member.head()) {
            self.sequencer.insert(Head::of(room, client, append));
        }
    }

    /// The opposite of `file_head`, before what is the client's next append changes.
    pub(super) fn unfile_head(&mut self, room: RoomKey, client: ClientId) {
        if let Some(append) = self.rooms[room.0].members.get(&client).and_then(|member| member.head()) {
            self.sequencer.remove(Head::of(room, client, append));
        }
    }
}
