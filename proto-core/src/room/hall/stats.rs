//! What happened, as numbers.

use crate::room::message::Reason;

/// Counters of a [`Hall`](super::Hall), from its creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HallStats {
    /// Times that a connection came into a room.
    pub joined: u64,
    /// Connections that a ban has moved away.
    pub evicted: u64,
    /// Lines of guests that came again and had been heard.
    pub said_again: u64,
    /// Notes that were played to others.
    pub notes: u64,
    /// Snapshots for connections that had missed something.
    pub resynced: u64,
    /// Connections refused because there were as many as there may be.
    pub peers_refused: u64,
    /// Reads of a log that were put off because the store was busy.
    pub reads_again: u64,
    /// Entries that did not continue the log of their room. There are none, unless a store gives what no server wrote.
    pub out_of_order: u64,
    /// Commands refused, by [`Reason`] less 1.
    refusals: [u64; Reason::ALL.len()],
}

impl HallStats {
    pub(super) fn refused(&mut self, reason: Reason) {
        self.refusals[reason as usize - 1] += 1;
    }

    /// Commands that were refused for this reason.
    pub const fn refusals(&self, reason: Reason) -> u64 {
        self.refusals[reason as usize - 1]
    }
}
