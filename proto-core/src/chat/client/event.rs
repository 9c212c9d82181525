//! What a client tells its user.

use alloc::string::String;

use bytes::Bytes;

use crate::chat::identity::{AuthorId, Kind};
use crate::chat::message::RejectReason;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// In the room, on this connection.
    Joined {
        /// The epoch of the log.
        epoch: u64,
        /// The highest committed slot.
        latest: u64,
        /// The slot of the next [`Entry`](Self::Entry).
        next: u64,
        /// Whether delivery goes on where it stopped. Otherwise it starts at `next`.
        resumed: bool,
        /// What the client's own entries carry as their author.
        author: AuthorId,
    },
    /// The log is not the one that was seen before: it starts anew, and what was delivered of it no longer counts. `Joined` follows.
    LogReset {
        /// The epoch of the log from now on.
        epoch: u64,
    },
    /// The next entry: slots follow each other by one, and none comes twice.
    Entry(Entry),
    /// Entries are missing, and are being asked for.
    Behind {
        /// The lowest missing slot.
        next: u64,
        /// The highest slot that is known to exist.
        latest: u64,
    },
    /// Everything that is known to exist has been delivered.
    Live {
        /// The highest slot.
        latest: u64,
    },
    /// An append is committed and durable. The last that is heard of it.
    Acked {
        /// The number that `append` gave.
        sequence: u64,
        /// Its place in the log.
        slot: u64,
        /// Whether an earlier attempt had been committed.
        duplicate: bool,
    },
    /// An append is refused for good. The last that is heard of it. For the reason
    /// [`Unknown`](RejectReason::Unknown) it may be in the log or not.
    Rejected {
        /// The number that `append` gave.
        sequence: u64,
        /// Why.
        reason: RejectReason,
    },
    /// The server's store has no room: appends wait until it has. Nothing is lost.
    Stalled,
    /// The server's store cannot read the entries from slot `next` on. It is asked again, but nothing is delivered before it
    /// can.
    Unreadable {
        /// The lowest missing slot.
        next: u64,
    },
    /// The server gives this connection no place in the room. Appends stay, for the next connection; for the reason
    /// [`Fenced`](RejectReason::Fenced) another one holds the same secret, and coming back would only drive it out.
    Refused {
        /// Why.
        reason: RejectReason,
    },
}

/// A committed entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The epoch of its log.
    pub epoch: u64,
    /// Its place in the log, from 1.
    pub slot: u64,
    /// Who wrote it, as this room knows them.
    pub author: AuthorId,
    /// The author's own number for it on the wire.
    pub sequence: u64,
    /// The author's name when it was written. Escape it before it reaches a terminal.
    pub name: String,
    /// The author's clock: milliseconds since 1970, as claimed.
    pub author_ms: u64,
    /// The server's clock at the commit: milliseconds since 1970.
    pub commit_ms: u64,
    /// What the body is.
    pub kind: Kind,
    /// The content: a slice of the message that brought it, not a copy.
    pub body: Bytes,
}
