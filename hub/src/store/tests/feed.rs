//! A stand-in for the server: makes batches as it would, and knows what the log must hold.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proto_core::chat::{
    Batch, BodyHash, ClientId, Kind, Read, ReadId, Record, RoomSalt, RoomState, StoredEntry,
};

use crate::store::{DataDir, LogReader, LogWriter, Opened, Options, StoreError, open};

/// Small segments, so that every test crosses several.
pub(crate) fn small(segment_bytes: u64) -> Options {
    Options { segment_bytes, ..Options::default() }
}

pub(crate) fn open_at(dir: &Path, options: &Options) -> Result<Opened, StoreError> {
    open(DataDir::open(dir)?, options)
}

#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) epoch: u64,
    salt: RoomSalt,
    pub(crate) entries: Vec<StoredEntry>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Feed {
    pub(crate) rooms: BTreeMap<Arc<str>, Room>,
    number: u64,
    step: u64,
    /// How many rooms have begun.
    begun: u64,
}

impl Feed {
    /// A number that looks random: splitmix64 over the steps.
    pub(crate) fn draw(&mut self, below: u64) -> u64 {
        self.step += 1;
        let mut z = self.step.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % below
    }

    /// The next batch: `count` entries over `rooms` rooms, which begin as they are met.
    pub(crate) fn batch(&mut self, rooms: u64, count: u64) -> Batch {
        self.number += 1;
        let mut records = Vec::new();
        for _ in 0..count {
            let name = format!("room {}", self.draw(rooms));
            let body = vec![b'a' + (self.step % 26) as u8; self.draw(300) as usize];
            records.extend(self.entry(&name, 1 + self.number % 5, &body));
        }
        Batch { number: self.number, records }
    }

    /// One entry of client `client`, and its room when it is new.
    pub(crate) fn entry(&mut self, room: &str, client: u64, body: &[u8]) -> Vec<Record> {
        let mut records = Vec::new();
        let name: Arc<str> = Arc::from(room);
        let begun = &mut self.begun;
        let known = self.rooms.entry(name.clone()).or_insert_with(|| {
            let epoch = 1000 + *begun;
            *begun += 1;
            let salt = RoomSalt([epoch as u8; 32]);
            records.push(Record::Room { room: name.clone(), epoch, salt });
            Room { epoch, salt, entries: Vec::new() }
        });
        let client = ClientId([client as u8; 16]);
        let sequence = known.entries.iter().filter(|entry| entry.client == client).count() as u64 + 1;
        let slot = known.entries.len() as u64 + 1;
        let entry = StoredEntry {
            slot,
            client,
            sequence,
            body_hash: BodyHash::of(Kind::TEXT, body),
            name: Arc::from(format!("Zoë {}", client.0[0])),
            author_ms: 1_700_000_000_000 + slot * 7,
            commit_ms: 1_700_000_000_000 + slot * 10,
            kind: Kind::TEXT,
            body: Bytes::copy_from_slice(body),
        };
        known.entries.push(entry.clone());
        records.push(Record::Entry { room: name, epoch: known.epoch, entry });
        records
    }

    /// The end of a room's log.
    pub(crate) fn end(&mut self, room: &str) -> Batch {
        self.number += 1;
        let (room, known) = self.rooms.remove_entry(room).expect("it is there");
        Batch { number: self.number, records: vec![Record::Gone { room, epoch: known.epoch }] }
    }

    /// What the server must be restored from.
    pub(crate) fn states(&self) -> Vec<RoomState> {
        let states = self.rooms.iter().map(|(room, known)| {
            let mut state = RoomState::new(room.clone(), known.epoch, known.salt);
            for entry in &known.entries {
                state.apply(entry).expect("the feed's slots are dense");
            }
            state
        });
        states.collect()
    }

    /// Reads everything, from several starts, and compares.
    pub(crate) fn verify(&self, log: &mut impl LogReader) -> Result<(), StoreError> {
        for (room, known) in &self.rooms {
            let latest = known.entries.len() as u64;
            for start in [1, latest / 3, latest.saturating_sub(2)].map(|slot| slot.max(1)) {
                let mut next = start;
                while next <= latest {
                    let page = log.read(&self.page(room, next, latest.min(next + 127)))?;
                    let expected = &known.entries[next as usize - 1..][..page.len()];
                    assert!(!page.is_empty(), "{room}: nothing at {next}");
                    assert_eq!(page, expected, "{room} from {next}");
                    next += page.len() as u64;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn page(&self, room: &str, from: u64, upto: u64) -> Read {
        let epoch = self.rooms.get(room).map_or(1, |known| known.epoch);
        Read { id: ReadId(0), room: Arc::from(room), epoch, from, upto, max_bytes: 64 * 1024 }
    }

    /// Fills a new log with `batches` batches, closes it, and returns what it holds.
    pub(crate) fn fill(dir: &Path, options: &Options, batches: usize) -> Self {
        let mut feed = Self::default();
        let mut log = open_at(dir, options).expect("the log opens");
        for _ in 0..batches {
            log.writer.append(&[feed.batch(5, 20)]).expect("the batch is written");
        }
        feed
    }
}
