//! Streams as a node sees them: bytes in order, in pieces of any size, until one side ends them or they break.

use std::fmt;

use crate::node::Addr;
use crate::run::Wires;

/// A stream, by the number that one node knows it under; the other end has a number of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(u64);

impl StreamId {
    /// Streams that a node has accepted are numbered from here.
    pub const ACCEPTED: u64 = 1 << 63;

    /// A number for a stream to dial: the node chooses it, less than [`ACCEPTED`](Self::ACCEPTED).
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Whether the other end has dialed.
    pub const fn is_accepted(self) -> bool {
        self.0 >= Self::ACCEPTED
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.is_accepted() { "accepted" } else { "dialed" };
        write!(f, "{side} stream {}", self.0 % Self::ACCEPTED)
    }
}

/// What a node learns about a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamEvent<'a> {
    /// The other end has accepted what this node dialed: it can be written to.
    Opened,
    /// Another node has dialed. The number is new; the stream can be written to.
    Accepted {
        /// The address that the other end had when it dialed.
        from: Addr,
    },
    /// The next bytes: those that were written in one call, fewer, or more; never none.
    Read(&'a [u8]),
    /// The other end writes no more, and all of it has been read. This end can go on writing; when it has finished too,
    /// the stream is over and its number is free.
    Finished,
    /// There is more room than when [`Streams::room`] last gave less than half of the buffer.
    Writable,
    /// What this node dialed is not there, or does not answer. The stream is over.
    Refused,
    /// The stream is over, in both directions; what is on its way is lost. How much of it the other end has read is
    /// unknown.
    Broken,
}

/// What a node does with a stream. One that it does not have, or that is not open, fails the run as "node contract".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamOp {
    /// Asks for a new stream.
    Dial {
        /// Its number: one that this node has no stream under, not [accepted](StreamId::is_accepted).
        stream: StreamId,
        /// Whom to.
        to: Addr,
    },
    /// Writes: the bytes have been appended to the buffer.
    Write {
        /// Where to.
        stream: StreamId,
        /// How many: exactly those that this call appended, at least one, at most as many as there is
        /// [room](Streams::room) for.
        len: usize,
    },
    /// Writes no more; what the other end writes is still read.
    Finish {
        /// Which stream.
        stream: StreamId,
    },
    /// Ends it at once, in both directions; the other end finds it broken.
    Reset {
        /// Which stream.
        stream: StreamId,
    },
}

/// The streams of a node, to ask how much can be written.
#[derive(Clone, Copy, Debug)]
pub struct Streams<'a> {
    pub(crate) host: u32,
    pub(crate) wires: &'a Wires,
}

impl Streams<'_> {
    /// How many bytes can be written to a stream now: its [buffer](crate::Link::stream_buffer) without what the other end has
    /// not read yet. 0 for one that is not open.
    ///
    /// Where this is less than half of the buffer, the node is told ([`StreamEvent::Writable`]) when there is more.
    pub fn room(&self, stream: StreamId) -> usize {
        self.wires.room(self.host, stream)
    }
}
