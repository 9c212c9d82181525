//! What a MSG may say beside its payload (spec: wire.md, section 5.5).

use alloc::vec::Vec;

use super::{DecodeError, Reader, varint};

/// Longest block of options in bytes.
pub(crate) const MAX_OPTIONS: usize = 64;
/// Longest time to live: 24 hours.
pub(crate) const MAX_TTL_MS: u32 = 24 * 3600 * 1000;

const BATCH: u64 = 1;

/// What a MSG says beside its payload. The default says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras<'a> {
    /// Milliseconds that are left of its lifetime, at most 24 hours.
    pub ttl: Option<u32>,
    /// Its sender asks for a MSG_ACK.
    pub receipt: bool,
    /// A block of options, checked; empty for none.
    pub options: Options<'a>,
}

/// A checked block of `id vi64 | value: vi64 length, bytes`, ids ascending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a>(&'a [u8]);

/// Which batch a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Batch {
    /// The sender's number of it, on its channel.
    pub number: u64,
    /// Whether it is the last message of the batch.
    pub is_last: bool,
}

impl<'a> Options<'a> {
    /// No options.
    pub const NONE: Self = Self(&[]);

    /// Checks a block: its form, and the values of the options that this version knows.
    pub fn new(block: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(block);
        let mut previous = None;
        while !reader.is_empty() {
            let id = reader.vi64()?;
            if previous.is_some_and(|previous| previous >= id) {
                return Err(DecodeError::Invalid("MSG: option ids do not ascend"));
            }
            previous = Some(id);
            let value = reader.bytes(MAX_OPTIONS, "MSG: options over 64 bytes")?;
            if id == BATCH {
                decode_batch(value)?;
            }
        }
        Ok(Self(block))
    }

    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let block = reader.bytes(MAX_OPTIONS, "MSG: options over 64 bytes")?;
        if block.is_empty() {
            return Err(DecodeError::Invalid("MSG: an empty block of options"));
        }
        Self::new(block)
    }

    /// The block.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The batch that the message belongs to.
    pub fn batch(self) -> Option<Batch> {
        let mut reader = Reader::new(self.0);
        while let (Ok(id), Ok(value)) = (reader.vi64(), reader.bytes(MAX_OPTIONS, "")) {
            if id == BATCH {
                return decode_batch(value).ok();
            }
        }
        None
    }
}

fn decode_batch(value: &[u8]) -> Result<Batch, DecodeError> {
    let mut reader = Reader::new(value);
    let number = reader.vi64()?;
    let is_last = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return Err(DecodeError::Invalid("MSG: the end of a batch is neither 0 nor 1")),
    };
    reader.finish()?;
    Ok(Batch { number, is_last })
}

impl Batch {
    /// Appends the option.
    pub(crate) fn encode(self, buf: &mut Vec<u8>) {
        varint::encode(BATCH, buf);
        buf.push(varint::len(self.number) as u8 + 1);
        varint::encode(self.number, buf);
        buf.push(self.is_last.into());
    }

    /// Bytes that [`Self::encode`] appends.
    pub(crate) const fn encoded_len(self) -> usize {
        3 + varint::len(self.number)
    }
}
