//! Transport parameters: what each side tells the other once (spec: wire.md, section 3).

use alloc::vec::Vec;
use core::time::Duration;

use super::{DecodeError, Reader, varint};

/// Longest block of parameters in bytes.
pub const MAX_PARAMS: usize = 2048;

/// A parameter id of the form 0x7F n + 0x9D: always sent, always ignored, so that ignoring stays possible.
const GREASE: u64 = 0x7F * 3 + 0x9D;

/// What one side tells the other about itself. Ids that it does not know are ignored; the defaults stand for absent ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Largest message that it takes, in bytes.
    pub max_message: u64,
    /// Bytes of reliable messages that it has room for at first, over all channels.
    pub session_bytes: u64,
    /// Reliable messages that it has room for at first, over all channels.
    pub session_messages: u64,
    /// Bytes of reliable messages that it has room for at first, on channel 0 and on each channel that the peer opens.
    pub channel_bytes: u64,
    /// Messages, likewise.
    pub channel_messages: u64,
    /// Channels that the peer may open.
    pub max_channels: u64,
    /// Silence after which it sends a heartbeat.
    pub heartbeat: Duration,
    /// Silence after which it takes the peer for dead.
    pub dead: Duration,
    /// Longest time that it holds back an ACK.
    pub max_ack_delay: Duration,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            max_message: 0,
            session_bytes: 0,
            session_messages: 0,
            channel_bytes: 0,
            channel_messages: 0,
            max_channels: 0,
            heartbeat: Duration::from_secs(10),
            dead: Duration::from_secs(35),
            max_ack_delay: Duration::from_millis(25),
        }
    }
}

impl Params {
    /// Appends the TLVs, ids ascending, with one grease parameter at the end.
    pub fn encode(&self, buf: &mut Vec<u8>) {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let values = [
            self.max_message,
            self.session_bytes,
            self.session_messages,
            self.channel_bytes,
            self.channel_messages,
            self.max_channels,
            millis(self.heartbeat),
            millis(self.dead),
            millis(self.max_ack_delay),
        ];
        for (id, value) in (1..).zip(values) {
            varint::encode(id, buf);
            varint::encode(varint::len(value) as u64, buf);
            varint::encode(value, buf);
        }
        varint::encode(GREASE, buf);
        varint::encode(0, buf);
    }

    /// Reads TLVs.
    pub fn decode(block: &[u8]) -> Result<Self, DecodeError> {
        let mut params = Self::default();
        for tlv in tlvs(block) {
            let (id, value) = tlv?;
            let number = || {
                let mut reader = Reader::new(value);
                let number = reader.vi64()?;
                reader.finish().map(|()| number)
            };
            match id {
                1 => params.max_message = number()?,
                2 => params.session_bytes = number()?,
                3 => params.session_messages = number()?,
                4 => params.channel_bytes = number()?,
                5 => params.channel_messages = number()?,
                6 => params.max_channels = number()?,
                7 => params.heartbeat = Duration::from_millis(number()?),
                8 => params.dead = Duration::from_millis(number()?),
                9 => params.max_ack_delay = Duration::from_millis(number()?),
                _ => {}
            }
        }
        Ok(params)
    }
}

/// Succeeds when `block` is a sequence of TLVs with strictly ascending ids.
pub(super) fn check(block: &[u8]) -> Result<(), DecodeError> {
    tlvs(block).try_for_each(|tlv| tlv.map(|_| ()))
}

fn tlvs(block: &[u8]) -> impl Iterator<Item = Result<(u64, &[u8]), DecodeError>> {
    let mut reader = Reader::new(block);
    let mut above = None;
    let mut failed = false;
    core::iter::from_fn(move || {
        if failed || reader.is_empty() {
            return None;
        }
        let mut next = || {
            let id = reader.vi64()?;
            if above.is_some_and(|above| id <= above) {
                return Err(DecodeError::Invalid("parameter ids do not ascend"));
            }
            above = Some(id);
            Ok((id, reader.bytes(MAX_PARAMS, "a parameter over 2048 bytes")?))
        };
        let tlv = next();
        failed = tlv.is_err();
        Some(tlv)
    })
}
