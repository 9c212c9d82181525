//! What a client says.

use alloc::vec::Vec;

use super::{body, name, ordinal, put_bytes, room};
use crate::chat::identity::{ClientSecret, Kind};
use crate::wire::{DecodeError, Reader, varint};

/// Enter a room on this connection, and get what is missing.
///
/// ```text
/// 01 ‖ room ‖ secret (32) ‖ incarnation vi64 ‖ name ‖ epoch (8) ‖ has vi64 ‖ last vi64
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientJoin<'a> {
    /// The room's name.
    pub room: &'a str,
    /// Proves who the client is; its id is a hash of it.
    pub secret: ClientSecret,
    /// Which of the client's connections this is: a later one has a higher number.
    pub incarnation: u64,
    /// The name that its entries carry from now on.
    pub name: &'a str,
    /// The epoch of the log that the client knows; 0: it knows none.
    pub epoch: u64,
    /// The highest slot that it has of that log, or does not want to see; 0 without an epoch.
    pub has: u64,
    /// How many of the latest entries it wants when it knows no log or another one.
    pub last: u64,
}

impl<'a> ClientJoin<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let join = Self {
            room: room(reader)?,
            secret: ClientSecret(reader.array()?),
            incarnation: reader.vi64()?,
            name: name(reader)?,
            epoch: reader.u64()?,
            has: reader.vi64()?,
            last: reader.vi64()?,
        };
        if join.epoch == 0 && join.has != 0 {
            return Err(DecodeError::Invalid("slots of no epoch"));
        }
        Ok(join)
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.push(0x01);
        put_bytes(self.room.as_bytes(), buf);
        buf.extend_from_slice(&self.secret.0);
        varint::encode(self.incarnation, buf);
        put_bytes(self.name.as_bytes(), buf);
        buf.extend_from_slice(&self.epoch.to_be_bytes());
        varint::encode(self.has, buf);
        varint::encode(self.last, buf);
    }
}

/// Please commit this. Sent once on each connection, in order, until it is answered.
///
/// ```text
/// 02 ‖ room ‖ sequence vi64 ‖ seen vi64 ‖ author_ms vi64 ‖ kind (1) ‖ body
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAppend<'a> {
    /// The room's name.
    pub room: &'a str,
    /// The client's own number for it, from 1, ascending.
    pub sequence: u64,
    /// The highest slot that the client has: the entry comes after it.
    pub seen: u64,
    /// The client's clock when it was written: milliseconds since 1970.
    pub author_ms: u64,
    /// What the body is.
    pub kind: Kind,
    /// The content.
    pub body: &'a [u8],
}

impl<'a> ClientAppend<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            room: room(reader)?,
            sequence: ordinal(reader, "an append's sequence is 0")?,
            seen: reader.vi64()?,
            author_ms: reader.vi64()?,
            kind: Kind(reader.u8()?),
            body: body(reader)?,
        })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.push(0x02);
        put_bytes(self.room.as_bytes(), buf);
        varint::encode(self.sequence, buf);
        varint::encode(self.seen, buf);
        varint::encode(self.author_ms, buf);
        buf.push(self.kind.0);
        put_bytes(self.body, buf);
    }
}

/// Leave a room on this connection, so that it can join another one.
///
/// ```text
/// 04 ‖ room
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLeave<'a> {
    /// The room's name.
    pub room: &'a str,
}

impl<'a> ClientLeave<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { room: room(reader)? })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.push(0x04);
        put_bytes(self.room.as_bytes(), buf);
    }
}

/// Give me up to `n` entries ending at slot `upto`: slots `max(1, upto - n + 1)` to `min(upto, latest)`.
///
/// ```text
/// 03 ‖ room ‖ n vi64 ‖ upto vi64
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientUpdate<'a> {
    /// The room's name.
    pub room: &'a str,
    /// How many entries.
    pub n: u64,
    /// The highest slot wanted; [`ClientUpdate::LATEST`] for whatever is the latest.
    pub upto: u64,
}

impl<'a> ClientUpdate<'a> {
    /// An `upto` that stands for the latest slot.
    pub const LATEST: u64 = u64::MAX;

    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { room: room(reader)?, n: reader.vi64()?, upto: reader.vi64()? })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.push(0x03);
        put_bytes(self.room.as_bytes(), buf);
        varint::encode(self.n, buf);
        varint::encode(self.upto, buf);
    }
}
