//! ACK: which packets arrived (spec: wire.md, section 4).

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::packet::MAX_PACKET_NUMBER;
use super::{DecodeError, Reader, varint};

/// Consecutive packet numbers, both ends included.
pub type AckRange = RangeInclusive<u64>;

/// Most ranges that one ACK carries.
pub(crate) const MAX_RANGES: usize = 64;

/// How many packets arrived with which congestion mark, since the connection began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EcnCounts {
    /// ECN-capable, codepoint 0.
    pub ect0: u64,
    /// ECN-capable, codepoint 1.
    pub ect1: u64,
    /// Congestion was experienced.
    pub ce: u64,
}

impl EcnCounts {
    pub(crate) const ZERO: Self = Self { ect0: 0, ect1: 0, ce: 0 };

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { ect0: reader.vi64()?, ect1: reader.vi64()?, ce: reader.vi64()? })
    }

    pub(super) fn encode(self, buf: &mut Vec<u8>) {
        for count in [self.ect0, self.ect1, self.ce] {
            varint::encode(count, buf);
        }
    }
}

/// ```text
/// 03 | largest vi64 | delay vi64 | n vi64 | first vi64 | n x (gap vi64, len vi64)
/// 04 | as 03 | ect0 vi64 | ect1 vi64 | ce vi64
/// ```
/// `first` counts the packets below `largest` that also arrived. Each gap is one less than the number of missing packets,
/// each len one less than the number that arrived below them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The largest packet number that arrived.
    pub largest: u64,
    /// How long its receipt waited for this ACK, in units of 8 microseconds.
    pub delay: u64,
    /// The marks that arrived: of ACK_ECN.
    pub ecn: Option<EcnCounts>,
    first: u64,
    more: u64,
    ranges: &'a [u8],
}

impl<'a> Ack<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>, has_ecn: bool) -> Result<Self, DecodeError> {
        let largest = reader.vi64_upto(MAX_PACKET_NUMBER, "ACK: packet number over 2^62 - 1")?;
        let delay = reader.vi64()?;
        let more = reader.vi64_upto(MAX_RANGES as u64 - 1, "ACK: over 64 ranges")?;
        let first = reader.vi64()?;
        let ranges = reader.rest();
        let mut smallest = largest.checked_sub(first).ok_or(BELOW_ZERO)?;
        for _ in 0..more {
            smallest = next_range(reader, smallest)?.0;
        }
        let used = ranges.len() - reader.rest().len();
        let ecn = if has_ecn { Some(EcnCounts::decode(reader)?) } else { None };
        Ok(Self { largest, delay, ecn, first, more, ranges: &ranges[..used] })
    }

    /// What arrived, from the largest numbers down.
    pub fn ranges(&self) -> impl Iterator<Item = AckRange> + 'a {
        let mut reader = Reader::new(self.ranges);
        let first = self.largest - self.first..=self.largest;
        let mut smallest = *first.start();
        core::iter::once(first).chain((0..self.more).map_while(move |_| {
            let (low, high) = next_range(&mut reader, smallest).ok()?;
            smallest = low;
            Some(low..=high)
        }))
    }

    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        for value in [self.largest, self.delay, self.more, self.first] {
            varint::encode(value, buf);
        }
        buf.extend_from_slice(self.ranges);
        if let Some(ecn) = self.ecn {
            ecn.encode(buf);
        }
    }
}

const BELOW_ZERO: DecodeError = DecodeError::Invalid("ACK: a range reaches below packet 0");

fn next_range(reader: &mut Reader<'_>, above: u64) -> Result<(u64, u64), DecodeError> {
    let (gap, len) = (reader.vi64()?, reader.vi64()?);
    let high = above.checked_sub(2).and_then(|n| n.checked_sub(gap)).ok_or(BELOW_ZERO)?;
    let low = high.checked_sub(len).ok_or(BELOW_ZERO)?;
    Ok((low, high))
}

/// Appends the body of an ACK for `ranges`: at most [`MAX_RANGES`], descending, disjoint, with a gap between any two.
pub(super) fn encode_ranges(
    delay: u64,
    mut ranges: impl ExactSizeIterator<Item = AckRange>,
    buf: &mut Vec<u8>,
) {
    let more = ranges.len().saturating_sub(1) as u64;
    let Some(first) = ranges.next() else { return };
    for value in [*first.end(), delay, more, first.end() - first.start()] {
        varint::encode(value, buf);
    }
    let mut smallest = *first.start();
    for range in ranges {
        varint::encode(smallest - range.end() - 2, buf);
        varint::encode(range.end() - range.start(), buf);
        smallest = *range.start();
    }
}

crate::sleep::saved!(EcnCounts { ect0, ect1, ce });
