//! One file of the log: what was so when it began, the frames since, and, once it is sealed, an index of them.
//!
//! Tables: `meta` (format, log, number, frames before, last frame when sealed), `rooms` and `clients` (the state when the segment
//! began), `frames` (frame number to frame, one for each group commit), `index` (room to places) and `weights` (room to its part of
//! the frames), both written by the seal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proto_core::chat::{ClientId, RoomState};
use redb::{
    Database, Durability, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, ReadableTable,
    TableDefinition, WriteTransaction,
};

use super::StoreError;
use super::disk::{Disk, SyncFailed, Watched};
use super::index::Index;
use super::rooms::Rooms;
use super::row::{self, Place, RoomRow, WeightRow};
use super::weights::Weights;

/// What is written. Format 1 had no weights, and its programs do not know of logs that end.
const FORMAT: u64 = 2;
/// The oldest that is read.
const OLDEST: u64 = 1;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const ROOMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rooms");
const CLIENTS: TableDefinition<'_, (&str, [u8; 16]), &[u8]> = TableDefinition::new("clients");
const FRAMES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("frames");
const INDEX: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("index");
const WEIGHTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("weights");

const META_FORMAT: &str = "format";
const META_LOG: &str = "log";
const META_NUMBER: &str = "number";
const META_BEFORE: &str = "before";
const META_SEALED: &str = "sealed";
const META_SWEPT: &str = "swept";
const META_BYTES: &str = "bytes";

/// Memory for pages of a file: the log is written once and mostly read at its end, which the server keeps in memory itself.
const CACHE: usize = 8 * 1024 * 1024;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meta {
    /// The log that it belongs to.
    pub(super) log: u64,
    /// Its number, which also is in its name.
    pub(super) number: u64,
    /// The last frame of the segment before.
    pub(super) before: u64,
    /// Its last frame, when no more will be added.
    pub(super) sealed: Option<u64>,
    /// Which of its frames it has.
    pub(super) frames: Frames,
}

/// Which frames of a segment there must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frames {
    /// All.
    All,
    /// It was swept, and so many are left.
    Left(u64),
    /// It was swept by a program of format 1, which did not say how many are left.
    Unknown,
}

/// The segment that is written.
pub(super) struct Segment {
    file: PathBuf,
    database: Database,
    sync_failed: SyncFailed,
    /// Whether a program that knows an earlier format only may take it for its own.
    is_older: AtomicBool,
}

impl Segment {
    /// Makes a segment that begins with `rooms`, in a file that must not exist.
    pub(super) fn create(
        disk: &dyn Disk,
        file: &Path,
        log: u64,
        number: u32,
        before: u64,
        rooms: &Rooms,
    ) -> Result<Self, StoreError> {
        let segment = Self::open_file(disk, file)?;
        segment.write("begin", |transaction| {
            let mut meta = transaction.open_table(META)?;
            meta.insert(META_FORMAT, FORMAT)?;
            meta.insert(META_LOG, log)?;
            meta.insert(META_NUMBER, u64::from(number))?;
            meta.insert(META_BEFORE, before)?;
            transaction.open_table(FRAMES)?;
            let mut room_rows = transaction.open_table(ROOMS)?;
            let mut client_rows = transaction.open_table(CLIENTS)?;
            for state in rooms.iter() {
                let RoomState { room, epoch, salt, latest, last_ms, .. } = state;
                let row = RoomRow { epoch: *epoch, salt: *salt, latest: *latest, last_ms: *last_ms };
                let contents = row.encode();
                room_rows.insert(&**room, &*row::seal(room.as_bytes(), &contents))?;
                for (client, table) in &state.clients {
                    let value = row::seal(&client_key(room, *client), &row::encode_client(table));
                    client_rows.insert((&**room, client.0), &*value)?;
                }
            }
            Ok(())
        })?;
        Ok(segment)
    }

    /// Opens the segment and verifies all of it.
    pub(super) fn open(disk: &dyn Disk, file: &Path) -> Result<Self, StoreError> {
        guarded(file, || {
            let mut segment = Self::open_file(disk, file)?;
            match segment.database.check_integrity() {
                Ok(true) => {
                    let format = segment.view()?.format()?;
                    *segment.is_older.get_mut() = format.is_some_and(|format| format < FORMAT);
                    Ok(segment)
                }
                Ok(false) => Err(StoreError::damaged(file, "its pages do not match their checksums")),
                Err(error) => Err(failed_to_write("verify", file, &segment.sync_failed, error)),
            }
        })
    }

    fn open_file(disk: &dyn Disk, file: &Path) -> Result<Self, StoreError> {
        let (backend, sync_failed) =
            Watched::new(disk.open(file).map_err(|error| failed("open", file, error))?);
        let database = Database::builder()
            .set_cache_size(CACHE)
            .create_with_backend(backend)
            .map_err(|error| failed_to_write("open", file, &sync_failed, error))?;
        Ok(Self { file: file.to_owned(), database, sync_failed, is_older: AtomicBool::new(false) })
    }

    /// The same segment, whose file has been given another name.
    pub(super) fn renamed(self, file: PathBuf) -> Self {
        Self { file, ..self }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn view(&self) -> Result<View<'_>, StoreError> {
        View::new(&self.file, &self.database)
    }

    /// Makes frame `number` durable.
    pub(super) fn append(&self, number: u64, frame: &[u8]) -> Result<(), StoreError> {
        let value = row::seal(&number.to_be_bytes(), frame);
        self.write("write to", |transaction| {
            transaction.open_table(FRAMES)?.insert(number, &*value)?;
            Ok(())
        })
    }

    /// Removes frames behind `last`: they were refused, so they must not come back.
    pub(super) fn cut(&self, last: u64) -> Result<(), StoreError> {
        self.write("cut the end of", |transaction| {
            transaction.open_table(FRAMES)?.retain(|number, _| number <= last)?;
            Ok(())
        })
    }

    /// Says that `last` is the last frame, and where everything is.
    pub(super) fn seal(&self, last: u64, index: &Index) -> Result<(), StoreError> {
        self.write("seal", |transaction| {
            let mut rows = transaction.open_table(INDEX)?;
            for (room, places) in index.written() {
                rows.insert(room, &*row::seal(room.as_bytes(), &row::encode_places(places.iter())))?;
            }
            put_weights(transaction, index.weights())?;
            transaction.open_table(META)?.insert(META_SEALED, last)?;
            Ok(())
        })
    }

    /// Makes what is to take the place of the sealed segment `meta`, without frames; `rooms` are rows as that has them.
    pub(super) fn create_swept(
        disk: &dyn Disk,
        file: &Path,
        meta: &Meta,
        rooms: &[(String, Vec<u8>)],
    ) -> Result<Self, StoreError> {
        let segment = Self::open_file(disk, file)?;
        segment.write("begin", |transaction| {
            let mut rows = transaction.open_table(META)?;
            rows.insert(META_FORMAT, FORMAT)?;
            rows.insert(META_LOG, meta.log)?;
            rows.insert(META_NUMBER, meta.number)?;
            rows.insert(META_BEFORE, meta.before)?;
            transaction.open_table(FRAMES)?;
            transaction.open_table(CLIENTS)?;
            let mut room_rows = transaction.open_table(ROOMS)?;
            rooms.iter().try_for_each(|(room, row)| room_rows.insert(&**room, &**row).map(drop))?;
            Ok(())
        })?;
        Ok(segment)
    }

    /// Adds frames, durably.
    pub(super) fn append_all(&self, frames: &[(u64, Vec<u8>)]) -> Result<(), StoreError> {
        self.write("write to", |transaction| {
            let mut table = transaction.open_table(FRAMES)?;
            for (number, frame) in frames {
                table.insert(number, &*row::seal(&number.to_be_bytes(), frame))?;
            }
            Ok(())
        })
    }

    /// Seals what was swept and has so many frames; `index` are rows as the segment has them whose place it takes.
    pub(super) fn seal_swept(
        &self,
        last: u64,
        frames: u64,
        index: &[(String, Vec<u8>)],
        weights: &Weights,
    ) -> Result<(), StoreError> {
        self.write("seal", |transaction| {
            let mut rows = transaction.open_table(INDEX)?;
            index.iter().try_for_each(|(room, row)| rows.insert(&**room, &**row).map(drop))?;
            put_weights(transaction, weights)?;
            let mut meta = transaction.open_table(META)?;
            meta.insert(META_SWEPT, frames)?;
            meta.insert(META_SEALED, last)?;
            Ok(())
        })
    }

    /// One durable transaction. The first one in a segment of an earlier format makes it one of the present.
    fn write(
        &self,
        action: &'static str,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let attempt = || -> Result<(), redb::Error> {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            change(&transaction)?;
            if self.is_older.load(Ordering::Relaxed) {
                transaction.open_table(META)?.insert(META_FORMAT, FORMAT)?;
            }
            transaction.commit()?;
            self.is_older.store(false, Ordering::Relaxed);
            Ok(())
        };
        attempt().map_err(|error| failed_to_write(action, &self.file, &self.sync_failed, error))
    }
}

fn put_weights(transaction: &WriteTransaction, weights: &Weights) -> Result<(), redb::Error> {
    let mut rows = transaction.open_table(WEIGHTS)?;
    for (room, weight) in weights.logs() {
        rows.insert(room, &*row::seal(room.as_bytes(), &weight.encode()))?;
    }
    transaction.open_table(META)?.insert(META_BYTES, weights.all())?;
    Ok(())
}

/// A segment that is complete.
pub(super) struct Sealed {
    file: PathBuf,
    database: ReadOnlyDatabase,
}

impl Sealed {
    pub(super) fn open(disk: &dyn Disk, file: &Path) -> Result<Self, StoreError> {
        guarded(file, || {
            let open = || Database::builder().set_cache_size(CACHE).open_read_only(file);
            let database = match open() {
                // The process ended between the seal and the close: opening it for writing puts it in order.
                Err(redb::DatabaseError::RepairAborted) => {
                    drop(Segment::open(disk, file)?);
                    open()
                }
                opened => opened,
            };
            let database = database.map_err(|error| failed("open", file, error))?;
            Ok(Self { file: file.to_owned(), database })
        })
    }

    pub(super) fn view(&self) -> Result<View<'_>, StoreError> {
        View::new(&self.file, &self.database)
    }
}

/// A segment as it is at one moment.
pub(super) struct View<'a> {
    file: &'a Path,
    transaction: ReadTransaction,
}

impl<'a> View<'a> {
    fn new(file: &'a Path, database: &impl ReadableDatabase) -> Result<Self, StoreError> {
        let transaction = database.begin_read().map_err(|error| failed("read", file, error))?;
        Ok(Self { file, transaction })
    }

    pub(super) fn file(&self) -> &'a Path {
        self.file
    }

    pub(super) fn meta(&self) -> Result<Meta, StoreError> {
        let get = |key| self.number(key);
        let (sealed, swept) = (get(META_SEALED)?, get(META_SWEPT)?);
        let format = self.format()?;
        let frames = match swept {
            None => Frames::All,
            Some(_) if format == Some(OLDEST) => Frames::Unknown,
            Some(left) => Frames::Left(left),
        };
        match (format, get(META_LOG)?, get(META_NUMBER)?, get(META_BEFORE)?) {
            (Some(OLDEST..=FORMAT), Some(log), Some(number), Some(before)) => {
                Ok(Meta { log, number, before, sealed, frames })
            }
            (Some(found), ..) if found > FORMAT => {
                Err(StoreError::Unknown { file: self.file.to_owned(), found, known: FORMAT })
            }
            _ => Err(self.damaged("it does not say what it is")),
        }
    }

    fn format(&self) -> Result<Option<u64>, StoreError> {
        self.number(META_FORMAT)
    }

    fn number(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let table = self.failing(self.transaction.open_table(META))?;
        Ok(self.failing(table.get(key))?.map(|value| value.value()))
    }

    /// How much of it each log has, if it says so.
    pub(super) fn weights(&self) -> Result<Option<Weights>, StoreError> {
        let Some(all) = self.number(META_BYTES)? else { return Ok(None) };
        let weight = |(room, value): (String, Vec<u8>)| {
            let row = row::open(room.as_bytes(), &value)
                .and_then(WeightRow::decode)
                .map_err(|error| self.damaged(format!("the weight of room {room:?}: {error}")))?;
            Ok((Arc::from(room), row))
        };
        let logs: Vec<_> =
            self.rows(WEIGHTS, |_| true)?.into_iter().map(weight).collect::<Result<_, StoreError>>()?;
        Ok(Some(Weights::new(all, logs)))
    }

    /// All rooms as they were when the segment began.
    pub(super) fn rooms(&self) -> Result<Rooms, StoreError> {
        let mut rooms = Rooms::default();
        let room_rows = self.failing(self.transaction.open_table(ROOMS))?;
        for item in self.failing(room_rows.iter())? {
            let (key, value) = self.failing(item)?;
            rooms.insert(self.room_state(key.value(), value.value())?);
        }
        let client_rows = self.failing(self.transaction.open_table(CLIENTS))?;
        for item in self.failing(client_rows.iter())? {
            let (key, value) = self.failing(item)?;
            let (room, client) = key.value();
            let client = ClientId(client);
            let table = row::open(&client_key(room, client), value.value())
                .and_then(row::decode_client)
                .map_err(|error| self.damaged(format!("a client of room {room:?}: {error}")))?;
            rooms.remember(room, client, table).map_err(|error| self.damaged(error.to_string()))?;
        }
        Ok(rooms)
    }

    fn room_state(&self, room: &str, value: &[u8]) -> Result<RoomState, StoreError> {
        let RoomRow { epoch, salt, latest, last_ms } = self.room_row(room, value)?;
        Ok(RoomState { latest, last_ms, ..RoomState::new(Arc::from(room), epoch, salt) })
    }

    fn room_row(&self, room: &str, value: &[u8]) -> Result<RoomRow, StoreError> {
        row::open(room.as_bytes(), value)
            .and_then(RoomRow::decode)
            .map_err(|error| self.damaged(format!("room {room:?}: {error}")))
    }

    /// The highest slot of a room's log when the segment began, if there was this log.
    pub(super) fn latest_before(&self, room: &str, epoch: u64) -> Result<Option<u64>, StoreError> {
        let table = self.failing(self.transaction.open_table(ROOMS))?;
        let Some(value) = self.failing(table.get(room))? else { return Ok(None) };
        let row = self.room_row(room, value.value())?;
        Ok((row.epoch == epoch).then_some(row.latest))
    }

    /// The rows of the logs that `keeps` says of those that there were when the segment began.
    pub(super) fn room_rows(
        &self,
        keeps: impl Fn(&str, u64) -> bool,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut rows = self.rows(ROOMS, |_| true)?;
        let mut failed = None;
        rows.retain(|(room, value)| match self.room_row(room, value) {
            Ok(row) => keeps(room, row.epoch),
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        failed.map_or(Ok(rows), Err)
    }

    /// The rows of the index for the rooms that `keeps` says.
    pub(super) fn index_rows(
        &self,
        keeps: impl Fn(&str) -> bool,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.rows(INDEX, keeps)
    }

    fn rows(
        &self,
        table: TableDefinition<'_, &str, &[u8]>,
        keeps: impl Fn(&str) -> bool,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut rows = Vec::new();
        let table = self.failing(self.transaction.open_table(table))?;
        for item in self.failing(table.iter())? {
            let (key, value) = self.failing(item)?;
            if keeps(key.value()) {
                rows.push((key.value().to_owned(), value.value().to_vec()));
            }
        }
        Ok(rows)
    }

    /// Where a room's entries are; nowhere unless the segment is sealed.
    pub(super) fn places(&self, room: &str) -> Result<Vec<Place>, StoreError> {
        let table = self.failing(self.transaction.open_table(INDEX))?;
        let Some(value) = self.failing(table.get(room))? else { return Ok(Vec::new()) };
        row::open(room.as_bytes(), value.value())
            .and_then(row::decode_places)
            .map_err(|error| self.damaged(format!("the index of room {room:?}: {error}")))
    }

    /// Hands frame `number` to `visit`.
    pub(super) fn frame<T>(
        &self,
        number: u64,
        visit: impl FnOnce(&[u8]) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let table = self.failing(self.transaction.open_table(FRAMES))?;
        let value = self.failing(table.get(number))?;
        let value = value.ok_or_else(|| self.damaged(format!("frame {number} is missing")))?;
        visit(self.open_frame(number, value.value())?)
    }

    /// Hands every frame to `visit`, in order.
    pub(super) fn frames(
        &self,
        mut visit: impl FnMut(u64, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let table = self.failing(self.transaction.open_table(FRAMES))?;
        for item in self.failing(table.iter())? {
            let (number, value) = self.failing(item)?;
            let number = number.value();
            visit(number, self.open_frame(number, value.value())?)?;
        }
        Ok(())
    }

    /// The frames from `from` to `upto`, as many as are about `bytes` long together, but at least one if there is one.
    pub(super) fn frames_from(
        &self,
        from: u64,
        upto: u64,
        bytes: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let table = self.failing(self.transaction.open_table(FRAMES))?;
        let (mut frames, mut taken) = (Vec::new(), 0);
        for item in self.failing(table.range(from..=upto))? {
            let (number, value) = self.failing(item)?;
            let frame = self.open_frame(number.value(), value.value())?;
            taken += frame.len();
            frames.push((number.value(), frame.to_vec()));
            if taken >= bytes {
                break;
            }
        }
        Ok(frames)
    }

    /// The number of the last frame, if there is one.
    pub(super) fn last_frame(&self) -> Result<Option<u64>, StoreError> {
        let table = self.failing(self.transaction.open_table(FRAMES))?;
        let last = self.failing(table.last())?;
        Ok(last.map(|(number, _)| number.value()))
    }

    pub(super) fn damaged(&self, what: impl Into<String>) -> StoreError {
        StoreError::damaged(self.file, what)
    }

    fn open_frame<'v>(&self, number: u64, value: &'v [u8]) -> Result<&'v [u8], StoreError> {
        row::open(&number.to_be_bytes(), value)
            .map_err(|error| self.damaged(format!("frame {number}: {error}")))
    }

    fn failing<T>(&self, result: Result<T, impl Into<redb::Error>>) -> Result<T, StoreError> {
        result.map_err(|error| failed("read", self.file, error))
    }
}

fn client_key(room: &str, client: ClientId) -> Vec<u8> {
    [room.as_bytes(), &client.0].concat()
}

fn failed_to_write(
    action: &'static str,
    file: &Path,
    sync_failed: &SyncFailed,
    error: impl Into<redb::Error>,
) -> StoreError {
    if sync_failed.get() {
        let error = error.into();
        StoreError::broken(file, format!("the system could not sync it ({error})"))
    } else {
        failed(action, file, error)
    }
}

/// The engine's error in our words.
fn failed(action: &'static str, file: &Path, error: impl Into<redb::Error>) -> StoreError {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match error.into() {
        redb::Error::Io(error) if matches!(error.kind(), InvalidData | UnexpectedEof) => {
            StoreError::damaged(file, error.to_string())
        }
        redb::Error::Io(error) => StoreError::io(action, file, error),
        redb::Error::DatabaseAlreadyOpen => {
            StoreError::InUse { dir: file.parent().unwrap_or(file).to_owned(), pid: None }
        }
        error @ (redb::Error::PreviousIo | redb::Error::DatabaseClosed) => {
            StoreError::broken(file, error.to_string())
        }
        error => StoreError::damaged(file, error.to_string()),
    }
}

/// Runs `work` on a file that may hold anything: where the engine gives up by a panic, the file is what is wrong.
pub(super) fn guarded<T>(file: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(StoreError::damaged(file, format!("the database engine gave it up ({said})")))
    })
}
