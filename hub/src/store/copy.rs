//! Copies of a log: all its frames in one stream, made while it is written, and the way back. docs/spec/store.md, section 7.
//!
//! ```text
//! copy   = "bowline\0" version:1 record ... end
//! record = 01 number:vi64 length:vi64 checksum:8 frame
//! end    = 00 last:vi64 hash:32
//! ```

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Weak};

use proto_core::chat::{Batch, Record};
use proto_core::wire::varint;

use super::StoreError;
use super::frame::{self, Section};
use super::log::LogWriter;
use super::redb_log::{FIRST, RedbWriter, Shared};
use super::row;
use super::segment::{Frames, Sealed, View, guarded};

pub(super) const HEAD: &[u8] = b"bowline\0\x01";
const FRAME: u8 = 1;
const END: u8 = 0;
/// A piece of a copy is about this long.
const PIECE: usize = 256 * 1024;
/// Frames are put into the new log together, up to about this many bytes.
const GROUP: usize = 4 * 1024 * 1024;
/// No frame is longer: 256 records for each of the batches that may wait.
const MAX_FRAME: u64 = 512 * 1024 * 1024;

/// Where copies of an open log come from.
#[derive(Clone)]
pub(crate) struct Copier(Weak<Shared>);

/// A copy that is being made: the log as it was when it was begun. Holds no lock between two pieces.
pub(crate) struct Copying {
    log: Weak<Shared>,
    /// The logs that are copied: those that there were when it was begun. They stay in the files for as long as the guard is held.
    logs: BTreeMap<Arc<str>, u64>,
    _guard: Arc<()>,
    segment: u32,
    /// How many frames of that one have been read, if it was swept.
    seen: u64,
    next: u64,
    last: u64,
    /// How many frames are in the copy, under numbers of its own.
    copied: u64,
    hash: blake3::Hasher,
    is_begun: bool,
    is_over: bool,
}

pub(super) fn put_frame(number: u64, frame: &[u8], copy: &mut Vec<u8>) {
    copy.push(FRAME);
    varint::encode(number, copy);
    varint::encode(frame.len() as u64, copy);
    copy.extend_from_slice(&row::seal(&number.to_be_bytes(), frame));
}

/// `hash` is that of everything before.
pub(super) fn put_end(last: u64, hash: &blake3::Hash, copy: &mut Vec<u8>) {
    copy.push(END);
    varint::encode(last, copy);
    copy.extend_from_slice(hash.as_bytes());
}

fn closed() -> StoreError {
    StoreError::broken(Path::new("the log"), "it is closed")
}

impl Copier {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }

    /// Begins a copy of everything that is durable now.
    pub(crate) fn begin(&self) -> Result<Copying, StoreError> {
        let shared = self.0.upgrade().ok_or_else(closed)?;
        let active = shared.active();
        let file = shared.dir.segment(active.number);
        if active.segment.is_none() {
            return Err(StoreError::broken(&file, "it is closed after an error"));
        }
        drop(active);
        let (guard, last, logs) = shared.logs_to_copy();
        Ok(Copying {
            log: self.0.clone(),
            logs,
            _guard: guard,
            segment: FIRST,
            seen: 0,
            next: 1,
            last,
            copied: 0,
            hash: blake3::Hasher::new(),
            is_begun: false,
            is_over: false,
        })
    }
}

impl Copying {
    /// The next piece; `None` after the last.
    pub(crate) fn piece(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        if self.is_over {
            return Ok(None);
        }
        let mut piece = Vec::new();
        if !std::mem::replace(&mut self.is_begun, true) {
            piece.extend_from_slice(HEAD);
        }
        let begun = piece.len();
        while self.next <= self.last && piece.len() == begun {
            for (number, frame) in self.frames()? {
                self.put(number, &frame, &mut piece)?;
                self.next = number + 1;
            }
        }
        self.hash.update(&piece);
        if self.next > self.last {
            self.is_over = true;
            put_end(self.copied, &self.hash.finalize(), &mut piece);
        }
        Ok(Some(piece))
    }

    /// What there is to copy of a frame.
    fn put(&mut self, number: u64, frame: &[u8], piece: &mut Vec<u8>) -> Result<(), StoreError> {
        let is_copied = |room: &str, epoch| self.logs.get(room) == Some(&epoch);
        let kept = frame::filtered(frame, is_copied)
            .map_err(|error| StoreError::damaged(Path::new("the log"), format!("frame {number}: {error}")))?;
        if let Some(kept) = kept {
            self.copied += 1;
            put_frame(self.copied, &kept, piece);
        }
        Ok(())
    }

    /// Some of the next frames; none when there are no more.
    fn frames(&mut self) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let shared = self.log.upgrade().ok_or_else(closed)?;
        loop {
            let file = shared.dir.segment(self.segment);
            let active = shared.active();
            if self.segment == active.number {
                let segment = active
                    .segment
                    .as_ref()
                    .ok_or_else(|| StoreError::broken(&file, "it is closed after an error"))?;
                return guarded(&file, || self.some_of(&segment.view()?));
            }
            drop(active);
            let sealed = Sealed::open(&*shared.disk, &file)?;
            let meta = guarded(&file, || sealed.view()?.meta())?;
            let Some(end) = meta.sealed.filter(|end| self.next <= *end) else {
                self.segment += 1;
                continue;
            };
            if meta.frames == Frames::All {
                return guarded(&file, || self.some_of(&sealed.view()?));
            }
            let frames = guarded(&file, || sealed.view()?.frames_from(self.next, self.last, PIECE))?;
            self.seen += frames.len() as u64;
            if frames.last().is_none_or(|(number, _)| *number >= end) {
                let seen = std::mem::take(&mut self.seen);
                if let Frames::Left(count) = meta.frames
                    && seen != count
                {
                    let what = format!("it has {seen} frames, where {count} were left");
                    return Err(StoreError::damaged(&file, what));
                }
            }
            if !frames.is_empty() || end >= self.last {
                self.next = if frames.is_empty() { self.last + 1 } else { self.next };
                return Ok(frames);
            }
            self.next = end + 1;
        }
    }

    fn some_of(&self, view: &View<'_>) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let frames = view.frames_from(self.next, self.last, PIECE)?;
        match frames.first() {
            Some((number, _)) if *number == self.next => Ok(frames),
            _ => Err(view.damaged(format!("frame {} is missing", self.next))),
        }
    }
}

/// Why a copy cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// It cannot be read.
    #[error("the copy cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is not a whole copy of a log.
    #[error("this is not a whole copy of a log: {0}")]
    Damaged(String),
    /// The new log cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn damaged(what: impl Into<String>) -> CopyError {
    CopyError::Damaged(what.into())
}

/// A copy under the eyes of its hash.
struct Watched<R> {
    inner: R,
    hash: blake3::Hasher,
}

impl<R: Read> Watched<R> {
    fn bytes(&mut self, len: usize) -> Result<Vec<u8>, CopyError> {
        let mut bytes = Vec::new();
        (&mut self.inner).take(len as u64).read_to_end(&mut bytes)?;
        if bytes.len() < len {
            return Err(damaged("it is cut off"));
        }
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn vi64(&mut self) -> Result<u64, CopyError> {
        let mut bytes = Vec::new();
        loop {
            bytes.extend(self.bytes(1)?);
            match varint::decode(&bytes) {
                Ok((value, _)) => return Ok(value),
                Err(error) if bytes.len() >= varint::MAX_LEN => return Err(damaged(error.to_string())),
                Err(_) => {}
            }
        }
    }
}

/// What a copy holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) rooms: u64,
    pub(crate) entries: u64,
}

/// Reads a copy to its end. Its records go to `take`, in order, each room under an epoch of its own that `draw` gives: who has seen more of
/// the log than the copy holds learns that it is another.
pub(crate) fn read(
    copy: impl Read,
    mut draw: impl FnMut() -> u64,
    mut take: impl FnMut(Vec<Record>) -> Result<(), StoreError>,
) -> Result<Contents, CopyError> {
    let mut copy = Watched { inner: copy, hash: blake3::Hasher::new() };
    if copy.bytes(HEAD.len())? != HEAD {
        return Err(damaged("it begins with something else"));
    }
    let (mut epochs, mut contents) = (BTreeMap::new(), Contents::default());
    let mut records = Vec::new();
    let (mut expected, mut bytes) = (1, 0);
    loop {
        let hash = copy.hash.finalize();
        match copy.bytes(1)?[0] {
            FRAME => {}
            END => {
                let last = copy.vi64()?;
                if last != expected - 1 || copy.bytes(32)? != hash.as_bytes() {
                    return Err(damaged("its end does not fit it"));
                }
                break;
            }
            _ => return Err(damaged("it holds something that this program does not know")),
        }
        let (number, len) = (copy.vi64()?, copy.vi64()?);
        if number != expected || len > MAX_FRAME {
            return Err(damaged(format!("frame {number} stands where frame {expected} belongs")));
        }
        let at = |error: &dyn std::fmt::Display| damaged(format!("frame {number}: {error}"));
        let sealed = copy.bytes(len as usize + 8)?;
        let frame = row::open(&number.to_be_bytes(), &sealed).map_err(|error| at(&error))?;
        for section in frame::decode(frame).map_err(|error| at(&error))? {
            match section {
                Section::Room { room, epoch: old, salt } => {
                    let (room, new): (Arc<str>, u64) = (room.into(), draw().max(1));
                    epochs.insert(Arc::clone(&room), (old, new));
                    contents.rooms += 1;
                    records.push(Record::Room { room, epoch: new, salt });
                }
                Section::Entries { room, epoch, entries, .. } => {
                    let known = epochs.get_key_value(room).filter(|(_, (old, _))| *old == epoch);
                    let (room, (_, new)) =
                        known.ok_or_else(|| at(&format!("room {room:?} has not begun")))?;
                    for entry in entries {
                        let entry = entry.map_err(|error| at(&error))?;
                        contents.entries += 1;
                        records.push(Record::Entry { room: Arc::clone(room), epoch: *new, entry });
                    }
                }
                Section::Gone { .. } => return Err(at(&"it ends a log, which no copy holds")),
            }
        }
        (expected, bytes) = (expected + 1, bytes + sealed.len());
        if bytes >= GROUP {
            bytes = 0;
            take(std::mem::take(&mut records))?;
        }
    }
    if !records.is_empty() {
        take(records)?;
    }
    Ok(contents)
}

/// Puts a copy into a log that is empty.
pub(crate) fn restore(
    copy: impl Read,
    writer: &mut RedbWriter,
    draw: impl FnMut() -> u64,
) -> Result<Contents, CopyError> {
    read(copy, draw, |records| {
        writer.append(&[Batch { number: 0, records }]).map_err(|super::log::AppendError(error)| error)
    })
}
