use proto_core::chat::{Batch, Record};

use super::feed::Feed;
use crate::store::frame::{Section, decode, encode};

/// The records of a frame, room by room as it holds them.
fn records(frame: &[u8]) -> Result<Vec<Record>, proto_core::wire::DecodeError> {
    let mut records = Vec::new();
    for section in decode(frame)? {
        match section {
            Section::Room { room, epoch, salt } => {
                records.push(Record::Room { room: room.into(), epoch, salt });
            }
            Section::Entries { room, epoch, entries, .. } => {
                for entry in entries {
                    records.push(Record::Entry { room: room.into(), epoch, entry: entry? });
                }
            }
            Section::Gone { room, epoch } => records.push(Record::Gone { room: room.into(), epoch }),
        }
    }
    Ok(records)
}

fn room_of(record: &Record) -> &str {
    match record {
        Record::Room { room, .. } | Record::Entry { room, .. } | Record::Gone { room, .. } => room,
    }
}

fn by_room(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by(|a, b| room_of(a).cmp(room_of(b)));
    records
}

fn example() -> (Vec<Batch>, Vec<u8>) {
    let mut feed = Feed::default();
    let batches = vec![feed.batch(3, 4), feed.batch(3, 4)];
    let frame = encode(&batches);
    (batches, frame)
}

#[test]
fn a_frame_holds_all_records_in_the_order_of_each_room() {
    let (batches, frame) = example();
    let expected = batches.into_iter().flat_map(|batch| batch.records).collect();
    assert_eq!(by_room(records(&frame).unwrap()), by_room(expected));
}

#[test]
fn a_frame_that_was_cut_is_refused() {
    let (_, frame) = example();
    for cut in 0..frame.len() {
        assert!(records(&frame[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = frame;
    longer.push(0);
    assert!(records(&longer).is_err());
}

#[test]
fn no_change_of_a_byte_makes_decoding_panic() {
    let (_, frame) = example();
    let mut refused = 0;
    for at in 0..frame.len() {
        for change in [0x01, 0x80, 0xFF, frame[at]] {
            let mut changed = frame.clone();
            changed[at] ^= change;
            refused += usize::from(records(&changed).is_err());
        }
    }
    assert!(refused > 0);
}

/// A frame with one entry whose author is called so.
fn under(name: &str) -> Vec<u8> {
    let mut feed = Feed::default();
    let mut records = feed.entry("lobby", 1, b"hello");
    for record in &mut records {
        if let Record::Entry { entry, .. } = record {
            entry.name = name.into();
        }
    }
    encode(&[Batch { number: 1, records }])
}

#[test]
fn a_name_that_was_once_written_too_long_is_read_cut() {
    let long = "𝓓".repeat(40);
    let names: Vec<_> = records(&under(&long))
        .unwrap()
        .iter()
        .filter_map(|record| match record {
            Record::Entry { entry, .. } => Some(entry.name.to_string()),
            Record::Room { .. } | Record::Gone { .. } => None,
        })
        .collect();
    assert_eq!(names, ["𝓓".repeat(16)]);
    assert!(records(&under(&format!("{long}x"))).is_err(), "nobody wrote this");
}
