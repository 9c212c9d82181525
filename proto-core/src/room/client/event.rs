//! What a client tells its user, in one stream.

use alloc::sync::Arc;

use crate::chat::{AuthorId, Entry, RejectReason};
use crate::room::message::{
    CursorAt, Diff, Left, NotesOf, Notification, Participant, Refused, RoomList, Snapshot,
};
use crate::room::quota::QuotaParams;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The server knows who this is.
    Welcome(Participant),
    /// One is in this room, which is so: it begins anew from here.
    Joined(Arc<Snapshot>),
    /// The room has changed: the next version of what was told before.
    Changed(Arc<Diff>),
    /// One is in this room no longer. Comes once for each room that one was in, before the next one.
    Left(Left),
    /// Somebody else plays.
    Notes(Arc<NotesOf>),
    /// Cursors of others have moved.
    Cursors(Arc<[CursorAt]>),
    /// What one may play from now on.
    Quota(QuotaParams),
    /// Words for the user.
    Notification(Arc<Notification>),
    /// A command was refused.
    Refused(Refused),
    /// The rooms that there are, or those that have changed.
    Rooms(Arc<RoomList>),
    /// The chat of the room is there, from slot `next` on; `author` is what one's own entries carry.
    ChatJoined {
        /// The epoch of the log.
        epoch: u64,
        /// The highest committed slot.
        latest: u64,
        /// The slot of the next entry.
        next: u64,
        /// Whether it goes on where it stopped.
        resumed: bool,
        /// What one's own entries carry as their author.
        author: AuthorId,
    },
    /// The next entry of the room's log. Facts of the room are among them, as [`ROOM`](crate::room::fact::ROOM).
    Entry(Entry),
    /// Everything that was said has been told.
    Live,
    /// Something one has said is in the log, for good.
    Said {
        /// The number that `say` gave.
        number: u64,
        /// Its place in the log.
        slot: u64,
    },
    /// Something one has said is refused, for good; for the reason `Unknown` it may have been heard or not.
    Rejected {
        /// The number that `say` gave.
        number: u64,
        /// Why.
        reason: RejectReason,
    },
    /// The server's store has no room: what is said waits.
    Stalled,
    /// The chat gives this connection no place.
    ChatRefused {
        /// Why.
        reason: RejectReason,
    },
}

/// Counters of a [`Client`](super::Client).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientStats {
    /// Messages that do not decode: dropped.
    pub malformed: u64,
    /// Diffs that did not continue what was known: dropped. There are none, unless the server is wrong.
    pub gaps: u64,
    /// Messages of a chat that was left: dropped.
    pub late_chat: u64,
    /// Messages handed in although `is_ready` was false: dropped.
    pub overruns: u64,
}
