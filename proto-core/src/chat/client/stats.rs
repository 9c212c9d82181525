//! What happened, as numbers: one counter for everything that is dropped.

/// Counters of a [`Client`](super::Client), from its creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientStats {
    /// Entries delivered.
    pub delivered: u64,
    /// Entries that had been delivered before: dropped.
    pub repeated: u64,
    /// Entries that came while lower slots were missing: dropped, and asked for.
    pub early: u64,
    /// Times that the client fell behind.
    pub gaps: u64,
    /// Logs that were not the one seen before.
    pub resets: u64,
    /// Answers to appends that nobody waits for any more: dropped.
    pub stale_answers: u64,
    /// Messages that do not decode, or that no server sends: dropped.
    pub malformed: u64,
    /// Messages of another room, another epoch or out of place: dropped.
    pub misplaced: u64,
    /// Messages handed in although `is_ready` was false: dropped.
    pub overruns: u64,
}
