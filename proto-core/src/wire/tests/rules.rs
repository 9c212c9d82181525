//! Rules of the specification that are about all types or all values of a byte.

use alloc::vec;
use alloc::vec::Vec;

use super::model::{Model, ModelRecord};
use super::{rewrite, rewrite_packet};
use crate::wire::checksum::crc32c;
use crate::wire::frame::{MAX_FRAMES, code};
use crate::wire::packet::Packet;
use crate::wire::{DecodeError, Frame, MAX_RANGES, Record, RecordWriter};

const TOO_MANY: DecodeError = DecodeError::Invalid("over 512 frames in a record");

#[test]
fn core_types_without_a_frame_are_refused() {
    let known = [
        code::PADDING,
        code::PING,
        code::ACK,
        code::ACK_ECN,
        code::CREDIT,
        code::BLOCKED,
        code::RATE,
        code::TIME,
        code::CANCEL,
        code::SKIP,
        code::FRAG_ABORT,
        code::MSG_ACK,
        code::REPORT,
        code::PONG,
        code::OPEN_CHANNEL,
        code::RESUME_STATE,
        code::GOAWAY,
        code::PATH_CHALLENGE,
        code::PATH_RESPONSE,
        code::NEW_CID,
        code::RETIRE_CID,
        code::CLOSE,
        code::CLOSE_ACK,
        code::INIT,
        code::RETRY,
        code::VERSION,
        code::ACCEPT,
        code::CONFIRM,
        code::SEALED,
        code::KEY,
    ];
    for ty in 0..code::EXTENSION_FIRST {
        for tail in [&[][..], &[0; 64]] {
            let bytes = [&[ty], tail].concat();
            let refused = Record::new(&bytes).next() == Some(Err(DecodeError::UnknownFrame(ty)));
            assert_eq!(refused, !known.contains(&ty), "{ty:#04x}");
        }
    }
}

#[test]
fn extensions_are_skipped_by_their_length() {
    for ty in code::EXTENSION_FIRST..=code::EXT {
        let mut bytes = vec![ty];
        bytes.extend((ty == code::EXT).then_some(9));
        bytes.extend([3, 0xFF, 0xFF, 0xFF, code::PING]);
        let id = if ty == code::EXT { 9 } else { 0 };
        let extension = Model::Extension { code: ty, id, body: vec![0xFF; 3] };
        assert_eq!(ModelRecord::decode(&bytes), Ok(ModelRecord(vec![extension, Model::Ping])), "{ty:#04x}");
        assert_eq!(rewrite(&bytes), Ok(bytes), "{ty:#04x}");
    }
    assert_eq!(
        rewrite(&[0x40, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
        Err(DecodeError::Truncated)
    );
}

#[test]
fn a_record_has_512_frames_and_any_amount_of_padding() {
    let mut bytes = vec![code::PING; MAX_FRAMES];
    bytes.extend([code::PADDING; 1000]);
    assert_eq!(rewrite(&bytes), Ok(bytes.clone()));
    bytes.push(code::PING);
    assert_eq!(rewrite(&bytes), Err(TOO_MANY));
    let mut frames = Record::new(&bytes);
    assert_eq!(frames.by_ref().filter(|frame| *frame == Ok(Frame::Ping)).count(), MAX_FRAMES);
    assert_eq!(frames.next(), None);
}

#[test]
fn a_record_is_empty_after_an_error() {
    let mut frames = Record::new(&[code::PING, code::CLOSE_CHANNEL, code::PING]);
    assert_eq!(frames.next(), Some(Ok(Frame::Ping)));
    assert_eq!(frames.next(), Some(Err(DecodeError::UnknownFrame(code::CLOSE_CHANNEL))));
    assert_eq!(frames.next(), None);
}

#[test]
fn an_ack_has_1_to_64_ranges() {
    let mut buf = Vec::new();
    let mut writer = RecordWriter::new(&mut buf);
    writer.write_ack(0, core::iter::empty::<core::ops::RangeInclusive<u64>>());
    assert_eq!((writer.frames(), writer.buffered()), (0, 0));

    let ranges: Vec<_> = (0..MAX_RANGES as u64).rev().map(|n| 2 * n..=2 * n).collect();
    RecordWriter::new(&mut buf).write_ack(1, ranges.iter().cloned());
    assert_eq!(ModelRecord::decode(&buf), Ok(ModelRecord(vec![Model::Ack { delay: 1, ranges, ecn: None }])));
}

/// Every first byte, with the right tag, in front of what each form needs.
#[test]
fn reserved_header_bits_are_refused() {
    for first in 0..=0xFF_u8 {
        let mut bytes = vec![first];
        bytes.extend(if first & 0x80 == 0 { vec![0x50; 16] } else { vec![0, 0, 0, 1, 0, 0, 1] });
        let tag = crc32c(0, &bytes);
        bytes.extend(tag.to_be_bytes());
        let legal = [0x40, 0x48, 0x50, 0x58, 0xC0, 0xD0, 0xE0, 0xF0].contains(&first);
        match Packet::decode(&bytes, crc32c) {
            Ok(Packet::Short(_)) => assert!(legal && first < 0x80, "{first:#04x}"),
            Ok(Packet::Long(_)) => {
                assert!(legal && first >= 0x80, "{first:#04x}");
                assert_eq!(rewrite_packet(&bytes, 0), Ok(bytes));
            }
            Err(error) => {
                let expected = "the fixed or the reserved bits of the header are wrong";
                assert_eq!((legal, error), (false, DecodeError::Invalid(expected)), "{first:#04x}");
            }
        }
    }
}
