//! The messages of the chat log, as bytes and back (spec: chat.md, section 3).
//!
//! Each has exactly one legal encoding: whatever decodes, encodes to the same bytes.

mod entry;
mod from_client;
mod from_server;
mod limits;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use bytes::Bytes;

pub use entry::WireEntry;
pub use from_client::{ClientAppend, ClientJoin, ClientLeave, ClientUpdate};
pub use from_server::{
    Limits, RejectReason, ServerAck, ServerEntry, ServerJoined, ServerLeft, ServerReject, ServerReply,
};
pub use limits::{
    MAX_BODY, MAX_MESSAGE, MAX_NAME, MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, MAX_ROOM, MAX_UNACKNOWLEDGED, cut_name,
};

use crate::wire::{DecodeError, Reader, varint};

/// A message of either side. Borrows its texts and bodies from the bytes that it was decoded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// 0x01
    ClientJoin(ClientJoin<'a>),
    /// 0x02
    ClientAppend(ClientAppend<'a>),
    /// 0x03
    ClientUpdate(ClientUpdate<'a>),
    /// 0x04
    ClientLeave(ClientLeave<'a>),
    /// 0x11
    ServerJoined(ServerJoined<'a>),
    /// 0x12
    ServerAck(ServerAck<'a>),
    /// 0x13
    ServerReply(ServerReply<'a>),
    /// 0x14
    ServerEntry(ServerEntry<'a>),
    /// 0x15
    ServerReject(ServerReject<'a>),
    /// 0x16
    ServerLeft(ServerLeft<'a>),
}

impl<'a> Message<'a> {
    /// Reads a whole message.
    ///
    /// # Errors
    /// When a field is cut off, exceeds its limit or has a value that is not allowed there, when bytes are left over, and when
    /// the type is unknown.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let message = match reader.u8()? {
            0x01 => Self::ClientJoin(ClientJoin::decode(&mut reader)?),
            0x02 => Self::ClientAppend(ClientAppend::decode(&mut reader)?),
            0x03 => Self::ClientUpdate(ClientUpdate::decode(&mut reader)?),
            0x04 => Self::ClientLeave(ClientLeave::decode(&mut reader)?),
            0x11 => Self::ServerJoined(ServerJoined::decode(&mut reader)?),
            0x12 => Self::ServerAck(ServerAck::decode(&mut reader)?),
            0x13 => Self::ServerReply(ServerReply::decode(&mut reader)?),
            0x14 => Self::ServerEntry(ServerEntry::decode(&mut reader)?),
            0x15 => Self::ServerReject(ServerReject::decode(&mut reader)?),
            0x16 => Self::ServerLeft(ServerLeft::decode(&mut reader)?),
            _ => return Err(DecodeError::Invalid("unknown chat message type")),
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the message to `buf`. Fields that exceed their limits encode to something that no reader accepts.
    pub fn encode(&self, buf: &mut Vec<u8>) {
        match self {
            Self::ClientJoin(join) => join.encode(buf),
            Self::ClientAppend(append) => append.encode(buf),
            Self::ClientUpdate(update) => update.encode(buf),
            Self::ClientLeave(leave) => leave.encode(buf),
            Self::ServerJoined(joined) => joined.encode(buf),
            Self::ServerAck(ack) => ack.encode(buf),
            Self::ServerReply(reply) => reply.encode(buf),
            Self::ServerEntry(entry) => entry.encode(buf),
            Self::ServerReject(reject) => reject.encode(buf),
            Self::ServerLeft(left) => left.encode(buf),
        }
    }

    /// The message as bytes of its own.
    pub fn to_bytes(&self) -> Bytes {
        let mut buf = Vec::new();
        self.encode(&mut buf);
        buf.into()
    }
}

fn put_bytes(bytes: &[u8], buf: &mut Vec<u8>) {
    varint::encode(bytes.len() as u64, buf);
    buf.extend_from_slice(bytes);
}

fn room<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let room = reader.str(MAX_ROOM, "a room's name is longer than 64 bytes")?;
    if room.is_empty() { Err(DecodeError::Invalid("a room's name is empty")) } else { Ok(room) }
}

fn name<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    reader.str(MAX_NAME, "a client's name is longer than 64 bytes")
}

fn body<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    reader.bytes(MAX_BODY, "a body is longer than 16 KiB")
}

/// A number that counts from 1.
fn ordinal(reader: &mut Reader<'_>, what: &'static str) -> Result<u64, DecodeError> {
    match reader.vi64()? {
        0 => Err(DecodeError::Invalid(what)),
        number => Ok(number),
    }
}

fn epoch(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    match reader.u64()? {
        0 => Err(DecodeError::Invalid("an epoch is 0")),
        epoch => Ok(epoch),
    }
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Invalid("a flag is neither 0 nor 1")),
    }
}
