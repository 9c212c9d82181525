//! What the server says.

use alloc::vec::Vec;

use super::{MAX_BODY, MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, WireEntry, epoch, flag, ordinal, put_bytes, room};
use crate::chat::identity::AuthorId;
use crate::wire::{DecodeError, Reader, varint};

fn put_head(code: u8, room: &str, epoch: u64, buf: &mut Vec<u8>) {
    buf.push(code);
    put_bytes(room.as_bytes(), buf);
    buf.extend_from_slice(&epoch.to_be_bytes());
}

/// You are in. The entries that the client lacks, and live ones, follow.
///
/// ```text
/// 11 ‖ room ‖ epoch (8) ‖ latest vi64 ‖ last_sequence vi64 ‖ author (16) ‖ max_body vi64 ‖ remember_ms vi64
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerJoined<'a> {
    /// The room's name.
    pub room: &'a str,
    /// The epoch of its log.
    pub epoch: u64,
    /// The highest committed slot; 0: the log is empty.
    pub latest: u64,
    /// The highest sequence of this client that the server has accepted; 0: it knows nothing of this client.
    pub last_sequence: u64,
    /// What the client's own entries carry as their author.
    pub author: AuthorId,
    /// What the room allows.
    pub limits: Limits,
}

/// What a room allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest body in bytes: at most [`MAX_BODY`].
    pub max_body: u64,
    /// How long an idle client is remembered, in milliseconds.
    pub remember_ms: u64,
}

impl<'a> ServerJoined<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            room: room(reader)?,
            epoch: epoch(reader)?,
            latest: reader.vi64()?,
            last_sequence: reader.vi64()?,
            author: AuthorId(reader.array()?),
            limits: Limits {
                max_body: reader.vi64_upto(MAX_BODY as u64, "the limit of a body is above 16 KiB")?,
                remember_ms: reader.vi64()?,
            },
        })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        put_head(0x11, self.room, self.epoch, buf);
        varint::encode(self.latest, buf);
        varint::encode(self.last_sequence, buf);
        buf.extend_from_slice(&self.author.0);
        varint::encode(self.limits.max_body, buf);
        varint::encode(self.limits.remember_ms, buf);
    }
}

/// Committed and durable at this slot.
///
/// ```text
/// 12 ‖ room ‖ epoch (8) ‖ sequence vi64 ‖ slot vi64 ‖ duplicate (1)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerAck<'a> {
    /// The room's name.
    pub room: &'a str,
    /// The epoch of its log.
    pub epoch: u64,
    /// The client's number for the append.
    pub sequence: u64,
    /// Where it is.
    pub slot: u64,
    /// Whether it had been committed before this repetition arrived.
    pub duplicate: bool,
}

impl<'a> ServerAck<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            room: room(reader)?,
            epoch: epoch(reader)?,
            sequence: ordinal(reader, "an acknowledged sequence is 0")?,
            slot: ordinal(reader, "an acknowledged slot is 0")?,
            duplicate: flag(reader)?,
        })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        put_head(0x12, self.room, self.epoch, buf);
        varint::encode(self.sequence, buf);
        varint::encode(self.slot, buf);
        buf.push(u8::from(self.duplicate));
    }
}

/// A page of the log: entries of consecutive slots.
///
/// ```text
/// 13 ‖ room ‖ epoch (8) ‖ latest vi64 ‖ limited (1) ‖ first vi64 ‖ count vi64 ‖ count × entry
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReply<'a> {
    /// The room's name.
    pub room: &'a str,
    /// The epoch of its log.
    pub epoch: u64,
    /// The highest committed slot when the page was made.
    pub latest: u64,
    /// Whether the page ends before what was asked for: it has the lowest slots, ask again for the rest.
    pub limited: bool,
    /// The slot of the first entry; 0 when there is none.
    pub first: u64,
    /// The entries of slots `first`, `first + 1` ...: at most 128, and 64 KiB.
    pub entries: Vec<WireEntry<'a>>,
}

impl<'a> ServerReply<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let room = room(reader)?;
        let epoch = epoch(reader)?;
        let latest = reader.vi64()?;
        let limited = flag(reader)?;
        let first = reader.vi64()?;
        let count = reader.vi64_upto(MAX_PAGE_ENTRIES as u64, "a page has more than 128 entries")?;
        if (first == 0) != (count == 0) || (limited && count == 0) {
            return Err(DecodeError::Invalid(
                "an empty page is limited or has a first slot, or a full one has none",
            ));
        }
        if first.checked_add(count).is_none_or(|end| end > latest.saturating_add(1)) && count > 0 {
            return Err(DecodeError::Invalid("a page reaches beyond the latest slot"));
        }
        if reader.rest().len() > MAX_PAGE_BYTES {
            return Err(DecodeError::Invalid("a page is larger than 64 KiB"));
        }
        let entries = (0..count).map(|_| WireEntry::decode(reader)).collect::<Result<_, _>>()?;
        Ok(Self { room, epoch, latest, limited, first, entries })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        put_head(0x13, self.room, self.epoch, buf);
        varint::encode(self.latest, buf);
        buf.push(u8::from(self.limited));
        varint::encode(self.first, buf);
        varint::encode(self.entries.len() as u64, buf);
        self.entries.iter().for_each(|entry| entry.encode(buf));
    }
}

/// A new entry, pushed to everybody in the room once it is durable.
///
/// ```text
/// 14 ‖ room ‖ epoch (8) ‖ slot vi64 ‖ entry
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerEntry<'a> {
    /// The room's name.
    pub room: &'a str,
    /// The epoch of its log.
    pub epoch: u64,
    /// Its place in the log.
    pub slot: u64,
    /// The entry.
    pub entry: WireEntry<'a>,
}

impl<'a> ServerEntry<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            room: room(reader)?,
            epoch: epoch(reader)?,
            slot: ordinal(reader, "an entry's slot is 0")?,
            entry: WireEntry::decode(reader)?,
        })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        put_head(0x14, self.room, self.epoch, buf);
        varint::encode(self.slot, buf);
        self.entry.encode(buf);
    }
}

/// No, and why.
///
/// ```text
/// 15 ‖ room ‖ epoch (8) ‖ sequence vi64 ‖ reason (1)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerReject<'a> {
    /// The room's name, as the refused message had it.
    pub room: &'a str,
    /// The epoch of its log; 0 when there is none to speak of.
    pub epoch: u64,
    /// The append that is refused; 0: it is about the connection's place in the room.
    pub sequence: u64,
    /// Why.
    pub reason: RejectReason,
}

impl<'a> ServerReject<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            room: room(reader)?,
            epoch: reader.u64()?,
            sequence: reader.vi64()?,
            reason: RejectReason::decode(reader.u8()?)?,
        })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        put_head(0x15, self.room, self.epoch, buf);
        varint::encode(self.sequence, buf);
        buf.push(self.reason as u8);
    }
}

/// The connection is not in that room any more: nothing more of it follows, and another one can be joined.
///
/// ```text
/// 16 ‖ room
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLeft<'a> {
    /// The room's name, as the leave had it.
    pub room: &'a str,
}

impl<'a> ServerLeft<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { room: room(reader)? })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.push(0x16);
        put_bytes(self.room.as_bytes(), buf);
    }
}

/// Why the server refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RejectReason {
    /// The connection is not in that room.
    NotJoined = 0x01,
    /// The body is larger than the room allows.
    TooLarge = 0x02,
    /// The sequence was used for other content.
    Conflict = 0x03,
    /// The sequence is older than what is remembered, or its client was forgotten: it may or may not be in the log.
    Unknown = 0x04,
    /// More was said than the room takes in the time.
    Rate = 0x05,
    /// The client has seen more than this log holds: join again.
    EpochChanged = 0x06,
    /// The store has no room now. Appends wait; nothing is lost.
    Full = 0x07,
    /// The store is broken: the room takes nothing until its server is mended.
    Stopped = 0x08,
    /// The same client has joined on a newer connection.
    Fenced = 0x09,
    /// There are as many rooms as the server allows.
    TooManyRooms = 0x0A,
    /// The room remembers as many clients as it can.
    TooManyClients = 0x0B,
    /// A connection joins once.
    AlreadyJoined = 0x0C,
    /// The message is not one that a client sends.
    Malformed = 0x0D,
    /// More was sent than is allowed to wait.
    Overrun = 0x0E,
    /// The store cannot read entries that were asked for: its file is damaged.
    Unreadable = 0x0F,
    /// The room takes no such words, of nobody or not of this client.
    Forbidden = 0x10,
    /// The client may not be in that room.
    Barred = 0x11,
}

impl RejectReason {
    /// Every reason, in the order of their codes.
    pub const ALL: [Self; 17] = [
        Self::NotJoined,
        Self::TooLarge,
        Self::Conflict,
        Self::Unknown,
        Self::Rate,
        Self::EpochChanged,
        Self::Full,
        Self::Stopped,
        Self::Fenced,
        Self::TooManyRooms,
        Self::TooManyClients,
        Self::AlreadyJoined,
        Self::Malformed,
        Self::Overrun,
        Self::Unreadable,
        Self::Forbidden,
        Self::Barred,
    ];

    /// Whether an append refused for this reason can never be committed by repeating it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::TooLarge | Self::Conflict | Self::Unknown | Self::Rate | Self::Forbidden)
    }

    fn decode(code: u8) -> Result<Self, DecodeError> {
        let known = Self::ALL.into_iter().find(|reason| *reason as u8 == code);
        known.ok_or(DecodeError::Invalid("unknown reject reason"))
    }
}
