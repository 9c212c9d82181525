//! RATE (spec: wire.md, section 4).

use alloc::vec::Vec;

use super::{DecodeError, Reader, varint};

/// A limit on messages, in two token buckets that both must have enough: one counts messages, the other bytes.
///
/// A message takes one token of the first, and its length and `MESSAGE_COST` of the second. It passes once the tokens are
/// there, or the burst is full where it needs more; then it is paid for afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Messages a second; 0: no limit.
    pub messages: u64,
    /// Messages that may pass at once after a silence; 0 is taken for 1.
    pub message_burst: u64,
    /// Bytes a second; 0: no limit.
    pub bytes: u64,
    /// Bytes that may pass at once after a silence; 0 is taken for 1.
    pub byte_burst: u64,
}

/// What a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateScope {
    /// All that the receiver of the frame sends.
    Connection,
    /// What it sends on this channel.
    Channel(u32),
    /// What it sends on each channel that has no limit of its own.
    EachChannel,
}

/// How much the receiver of messages takes in.
///
/// ```text
/// 17 | scope 1 | channel vi64 (scope 1 only) | messages vi64 | message_burst vi64 | bytes vi64 | byte_burst vi64
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// What it is for.
    pub scope: RateScope,
    /// The limit.
    pub rate: Rate,
}

impl RateLimit {
    /// Longest encoding in bytes.
    pub(crate) const LONGEST: usize = 2 + 5 * varint::MAX_LEN;

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let scope = match reader.u8()? {
            0 => RateScope::Connection,
            1 => RateScope::Channel(reader.vi64_upto(u32::MAX.into(), "channel id over 2^32 - 1")? as u32),
            2 => RateScope::EachChannel,
            _ => return Err(DecodeError::Invalid("RATE: scope over 2")),
        };
        let rate = Rate {
            messages: reader.vi64()?,
            message_burst: reader.vi64()?,
            bytes: reader.vi64()?,
            byte_burst: reader.vi64()?,
        };
        Ok(Self { scope, rate })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        match self.scope {
            RateScope::Connection => buf.push(0),
            RateScope::Channel(channel) => {
                buf.push(1);
                varint::encode(channel.into(), buf);
            }
            RateScope::EachChannel => buf.push(2),
        }
        let Rate { messages, message_burst, bytes, byte_burst } = self.rate;
        for value in [messages, message_burst, bytes, byte_burst] {
            varint::encode(value, buf);
        }
    }
}

crate::sleep::saved!(Rate { messages, message_burst, bytes, byte_burst });
