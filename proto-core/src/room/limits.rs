//! The numbers of rooms, in one place, each with where it is from. "MPP" stands for the published servers and clients of
//! Multiplayer Piano.

use core::time::Duration;

/// The longest name of a room in characters (MPP: 512).
pub const MAX_ROOM_CHARS: usize = 512;
/// The longest name of a participant in characters (MPP: 40).
pub const MAX_NAME_CHARS: usize = 40;
/// The longest chat message in characters (MPP: 512).
pub const MAX_CHAT_CHARS: usize = 512;
/// How many chat messages somebody who enters gets to see (MPP: 32).
pub const HISTORY: usize = 32;
/// How many a lobby holds before the next one is used (MPP: 20).
pub const LOBBY_CAPACITY: usize = 20;
/// How many any room holds: a snapshot of as many fits into a message of 256 KiB.
pub const MAX_PARTICIPANTS: usize = 1200;
/// Connections of one user in one room. Nobody needs more tabs; each costs the others nothing but memory.
pub const MAX_TABS: usize = 16;
/// How long a dropped crown is kept for its last holder (MPP: 15 s).
pub const CLAIM_AFTER: Duration = Duration::from_secs(15);
/// The longest ban (MPP: 1 h).
pub const MAX_BAN: Duration = Duration::from_hours(1);
/// A ban whose length is not said (MPP: 30 min).
pub const DEFAULT_BAN: Duration = Duration::from_mins(30);
/// Bans that a room remembers; of more, the one that ends first is forgotten. A checkpoint of all fits into one entry.
pub const MAX_BANS: usize = 256;
/// Notes in one message: as many as any quota allows at once.
pub const MAX_NOTES: usize = 1800;
/// The longest name of a key in bytes; MPP's are at most 5 ("cs-1" and the like).
pub const MAX_KEY: usize = 8;
/// The largest velocity of a note: 1 in MPP's words.
pub const MAX_VELOCITY: u16 = 10_000;
/// The longest delay of a note within its message, in milliseconds (MPP: 200).
pub const MAX_DELAY_MS: u16 = 200;
/// The largest limit of participants that a room's holder can set (MPP: 99).
pub const MAX_LIMIT: u8 = 99;
/// The longest time that a room's holder can ask somebody to have been online (MPP: 24 h), in milliseconds.
pub const MAX_MIN_ONLINE_MS: u32 = 86_400_000;
/// Facts that wait to become durable before commands that make more are refused.
pub const MAX_WAITING_FACTS: usize = 16;
/// Facts on their way to the log. Fewer than the 64 entries of one author that a log lets wait; what follows waits in the room, where
/// crowns that nobody has heard of make way for later ones.
pub const MAX_SENT_FACTS: usize = 16;
/// Members above which joins and leaves are told in batches.
pub const BATCH_ABOVE: usize = 50;
/// How long such a batch gathers.
pub const BATCH_EVERY: Duration = Duration::from_millis(100);
/// How often cursors are told (MPP: a client moves its cursor at most every 50 ms).
pub const CURSORS_EVERY: Duration = Duration::from_millis(50);
/// How long a cursor that has moved is told again, so that a lost message does no harm.
pub const CURSORS_FOR: Duration = Duration::from_secs(1);
/// How long the list of rooms gathers changes.
pub const LIST_EVERY: Duration = Duration::from_millis(200);
/// Rooms in one list: those with the most participants.
pub const MAX_LISTED: usize = 500;
/// How long a note is worth something on its way.
pub const NOTE_LIFETIME: Duration = Duration::from_millis(500);
/// A checkpoint of what is remembered follows this many entries after the last one, so that opening a room reads no more.
pub const CHECKPOINT_EVERY: u64 = 1024;
/// How long a quota of a user or prefix outlives the last connection, so that connecting anew does not fill it.
pub const REMEMBER_QUOTA: Duration = Duration::from_mins(1);
/// Users, or prefixes, whose quotas are kept after their last connection; of more, the longest gone are forgotten.
pub const MAX_DEPARTED: usize = 65_536;
/// How long a receiver may be behind before its connection is closed.
pub const SLOW_FOR: Duration = Duration::from_secs(10);
/// How often the note quota is filled (MPP: 2 s).
pub const QUOTA_TICK: Duration = Duration::from_secs(2);
/// Ticks that the note quota remembers (MPP: 3).
pub const QUOTA_HISTORY: usize = 3;
