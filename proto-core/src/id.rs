//! Names of things, as types that cannot be mixed up.

use core::fmt;

/// A connection of one endpoint: a slot and the generation that occupies it, so that a stale handle never meets a stranger. The
/// shard is a part of it: no two shards of a server have the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl ConnectionId {
    /// Bits of a slot; those above name the shard.
    const SLOT_BITS: u32 = 24;

    pub(crate) const fn new(shard: Shard, index: u32, generation: u32) -> Self {
        Self { slot: (shard.0 as u32) << Self::SLOT_BITS | index, generation }
    }

    /// The slot among those of its shard.
    pub(crate) const fn index(self) -> u32 {
        self.slot & ((1 << Self::SLOT_BITS) - 1)
    }

    /// The shard that has it.
    pub const fn shard(self) -> Shard {
        Shard((self.slot >> Self::SLOT_BITS) as u8)
    }

    /// A number that no other connection of the endpoint ever has, for recordings.
    pub const fn number(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// The id with this number: a connection's only in the endpoint that gave it one.
    pub const fn from_number(number: u64) -> Self {
        Self { slot: number as u32, generation: (number >> 32) as u32 }
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shard() {
            Shard(0) => write!(f, "c{}.{}", self.slot, self.generation),
            Shard(shard) => write!(f, "s{shard}c{}.{}", self.index(), self.generation),
        }
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A channel of a connection. Channel 0 always exists; the client opens odd ids, the server even ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u32);

impl ChannelId {
    /// The channel that exists without being opened.
    pub const DEFAULT: Self = Self(0);
}

/// How a message travels; chosen per message. Each (channel, class) numbers its messages on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Arrives for certain, in the order of `send`.
    #[default]
    ReliableOrdered = 0,
    /// Arrives for certain, as soon as it is whole.
    ReliableUnordered = 1,
    /// Sent once: arrives at most once, or not at all.
    Unreliable = 2,
    /// The newest wins: whatever is older than one that has arrived is dropped. Sent once, but on channels that repeat the newest
    /// until it arrives: see `ChannelOptions::reliable_sequenced`.
    Sequenced = 3,
}

impl Class {
    /// Every class, in the order of their codes.
    pub const ALL: [Self; 4] =
        [Self::ReliableOrdered, Self::ReliableUnordered, Self::Unreliable, Self::Sequenced];

    /// Whether the transport repeats every message of this class until it arrives or is given up.
    pub const fn is_reliable(self) -> bool {
        matches!(self, Self::ReliableOrdered | Self::ReliableUnordered)
    }
}

/// An accepted message of one connection: unique for the life of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// The channel it was sent on.
    pub channel: ChannelId,
    /// The class it was sent with.
    pub class: Class,
    /// Which of the messages accepted for (channel, class) it is, counted from 0.
    pub number: u64,
}

/// A request that this side sent, or one that the peer sent and this side owes a reply to. The two never share a value in use:
/// each side numbers its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The public name of a session: 16 random bytes whose first names the server's shard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One task's worth of a server: an endpoint with its own socket. Byte 0 of every id that a server hands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(pub u8);

/// A stream link of one endpoint. No two links of an endpoint ever have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(u64);

impl LinkId {
    /// `slot`, used for the time number `generation`.
    pub(crate) const fn new(slot: u32, generation: u32) -> Self {
        Self((generation as u64) << 32 | slot as u64)
    }

    pub(crate) const fn slot(self) -> u32 {
        self.0 as u32
    }

    /// A number that no other link of the endpoint ever has, for logs and recordings.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The id with this number: a link's only in the endpoint that gave it one.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// A stream that an endpoint asked to be opened. No two of an endpoint ever have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub(crate) u64);

impl DialId {
    /// A number that no other stream that the endpoint asked for ever has, for recordings.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The id with this number: a stream's only in the endpoint that asked for it.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

crate::sleep::saved!(ChannelId(_));
crate::sleep::saved!(SessionId(_));
