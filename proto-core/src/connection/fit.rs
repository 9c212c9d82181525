//! How a message fits into what is left of a packet.

use super::Connection;
use crate::channel::Candidate;
use crate::wire::{WireId, packet, sealed, varint};

/// A message is not cut for less room than this.
const MIN_PIECE: usize = 64;

/// Header, tag, confirmation and the longest head of a message.
const PACKET_OVERHEAD: usize = packet::short_overhead(4) + 17 + 32;
const SEALED_OVERHEAD: usize = sealed::overhead(4) + 17 + 32;

/// How a message goes into a record.
#[derive(Clone, Copy)]
pub(super) struct Fit {
    pub(super) id: WireId,
    /// Bytes of its payload, and of it in the record when another message follows.
    pub(super) len: u32,
    pub(super) size: usize,
    /// Nothing can follow it.
    pub(super) is_last: bool,
    /// Its channel is to be announced before it.
    pub(super) must_announce: bool,
}

impl Connection {
    /// Bytes of a packet that the longest whole message leaves for everything else.
    #[inline]
    pub(super) fn packet_overhead(&self) -> usize {
        if self.is_sealed() { SEALED_OVERHEAD } else { PACKET_OVERHEAD }
    }
}

/// How much of `candidate` to write into `room` bytes, and whether nothing can follow it; `None` when it should wait for the next
/// packet. Messages that fit into a packet of their own are not cut.
pub(super) fn share(
    candidate: &Candidate,
    name_len: usize,
    id: WireId,
    room: usize,
    max_whole: usize,
) -> Option<(u32, bool)> {
    let is_piece = candidate.len < candidate.total;
    let head = head_len(candidate, name_len, id, is_piece);
    let len = candidate.len as usize;
    if head + varint::len(len as u64) + len <= room {
        return Some((candidate.len, false));
    }
    if head + len <= room {
        return Some((candidate.len, true));
    }
    if !is_piece && len <= max_whole {
        return None;
    }
    let room = room.checked_sub(head_len(candidate, name_len, id, true))?;
    (room >= MIN_PIECE).then_some((room.min(len) as u32, true))
}

/// Bytes of a MSG before its length and payload; `name_len` of them name the channel.
#[inline]
pub(super) fn head_len(candidate: &Candidate, name_len: usize, id: WireId, is_piece: bool) -> usize {
    let fragment =
        if is_piece { varint::len(candidate.total.into()) + varint::len(candidate.offset.into()) } else { 0 };
    let ext = usize::from(is_piece || !candidate.is_plain);
    1 + name_len
        + id.len()
        + ext
        + fragment
        + usize::from(candidate.kind_len)
        + usize::from(candidate.says_len)
}
