//! What the server asks of a store, in words that belong to no store in particular.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::identity::{BodyHash, ClientId, Kind, RoomSalt};
use super::message::MAX_UNACKNOWLEDGED;

/// What to write durably in one piece. Batches are numbered 1, 2, 3 ... over the life of one [`Server`](super::Server);
/// the number of a batch that failed is not used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its number, for `handle_persisted` and `handle_persist_failed`.
    pub number: u64,
    /// What it holds, in order: 1 to 256 records.
    pub records: Vec<Record>,
}

/// One thing to remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A room exists from now on, with an empty log. Comes before every entry of the room.
    Room {
        /// The room's name: 1 to 64 bytes.
        room: Arc<str>,
        /// The epoch of its log, never 0.
        epoch: u64,
        /// The key of its author ids.
        salt: RoomSalt,
    },
    /// An entry takes the next slot of its room: always the one after the last.
    Entry {
        /// The room's name.
        room: Arc<str>,
        /// The epoch of its log.
        epoch: u64,
        /// The entry.
        entry: StoredEntry,
    },
    /// A room exists no longer, and its log with it. It may begin again, with another epoch.
    Gone {
        /// The room's name.
        room: Arc<str>,
        /// The epoch of the log that ends.
        epoch: u64,
    },
}

/// An entry as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredEntry {
    /// Its place in the room's log, counted from 1 without gaps.
    pub slot: u64,
    /// Who wrote it.
    pub client: ClientId,
    /// The author's own number for it, from 1; the slot, if he is within the server.
    pub sequence: u64,
    /// The fingerprint of kind and body.
    pub body_hash: BodyHash,
    /// The author's name when it was written: at most 64 bytes.
    pub name: Arc<str>,
    /// The author's clock: milliseconds since 1970. Anything that the author claims.
    pub author_ms: u64,
    /// The server's clock when the slot was given: milliseconds since 1970.
    pub commit_ms: u64,
    /// What the body is.
    pub kind: Kind,
    /// The content: at most [`MAX_BODY`](super::MAX_BODY) bytes.
    pub body: Bytes,
}

/// What a room remembers of one client, so that an append is committed once however often it is repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTable {
    /// The highest committed sequence; 0 when there is none.
    pub last_sequence: u64,
    /// The commit time of the latest entry: milliseconds since 1970.
    pub last_active_ms: u64,
    /// The latest committed appends, oldest first: at most 64.
    pub recent: VecDeque<Committed>,
}

/// Where a client's append went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The client's number for it.
    pub sequence: u64,
    /// Its place in the log.
    pub slot: u64,
    /// The fingerprint of kind and body.
    pub body_hash: BodyHash,
}

impl ClientTable {
    /// Takes note of a committed entry of this client. A sequence that does not ascend is that of a client which was forgotten
    /// and started again: the table starts again too.
    pub fn record(&mut self, entry: &StoredEntry) {
        if entry.sequence <= self.last_sequence {
            self.recent.clear();
        }
        self.last_sequence = entry.sequence;
        self.last_active_ms = entry.commit_ms;
        let StoredEntry { sequence, slot, body_hash, .. } = *entry;
        // First out, then in: room for one more would be twice the room.
        while self.recent.len() >= MAX_UNACKNOWLEDGED {
            self.recent.pop_front();
        }
        self.recent.push_back(Committed { sequence, slot, body_hash });
    }

    /// Where `sequence` went, if it is among the latest 64.
    pub fn find(&self, sequence: u64) -> Option<&Committed> {
        self.recent.iter().find(|committed| committed.sequence == sequence)
    }
}

/// A room as the store found it at open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomState {
    /// The room's name.
    pub room: Arc<str>,
    /// The epoch of its log, never 0.
    pub epoch: u64,
    /// The key of its author ids.
    pub salt: RoomSalt,
    /// The highest durable slot; 0 when the log is empty.
    pub latest: u64,
    /// When something was committed to it last: milliseconds since 1970; 0 if that is not known.
    pub last_ms: u64,
    /// What is remembered of each client.
    pub clients: BTreeMap<ClientId, ClientTable>,
    /// The latest entries, oldest first and ending at `latest`; may be empty, then the server reads when it is asked.
    pub tail: Vec<StoredEntry>,
}

/// An entry does not continue the log that it was applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log continues at slot {expected}, but the entry is for slot {found}")]
pub struct OutOfOrder {
    /// The slot after the last.
    pub expected: u64,
    /// The slot of the entry.
    pub found: u64,
}

impl RoomState {
    /// The state that [`Record::Room`] creates.
    pub fn new(room: Arc<str>, epoch: u64, salt: RoomSalt) -> Self {
        Self { room, epoch, salt, latest: 0, last_ms: 0, clients: BTreeMap::new(), tail: Vec::new() }
    }

    /// The state after `entry`: `latest`, its time, and the author's table, unless he is within the server. Does not touch `tail`, which is the store's to fill.
    ///
    /// # Errors
    /// When the entry is not for slot `latest + 1`; nothing has changed then.
    pub fn apply(&mut self, entry: &StoredEntry) -> Result<(), OutOfOrder> {
        let expected = self.latest + 1;
        if entry.slot != expected {
            return Err(OutOfOrder { expected, found: entry.slot });
        }
        self.latest = entry.slot;
        // The wall clock may have been behind.
        self.last_ms = self.last_ms.max(entry.commit_ms);
        if !entry.client.is_within() {
            self.clients.entry(entry.client).or_default().record(entry);
        }
        Ok(())
    }
}

/// Why a batch did not become durable. In both cases neither it nor any later batch is, or ever will be, in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersistFailure {
    /// There is no room for it now: it is worth trying again.
    Full,
    /// The store can no longer be trusted to write: nothing is worth trying until somebody has looked at it.
    Broken,
}

/// Why entries could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFailure {
    /// Not now: the store has too much to do, or is not open at the moment.
    Busy,
    /// The store cannot find the entries as they were written: whoever asked for them is told.
    Unreadable,
}

/// One outstanding read, for `handle_read` and `handle_read_failed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// Entries that the server wants to see: slots `from` to `upto`, both inclusive, all of them durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Which read it is.
    pub id: ReadId,
    /// The room's name.
    pub room: Arc<str>,
    /// The epoch of its log.
    pub epoch: u64,
    /// The lowest slot wanted, at least 1.
    pub from: u64,
    /// The highest slot wanted: at most `from + 127`.
    pub upto: u64,
    /// Names and bodies beyond this many bytes need not be read: the answer is a prefix, at least one entry long.
    pub max_bytes: usize,
}
