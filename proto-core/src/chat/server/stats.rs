//! What happened, as numbers: one counter for everything that is refused or dropped.

/// Counters of a [`Server`](super::Server), from its creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Appends that took a place in their client's queue.
    pub accepted: u64,
    /// Entries that became durable.
    pub committed: u64,
    /// Batches handed to the store.
    pub batches: u64,
    /// Batches that the store could not write.
    pub batches_failed: u64,
    /// Entries that went back to their client's queue after a failed batch.
    pub given_back: u64,
    /// Appends that a broken store took out of their queues, unanswered: their clients still have them.
    pub abandoned: u64,
    /// Repeated appends that were answered from memory.
    pub duplicates: u64,
    /// Repeated appends whose first copy is not durable yet: answered once, when it is.
    pub repeated: u64,
    /// Pages sent.
    pub pages: u64,
    /// Connections fenced by a newer one of the same client.
    pub fenced: u64,
    /// Logs of empty rooms that ended.
    pub expired: u64,
    /// Those of them that ended after the shorter time of rooms in which nothing was said.
    pub expired_silent: u64,
    /// Those of them in which nothing was said and that ended before that, to make room for another.
    pub expired_early: u64,
    /// Clients forgotten after their time.
    pub forgotten: u64,
    /// Messages that do not decode, or that a client does not send. The connection ends.
    pub malformed: u64,
    /// Messages handed in although `is_ready` was false. The connection ends.
    pub overruns: u64,
    /// Messages on a connection that had ended: ignored.
    pub after_end: u64,
    /// Refused: the connection is not in the room.
    pub not_joined: u64,
    /// Refused: a second join on one connection.
    pub already_joined: u64,
    /// Refused: a body above the room's limit.
    pub too_large: u64,
    /// Refused: an append that the room does not take, or a client whose id is that of an author within the server.
    pub not_let_in: u64,
    /// Refused: an entry of the server's own, because as many of its author waited as may.
    pub own_refused: u64,
    /// Refused: a used sequence with other content.
    pub conflicts: u64,
    /// Refused: a sequence that is no longer, or not yet, known.
    pub unknown_sequences: u64,
    /// Refused: a client that has seen more than there is.
    pub seen_too_high: u64,
    /// Refused: no more rooms.
    pub too_many_rooms: u64,
    /// Refused: no more clients in the room.
    pub too_many_clients: u64,
    /// Refused: the store is broken.
    pub stopped: u64,
    /// Times that a connection was not heard for a while, because its client wrote faster than it may.
    pub throttled: u64,
    /// Updates dropped because two reads of the connection were outstanding; the client asks again.
    pub updates_dropped: u64,
    /// Reads that the store could not answer, or answered with something else; the client asks again.
    pub reads_failed: u64,
    /// Answers to reads that nobody waits for any more.
    pub reads_stale: u64,
}
