//! Records on links that carry bytes: `vi64 length || record` (docs/spec/wire.md, section 2.4).
//!
//! ```
//! use proto_core::framing::{Deframer, Framer};
//!
//! let (mut framer, mut out) = (Framer::default(), Vec::new());
//! let start = framer.begin(&mut out);
//! out.extend_from_slice(b"a record");
//! framer.finish(&mut out, start);
//!
//! let mut deframer = Deframer::default();
//! let mut records = Vec::new();
//! for mut bytes in out.chunks(3) {
//!     while let Some(record) = deframer.next(&mut bytes, 4096)? {
//!         records.push(record.to_vec());
//!     }
//! }
//! assert_eq!(records, [b"a record"]);
//! # Ok::<(), proto_core::framing::FrameError>(())
//! ```

use alloc::vec::Vec;

use crate::wire::varint;

#[cfg(test)]
mod tests;

/// Longest record that any link carries, in bytes.
pub const MAX_RECORD: usize = 1 << 16;

/// Bytes that no peer that keeps to the protocol sends. Nothing behind them can be made sense of: the link must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A length is not in its shortest form.
    #[error("the length of a record is not in its shortest form")]
    NotMinimal,
    /// A record is longer than it may be.
    #[error("a record is longer than it may be")]
    TooLong,
    /// A record has no bytes.
    #[error("a record has no bytes")]
    Empty,
}

/// Puts lengths before records.
#[derive(Clone, Copy, Debug)]
pub struct Framer {
    /// Bytes of the last length: the next one has as many, mostly, and then nothing is moved.
    prefix: u8,
}

impl Default for Framer {
    fn default() -> Self {
        Self { prefix: 1 }
    }
}

impl Framer {
    /// Makes room for a length at the end of `buf`; returns where. A record must be appended, then [`finish`](Self::finish) or
    /// [`cancel`](Self::cancel) called.
    pub fn begin(&self, buf: &mut Vec<u8>) -> usize {
        let start = buf.len();
        buf.resize(start + usize::from(self.prefix), 0);
        start
    }

    /// Writes the length of the record that was appended since [`begin`](Self::begin) returned `start`.
    pub fn finish(&mut self, buf: &mut Vec<u8>, start: usize) {
        let before = usize::from(self.prefix);
        let end = buf.len();
        let len = end.saturating_sub(start + before);
        let prefix = varint::len(len as u64);
        if prefix > before {
            buf.resize(end + prefix - before, 0);
        }
        if prefix != before {
            buf.copy_within(start + before..end, start + prefix);
            buf.truncate(start + prefix + len);
            self.prefix = prefix as u8;
        }
        varint::write(len as u64, &mut buf[start..start + prefix]);
    }

    /// No record follows: `buf` is as it was.
    pub fn cancel(&self, buf: &mut Vec<u8>, start: usize) {
        buf.truncate(start);
    }
}

/// Longest length in bytes: those of records over [`MAX_RECORD`] are refused by their first byte.
const MAX_PREFIX: usize = varint::len(MAX_RECORD as u64);

/// Cuts bytes into records, however they come. It holds the record that is under way, and no memory when there is none and
/// [`release`](Self::release) was called.
#[derive(Clone, Debug, Default)]
pub struct Deframer {
    head: [u8; MAX_PREFIX],
    head_len: u8,
    /// The length of the record under way, once it is known.
    len: Option<u32>,
    body: Vec<u8>,
    /// What `body` holds has been handed out.
    is_done: bool,
}

impl Deframer {
    /// The next whole record of the stream that `input` continues; `None` when all of `input` was taken and more is needed.
    /// `limit` is the longest record that is taken now, at most [`MAX_RECORD`]. After an error the stream is useless.
    ///
    /// Records that lie whole in `input` are not copied.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        limit: usize,
    ) -> Result<Option<&'a [u8]>, FrameError> {
        if core::mem::take(&mut self.is_done) {
            self.body.clear();
        }
        let len = match self.len {
            Some(len) => len,
            None => match self.take_length(input, limit.min(MAX_RECORD))? {
                Some(len) => len,
                None => return Ok(None),
            },
        };
        let missing = len as usize - self.body.len();
        if missing > input.len() {
            self.body.extend_from_slice(input);
            *input = &[];
            self.len = Some(len);
            return Ok(None);
        }
        let (taken, rest) = input.split_at(missing);
        *input = rest;
        self.len = None;
        if self.body.is_empty() {
            return Ok(Some(taken));
        }
        self.body.extend_from_slice(taken);
        self.is_done = true;
        Ok(Some(&self.body))
    }

    /// Reads a length, or as much of it as is there.
    fn take_length(&mut self, input: &mut &[u8], limit: usize) -> Result<Option<u32>, FrameError> {
        loop {
            let head = &self.head[..usize::from(self.head_len)];
            if let Some(&first) = head.first() {
                let length = first.leading_ones() as usize + 1;
                if length > 1 && 1 << (7 * (length - 1)).min(63) > limit as u64 {
                    return Err(FrameError::TooLong);
                }
                if head.len() == length {
                    let (len, _) = varint::decode(head).map_err(|_| FrameError::NotMinimal)?;
                    self.head_len = 0;
                    return match len {
                        0 => Err(FrameError::Empty),
                        _ if len > limit as u64 => Err(FrameError::TooLong),
                        _ => Ok(Some(len as u32)),
                    };
                }
            }
            let Some((&next, rest)) = input.split_first() else { return Ok(None) };
            self.head[usize::from(self.head_len)] = next;
            self.head_len += 1;
            *input = rest;
        }
    }

    /// Whether no record is under way.
    pub const fn is_idle(&self) -> bool {
        self.head_len == 0 && self.len.is_none()
    }

    /// Gives back the memory of records that came in pieces, if none is under way: for links that go quiet.
    pub fn release(&mut self) {
        if self.is_idle() {
            self.body = Vec::new();
            self.is_done = false;
        }
    }
}
