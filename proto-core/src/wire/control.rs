//! CREDIT, BLOCKED, OPEN_CHANNEL and CLOSE (spec: wire.md, section 4).

use alloc::vec::Vec;

use super::{DecodeError, Reader, varint};

/// How much the receiver of reliable messages has room for, as absolute counters since the connection began.
///
/// ```text
/// 05 | scope 1 | channel vi64 (scope 1 only) | bytes vi64 | messages vi64
/// 06 | the same: BLOCKED
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The channel it is for; `None` for the whole connection.
    pub channel: Option<u32>,
    /// Bytes that may have been charged in all.
    pub bytes: u64,
    /// Messages that may have been charged in all.
    pub messages: u64,
}

impl Credit {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let channel = match reader.u8()? {
            0 => None,
            1 => Some(channel(reader)?),
            _ => return Err(DecodeError::Invalid("CREDIT or BLOCKED: scope over 1")),
        };
        Ok(Self { channel, bytes: reader.vi64()?, messages: reader.vi64()? })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.push(u8::from(self.channel.is_some()));
        if let Some(channel) = self.channel {
            varint::encode(channel.into(), buf);
        }
        varint::encode(self.bytes, buf);
        varint::encode(self.messages, buf);
    }
}

/// Announces a channel. Until it is acknowledged it precedes every message of that channel in the same record.
///
/// ```text
/// 0B | channel vi64 | classes 1 | priority 1 | flags 1 | bytes vi64 | messages vi64 | name: vi64 length, UTF-8
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenChannel<'a> {
    /// Its id: odd from the client, even from the server.
    pub channel: u32,
    /// Bit n is set when class n may be used on it; never 0.
    pub classes: u8,
    /// 0 (first) to 7 (last): how the opener sends on it, and asks the peer to.
    pub priority: u8,
    /// Whether the newest sequenced message is repeated until it arrives (bit 0 of the flags).
    pub reliable_sequenced: bool,
    /// Bytes that the opener has room for on it.
    pub bytes: u64,
    /// Messages that the opener has room for on it.
    pub messages: u64,
    /// What it is for, at most 64 bytes.
    pub name: &'a str,
}

/// Longest name of a channel in bytes.
pub(crate) const MAX_NAME: usize = 64;

impl<'a> OpenChannel<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let channel = channel(reader)?;
        let (classes, priority, flags) = (reader.u8()?, reader.u8()?, reader.u8()?);
        if classes == 0 || classes > 0x0F {
            return Err(DecodeError::Invalid("OPEN_CHANNEL: class mask"));
        }
        if priority > 7 {
            return Err(DecodeError::Invalid("OPEN_CHANNEL: priority over 7"));
        }
        if flags > 1 {
            return Err(DecodeError::Invalid("OPEN_CHANNEL: reserved flags are set"));
        }
        let (bytes, messages) = (reader.vi64()?, reader.vi64()?);
        let name = reader.str(MAX_NAME, "OPEN_CHANNEL: name over 64 bytes")?;
        Ok(Self { channel, classes, priority, reliable_sequenced: flags == 1, bytes, messages, name })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        varint::encode(self.channel.into(), buf);
        buf.extend_from_slice(&[self.classes, self.priority, self.reliable_sequenced.into()]);
        varint::encode(self.bytes, buf);
        varint::encode(self.messages, buf);
        varint::encode(self.name.len() as u64, buf);
        buf.extend_from_slice(self.name.as_bytes());
    }
}

/// What the peer of a closed connection should do next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Advice {
    /// Do not come back.
    Never = 0,
    /// Come back at once.
    #[default]
    Now = 1,
    /// Come back after the time given.
    After = 2,
    /// Go to another server.
    Elsewhere = 3,
}

impl Advice {
    fn decode(reader: &mut Reader<'_>, otherwise: &'static str) -> Result<Self, DecodeError> {
        match reader.u8()? {
            0 => Ok(Self::Never),
            1 => Ok(Self::Now),
            2 => Ok(Self::After),
            3 => Ok(Self::Elsewhere),
            _ => Err(DecodeError::Invalid(otherwise)),
        }
    }
}

/// A server is going away, or a client has finished because of that.
///
/// ```text
/// 14 | timeout_ms vi64 | advice 1 | retry_after_ms vi64 | uri: vi64 length, UTF-8
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoAway<'a> {
    /// Milliseconds after which the server closes.
    pub timeout_ms: u64,
    /// What to do next.
    pub advice: Advice,
    /// Milliseconds to wait before coming back.
    pub retry_after_ms: u64,
    /// Where else to go: at most 1024 bytes.
    pub uri: &'a str,
}

/// Longest address of another server in bytes.
pub(crate) const MAX_URI: usize = 1024;

impl<'a> GoAway<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            timeout_ms: reader.vi64()?,
            advice: Advice::decode(reader, "GOAWAY: advice over 3")?,
            retry_after_ms: reader.vi64()?,
            uri: reader.str(MAX_URI, "GOAWAY: uri over 1024 bytes")?,
        })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        varint::encode(self.timeout_ms, buf);
        buf.push(self.advice as u8);
        varint::encode(self.retry_after_ms, buf);
        varint::encode(self.uri.len() as u64, buf);
        buf.extend_from_slice(self.uri.as_bytes());
    }
}

/// The end of a connection.
///
/// ```text
/// 15 | code vi64 | advice 1 | retry_after_ms vi64 | reason: vi64 length, UTF-8
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// Why, as a number: below 0x100 the protocol's, above the application's.
    pub code: u64,
    /// What to do next.
    pub advice: Advice,
    /// Milliseconds to wait before coming back.
    pub retry_after_ms: u64,
    /// Why, in words: at most 256 bytes, to be escaped before it is shown.
    pub reason: &'a str,
}

/// Longest reason of a close in bytes.
pub(crate) const MAX_REASON: usize = 256;

impl<'a> Close<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let code = reader.vi64()?;
        let advice = Advice::decode(reader, "CLOSE: advice over 3")?;
        let retry_after_ms = reader.vi64()?;
        Ok(Self {
            code,
            advice,
            retry_after_ms,
            reason: reader.str(MAX_REASON, "CLOSE: reason over 256 bytes")?,
        })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        varint::encode(self.code, buf);
        buf.push(self.advice as u8);
        varint::encode(self.retry_after_ms, buf);
        varint::encode(self.reason.len() as u64, buf);
        buf.extend_from_slice(self.reason.as_bytes());
    }
}

fn channel(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    reader.vi64_upto(u32::MAX.into(), "channel id over 2^32 - 1").map(|id| id as u32)
}
