//! Datagram headers and tags (spec: wire.md, section 2).
//!
//! ```text
//! long   11TT0000 | version 4 | dcid len, bytes | scid len, bytes | record | crc 4
//! short  010NN000 | dcid 8 | packet number 1..4 | record | crc 4
//! ```
//!
//! The tag of a long packet covers the packet. The tag of a short packet also covers the two connection ids of the
//! handshake and the *whole* packet number, so a packet whose truncated number is expanded wrongly never existed.

use alloc::vec::Vec;

use super::{DecodeError, Reader};

/// The version of the protocol that this crate speaks.
pub const VERSION: u32 = 1;

/// Bytes of the tag behind every packet.
pub const TAG_LEN: usize = 4;

/// The smallest datagram that may carry INIT, in bytes.
pub const MIN_INIT: usize = 1200;

/// Largest packet number; a connection ends before it is passed.
pub const MAX_PACKET_NUMBER: u64 = (1 << 62) - 1;

/// Continues a CRC-32C over bytes: the table of [`super::checksum`] or a hardware one that computes the same.
pub type Checksum = fn(u32, &[u8]) -> u32;

pub(super) const FORM_LONG: u8 = 0x80;
pub(super) const FIXED: u8 = 0x40;
pub(super) const KEY_PHASE: u8 = 0x20;
pub(super) const SHORT_RESERVED: u8 = 0x07;
const LONG_RESERVED: u8 = 0x0F;
const MAX_CID: usize = 20;
const WRONG_BITS: DecodeError =
    DecodeError::Invalid("the fixed or the reserved bits of the header are wrong");

/// A connection id on the wire: eight random bytes that their receiver chose. Byte 0 of a server's names its shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cid(pub [u8; Self::LEN]);

impl Cid {
    /// Bytes of every connection id of version 1.
    pub const LEN: usize = 8;

    /// The id in a header field, when it has the length of this version.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// What a long packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LongKind {
    /// INIT, client to server.
    Init = 0,
    /// RETRY, server to client.
    Retry = 1,
    /// ACCEPT, server to client.
    Accept = 2,
    /// VERSION or CLOSE, server to client.
    Refuse = 3,
}

/// A handshake packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long<'a> {
    /// What it carries.
    pub kind: LongKind,
    /// The version that the rest is written in.
    pub version: u32,
    /// Destination connection id, 0 to 20 bytes.
    pub dcid: &'a [u8],
    /// Source connection id, 0 to 20 bytes.
    pub scid: &'a [u8],
    /// The record.
    pub payload: &'a [u8],
}

/// A packet of an established connection, its tag not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short<'a> {
    /// Destination connection id.
    pub dcid: Cid,
    /// The low bytes of the packet number.
    pub number: u32,
    /// How many bytes of it were sent: 1 to 4.
    pub number_len: u8,
    /// The record.
    pub payload: &'a [u8],
    covered: &'a [u8],
    tag: u32,
}

/// A datagram whose header is well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Part of a handshake; its tag is right.
    Long(Long<'a>),
    /// Part of a connection.
    Short(Short<'a>),
}

impl<'a> Packet<'a> {
    /// Reads the header of `datagram`, and checks the tag of a long packet.
    pub fn decode(datagram: &'a [u8], checksum: Checksum) -> Result<Self, DecodeError> {
        let (covered, tag) = datagram.split_last_chunk::<TAG_LEN>().ok_or(DecodeError::Truncated)?;
        let (&first, header) = covered.split_first().ok_or(DecodeError::Truncated)?;
        let (tag, reader) = (u32::from_be_bytes(*tag), Reader::new(header));
        if first & FORM_LONG == 0 {
            return Short::decode(first, reader, covered, tag).map(Self::Short);
        }
        let long = Long::decode(first, reader)?;
        if checksum(0, covered) != tag {
            return Err(DecodeError::BadChecksum);
        }
        Ok(Self::Long(long))
    }
}

impl<'a> Long<'a> {
    fn decode(first: u8, mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        if first & (FIXED | LONG_RESERVED) != FIXED {
            return Err(WRONG_BITS);
        }
        let kind = match first >> 4 & 3 {
            0 => LongKind::Init,
            1 => LongKind::Retry,
            2 => LongKind::Accept,
            _ => LongKind::Refuse,
        };
        let version = reader.u32()?;
        let mut cid = || {
            let len = usize::from(reader.u8()?);
            if len > MAX_CID {
                Err(DecodeError::Invalid("connection id over 20 bytes"))
            } else {
                reader.take(len)
            }
        };
        let (dcid, scid) = (cid()?, cid()?);
        if reader.is_empty() {
            return Err(DecodeError::Truncated);
        }
        Ok(Self { kind, version, dcid, scid, payload: reader.rest() })
    }

    /// Appends this packet and its tag.
    pub fn encode(&self, buf: &mut Vec<u8>, checksum: Checksum) {
        let start = buf.len();
        buf.push(FORM_LONG | FIXED | (self.kind as u8) << 4);
        buf.extend_from_slice(&self.version.to_be_bytes());
        for cid in [self.dcid, self.scid] {
            buf.push(cid.len() as u8);
            buf.extend_from_slice(cid);
        }
        buf.extend_from_slice(self.payload);
        let tag = checksum(0, &buf[start..]);
        buf.extend_from_slice(&tag.to_be_bytes());
    }
}

impl<'a> Short<'a> {
    /// Reads the header of a short packet; `None` when `datagram` is none.
    #[inline]
    pub(crate) fn read(datagram: &'a [u8]) -> Option<Self> {
        let (covered, tag) = datagram.split_last_chunk::<TAG_LEN>()?;
        let (&first, header) = covered.split_first().filter(|&(&first, _)| first & FORM_LONG == 0)?;
        Self::decode(first, Reader::new(header), covered, u32::from_be_bytes(*tag)).ok()
    }

    fn decode(first: u8, mut reader: Reader<'a>, covered: &'a [u8], tag: u32) -> Result<Self, DecodeError> {
        if first & (FIXED | KEY_PHASE | SHORT_RESERVED) != FIXED {
            return Err(WRONG_BITS);
        }
        let dcid = Cid(reader.array()?);
        let number_len = (first >> 3 & 3) + 1;
        let number =
            reader.take(usize::from(number_len))?.iter().fold(0, |n, &byte| n << 8 | u32::from(byte));
        if reader.is_empty() {
            return Err(DecodeError::Truncated);
        }
        Ok(Self { dcid, number, number_len, payload: reader.rest(), covered, tag })
    }

    /// Whether the tag is right for this `guard` (see [`guard`]) and whole packet number.
    pub fn verify(&self, guard: u32, number: u64, checksum: Checksum) -> bool {
        checksum(checksum(guard, &number.to_be_bytes()), self.covered) == self.tag
    }
}

/// What the tags of a connection's short packets start from: the checksum of the ids that its client and server chose.
pub fn guard(client: Cid, server: Cid, checksum: Checksum) -> u32 {
    checksum(checksum(0, &client.0), &server.0)
}

/// Appends the header of a short packet; `number_len` is 1 to 4. The record and then [`finish_short`] must follow.
#[inline]
pub fn start_short(buf: &mut Vec<u8>, dcid: Cid, number: u64, number_len: u8) {
    let mut head = [0; 1 + Cid::LEN + 4];
    let [first, rest @ ..] = &mut head;
    *first = FIXED | (number_len - 1) << 3;
    rest[..Cid::LEN].copy_from_slice(&dcid.0);
    // Its low bytes first, and as many of the four as are sent.
    let low = (number as u32) << (8 * (4 - u32::from(number_len)));
    rest[Cid::LEN..].copy_from_slice(&low.to_be_bytes());
    buf.extend_from_slice(&head[..1 + Cid::LEN + usize::from(number_len)]);
}

/// Appends the tag of the short packet that starts at `start`.
#[inline]
pub fn finish_short(buf: &mut Vec<u8>, start: usize, guard: u32, number: u64, checksum: Checksum) {
    let tag = checksum(checksum(guard, &number.to_be_bytes()), &buf[start..]);
    buf.extend_from_slice(&tag.to_be_bytes());
}

/// Bytes of a short packet beside its record.
pub const fn short_overhead(number_len: u8) -> usize {
    1 + Cid::LEN + number_len as usize + TAG_LEN
}

/// How many bytes of `number` must be sent when `unacked` - 1 is the largest number known to have arrived (RFC 9000, A.2).
/// Four bytes stand for fewer than 2^31 numbers in flight; a sender stays far below.
pub const fn number_len(number: u64, unacked: u64) -> u8 {
    match number.saturating_sub(unacked).saturating_add(1).saturating_mul(2) {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        0x1_0001..=0x100_0000 => 3,
        _ => 4,
    }
}

/// The whole number that ends in the `len` (1 to 4) bytes `low`: the one nearest to `expected`, which is the largest number
/// received plus one (RFC 9000, A.3). Never over [`MAX_PACKET_NUMBER`].
pub fn expand_number(expected: u64, low: u32, len: u8) -> u64 {
    let expected = expected.min(MAX_PACKET_NUMBER);
    let window = 1_u64 << (8 * u32::from(len));
    let candidate = expected & !(window - 1) | u64::from(low);
    if candidate + window / 2 <= expected && candidate + window <= MAX_PACKET_NUMBER {
        candidate + window
    } else if candidate > expected + window / 2 && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

crate::sleep::saved!(Cid(_));
