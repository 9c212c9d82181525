//! Decoding without copies: a cursor over borrowed bytes that never reads past their end.

use super::varint;

/// Why bytes are not what they claim to be. The text names the rule that they break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("the bytes end inside a field")]
    Truncated,
    /// A vi64 is longer than its value needs.
    #[error("an integer is not in its shortest form")]
    NotMinimal,
    /// A field holds a value that the specification does not allow there.
    #[error("{0}")]
    Invalid(&'static str),
    /// A core frame type that this version does not know.
    #[error("unknown frame type {0:#04x}")]
    UnknownFrame(u8),
    /// The checksum does not fit the bytes.
    #[error("the checksum is wrong")]
    BadChecksum,
    /// Bytes are left over behind the last field.
    #[error("bytes are left over behind the last field")]
    Trailing,
}

/// A cursor over borrowed bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    /// The next two bytes, big-endian.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// The next four bytes, big-endian.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next eight bytes, big-endian.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// The next vi64.
    pub fn vi64(&mut self) -> Result<u64, DecodeError> {
        let (value, len) = varint::decode(self.rest)?;
        self.rest = &self.rest[len..];
        Ok(value)
    }

    /// The next vi64, which must not exceed `max`; otherwise the error says `what`.
    pub fn vi64_upto(&mut self, max: u64, what: &'static str) -> Result<u64, DecodeError> {
        let value = self.vi64()?;
        if value > max { Err(DecodeError::Invalid(what)) } else { Ok(value) }
    }

    /// A vi64 length of at most `max`, then that many bytes.
    pub fn bytes(&mut self, max: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.vi64_upto(max as u64, what)?;
        self.take(len as usize)
    }

    /// A vi64 length of at most `max` bytes, then that much UTF-8.
    pub fn str(&mut self, max: usize, what: &'static str) -> Result<&'a str, DecodeError> {
        core::str::from_utf8(self.bytes(max, what)?).map_err(|_| DecodeError::Invalid("text is not UTF-8"))
    }

    /// Succeeds when everything has been read.
    pub const fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing) }
    }
}
