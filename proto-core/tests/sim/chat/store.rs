//! A store on the simulated disk: one checksummed frame for each batch, cut back to the last durable one after any failure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_core::chat::{
    Batch, BodyHash, ClientId, Kind, MAX_BODY, MAX_NAME, MAX_ROOM, PersistFailure, Read, Record, RoomSalt,
    RoomState, StoredEntry,
};
use proto_core::wire::{DecodeError, Reader, varint};
use simtest::{Boot, Disk, DiskOp, OpId, StoreError, StoreOp, Time};

use crate::net::CRC;

const FILE: &str = "log";
const RETRY: Duration = Duration::from_millis(200);

/// What the store has to say to the server.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Persisted(u64),
    Failed(u64, PersistFailure),
}

#[derive(Clone, Debug)]
enum Job {
    Append,
    Sync { batch: u64, len: u64 },
    Cut,
}

/// The store of one life of a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    rooms: BTreeMap<Arc<str>, (RoomState, Vec<StoredEntry>)>,
    /// Batches handed over and not durable, to be folded in when they are.
    waiting: VecDeque<Batch>,
    durable: u64,
    written: u64,
    /// The first batch of which something failed; everything from it on is cut away.
    failed: Option<(u64, PersistFailure)>,
    /// The file is being cut back: nothing is appended before that has succeeded.
    is_cutting: bool,
    jobs: VecDeque<Job>,
    ops: VecDeque<StoreOp>,
    next_op: u64,
    retry_at: Option<Time>,
}

impl Store {
    /// Reads back what the last life left, up to the first frame that is not whole.
    pub(crate) fn open(boot: &Boot<'_>) -> Self {
        let mut store = Self::default();
        let len = store.read_back(boot.disk);
        (store.durable, store.written) = (len, len);
        if boot.disk.read(FILE).is_some_and(|bytes| bytes.len() as u64 > len) {
            store.cut();
        }
        store
    }

    fn read_back(&mut self, disk: &Disk) -> u64 {
        let bytes = disk.read(FILE).unwrap_or_default();
        let mut reader = Reader::new(bytes);
        let mut good = 0;
        while let Ok(records) = frame(&mut reader) {
            for record in &records {
                self.fold(record);
            }
            good = (bytes.len() - reader.rest().len()) as u64;
        }
        good
    }

    pub(crate) fn rooms(&self) -> impl Iterator<Item = &RoomState> {
        self.rooms.values().map(|(state, _)| state)
    }

    fn fold(&mut self, record: &Record) {
        match record {
            Record::Room { room, epoch, salt } => {
                let state = RoomState::new(Arc::clone(room), *epoch, *salt);
                self.rooms.insert(Arc::clone(room), (state, Vec::new()));
            }
            Record::Entry { room, entry, .. } => {
                let (state, entries) = self.rooms.get_mut(room).expect("a room comes before its entries");
                state.apply(entry).expect("slots are dense");
                entries.push(entry.clone());
            }
            Record::Gone { room, epoch } => {
                let (state, _) = self.rooms.remove(room).expect("a room that ends is there");
                assert_eq!(state.epoch, *epoch, "it is this room that ends");
            }
        }
    }

    fn push(&mut self, op: DiskOp, job: Job) {
        self.next_op += 1;
        self.ops.push_back(StoreOp { id: OpId(self.next_op), op });
        self.jobs.push_back(job);
    }

    fn cut(&mut self) {
        self.is_cutting = true;
        self.push(DiskOp::Truncate { file: FILE.into(), len: self.durable }, Job::Cut);
    }

    pub(crate) fn persist(&mut self, batch: Batch) {
        if !self.is_cutting && self.failed.is_none() {
            self.append(&batch);
        }
        self.waiting.push_back(batch);
    }

    fn append(&mut self, batch: &Batch) {
        let frame = encode(batch);
        self.written += frame.len() as u64;
        self.push(DiskOp::Append { file: FILE.into(), bytes: frame }, Job::Append);
        self.push(DiskOp::Sync { file: FILE.into() }, Job::Sync { batch: batch.number, len: self.written });
    }

    pub(crate) fn poll_op(&mut self) -> Option<StoreOp> {
        self.ops.pop_front()
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.retry_at
    }

    pub(crate) fn on_timeout(&mut self, now: Time) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.cut();
        }
    }

    /// An operation has ended; what the server must hear of it.
    pub(crate) fn on_stored(&mut self, now: Time, result: Result<(), StoreError>) -> Option<Outcome> {
        let job = self.jobs.pop_front().expect("operations end in order");
        match (job, result) {
            (Job::Cut, Err(_)) => self.retry_at = Some(now + RETRY),
            (Job::Cut, Ok(())) => return self.on_cut(),
            (_, Err(_)) if self.failed.is_none() => {
                let first = self.waiting.front().map_or(0, |batch| batch.number);
                self.failed = Some((first, PersistFailure::Full));
            }
            (Job::Sync { batch, len }, Ok(())) if self.failed.is_none() => {
                self.durable = len;
                let synced = self.waiting.pop_front().expect("a synced batch was waiting");
                synced.records.iter().for_each(|record| self.fold(record));
                return Some(Outcome::Persisted(batch));
            }
            _ => {}
        }
        if self.failed.is_some() && self.jobs.is_empty() && !self.is_cutting {
            self.cut();
        }
        None
    }

    fn on_cut(&mut self) -> Option<Outcome> {
        self.is_cutting = false;
        self.written = self.durable;
        if let Some((from, failure)) = self.failed.take() {
            self.waiting.clear();
            return Some(Outcome::Failed(from, failure));
        }
        for batch in self.waiting.clone() {
            self.append(&batch);
        }
        None
    }

    pub(crate) fn read(&self, read: &Read) -> Vec<StoredEntry> {
        let Some((_, entries)) = self.rooms.get(&read.room) else { return Vec::new() };
        let wanted = entries.iter().filter(|entry| (read.from..=read.upto).contains(&entry.slot));
        wanted.cloned().collect()
    }
}

fn put(bytes: &[u8], out: &mut Vec<u8>) {
    varint::encode(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn encode(batch: &Batch) -> Vec<u8> {
    let mut body = Vec::new();
    for record in &batch.records {
        match record {
            Record::Room { room, epoch, salt } => {
                body.push(0);
                put(room.as_bytes(), &mut body);
                body.extend_from_slice(&epoch.to_be_bytes());
                body.extend_from_slice(&salt.0);
            }
            Record::Entry { room, epoch, entry } => {
                assert!(entry.name.len() <= MAX_NAME && entry.body.len() <= MAX_BODY, "it can be read again");
                body.push(1);
                put(room.as_bytes(), &mut body);
                for number in [*epoch, entry.slot, entry.sequence, entry.author_ms, entry.commit_ms] {
                    body.extend_from_slice(&number.to_be_bytes());
                }
                body.extend_from_slice(&entry.client.0);
                body.extend_from_slice(&entry.body_hash.0);
                body.push(entry.kind.0);
                put(entry.name.as_bytes(), &mut body);
                put(&entry.body, &mut body);
            }
            Record::Gone { room, epoch } => {
                body.push(2);
                put(room.as_bytes(), &mut body);
                body.extend_from_slice(&epoch.to_be_bytes());
            }
        }
    }
    let mut frame = Vec::new();
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(&CRC(0, &body).to_be_bytes());
    frame.extend_from_slice(&body);
    frame
}

fn frame(reader: &mut Reader<'_>) -> Result<Vec<Record>, DecodeError> {
    let (len, crc) = (reader.u32()?, reader.u32()?);
    let body = reader.take(len as usize)?;
    if body.is_empty() || CRC(0, body) != crc {
        return Err(DecodeError::BadChecksum);
    }
    let mut body = Reader::new(body);
    let mut records = Vec::new();
    while !body.is_empty() {
        let kind = body.u8()?;
        let room: Arc<str> = body.str(MAX_ROOM, "room")?.into();
        let epoch = body.u64()?;
        if kind == 0 {
            records.push(Record::Room { room, epoch, salt: RoomSalt(body.array()?) });
            continue;
        }
        if kind == 2 {
            records.push(Record::Gone { room, epoch });
            continue;
        }
        let (slot, sequence, author_ms, commit_ms) = (body.u64()?, body.u64()?, body.u64()?, body.u64()?);
        let (client, body_hash, kind) = (ClientId(body.array()?), BodyHash(body.array()?), Kind(body.u8()?));
        let name = body.str(MAX_NAME, "name")?.into();
        let text = Bytes::copy_from_slice(body.bytes(MAX_BODY, "body")?);
        let entry =
            StoredEntry { slot, client, sequence, body_hash, name, author_ms, commit_ms, kind, body: text };
        records.push(Record::Entry { room, epoch, entry });
    }
    Ok(records)
}
