//! The limits and intervals of a chat server, each with its reason.

use core::time::Duration;

use super::message::MAX_BODY;
use crate::room::Allowed;

/// What a [`Server`](super::Server) allows. The defaults suit a hub; tests use smaller numbers.
#[derive(Clone, Debug)]
pub struct ChatConfig {
    /// The largest body in bytes; at most [`MAX_BODY`], which is also the default.
    pub max_body: usize,
    /// How many rooms there may be; 10,000. A room stays until it [expires](super::Server::expire), so this bounds what strangers
    /// can leave behind; those of the store are served even if they are more.
    pub max_rooms: usize,
    /// How many clients a room remembers; 16,384. The longest idle are forgotten only after `remember`.
    pub max_clients_per_room: usize,
    /// How much earlier than its arrival an author's clock may place an append; 2 s. Nobody is overtaken by what arrives
    /// later than this after.
    pub overtake: Duration,
    /// How long an idle client is remembered; 30 days. A retry after that is refused, as it could be a second commit.
    pub remember: Duration,
    /// How many batches may be outstanding; 4: enough to keep a disk busy while answers travel.
    pub max_batches: usize,
    /// The largest batch in records; 256.
    pub batch_records: usize,
    /// The largest batch in bytes of names, bodies and 128 for each record; 256 KiB.
    pub batch_bytes: usize,
    /// The first delay after a full disk; 1 s. It doubles up to `retry_max`.
    pub retry_min: Duration,
    /// The longest delay between attempts on a full disk; 30 s.
    pub retry_max: Duration,
    /// How many of its latest entries a room keeps in memory; 256.
    pub tail_entries: usize,
    /// How many bytes of latest entries a room keeps in memory; 256 KiB.
    pub tail_bytes: usize,
    /// How many bytes of latest entries all rooms together keep; 64 MiB. The rooms longest without an entry give theirs up.
    pub tail_total_bytes: usize,
    /// How fast a connection may append, and a client over all its connections and rooms: 10,000 at once, and as many a second. While
    /// more was written it is not heard; nothing is lost.
    pub appends: Allowed,
    /// How many reads may be with the store at once, over all connections; 64.
    pub max_reads: usize,
    /// A bug to plant, for the tests that must find it.
    #[cfg(planted)]
    pub planted: Option<Planted>,
}

impl Default for ChatConfig {
    fn default() -> Self {
        Self {
            max_body: MAX_BODY,
            max_rooms: 10_000,
            max_clients_per_room: 16_384,
            overtake: Duration::from_secs(2),
            remember: Duration::from_hours(30 * 24),
            max_batches: 4,
            batch_records: 256,
            batch_bytes: 256 * 1024,
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(30),
            tail_entries: 256,
            tail_bytes: 256 * 1024,
            tail_total_bytes: 64 * 1024 * 1024,
            appends: Allowed::times(10_000, Duration::from_secs(1)),
            max_reads: 64,
            #[cfg(planted)]
            planted: None,
        }
    }
}

/// A bug that the simulator must find.
#[cfg(planted)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The server commits repeated appends again.
    DedupOff,
    /// The server acknowledges an append when it hands it to the store.
    AckBeforePersist,
    /// The client delivers an entry although lower slots are missing.
    DeliverOverGap,
    /// A join of an earlier connection that comes late drives the later connection out.
    StaleIncarnation,
    /// The third append of a client makes the server panic.
    Panics,
    /// Rooms grow old by the wall clock.
    AgesByWallClock,
}
