//! The log on redb: segments of bounded size, the newest of them written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use proto_core::chat::{Batch, Record, RoomState};
use proto_core::wire::DecodeError;
use zeroize::Zeroizing;

use super::StoreError;
use super::data_dir::DataDir;
use super::disk::{Disk, FileSystem};
use super::frame::{self, Section};
use super::index::Index;
use super::log::{AppendError, LogWriter};
use super::open_files::OpenFiles;
use super::reader::RedbReader;
use super::rooms::Rooms;
use super::segment::{Sealed, Segment, View, guarded};
use super::tip::TipFile;

/// The number of the first segment.
pub(super) const FIRST: u32 = 1;

/// How a log is kept.
#[derive(Clone)]
pub(crate) struct Options {
    /// A segment that holds this many bytes of frames is sealed. A file is verified as a whole after a crash, so this bounds
    /// how long a start takes: about 0.4 s for 256 MiB.
    pub(crate) segment_bytes: u64,
    /// How long an idle client is remembered.
    pub(crate) remember: Duration,
    /// Where the files are.
    pub(crate) disk: Arc<dyn Disk>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 256 * 1024 * 1024,
            remember: proto_core::chat::ChatConfig::default().remember,
            disk: Arc::new(FileSystem),
        }
    }
}

/// A log at open: its two halves, and the rooms as they were left.
pub(crate) struct Opened {
    pub(crate) writer: RedbWriter,
    pub(crate) reader: RedbReader,
    pub(crate) rooms: Vec<RoomState>,
    /// The server's secret: see [`DataDir::server_key`].
    pub(crate) server_key: Zeroizing<[u8; 32]>,
}

/// What writer and reader share. Neither `active` nor `index` is locked while anybody waits for the disk, but for two cases: the reader
/// keeps `active` shared during one read, and the writer keeps it alone while it closes or opens a file.
pub(super) struct Shared {
    pub(super) dir: DataDir,
    pub(super) disk: Arc<dyn Disk>,
    active: RwLock<Active>,
    index: Mutex<Index>,
    /// How many logs have ended since the segments were swept last.
    pub(super) ended: AtomicU64,
    /// Older segments that are open.
    pub(super) sealed: OpenFiles,
    /// Held by each copy that is being made.
    copies: Mutex<Arc<()>>,
}

/// The newest segment.
pub(super) struct Active {
    pub(super) number: u32,
    /// `None` after an error, until the file could be opened again.
    pub(super) segment: Option<Segment>,
}

impl Shared {
    pub(super) fn active(&self) -> RwLockReadGuard<'_, Active> {
        self.active.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn active_alone(&self) -> RwLockWriteGuard<'_, Active> {
        self.active.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last frame, and the logs that there are after it, for a copy. Nothing of them is swept away for as long as the guard is held.
    pub(super) fn logs_to_copy(&self) -> (Arc<()>, u64, BTreeMap<Arc<str>, u64>) {
        let guard = Arc::clone(&self.copies());
        // Together: another frame may be durable by now, and end a log that is among these.
        let index = self.index();
        (guard, index.last(), index.logs())
    }

    /// The logs that there are, for a sweep; `None` while a copy is made. A copy that begins later has no log that is not among these, but
    /// for those that begin later, too.
    pub(super) fn logs_to_keep(&self) -> Option<BTreeMap<Arc<str>, u64>> {
        self.unless_copied(|| self.index().logs())
    }

    /// Does `work`, unless a copy is being made. None begins before it is done.
    pub(super) fn unless_copied<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let copies = self.copies();
        (Arc::strong_count(&copies) == 1).then(work)
    }

    fn copies(&self) -> MutexGuard<'_, Arc<()>> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing half.
pub(crate) struct RedbWriter {
    shared: Arc<Shared>,
    segment_bytes: u64,
    remember: Duration,
    rooms: Rooms,
    /// The last frame that is durable.
    last: u64,
    /// The bytes of frames in the newest segment.
    bytes: u64,
    sealed: bool,
    tip: TipFile,
    /// Set by an error after which nothing is written any more.
    broken: Option<(PathBuf, String)>,
}

/// Opens the log in `dir`, which becomes this process's own until both halves are dropped. Makes an empty log when there is
/// none.
///
/// Verifies the whole newest segment, that the older ones are all there and continue each other, that the slots of every
/// room are dense, and that the log goes as far as it went.
pub(crate) fn open(dir: DataDir, options: &Options) -> Result<Opened, StoreError> {
    let numbers = dir.segments()?;
    let tip = dir.tip(!numbers.is_empty())?;
    verify_numbers(&dir, &numbers, tip.tip().segment)?;
    let disk = &*options.disk;
    let Some((&newest, older)) = numbers.split_last() else {
        let segment = create(&dir, disk, tip.tip().log, FIRST, 0, &Rooms::default())?;
        return opened(dir, options, FIRST, segment, tip, Recovered::default());
    };
    let before = verify_older(&dir, disk, tip.tip().log, older)?;
    let segment = Segment::open(disk, &dir.segment(newest))?;
    let recovered = guarded(segment.file(), || recover(&segment.view()?, tip.tip().log, newest, before))?;
    let (last, noted) = (recovered.last, tip.tip().frame);
    if last < noted {
        let what = format!("it ends with frame {last}, but the log went up to frame {noted}");
        return Err(StoreError::damaged(segment.file(), what));
    }
    opened(dir, options, newest, segment, tip, recovered)
}

fn opened(
    dir: DataDir,
    options: &Options,
    number: u32,
    segment: Segment,
    mut tip: TipFile,
    recovered: Recovered,
) -> Result<Opened, StoreError> {
    let Recovered { rooms, index, last, bytes, sealed } = recovered;
    tip.note(number, last)?;
    tip.sync()?;
    let server_key = dir.server_key()?;
    let states = rooms.to_states();
    let shared = Arc::new(Shared {
        dir,
        disk: options.disk.clone(),
        active: RwLock::new(Active { number, segment: Some(segment) }),
        index: Mutex::new(index),
        // Nobody knows what was left to do.
        ended: AtomicU64::new(1),
        sealed: OpenFiles::default(),
        copies: Mutex::default(),
    });
    let writer = RedbWriter {
        shared: shared.clone(),
        segment_bytes: options.segment_bytes,
        remember: options.remember,
        rooms,
        last,
        bytes,
        sealed,
        tip,
        broken: None,
    };
    Ok(Opened { writer, reader: RedbReader::new(shared), rooms: states, server_key })
}

fn create(
    dir: &DataDir,
    disk: &dyn Disk,
    log: u64,
    number: u32,
    before: u64,
    rooms: &Rooms,
) -> Result<Segment, StoreError> {
    let unfinished = dir.unfinished(number);
    let made = Segment::create(disk, &unfinished, log, number, before, rooms)
        .and_then(|segment| dir.finish(number).map(|()| segment.renamed(dir.segment(number))));
    made.inspect_err(|_| {
        // Left behind, it would be found and removed at the next start; it may hold space that is needed before.
        let _ = std::fs::remove_file(&unfinished);
    })
}

/// Checks that there is a segment of every number, up to the highest that was ever noted.
fn verify_numbers(dir: &DataDir, numbers: &[u32], noted: u32) -> Result<(), StoreError> {
    let mut expected = FIRST;
    for &number in numbers {
        if number != expected {
            break;
        }
        expected = number.saturating_add(1);
    }
    if numbers.last().copied().unwrap_or(0).max(noted) >= expected {
        return Err(StoreError::damaged(&dir.segment(expected), "the file is missing"));
    }
    Ok(())
}

/// Checks that every segment but the newest is sealed, and continued by the next. Returns the last frame of theirs.
fn verify_older(dir: &DataDir, disk: &dyn Disk, log: u64, older: &[u32]) -> Result<Option<u64>, StoreError> {
    let mut end = None;
    for &number in older {
        let sealed = Sealed::open(disk, &dir.segment(number))?;
        let view = sealed.view()?;
        let last = verify_meta(&view, log, number, end)?.sealed;
        end = Some(last.ok_or_else(|| view.damaged("it was never completed, yet a later segment exists"))?);
    }
    Ok(end)
}

fn verify_meta(
    view: &View<'_>,
    log: u64,
    number: u32,
    end: Option<u64>,
) -> Result<super::segment::Meta, StoreError> {
    let meta = view.meta()?;
    if meta.log != log {
        return Err(view.damaged("it belongs to another log"));
    }
    if meta.number != u64::from(number) {
        return Err(view.damaged(format!("it is segment {}, under the name of another", meta.number)));
    }
    match end {
        Some(end) if end != meta.before => Err(view.damaged(format!(
            "it continues frame {}, but the segment before ends with frame {end}",
            meta.before
        ))),
        _ => Ok(meta),
    }
}

/// What is known after reading the newest segment.
#[derive(Default)]
struct Recovered {
    rooms: Rooms,
    index: Index,
    last: u64,
    bytes: u64,
    sealed: bool,
}

fn recover(view: &View<'_>, log: u64, number: u32, end: Option<u64>) -> Result<Recovered, StoreError> {
    let meta = verify_meta(view, log, number, end)?;
    let mut rooms = view.rooms()?;
    let mut index = Index::at_start(&rooms, meta.before);
    let (mut last, mut bytes) = (meta.before, 0);
    view.frames(|number, frame| {
        if Some(number) != last.checked_add(1) {
            return Err(view.damaged(format!("frame {number} follows frame {last}")));
        }
        let sections = decode(view.file(), number, frame)?;
        for section in &sections {
            replay(&mut rooms, section).map_err(|error| view.damaged(format!("frame {number}: {error}")))?;
        }
        index.add(number, &sections);
        last = number;
        bytes += frame.len() as u64;
        Ok(())
    })?;
    if meta.sealed.is_some_and(|sealed| sealed != last) {
        return Err(view.damaged(format!("it was completed, but ends with frame {last}")));
    }
    rooms.date();
    Ok(Recovered { rooms, index, last, bytes, sealed: meta.sealed.is_some() })
}

fn replay(rooms: &mut Rooms, section: &Section<'_>) -> Result<(), Box<dyn std::error::Error>> {
    match section {
        Section::Room { room, epoch, salt } => rooms.begin(room, *epoch, *salt)?,
        Section::Entries { room, epoch, entries, .. } => {
            for entry in entries.clone() {
                rooms.apply(room, *epoch, &entry?)?;
            }
        }
        Section::Gone { room, epoch } => rooms.end(room, *epoch)?,
    }
    Ok(())
}

pub(super) fn decode<'a>(file: &Path, number: u64, frame: &'a [u8]) -> Result<Vec<Section<'a>>, StoreError> {
    frame::decode(frame)
        .map_err(|error: DecodeError| StoreError::damaged(file, format!("frame {number}: {error}")))
}

impl LogWriter for RedbWriter {
    fn append(&mut self, batches: &[Batch]) -> Result<(), AppendError> {
        self.still_writing()?;
        Ok(self.try_append(batches).inspect_err(|error| self.after(error))?)
    }
}

impl RedbWriter {
    fn still_writing(&self) -> Result<(), StoreError> {
        match &self.broken {
            Some((file, why)) => Err(StoreError::broken(file, why)),
            None => Ok(()),
        }
    }

    fn try_append(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        self.reopen()?;
        if self.sealed || self.bytes >= self.segment_bytes {
            self.rotate()?;
        }
        let number = self.last + 1;
        let frame = frame::encode(batches);
        {
            let active = self.shared.active();
            let segment = active.segment.as_ref().ok_or_else(|| self.closed(&active))?;
            self.rooms
                .check(batches)
                .map_err(|error| StoreError::broken(segment.file(), error.to_string()))?;
            let sections = decode(segment.file(), number, &frame)?;
            segment.append(number, &frame)?;
            self.shared.index().add(number, &sections);
        }
        self.last = number;
        self.bytes += frame.len() as u64;
        self.note_tip();
        let records = batches.iter().flat_map(|batch| &batch.records);
        let ended = records.filter(|record| matches!(record, Record::Gone { .. })).count();
        self.shared.ended.fetch_add(ended as u64, Ordering::Relaxed);
        let file = self.shared.dir.segment(self.shared.active().number);
        self.rooms.apply_all(batches).map_err(|error| StoreError::broken(&file, error.to_string()))
    }

    /// The log is whole without the note, and only guarded less well: nothing is refused because of it.
    fn note_tip(&mut self) {
        let segment = self.shared.active().number;
        if let Err(error) = self.tip.note(segment, self.last) {
            tracing::warn!(%error, "it is not noted how far the log goes");
        }
    }

    fn sync_tip(&self) {
        if let Err(error) = self.tip.sync() {
            tracing::warn!(%error, "the note of how far the log goes may be lost with the power");
        }
    }

    fn closed(&self, active: &Active) -> StoreError {
        StoreError::broken(&self.shared.dir.segment(active.number), "it is closed")
    }

    /// After an error the file is closed. It is opened again at once when only space is missing, so that reads go on.
    fn after(&mut self, error: &StoreError) {
        match error {
            StoreError::Full { .. } => {
                self.shared.active_alone().segment = None;
                if let Err(error) = self.reopen() {
                    tracing::warn!(%error, "the log stays closed until there is space");
                }
            }
            StoreError::Broken { file, why } => self.broken = Some((file.clone(), why.clone())),
            error => {
                let file = self.shared.dir.segment(self.shared.active().number);
                self.broken = Some((file, error.to_string()));
            }
        }
    }

    /// Opens the newest segment if it is closed, without the frame that failed.
    fn reopen(&mut self) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let mut active = shared.active_alone();
        if active.segment.is_some() {
            return Ok(());
        }
        let segment = Segment::open(&*shared.disk, &shared.dir.segment(active.number))?;
        let meta = segment.view()?.meta()?;
        let last = segment.view()?.last_frame()?.unwrap_or(meta.before);
        if last < self.last {
            let lost = self.last;
            return Err(StoreError::broken(
                segment.file(),
                format!("it ends with frame {last}, but frame {lost} was durable"),
            ));
        }
        if last > self.last {
            segment.cut(self.last)?;
        }
        self.sealed = meta.sealed.is_some();
        active.segment = Some(segment);
        Ok(())
    }

    /// Seals the newest segment and begins the next.
    fn rotate(&mut self) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let number = {
            let active = shared.active();
            let segment = active.segment.as_ref().ok_or_else(|| self.closed(&active))?;
            if !self.sealed {
                segment.seal(self.last, &shared.index())?;
                self.sealed = true;
            }
            active.number
        };
        let next = number
            .checked_add(1)
            .ok_or_else(|| StoreError::broken(&shared.dir.segment(number), "it has the last number"))?;
        self.rooms.forget_idle(u64::try_from(self.remember.as_millis()).unwrap_or(u64::MAX));
        let segment = create(&shared.dir, &*shared.disk, self.tip.tip().log, next, self.last, &self.rooms)?;
        let mut active = shared.active_alone();
        let sealed = std::mem::replace(&mut *shared.index(), Index::at_start(&self.rooms, self.last));
        // Closes the old file before the reader can look for it among the sealed ones.
        *active = Active { number: next, segment: Some(segment) };
        drop(active);
        if sealed.weights().have_ended() {
            // Their ends were counted before, when this segment could not be swept yet.
            shared.ended.fetch_add(1, Ordering::Relaxed);
        }
        self.bytes = 0;
        self.sealed = false;
        self.note_tip();
        self.sync_tip();
        tracing::info!(segment = next, "the log continues in a new file");
        Ok(())
    }
}

impl Drop for RedbWriter {
    fn drop(&mut self) {
        self.sync_tip();
    }
}
