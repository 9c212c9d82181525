//! What a server decides about its rooms.

use alloc::vec::Vec;
use core::time::Duration;

use super::quota::Allowed;

/// The settings of all rooms of a server; the defaults are those of the original where it has any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomConfig {
    /// Where the crown goes when its holder leaves.
    pub crown_on_leave: CrownOnLeave,
    /// How long a participant stays, suspended, after his last connection was lost. 30 s; zero: not at all. Guests of a gateway
    /// that cannot resume are gone at once.
    pub resume_window: Duration,
    /// Rooms with somebody in them. 10,000.
    pub max_rooms: usize,
    /// Connections. 65,536.
    pub max_peers: usize,
    /// How long the log of a room is kept in which nobody is; `lobby` and `test/awkward` are kept in any case. `None`, the default: for ever.
    pub keep: Option<Duration>,
    /// How long the log of a room is kept in which nobody is, nothing was ever said, and from which nobody is banned. `None`, the default: as
    /// any other's.
    pub keep_silent: Option<Duration>,
    /// Whether a ban concerns the addresses of who is banned as well. No: his neighbours have done nothing.
    pub ban_prefix: bool,
    /// Makes ids of guests from their addresses, so that they are the same the next time. `None`: they are random.
    pub salt: Option<Vec<u8>>,
    /// What one connection, and all connections of one user together, may do.
    pub allowed: Limits,
    /// How many times as much all connections of one prefix of addresses may do together. 8.
    pub prefix_factor: u32,
    /// Whether notes cost anything. They do.
    pub note_quota: bool,
    /// A defect to be found by the tests.
    #[cfg(planted)]
    pub planted: Option<Planted>,
}

impl Default for RoomConfig {
    fn default() -> Self {
        Self {
            crown_on_leave: CrownOnLeave::Next,
            resume_window: Duration::from_secs(30),
            max_rooms: 10_000,
            max_peers: 65_536,
            keep: None,
            keep_silent: None,
            ban_prefix: false,
            salt: None,
            allowed: Limits::default(),
            prefix_factor: 8,
            note_quota: true,
            #[cfg(planted)]
            planted: None,
        }
    }
}

/// Where the crown goes when its holder leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CrownOnLeave {
    /// To whoever is there longest.
    #[default]
    Next,
    /// To the ground. For 15 s nobody but its last holder may take it, who gets it back by entering.
    Drop,
}

/// How often things may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Chat messages of native peers. No limit: the log's own queue and the channel's rate hold them back, and nothing is lost.
    pub chat_native: Allowed,
    /// Chat messages of guests. 4 in 4 s (bop).
    pub chat: Allowed,
    /// Chat messages of guests who have the crown. 10 in 4 s (bop).
    pub chat_holder: Allowed,
    /// Movements of the cursor. One in 50 ms (the seed), 4 at once.
    pub cursor: Allowed,
    /// Changes of rooms. 10 in 5 s: one in 500 ms on average (bop), but several at once, as clients make them that come back.
    pub enter: Allowed,
    /// Rooms that are not there yet: each costs an entry of the store. 100, and one more every 30 s; the original forgets them.
    pub make: Allowed,
    /// Names and colours. 30 in 30 min (bop).
    pub profile: Allowed,
    /// Commands that give, take or drop a crown. 10 in 5 s (bop).
    pub crown: Allowed,
    /// Bans, and their ends. 2 in 1 s (bop).
    pub ban: Allowed,
    /// Changes of settings. 10 in 10 s: one in a second on average, between nagalun's and dev2's.
    pub settings: Allowed,
    /// Requests for the list of rooms. 15 in 20 s (dev2 and nagalun).
    pub list: Allowed,
}

impl Default for Limits {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            chat_native: Allowed::UNLIMITED,
            chat: Allowed::times(4, secs(4)),
            chat_holder: Allowed::times(10, secs(4)),
            cursor: Allowed { burst: 4, every: Duration::from_millis(50) },
            enter: Allowed::times(10, secs(5)),
            make: Allowed { burst: 100, every: secs(30) },
            profile: Allowed::times(30, secs(1800)),
            crown: Allowed::times(10, secs(5)),
            ban: Allowed::times(2, secs(1)),
            settings: Allowed::times(10, secs(10)),
            list: Allowed::times(15, secs(20)),
        }
    }
}

impl Limits {
    /// No limit at all.
    pub const UNLIMITED: Self = {
        let all = Allowed::UNLIMITED;
        Self {
            chat_native: all,
            chat: all,
            chat_holder: all,
            cursor: all,
            enter: all,
            make: all,
            profile: all,
            crown: all,
            ban: all,
            settings: all,
            list: all,
        }
    };
}

/// A bug that the simulator must find.
#[cfg(planted)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Who enters is shown a crown that is not durable.
    CrownBeforeDurable,
    /// Who is lost stays for ever.
    Ghosts,
    /// Bans are remembered, but nobody looks at them.
    BansIgnored,
    /// A diff that found no room is not made good.
    DiffsLost,
    /// Notes cost nothing.
    QuotaOff,
}
