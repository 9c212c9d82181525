//! What builders and shortcuts say that readers of whole records never ask.

use alloc::vec;
use alloc::vec::Vec;

use super::{CLIENT, SERVER, guard};
use crate::wire::checksum::crc32c;
use crate::wire::frame::{MAX_FRAMES, code};
use crate::wire::packet::{self, Cid, Short};
use crate::wire::varint;
use crate::wire::{Batch, Frame, Kind, Options, Record, RecordWriter, StateLine, Status, WireId};

#[test]
fn a_plain_message_is_what_any_message_is() {
    let ids = [WireId::Next, WireId::Low8(3), WireId::Low16(0x1234), WireId::Low32(0x1234_5678)];
    let payloads = [vec![], vec![7; 0x7F], vec![7; 0x80], vec![7; 0x3FFF], vec![7; 0x4000]];
    for (class, channel) in [(0, 0), (1, 0), (2, 5), (3, 5)] {
        for (id, payload, last) in ids
            .iter()
            .flat_map(|id| payloads.iter().flat_map(move |bytes| [(id, bytes, true), (id, bytes, false)]))
        {
            let (mut short, mut long) = (Vec::new(), Vec::new());
            let mut writer = RecordWriter::new(&mut short);
            if *id == WireId::Next {
                writer.write_plain(class, channel, WireId::Low8(9), b"first", false);
            }
            writer.write_plain(class, channel, *id, payload, last);
            let before = writer.frames() - 1;
            if !last {
                writer.write(&Frame::CloseAck, true);
            }
            let frames = writer.frames();
            let read: Vec<_> = Record::new(&short).collect::<Result<_, _>>().expect("it can be read");
            assert_eq!(read.len(), frames, "each is counted");
            let mut writer = RecordWriter::new(&mut long);
            read.iter().enumerate().for_each(|(at, frame)| writer.write(frame, at + 1 == read.len()));
            assert_eq!(short, long);
            let Frame::Msg(msg) = &read[before] else { panic!("{read:?}") };
            assert_eq!((msg.class, msg.channel, msg.id, msg.payload), (class, channel, *id, &payload[..]));

            let mut record = Record::new(&short);
            for _ in 0..before {
                assert!(record.is_at_msg() && !record.is_at_last());
                record.next_plain().expect("it is plain").expect("it can be read");
            }
            assert!(record.is_at_msg() && record.is_at_last() == last);
            let plain = record.next_plain().expect("it is plain").expect("it can be read");
            assert_eq!(plain.to_msg(), *msg);
            assert!(record.is_empty() == last && !record.is_at_last() && !record.is_at_msg());
        }
    }
}

#[test]
fn between_two_of_its_kind_a_message_is_its_type_and_its_bytes() {
    for (class, payload) in
        (0..4).flat_map(|class| [0, 0x7F, 0x80, 0x3FFF, 0x4000].map(|len| (class, vec![7; len])))
    {
        let (mut short, mut long) = (Vec::new(), Vec::new());
        let mut writer = RecordWriter::new(&mut short);
        writer.write_plain(class, 5, WireId::Low16(9), b"first", false);
        writer.write_between(class, &payload);
        writer.write_plain(class, 5, WireId::Next, b"last", true);
        assert_eq!(writer.frames(), 3);
        let mut writer = RecordWriter::new(&mut long);
        writer.write_plain(class, 5, WireId::Low16(9), b"first", false);
        writer.write_plain(class, 5, WireId::Next, &payload, false);
        writer.write_plain(class, 5, WireId::Next, b"last", true);
        assert_eq!(short, long);
    }
}

#[test]
fn what_is_no_message_is_no_plain_one() {
    for ty in [code::PING, code::CLOSE_ACK] {
        let record = [ty];
        let mut record = Record::new(&record);
        assert!(record.next_plain().is_none() && !record.is_at_last() && !record.is_at_msg());
        assert!(record.next().is_some(), "nothing was read");
    }
}

#[test]
fn writers_know_their_room() {
    let mut buf = vec![0; 10];
    let mut writer = RecordWriter::new(&mut buf);
    assert!(writer.has_room(90, 100) && !writer.has_room(91, 100));
    for count in 0..MAX_FRAMES - 128 {
        assert!(writer.has_room(1, usize::MAX), "{count}");
        writer.write_msg_ack(0, 0, Status::Processed, &[count as u64..=count as u64]);
    }
    assert_eq!(writer.frames(), MAX_FRAMES - 128);
    assert!(!writer.has_room(1, usize::MAX), "some are kept for messages");
}

#[test]
fn answers_are_answers() {
    assert!(!Kind::OneWay.is_answer() && !Kind::Request(1).is_answer());
    assert!(Kind::Reply(1).is_answer());
    assert!(Kind::ReplyError { request: 1, code: 0x100, index: None }.is_answer());
    assert!(Kind::ReplyPart { request: 1, index: 0, last: false }.is_answer());
}

#[test]
fn a_batch_is_found_among_other_options() {
    let batch = Batch { number: 300, is_last: true };
    let mut block = Vec::new();
    block.extend_from_slice(&[0, 1, 7]);
    batch.encode(&mut block);
    assert_eq!(block.len(), 3 + batch.encoded_len());
    block.extend_from_slice(&[2, 2, 8, 8]);
    assert_eq!(Options::new(&block).expect("they can be read").batch(), Some(batch));
    assert_eq!(Options::new(&[0, 1, 7, 2, 0]).expect("they can be read").batch(), None);
}

#[test]
fn ids_have_eight_bytes() {
    assert_eq!(Cid::from_slice(&CLIENT.0), Some(CLIENT));
    assert_eq!(Cid::from_slice(&CLIENT.0[1..]), None);
    assert_eq!(Cid::from_slice(&[0; 9]), None);
}

#[test]
fn a_short_packet_is_read_without_its_kind_being_asked() {
    for number_len in 1..=4 {
        let (number, mut buf) = (0x0102_0304_0506_u64, Vec::new());
        packet::start_short(&mut buf, SERVER, number, number_len);
        buf.extend_from_slice(b"record");
        packet::finish_short(&mut buf, 0, guard(), number, crc32c);
        assert_eq!(buf.len(), packet::short_overhead(number_len) + 6);
        let short = Short::read(&buf).expect("it is one");
        assert_eq!((short.dcid, short.number_len, short.payload), (SERVER, number_len, &b"record"[..]));
        assert_eq!(u64::from(short.number), number & ((1 << (8 * number_len)) - 1));
        assert!(short.verify(guard(), number, crc32c) && !short.verify(guard(), number + 1, crc32c));
        buf[0] |= 0x80;
        assert!(Short::read(&buf).is_none(), "a long one is none");
    }
}

#[test]
fn the_length_of_a_line_is_what_it_takes() {
    for ranges in [vec![], vec![9..=9], vec![200..=201, 300..=5000, 1 << 40..=1 << 41]] {
        for channel in [0, 1, 200, u32::MAX] {
            let line = StateLine { channel, class: 1, sent: 300, next: 7, ranges: ranges.clone() };
            let mut buf = Vec::new();
            line.encode(&mut buf);
            assert_eq!(line.encoded_len(), buf.len(), "{line:?}");
        }
    }
}

#[test]
fn a_line_of_state_is_as_long_as_it_says() {
    let edges = [0, 0x7E, 0x7F, 0x80, 0x3FFE, 0x3FFF, 0x4000];
    for (channel, sent, next) in edges.iter().flat_map(|&edge| [(edge, 7, 0), (0, edge, 0), (0, 7, edge)]) {
        for (gap, len) in edges.iter().flat_map(|&gap| edges.map(|len| (gap, len))) {
            let first = next + 1 + gap;
            let second = first + len + 2 + gap;
            let ranges = vec![first..=first + len, second..=second + len];
            let line = StateLine { channel: channel as u32, class: 1, sent, next, ranges };
            let mut buf = Vec::new();
            line.encode(&mut buf);
            assert_eq!(line.encoded_len(), buf.len(), "{line:?}");
        }
    }
    let mut nothing = [];
    varint::write(0, &mut nothing);
}
