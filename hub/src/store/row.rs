//! The values of the tables. Each is sealed with a checksum over its key and its contents, so that a value that was damaged,
//! or that stands under another key, is never taken for good.
//!
//! ```text
//! value  = checksum:8  contents        the first 8 bytes of BLAKE3 over key and contents
//! room   = epoch:8  salt:32  latest:vi64  last ms:vi64
//! client = last sequence:vi64  last active ms:vi64  (sequence:vi64  slot:vi64  hash:16)*
//! index  = (first slot:vi64  frame:vi64)*
//! weight = epoch:8  bytes:vi64
//! ```

use proto_core::chat::{BodyHash, ClientTable, Committed, MAX_UNACKNOWLEDGED, RoomSalt};
use proto_core::wire::{DecodeError, Reader, varint};

const CHECKSUM: usize = 8;

/// `contents` with their checksum in front.
pub(super) fn seal(key: &[u8], contents: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(CHECKSUM + contents.len());
    value.extend_from_slice(&checksum(key, contents));
    value.extend_from_slice(contents);
    value
}

/// The contents of a sealed value.
pub(super) fn open<'a>(key: &[u8], value: &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let mut reader = Reader::new(value);
    let claimed: [u8; CHECKSUM] = reader.array()?;
    let contents = reader.rest();
    if claimed == checksum(key, contents) {
        Ok(contents)
    } else {
        Err(DecodeError::Invalid("its checksum does not match"))
    }
}

fn checksum(key: &[u8], contents: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_be_bytes());
    hasher.update(key);
    hasher.update(contents);
    let mut sum = [0; CHECKSUM];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

/// A room as it was when a segment began.
pub(super) struct RoomRow {
    pub(super) epoch: u64,
    pub(super) salt: RoomSalt,
    pub(super) latest: u64,
    /// When something was committed to it last; 0 if that is not known.
    pub(super) last_ms: u64,
}

impl RoomRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut buf = self.epoch.to_be_bytes().to_vec();
        buf.extend_from_slice(&self.salt.0);
        varint::encode(self.latest, &mut buf);
        if self.last_ms != 0 {
            varint::encode(self.last_ms, &mut buf);
        }
        buf
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let (epoch, salt, latest) = (reader.u64()?, RoomSalt(reader.array()?), reader.vi64()?);
        // It was not always written.
        let last_ms = if reader.is_empty() { None } else { Some(reader.vi64()?) };
        if last_ms == Some(0) {
            return Err(DecodeError::Invalid("a time of 0 is left out"));
        }
        let last_ms = last_ms.unwrap_or(0);
        let row = Self { epoch, salt, latest, last_ms };
        reader.finish()?;
        Ok(row)
    }
}

/// What a room remembers of a client.
pub(super) fn encode_client(table: &ClientTable) -> Vec<u8> {
    let mut buf = Vec::new();
    varint::encode(table.last_sequence, &mut buf);
    varint::encode(table.last_active_ms, &mut buf);
    for committed in &table.recent {
        varint::encode(committed.sequence, &mut buf);
        varint::encode(committed.slot, &mut buf);
        buf.extend_from_slice(&committed.body_hash.0);
    }
    buf
}

pub(super) fn decode_client(bytes: &[u8]) -> Result<ClientTable, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut table = ClientTable {
        last_sequence: reader.vi64()?,
        last_active_ms: reader.vi64()?,
        ..ClientTable::default()
    };
    while !reader.is_empty() {
        let (sequence, slot) = (reader.vi64()?, reader.vi64()?);
        table.recent.push_back(Committed { sequence, slot, body_hash: BodyHash(reader.array()?) });
    }
    if table.recent.len() > MAX_UNACKNOWLEDGED {
        return Err(DecodeError::Invalid("a client has more than 64 remembered entries"));
    }
    Ok(table)
}

/// How much of a segment's frames a log has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WeightRow {
    pub(super) epoch: u64,
    pub(super) bytes: u64,
}

impl WeightRow {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut buf = self.epoch.to_be_bytes().to_vec();
        varint::encode(self.bytes, &mut buf);
        buf
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let row = Self { epoch: reader.u64()?, bytes: reader.vi64()? };
        reader.finish()?;
        Ok(row)
    }
}

/// Where a room's entries are: frame `frame` holds its slots from `first` up to the next place's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) first: u64,
    pub(super) frame: u64,
}

pub(super) fn encode_places(places: impl Iterator<Item = Place>) -> Vec<u8> {
    let mut buf = Vec::new();
    for place in places {
        varint::encode(place.first, &mut buf);
        varint::encode(place.frame, &mut buf);
    }
    buf
}

pub(super) fn decode_places(bytes: &[u8]) -> Result<Vec<Place>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut places = Vec::<Place>::new();
    while !reader.is_empty() {
        let place = Place { first: reader.vi64()?, frame: reader.vi64()? };
        if places.last().is_some_and(|last| last.first >= place.first || last.frame >= place.frame) {
            return Err(DecodeError::Invalid("a room's index does not ascend"));
        }
        places.push(place);
    }
    Ok(places)
}
