//! Any cut of the bytes gives the same records, and no lie about a length costs memory.

use alloc::vec;
use alloc::vec::Vec;

use super::{Deframer, FrameError, Framer, MAX_RECORD};
use crate::wire::varint;

fn framed(records: &[Vec<u8>]) -> Vec<u8> {
    let (mut framer, mut out) = (Framer::default(), Vec::new());
    for record in records {
        let start = framer.begin(&mut out);
        out.extend_from_slice(record);
        framer.finish(&mut out, start);
        let start = framer.begin(&mut out);
        out.push(1);
        framer.cancel(&mut out, start);
    }
    out
}

/// What comes out when `bytes` come in pieces of `cuts` bytes, over and over.
fn cut(bytes: &[u8], cuts: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, FrameError> {
    let (mut deframer, mut records) = (Deframer::default(), Vec::new());
    let (mut rest, mut sizes) = (bytes, cuts.iter().cycle());
    while !rest.is_empty() {
        let size = usize::from(sizes.next().copied().unwrap_or(u8::MAX)).clamp(1, rest.len());
        let (mut piece, behind) = rest.split_at(size);
        while let Some(record) = deframer.next(&mut piece, limit)? {
            records.push(record.to_vec());
        }
        assert!(piece.is_empty(), "all of it is taken");
        if size % 3 == 0 {
            deframer.release();
        }
        rest = behind;
    }
    assert!(deframer.body.capacity() <= 2 * limit.max(8), "memory is bounded");
    Ok(records)
}

quickcheck::quickcheck! {
    fn any_cut_gives_the_same_records(records: Vec<Vec<u8>>, large: u16, cuts: Vec<u8>) -> bool {
        let mut records: Vec<_> = records.into_iter().filter(|record| !record.is_empty()).collect();
        records.push(vec![7; usize::from(large) + 1]);
        let bytes = framed(&records);
        cut(&bytes, &cuts, MAX_RECORD) == Ok(records)
    }

    fn arbitrary_bytes_are_cut_the_same_way_or_refused_the_same_way(bytes: Vec<u8>, cuts: Vec<u8>) -> bool {
        cut(&bytes, &cuts, 300) == cut(&bytes, &[255], 300)
    }
}

#[test]
fn lengths_are_in_their_shortest_form() {
    for len in [1, 127, 128, 16_383, 16_384, MAX_RECORD] {
        let bytes = framed(&[vec![9; len]]);
        assert_eq!(bytes.len(), varint::len(len as u64) + len);
        assert_eq!(varint::decode(&bytes), Ok((len as u64, varint::len(len as u64))));
    }
}

#[test]
fn a_lie_is_found_before_memory_is_taken() {
    let refused = |mut bytes: &[u8], limit| {
        let mut deframer = Deframer::default();
        let result = deframer.next(&mut bytes, limit).map(|record| record.map(<[u8]>::to_vec));
        assert_eq!(deframer.body.capacity(), 0);
        result.expect_err("refused")
    };
    assert_eq!(refused(&[0x80, 0x7F], 4096), FrameError::NotMinimal);
    assert_eq!(refused(&[0xC0, 0x3F, 0xFF], MAX_RECORD), FrameError::NotMinimal);
    assert_eq!(refused(&[0x00], 4096), FrameError::Empty);
    assert_eq!(refused(&[0x90, 0x01], 4096), FrameError::TooLong);
    assert_eq!(refused(&[0xC1, 0x00, 0x01], MAX_RECORD), FrameError::TooLong);
    // By the first byte: whatever follows, it is longer than any record, or not in its shortest form.
    assert_eq!(refused(&[0xC0], 4096), FrameError::TooLong);
    for first in [0xE0, 0xF0, 0xF8, 0xFC, 0xFE, 0xFF] {
        assert_eq!(refused(&[first], MAX_RECORD), FrameError::TooLong);
    }
}

#[test]
fn whole_records_are_not_copied_and_quiet_links_hold_nothing() {
    let bytes = framed(&[vec![1; 100], vec![2; 1000]]);
    let (mut deframer, mut input) = (Deframer::default(), &bytes[..]);
    assert_eq!(deframer.next(&mut input, 4096), Ok(Some(&[1; 100][..])));
    assert_eq!(deframer.next(&mut input, 4096), Ok(Some(&[2; 1000][..])));
    assert_eq!(deframer.next(&mut input, 4096), Ok(None));
    assert!(deframer.is_idle());
    assert_eq!(deframer.body.capacity(), 0);
    let mut input = &bytes[..50];
    assert_eq!(deframer.next(&mut input, 4096), Ok(None));
    deframer.release();
    assert!(!deframer.is_idle() && deframer.body.capacity() > 0, "one is under way");
    let mut input = &bytes[50..101];
    assert_eq!(deframer.next(&mut input, 4096), Ok(Some(&[1; 100][..])));
    assert!(deframer.is_idle());
    deframer.release();
    assert_eq!(deframer.body.capacity(), 0);
}
