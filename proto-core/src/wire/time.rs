//! TIME (spec: wire.md, section 4).

use alloc::vec::Vec;

use super::{DecodeError, Reader, varint};

/// A sample of its sender's clock, which counts microseconds.
///
/// ```text
/// 19 | flags 1 | sent vi64 | origin vi64 | held vi64
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSample {
    /// Whether one is wanted in return.
    pub ask: bool,
    /// When this frame was sent, by its sender's clock.
    pub sent: u64,
    /// `sent` of the last TIME that its sender received; 0: none.
    pub origin: u64,
    /// How long ago that was.
    pub held: u64,
}

impl TimeSample {
    /// Longest encoding in bytes.
    pub(crate) const LONGEST: usize = 2 + 3 * varint::MAX_LEN;

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ask = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Invalid("TIME: reserved flags are set")),
        };
        Ok(Self { ask, sent: reader.vi64()?, origin: reader.vi64()?, held: reader.vi64()? })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.push(u8::from(self.ask));
        for value in [self.sent, self.origin, self.held] {
            varint::encode(value, buf);
        }
    }
}
