//! Short packets of encrypted connections (spec: wire.md, section 2.5).
//!
//! ```text
//! 01KNNRRR | dcid 8 | packet number 1..4 | sealed record | tag 16
//! ```
//!
//! K, NN, RRR and the packet number are masked.

use alloc::vec::Vec;

use super::Cid;
use super::packet::{FIXED, FORM_LONG, KEY_PHASE, SHORT_RESERVED};
use crate::crypto::{SAMPLE_LEN, Session, TAG_LEN};

/// Bits of the first byte that are masked.
const MASKED: u8 = 0x3F;
/// Where the packet number begins.
const NUMBER: usize = 1 + Cid::LEN;
/// Where the sample begins: as if every number had four bytes.
const SAMPLE: usize = NUMBER + 4;
/// The shortest: whatever the length of the number, a whole sample follows.
const SHORTEST: usize = SAMPLE + SAMPLE_LEN;

/// The header of a packet whose mask was taken off. Nothing of it is proven yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    /// The low bytes of the packet number, and how many there are.
    pub(crate) number: u32,
    pub(crate) number_len: u8,
    pub(crate) phase: bool,
    pub(crate) has_reserved: bool,
    /// Its length.
    pub(crate) len: usize,
}

/// Whom a datagram is for, if it may be such a packet.
pub(crate) fn dcid(datagram: &[u8]) -> Option<Cid> {
    let is_sealed = datagram.len() >= SHORTEST && datagram[0] & (FORM_LONG | FIXED) == FIXED;
    if is_sealed { Cid::from_slice(&datagram[1..NUMBER]) } else { None }
}

/// Bytes of such a packet beside its record.
pub(crate) const fn overhead(number_len: u8) -> usize {
    NUMBER + number_len as usize + TAG_LEN
}

/// Seals the packet that begins at `start` with a header as [`super::packet::start_short`] writes it.
pub(crate) fn finish(buf: &mut Vec<u8>, start: usize, number: u64, phase: bool, session: &dyn Session) {
    let packet = &mut buf[start..];
    packet[0] |= u8::from(phase) * KEY_PHASE;
    let len = usize::from(packet[0] >> 3 & 3) + 1;
    let (header, record) = packet.split_at_mut(NUMBER + len);
    let tag = session.seal(number, header, record);
    buf.extend_from_slice(&tag);
    let packet = &mut buf[start..];
    if let Some(sample) = packet[SAMPLE..].first_chunk() {
        let mask = session.mask_sent(sample);
        toggle(packet, mask, len);
    }
}

/// How long the packet that begins with `header` must be before it is sealed: PADDING fills what is missing.
pub(crate) const fn least() -> usize {
    SHORTEST - TAG_LEN
}

/// Takes the mask off a packet that [`dcid`] knows.
pub(crate) fn unmask(packet: &mut [u8], session: &dyn Session) -> Option<Header> {
    let sample = packet.get(SAMPLE..)?.first_chunk()?;
    let mask = session.mask_received(sample);
    let first = packet[0] ^ mask[0] & MASKED;
    let len = usize::from(first >> 3 & 3) + 1;
    toggle(packet, mask, len);
    let number = packet[NUMBER..NUMBER + len].iter().fold(0, |n, &byte| n << 8 | u32::from(byte));
    Some(Header {
        number,
        number_len: len as u8,
        phase: first & KEY_PHASE != 0,
        has_reserved: first & SHORT_RESERVED != 0,
        len: NUMBER + len,
    })
}

fn toggle(packet: &mut [u8], [first, number @ ..]: [u8; 5], len: usize) {
    packet[0] ^= first & MASKED;
    packet[NUMBER..NUMBER + len].iter_mut().zip(number).for_each(|(byte, mask)| *byte ^= mask);
}
