//! The numbers of the gateway, each with where it is from. "MPP" stands for the published servers of Multiplayer Piano.

use std::time::Duration;

use proto_core::room::Allowed;

/// The longest text that is taken, in bytes. 1800 notes, as many as any quota allows, fit into it.
pub(crate) const MAX_TEXT: usize = 128 * 1024;
/// What a guest may send before it says hi, in bytes.
pub(crate) const MAX_BEFORE_HI: usize = 16 * 1024;
/// How long a guest may be silent. Clients send a `t` every 20 s (MPP: 60 s).
pub(super) const MAX_SILENCE: Duration = Duration::from_mins(1);
/// How long a guest may be behind.
pub(super) const SLOW_FOR: Duration = proto_core::room::limits::SLOW_FOR;
/// What waits for one guest, in bytes. A single text may be longer: the state of the largest room.
pub(super) const MAX_QUEUE_BYTES: usize = 256 * 1024;
/// Texts that wait for one guest.
pub(super) const MAX_QUEUE: usize = 1024;
/// Messages of one guest: 1000 in a second, 2000 at once. Five times what a client at work sends.
pub(super) const MESSAGES: Allowed = Allowed { burst: 2000, every: Duration::from_millis(1) };
/// Kibibytes of one guest: 256 in a second, 1024 at once.
pub(super) const KIBIBYTES: Allowed = Allowed { burst: 1024, every: Duration::from_micros(3906) };
/// Words for one: 5 in 6 s (v2).
pub(super) const DIRECT: Allowed = Allowed { burst: 5, every: Duration::from_millis(1200) };
/// Custom messages, in units: 16 KiB in 10 s (MPP).
pub(super) const CUSTOM: Allowed = Allowed { burst: 1024, every: Duration::from_micros(9766) };
/// Bytes of such a unit.
pub(super) const CUSTOM_UNIT: usize = 16;
/// Users that a custom message may name (MPP).
pub(super) const MAX_TARGETS: usize = 32;
/// The shortest token that makes its holder the same user everywhere and always, in bytes: shorter ones could be guessed.
pub(super) const MIN_TOKEN: usize = 16;
/// The longest, in bytes.
pub(super) const MAX_TOKEN: usize = 1024;
/// Notes whose time is further from the server's than this get the server's: nobody could place them.
pub(super) const MAX_CLOCK_ERROR_MS: u64 = 10_000;
