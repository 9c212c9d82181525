//! Contents of any kind for the store's files, for `hub::fuzzing`.

use proto_core::chat::{Batch, Record};

use super::frame::{self, Section};
use super::row::{self, RoomRow, WeightRow};
use super::{copy, tip};

/// A frame that can be read is written again, section by section, and reads the same.
fn frame(bytes: &[u8]) {
    let Ok(sections) = frame::decode(bytes) else { return };
    let mut records = Vec::new();
    for section in sections {
        match section {
            Section::Room { room, epoch, salt } => {
                records.push(Record::Room { room: room.into(), epoch, salt });
            }
            Section::Entries { room, epoch, first, count, entries } => {
                let mut slot = first;
                for entry in entries {
                    let Ok(entry) = entry else { return };
                    assert_eq!(entry.slot, slot, "slots ascend without a gap");
                    slot += 1;
                    records.push(Record::Entry { room: room.into(), epoch, entry });
                }
                assert_eq!(slot - first, count, "there are as many as it says");
            }
            Section::Gone { room, epoch } => records.push(Record::Gone { room: room.into(), epoch }),
        }
    }
    // One at a time: a frame of ours has one section for each room, one of theirs may have several.
    for record in records {
        let again = frame::encode(&[Batch { number: 1, records: vec![record.clone()] }]);
        let sections = frame::decode(&again).expect("what was written can be read");
        let [section] = &sections[..] else { panic!("{} sections of one record", sections.len()) };
        match (section, record) {
            (Section::Room { room, epoch, salt }, Record::Room { room: name, epoch: of, salt: with }) => {
                assert_eq!((*room, *epoch, salt.0), (&*name, of, with.0));
            }
            (Section::Entries { entries, .. }, Record::Entry { entry, .. }) => {
                let read: Result<Vec<_>, _> = entries.clone().collect();
                assert_eq!(read.as_deref(), Ok(&[entry][..]));
            }
            (Section::Gone { room, epoch }, Record::Gone { room: name, epoch: of }) => {
                assert_eq!((*room, *epoch), (&*name, of));
            }
            (section, record) => panic!("{section:?} of {record:?}"),
        }
    }
}

/// The records of a batch as they are read after they were written: those of each room in their order.
pub(crate) fn written_and_read(batch: &Batch) -> Vec<Record> {
    for record in &batch.records {
        frame::check(record).expect("it can be read again");
    }
    let frame = frame::encode(std::slice::from_ref(batch));
    let mut records = Vec::new();
    for section in frame::decode(&frame).expect("what was written can be read") {
        match section {
            Section::Room { room, epoch, salt } => {
                records.push(Record::Room { room: room.into(), epoch, salt });
            }
            Section::Entries { room, epoch, entries, .. } => {
                records.extend(entries.map(|entry| Record::Entry {
                    room: room.into(),
                    epoch,
                    entry: entry.expect("what was written can be read"),
                }));
            }
            Section::Gone { room, epoch } => records.push(Record::Gone { room: room.into(), epoch }),
        }
    }
    records
}

/// A copy whose checksums are right, of one frame that need not be.
fn around(frame: &[u8]) -> Vec<u8> {
    let mut copy = copy::HEAD.to_vec();
    copy::put_frame(1, frame, &mut copy);
    copy::put_end(1, &blake3::hash(&copy), &mut copy);
    copy
}

fn rows(bytes: &[u8]) {
    if let Ok(room) = RoomRow::decode(bytes) {
        assert_eq!(room.encode(), bytes);
    }
    if let Ok(client) = row::decode_client(bytes) {
        assert_eq!(row::encode_client(&client), bytes);
    }
    if let Ok(weight) = WeightRow::decode(bytes) {
        assert_eq!(weight.encode(), bytes);
    }
    if let Ok(places) = row::decode_places(bytes) {
        assert_eq!(row::encode_places(places.iter().copied()), bytes);
    }
}

pub(crate) fn files(bytes: &[u8]) {
    let Some((&which, bytes)) = bytes.split_first() else { return };
    match which % 4 {
        0 => frame(bytes),
        1 => rows(bytes),
        2 => {
            // Sealed here, so that what is behind the checksum is reached.
            let _ = tip::decode(bytes);
            let _ = tip::decode(&row::seal(tip::KEY, bytes));
        }
        _ => {
            let (mut epoch, mut records) = (0, 0);
            let draw = || {
                epoch += 1;
                epoch
            };
            let read = copy::read(bytes, draw, |taken| {
                records += taken.len() as u64;
                Ok(())
            });
            if let Ok(contents) = read {
                assert_eq!(contents.rooms + contents.entries, records, "it hands over what it counts");
            }
            let whole = around(bytes);
            if let Err(error) = copy::read(&*whole, || 1, |_| Ok(())) {
                assert!(matches!(error, copy::CopyError::Damaged(_)), "{error}");
            }
        }
    }
}
