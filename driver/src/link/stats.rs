//! What the streams did.

use crate::counters::counters;

counters! {
    "What the streams of an endpoint did.";
    /// Streams accepted.
    accepted,
    /// Attempts to accept that failed, mostly for want of file descriptors.
    accept_errors,
    /// Accepted streams whose TLS or upgrade failed or took too long.
    handshakes_failed,
    /// Accepted streams that were closed at once, because their network has enough that are not done with TLS or their upgrade.
    handshakes_refused,
    /// Accepted streams that were closed before their TLS or upgrade was done, to make room for newer ones.
    handshakes_evicted,
    /// Streams that were handed to the shard which has their session, or shall have it.
    handed_over,
    /// Streams for another shard that found no room there, and were closed.
    handover_drops,
    /// Streams dialed.
    dialed,
    /// Dials that failed.
    dials_failed,
    /// Reads that brought something.
    reads,
    /// Bytes read, of whole records and their lengths.
    bytes_read,
    /// Records read.
    records_read,
    /// Writes.
    writes,
    /// Bytes written.
    bytes_written,
    /// Records written.
    records_written,
    /// Times that a stream had no room and its records had to wait.
    blocked,
    /// Pings of web sockets that were not answered, because another one came before there was room for the answer.
    pings_passed_over,
    /// Times that more records came on a stream than are taken in a turn: the rest waited for the next one.
    turns_cut,
    /// Streams that ended because a record that had begun did not end in time.
    records_overdue,
    /// Streams that ended because what came on them made no sense.
    broken,
}
