//! Joining the pieces of a message again. Pieces are placed by byte offset, so a sender may cut anew when it repeats one;
//! bytes that are held already win.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::arrival::Said;
use crate::Timestamp;
use crate::range_set::RangeSet;
use crate::wire::Kind;

/// Gaps that a message may have, beside one for every [`BYTES_PER_GAP`] of its length.
const GAPS: u64 = 32;
const BYTES_PER_GAP: u64 = 256;

/// A message of which not all pieces have arrived.
#[derive(Clone, Debug)]
pub(crate) struct Partial {
    total: u64,
    kind: Kind,
    bytes: Vec<u8>,
    held: RangeSet,
    received: u64,
    pub(crate) begun: Timestamp,
    pub(crate) touched: Timestamp,
    pub(crate) said: Option<Box<Said>>,
    /// The end of its lifetime that its owner watches.
    pub(crate) watched: Option<Timestamp>,
}

impl Partial {
    pub(crate) fn new(now: Timestamp, total: u64, kind: Kind) -> Self {
        Self {
            total,
            kind,
            bytes: Vec::new(),
            held: RangeSet::default(),
            received: 0,
            begun: now,
            touched: now,
            said: None,
            watched: None,
        }
    }

    /// Places a piece; `offset` + its length must not exceed `total`. Fails with the rule that it breaks.
    pub(crate) fn insert(
        &mut self,
        now: Timestamp,
        total: u64,
        kind: Kind,
        offset: u64,
        piece: &[u8],
    ) -> Result<(), &'static str> {
        if total != self.total {
            return Err("the pieces of a message disagree about its length");
        }
        if kind != self.kind {
            return Err("the pieces of a message disagree about its kind");
        }
        let end = offset + piece.len() as u64;
        if self.bytes.len() < end as usize {
            self.bytes.resize(end as usize, 0);
        }
        let mut at = offset;
        for held in self.held.overlapping(&(offset..end)) {
            if at < held.start {
                copy(&mut self.bytes, at, held.start, offset, piece);
            }
            at = at.max(held.end);
        }
        if at < end {
            copy(&mut self.bytes, at, end, offset, piece);
        }
        self.received += self.held.insert(offset..end);
        self.touched = now;
        if self.held.len() as u64 > GAPS + self.total / BYTES_PER_GAP {
            return Err("a message has too many gaps");
        }
        Ok(())
    }

    /// Counts what is held of a piece once more.
    #[cfg(planted)]
    pub(crate) fn count_again(&mut self, offset: u64, len: u64) {
        let piece = offset..offset + len;
        let held = self.held.overlapping(&piece);
        self.received += held.map(|held| held.end.min(piece.end) - held.start.max(offset)).sum::<u64>();
    }

    /// Length of the whole message in bytes.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    pub(crate) const fn is_complete(&self) -> bool {
        self.received >= self.total
    }

    pub(crate) const fn held_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn into_payload(self) -> Bytes {
        Bytes::from(self.bytes)
    }
}

fn copy(bytes: &mut [u8], start: u64, end: u64, offset: u64, piece: &[u8]) {
    let (start, end, offset) = (start as usize, end as usize, offset as usize);
    bytes[start..end].copy_from_slice(&piece[start - offset..end - offset]);
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::Partial;
    use crate::Timestamp;
    use crate::wire::Kind;

    quickcheck::quickcheck! {
        fn any_cuts_in_any_order_give_the_message(len: u8, cuts: Vec<(u8, u8)>) -> bool {
            let len = usize::from(len) + 1;
            let message: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut partial = Partial::new(Timestamp::ZERO, len as u64, Kind::OneWay);
            let pieces = cuts.iter().map(|&(start, size)| {
                let start = usize::from(start) % len;
                start..(start + usize::from(size) % 40 + 1).min(len)
            });
            for piece in pieces.chain((0..len).map(|i| i..i + 1)) {
                partial
                    .insert(Timestamp::ZERO, len as u64, Kind::OneWay, piece.start as u64, &message[piece.clone()])
                    .expect("few gaps");
            }
            partial.is_complete() && partial.into_payload() == message
        }
    }

    #[test]
    fn bytes_held_already_win() {
        let mut partial = Partial::new(Timestamp::ZERO, 6, Kind::OneWay);
        for (offset, piece) in [(2, b"CD".as_slice()), (0, b"abcdef"), (0, b"zzzzzz")] {
            partial.insert(Timestamp::ZERO, 6, Kind::OneWay, offset, piece).expect("a fitting piece");
        }
        assert_eq!(partial.into_payload().as_ref(), b"abCDef");
    }

    #[test]
    fn lies_are_named() {
        let mut partial = Partial::new(Timestamp::ZERO, 10_000, Kind::OneWay);
        assert!(partial.insert(Timestamp::ZERO, 9, Kind::OneWay, 0, b"a").is_err());
        assert!(partial.insert(Timestamp::ZERO, 10_000, Kind::Request(1), 0, b"a").is_err());
        let dust =
            (0..100).try_for_each(|i| partial.insert(Timestamp::ZERO, 10_000, Kind::OneWay, i * 2, b"a"));
        assert_eq!(dust, Err("a message has too many gaps"));
    }

    #[test]
    fn a_message_has_as_many_gaps_as_its_length_allows_and_no_more() {
        for total in [0, 255, 256, 257, 511, 512, 10_000, 65_535] {
            let mut partial = Partial::new(Timestamp::ZERO, total, Kind::OneWay);
            let allowed = 32 + total / 256;
            for at in 0..allowed {
                assert_eq!(
                    partial.insert(Timestamp::ZERO, total, Kind::OneWay, at * 2, b"a"),
                    Ok(()),
                    "{total}, {at}"
                );
            }
            let dust = partial.insert(Timestamp::ZERO, total, Kind::OneWay, allowed * 2, b"a");
            assert_eq!(dust, Err("a message has too many gaps"), "{total}");
        }
    }
}
