//! What a connection must know about the thing that carries its packets.

use crate::MAX_UNRELIABLE_FRAGMENTS;

/// A link says two things about itself: its largest packet, and whether it is reliable (docs/spec/wire.md, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub(crate) max_packet: u16,
    pub(crate) reliable: bool,
}

impl Link {
    /// A link that loses, repeats and reorders packets of at most `max_packet` bytes, at least 1200.
    pub const fn datagram(max_packet: u16) -> Self {
        Self { max_packet: if max_packet < 1200 { 1200 } else { max_packet }, reliable: false }
    }

    /// A link that delivers every record once and in order for as long as it lives: TCP, TLS, a Unix or a web socket. Its
    /// packets are bare records of at most `max_record` bytes, at least 1200. Loss timers are off; acknowledgements still prove
    /// delivery, for a link can die with records in flight.
    pub const fn stream(max_record: u16) -> Self {
        Self { reliable: true, ..Self::datagram(max_record) }
    }

    /// The largest packet, or record, in bytes.
    pub const fn max_packet(self) -> u16 {
        self.max_packet
    }

    /// Whether it is a stream of records.
    pub const fn is_stream(self) -> bool {
        self.reliable
    }

    /// Largest unreliable message in bytes: 16 pieces, each in a packet of its own.
    pub(crate) const fn max_unreliable(self) -> usize {
        MAX_UNRELIABLE_FRAGMENTS * (self.max_packet as usize - 80)
    }
}

/// Explicit congestion notification of a packet (RFC 3168).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecn {
    /// ECN-capable, codepoint 0.
    Ect0,
    /// ECN-capable, codepoint 1.
    Ect1,
    /// Congestion was experienced.
    Ce,
}

/// Which of a connection's paths a packet belongs to: 0 at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u8);

/// How a packet came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta<P = PathId> {
    /// Where from: a path of a connection, an address of an endpoint.
    pub path: P,
    /// Its congestion mark, when the socket tells.
    pub ecn: Option<Ecn>,
}

/// A packet that was appended to the caller's buffer and now counts as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit<P = PathId> {
    /// Where to: a path of a connection, an address of an endpoint.
    pub path: P,
    /// The congestion mark that it should carry.
    pub ecn: Option<Ecn>,
    /// Its length in bytes.
    pub len: usize,
}

crate::sleep::saved!(Link { max_packet, reliable });

crate::sleep::saved!(PathId(_));
