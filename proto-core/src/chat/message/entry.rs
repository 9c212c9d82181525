//! An entry within a message: what everybody may know of it. Its slot stands outside.

use alloc::vec::Vec;

use super::{body, name, ordinal, put_bytes};
use crate::chat::identity::{AuthorId, Kind};
use crate::wire::{DecodeError, Reader, varint};

/// ```text
/// author (16) ‖ sequence vi64 ‖ name ‖ author_ms vi64 ‖ commit_ms vi64 ‖ kind (1) ‖ body
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireEntry<'a> {
    /// Who wrote it, as this room's clients know them.
    pub author: AuthorId,
    /// The author's own number for it, from 1.
    pub sequence: u64,
    /// The author's name when it was written.
    pub name: &'a str,
    /// The author's clock: milliseconds since 1970, as claimed.
    pub author_ms: u64,
    /// The server's clock at the commit: milliseconds since 1970.
    pub commit_ms: u64,
    /// What the body is.
    pub kind: Kind,
    /// The content.
    pub body: &'a [u8],
}

impl<'a> WireEntry<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            author: AuthorId(reader.array()?),
            sequence: ordinal(reader, "an entry's sequence is 0")?,
            name: name(reader)?,
            author_ms: reader.vi64()?,
            commit_ms: reader.vi64()?,
            kind: Kind(reader.u8()?),
            body: body(reader)?,
        })
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.author.0);
        varint::encode(self.sequence, buf);
        put_bytes(self.name.as_bytes(), buf);
        varint::encode(self.author_ms, buf);
        varint::encode(self.commit_ms, buf);
        buf.push(self.kind.0);
        put_bytes(self.body, buf);
    }

    /// How many bytes it takes within a message.
    pub(in crate::chat) fn encoded_len(&self) -> usize {
        let prefixed = |len: usize| varint::len(len as u64) + len;
        let numbers = varint::len(self.sequence) + varint::len(self.author_ms) + varint::len(self.commit_ms);
        self.author.0.len() + numbers + prefixed(self.name.len()) + 1 + prefixed(self.body.len())
    }
}
