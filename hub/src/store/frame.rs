//! A frame: everything that one group commit makes durable, as bytes.
//!
//! ```text
//! frame    = version:u8  sections:vi64  section*
//! section  = 1  room  epoch:8  salt:32                                            a room begins
//!          | 3  room  epoch:8                                                            its log ends
//!          | 2  room  epoch:8  first slot:vi64  count:vi64  bytes:vi64  entry*    `count` entries of one room, dense
//! entry    = client:16  sequence:vi64  hash:16  name  author_ms:vi64  commit_ms:vi64  kind:u8  body
//! room, name, body = bytes:vi64 and that many bytes
//! ```
//!
//! The slots of a room stand in the section's head, so a reader skips the rooms that it does not want.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proto_core::chat::{
    Batch, BodyHash, ClientId, Kind, MAX_BODY, MAX_NAME, MAX_ROOM, Record, RoomSalt, StoredEntry, cut_name,
};
use proto_core::wire::{DecodeError, Reader, varint};

const VERSION: u8 = 1;
const ROOM: u8 = 1;
const ENTRIES: u8 = 2;
const GONE: u8 = 3;

/// The longest name that is read, in bytes: 40 characters, as they were once written whole. What is behind [`MAX_NAME`] is cut.
const MAX_READ_NAME: usize = 160;

/// The fewest bytes that an entry takes.
const MIN_ENTRY: usize = 16 + 1 + 16 + 1 + 1 + 1 + 1 + 1;

/// One part of a frame.
#[derive(Debug)]
pub(crate) enum Section<'a> {
    /// A room begins, with an empty log.
    Room { room: &'a str, epoch: u64, salt: RoomSalt },
    /// Entries of one room in consecutive slots, at least one.
    Entries { room: &'a str, epoch: u64, first: u64, count: u64, entries: Entries<'a> },
    /// A room is there no longer, and its log of this epoch with it.
    Gone { room: &'a str, epoch: u64 },
}

impl Section<'_> {
    /// About how many bytes it takes.
    pub(super) const fn weight(&self) -> u64 {
        let bytes = match self {
            Self::Room { room, .. } => room.len() + 42,
            Self::Entries { room, entries, .. } => room.len() + 16 + entries.reader.rest().len(),
            Self::Gone { room, .. } => room.len() + 10,
        };
        bytes as u64
    }
}

/// The entries of a section, not decoded yet.
#[derive(Clone, Debug)]
pub(crate) struct Entries<'a> {
    slot: u64,
    left: u64,
    reader: Reader<'a>,
}

/// A record that could not be read again. The text says where.
#[derive(Debug, thiserror::Error)]
#[error("room {room:?}{place}: a {what} of {len} bytes, which has at most {most}")]
pub(super) struct TooLong {
    room: Arc<str>,
    place: String,
    what: &'static str,
    len: usize,
    most: usize,
}

/// Whether a record keeps to the limits within which it is read.
pub(super) fn check(record: &Record) -> Result<(), TooLong> {
    let (room, slot, name, body) = match record {
        Record::Room { room, .. } | Record::Gone { room, .. } => (room, None, 0, 0),
        Record::Entry { room, entry, .. } => (room, Some(entry.slot), entry.name.len(), entry.body.len()),
    };
    let parts = [("room's name", room.len(), MAX_ROOM), ("name", name, MAX_NAME), ("body", body, MAX_BODY)];
    match parts.into_iter().find(|(_, len, most)| len > most) {
        None => Ok(()),
        Some((what, len, most)) => {
            let place = slot.map_or_else(String::new, |slot| format!(", slot {slot}"));
            Err(TooLong { room: Arc::clone(room), place, what, len, most })
        }
    }
}

/// One frame for all records of `batches`. The slots of each room must be dense.
pub(crate) fn encode(batches: &[Batch]) -> Vec<u8> {
    let mut writer = Writer::default();
    for record in batches.iter().flat_map(|batch| &batch.records) {
        match record {
            Record::Room { room, epoch, salt } => writer.room(room, *epoch, *salt),
            Record::Entry { room, epoch, entry } => writer.entry(room, *epoch, entry),
            Record::Gone { room, epoch } => writer.sections.push(head(GONE, room, *epoch)),
        }
    }
    writer.finish()
}

#[derive(Default)]
struct Writer<'a> {
    sections: Vec<Vec<u8>>,
    open: BTreeMap<(&'a str, u64), usize>,
    entries: Vec<OpenSection>,
}

struct OpenSection {
    section: usize,
    count: u64,
    bytes: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn room(&mut self, room: &str, epoch: u64, salt: RoomSalt) {
        let mut section = head(ROOM, room, epoch);
        section.extend_from_slice(&salt.0);
        self.sections.push(section);
    }

    fn entry(&mut self, room: &'a str, epoch: u64, entry: &StoredEntry) {
        let index = *self.open.entry((room, epoch)).or_insert_with(|| {
            let mut section = head(ENTRIES, room, epoch);
            varint::encode(entry.slot, &mut section);
            self.sections.push(section);
            self.entries.push(OpenSection { section: self.sections.len() - 1, count: 0, bytes: Vec::new() });
            self.entries.len() - 1
        });
        let open = &mut self.entries[index];
        open.count += 1;
        encode_entry(entry, &mut open.bytes);
    }

    fn finish(mut self) -> Vec<u8> {
        for OpenSection { section, count, bytes } in &self.entries {
            let section = &mut self.sections[*section];
            varint::encode(*count, section);
            put(bytes, section);
        }
        let mut frame = vec![VERSION];
        varint::encode(self.sections.len() as u64, &mut frame);
        frame.extend(self.sections.into_iter().flatten());
        frame
    }
}

fn head(tag: u8, room: &str, epoch: u64) -> Vec<u8> {
    let mut section = vec![tag];
    put(room.as_bytes(), &mut section);
    section.extend_from_slice(&epoch.to_be_bytes());
    section
}

fn encode_entry(entry: &StoredEntry, buf: &mut Vec<u8>) {
    buf.extend_from_slice(&entry.client.0);
    varint::encode(entry.sequence, buf);
    buf.extend_from_slice(&entry.body_hash.0);
    put(entry.name.as_bytes(), buf);
    varint::encode(entry.author_ms, buf);
    varint::encode(entry.commit_ms, buf);
    buf.push(entry.kind.0);
    put(&entry.body, buf);
}

fn put(bytes: &[u8], buf: &mut Vec<u8>) {
    varint::encode(bytes.len() as u64, buf);
    buf.extend_from_slice(bytes);
}

/// The sections of a frame.
pub(crate) fn decode(frame: &[u8]) -> Result<Vec<Section<'_>>, DecodeError> {
    let (count, mut reader) = begin(frame)?;
    let sections = (0..count).map(|_| section(&mut reader)).collect::<Result<_, _>>()?;
    reader.finish()?;
    Ok(sections)
}

fn begin(frame: &[u8]) -> Result<(u64, Reader<'_>), DecodeError> {
    let mut reader = Reader::new(frame);
    if reader.u8()? != VERSION {
        return Err(DecodeError::Invalid("a frame has a version that this program does not know"));
    }
    let count = reader.vi64_upto(frame.len() as u64, "a frame claims more sections than bytes")?;
    Ok((count, reader))
}

/// The frame with those of its sections only that `keeps` says, given a section's room and epoch; `None` if it says none.
pub(super) fn filtered(
    frame: &[u8],
    mut keeps: impl FnMut(&str, u64) -> bool,
) -> Result<Option<Vec<u8>>, DecodeError> {
    let (count, mut reader) = begin(frame)?;
    let (mut kept, mut sections) = (0, Vec::new());
    for _ in 0..count {
        let from = reader.rest();
        let (Section::Room { room, epoch, .. }
        | Section::Entries { room, epoch, .. }
        | Section::Gone { room, epoch }) = section(&mut reader)?;
        if keeps(room, epoch) {
            kept += 1;
            sections.extend_from_slice(&from[..from.len() - reader.rest().len()]);
        }
    }
    reader.finish()?;
    if kept == 0 {
        return Ok(None);
    }
    let mut frame = vec![VERSION];
    varint::encode(kept, &mut frame);
    frame.extend(sections);
    Ok(Some(frame))
}

fn section<'a>(reader: &mut Reader<'a>) -> Result<Section<'a>, DecodeError> {
    let tag = reader.u8()?;
    let room = reader.str(MAX_ROOM, "a room's name is too long")?;
    let epoch = reader.u64()?;
    match tag {
        ROOM => Ok(Section::Room { room, epoch, salt: RoomSalt(reader.array()?) }),
        GONE => Ok(Section::Gone { room, epoch }),
        ENTRIES => {
            let first = reader.vi64()?;
            let count = reader.vi64()?;
            let bytes = reader.bytes(usize::MAX, "a section is too long")?;
            if first == 0 || first.checked_add(count).is_none() {
                return Err(DecodeError::Invalid("a section's slots are out of range"));
            }
            if count == 0 || count > (bytes.len() / MIN_ENTRY) as u64 {
                return Err(DecodeError::Invalid(
                    "a section claims another number of entries than it can hold",
                ));
            }
            let entries = Entries { slot: first, left: count, reader: Reader::new(bytes) };
            Ok(Section::Entries { room, epoch, first, count, entries })
        }
        _ => Err(DecodeError::Invalid("a frame has a section of an unknown kind")),
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<StoredEntry, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return self.reader.finish().err().map(|error| {
                self.reader = Reader::new(&[]);
                Err(error)
            });
        }
        let entry = entry(self.slot, &mut self.reader);
        if entry.is_ok() {
            self.slot += 1;
            self.left -= 1;
        } else {
            *self = Self { slot: self.slot, left: 0, reader: Reader::new(&[]) };
        }
        Some(entry)
    }
}

fn entry(slot: u64, reader: &mut Reader<'_>) -> Result<StoredEntry, DecodeError> {
    Ok(StoredEntry {
        slot,
        client: ClientId(reader.array()?),
        sequence: reader.vi64()?,
        body_hash: BodyHash(reader.array()?),
        name: Arc::from(cut_name(reader.str(MAX_READ_NAME, "a name is too long")?)),
        author_ms: reader.vi64()?,
        commit_ms: reader.vi64()?,
        kind: Kind(reader.u8()?),
        body: Bytes::copy_from_slice(reader.bytes(MAX_BODY, "a body is too long")?),
    })
}
