//! Transport parameters: what each side tells the other once (spec: wire.md, section 3).

use alloc::vec::Vec;
use core::time::Duration;

use super::{DecodeError, Reader, varint};

/// Longest block of parameters in bytes.
pub const MAX_PARAMS: usize = 2048;

/// Longest credentials in bytes.
pub const MAX_CREDENTIALS: usize = 1024;

/// A message of the handshake that encrypts.
const SECRECY: u64 = 17;

/// What the client's application shows to the server's.
const CREDENTIALS: u64 = 16;

/// A parameter id of the form 0x7F n + 0x9D: always sent, always ignored, so that ignoring stays possible.
const GREASE: u64 = 0x7F * 3 + 0x9D;

const HOUR_MS: u64 = 3_600_000;

/// What one side tells the other about itself. Ids that are not known are ignored; the defaults stand for absent
/// ones. Times travel as whole milliseconds.
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
    /// Silence after which it sends a heartbeat: 100 ms to 1 h.
    pub heartbeat: Duration,
    /// Silence after which it takes the peer for dead: 2 heartbeats to 4 h.
    pub dead: Duration,
    /// Longest time that it holds back an ACK: at most 1 s.
    pub max_ack_delay: Duration,
    /// How long it keeps a session without a link: at most 24 h. Zero: not at all.
    pub resume_window: Duration,
    /// Connection ids of its peer that it keeps beside the one in use, where datagrams are encrypted: at most 3.
    pub spare_cids: u64,
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
            resume_window: Duration::ZERO,
            spare_cids: 0,
        }
    }
}

impl Params {
    /// The values in the order of their ids, which begin with 1.
    fn values(&self) -> [u64; 11] {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        [
            self.max_message,
            self.session_bytes,
            self.session_messages,
            self.channel_bytes,
            self.channel_messages,
            self.max_channels,
            millis(self.heartbeat),
            millis(self.dead),
            millis(self.max_ack_delay),
            millis(self.resume_window),
            self.spare_cids,
        ]
    }

    /// Appends what differs from the defaults as TLVs, ids ascending, with one grease parameter at the end.
    pub fn encode(&self, buf: &mut Vec<u8>) {
        self.encode_with(&[], buf);
    }

    /// The same with a client's credentials: at most [`MAX_CREDENTIALS`] bytes, none when empty.
    pub fn encode_with(&self, credentials: &[u8], buf: &mut Vec<u8>) {
        for ((id, value), default) in (1..).zip(self.values()).zip(Self::default().values()) {
            if value != default {
                varint::encode(id, buf);
                varint::encode(varint::len(value) as u64, buf);
                varint::encode(value, buf);
            }
        }
        if !credentials.is_empty() {
            varint::encode(CREDENTIALS, buf);
            varint::encode(credentials.len() as u64, buf);
            buf.extend_from_slice(credentials);
        }
        varint::encode(GREASE, buf);
        varint::encode(0, buf);
    }

    /// Reads TLVs. Fails when a known one has a value out of its range, or says what its absence would have said.
    pub fn decode(block: &[u8]) -> Result<Self, DecodeError> {
        let mut values = Self::default().values();
        for tlv in tlvs(block) {
            let (id, encoded) = tlv?;
            let Some((_, value)) = (1..).zip(&mut values).find(|(known, _)| *known == id) else { continue };
            let mut reader = Reader::new(encoded);
            let number = reader.vi64()?;
            reader.finish()?;
            if core::mem::replace(value, number) == number {
                return Err(DecodeError::Invalid("a parameter repeats its default"));
            }
        }
        let [
            max_message,
            session_bytes,
            session_messages,
            channel_bytes,
            channel_messages,
            max_channels,
            heartbeat,
            dead,
            max_ack_delay,
            resume_window,
            spare_cids,
        ] = values;
        if !(100..=HOUR_MS).contains(&heartbeat) {
            return Err(DecodeError::Invalid("a heartbeat outside 100 ms to 1 h"));
        }
        if !(2 * heartbeat..=4 * HOUR_MS).contains(&dead) {
            return Err(DecodeError::Invalid("a dead time outside 2 heartbeats to 4 h"));
        }
        if max_ack_delay > 1000 {
            return Err(DecodeError::Invalid("an ACK delay over 1 s"));
        }
        if resume_window > 24 * HOUR_MS {
            return Err(DecodeError::Invalid("a resume window over 24 h"));
        }
        if spare_cids > 3 {
            return Err(DecodeError::Invalid("more than 3 spare connection ids"));
        }
        Ok(Self {
            max_message,
            session_bytes,
            session_messages,
            channel_bytes,
            channel_messages,
            max_channels,
            heartbeat: Duration::from_millis(heartbeat),
            dead: Duration::from_millis(dead),
            max_ack_delay: Duration::from_millis(max_ack_delay),
            resume_window: Duration::from_millis(resume_window),
            spare_cids,
        })
    }
}

/// The credentials in a block of parameters; empty without any.
pub fn credentials(block: &[u8]) -> Result<&[u8], DecodeError> {
    for tlv in tlvs(block) {
        match tlv? {
            (CREDENTIALS, []) => return Err(DecodeError::Invalid("a parameter repeats its default")),
            (CREDENTIALS, value) if value.len() > MAX_CREDENTIALS => {
                return Err(DecodeError::Invalid("credentials over 1024 bytes"));
            }
            (CREDENTIALS, value) => return Ok(value),
            _ => {}
        }
    }
    Ok(&[])
}

/// Appends a block with nothing but the message of a handshake that encrypts, and the grease.
pub fn encode_secrecy(message: &[u8], buf: &mut Vec<u8>) {
    for (id, value) in [(SECRECY, message), (GREASE, &[])] {
        varint::encode(id, buf);
        varint::encode(value.len() as u64, buf);
        buf.extend_from_slice(value);
    }
}

/// The message of a handshake that encrypts; empty when the client asks for the server's key, `None` when it asks for no
/// encryption.
pub fn secrecy(block: &[u8]) -> Option<&[u8]> {
    tlvs(block).map_while(Result::ok).find_map(|(id, message)| (id == SECRECY).then_some(message))
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

crate::sleep::saved!(Params {
    max_message,
    session_bytes,
    session_messages,
    channel_bytes,
    channel_messages,
    max_channels,
    heartbeat,
    dead,
    max_ack_delay,
    resume_window,
    spare_cids,
});
