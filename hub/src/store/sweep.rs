//! Logs that have ended, and are still in sealed segments: a segment half of which nobody needs any more is written anew without it,
//! beside the old one, and takes its place when it is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::StoreError;
use super::frame;
use super::redb_log::{FIRST, Shared, decode};
use super::segment::{Frames, Meta, Sealed, Segment, View, guarded};
use super::weights::Weights;

/// Frames are written together, up to about this many bytes.
const GROUP: usize = 4 * 1024 * 1024;
/// So much space is left to the log when a segment is written anew.
const RESERVE: u64 = 64 * 1024 * 1024;

/// What takes logs that have ended out of the files.
pub(crate) struct Sweeper {
    log: Weak<Shared>,
    counts: Arc<Counts>,
}

/// What has come of it, for whoever counts.
#[derive(Debug, Default)]
struct Counts {
    segments: AtomicU64,
    bytes: AtomicU64,
    put_off: AtomicU64,
    no_space: AtomicU64,
    failed: AtomicU64,
}

/// The numbers of a [`Sweeper`].
#[derive(Clone, Debug)]
pub(crate) struct Sweeping(Arc<Counts>);

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Segments that were written anew.
    pub(crate) segments: u64,
    /// By how much the files are shorter.
    pub(crate) bytes: u64,
    /// Times that it waited for a copy.
    pub(crate) put_off: u64,
    /// Segments that were left as they are, because there is no space for another file beside them.
    pub(crate) no_space: u64,
    /// Times that it failed.
    pub(crate) failed: u64,
}

impl Sweeping {
    /// The totals.
    pub(crate) fn totals(&self) -> Swept {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { segments, bytes, put_off, no_space, failed } = &*self.0;
        Swept {
            segments: get(segments),
            bytes: get(bytes),
            put_off: get(put_off),
            no_space: get(no_space),
            failed: get(failed),
        }
    }
}

impl Sweeper {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { log: Arc::downgrade(shared), counts: Arc::default() }
    }

    /// Its numbers.
    pub(crate) fn counts(&self) -> Sweeping {
        Sweeping(Arc::clone(&self.counts))
    }

    /// Starts a thread that sweeps each time that `every` has passed and a log has ended. It ends when what is returned is dropped.
    pub(crate) fn spawn(self, every: Duration) -> io::Result<(SyncSender<()>, JoinHandle<()>)> {
        let (stop, stopped) = sync_channel::<()>(0);
        let run = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let is_over = || stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected);
                if let Err(error) = self.sweep(is_over) {
                    tracing::warn!(%error, "logs that have ended stay in the files for now");
                }
            }
        };
        Ok((stop, thread::Builder::new().name("log-sweeper".to_owned()).spawn(run)?))
    }

    /// Goes through all sealed segments, unless no log has ended since the last time or a copy is being made.
    pub(crate) fn sweep(&self, is_over: impl Fn() -> bool) -> Result<(), StoreError> {
        let Some(shared) = self.log.upgrade() else { return Ok(()) };
        let ended = shared.ended.load(Ordering::Relaxed);
        if ended == 0 {
            return Ok(());
        }
        let active = shared.active().number;
        let Some(logs) = shared.logs_to_keep() else {
            self.counts.put_off.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        };
        let (mut failed, mut is_left) = (None, false);
        for number in FIRST..active {
            if is_over() {
                return Ok(());
            }
            match sweep_segment(&shared, number, &logs) {
                Ok(Outcome::Stays) => {}
                Ok(Outcome::Copied) => {
                    is_left = true;
                    self.counts.put_off.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Ok(Outcome::NoSpace) => {
                    is_left = true;
                    self.counts.no_space.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(
                        segment = number,
                        "logs that have ended stay in a file: there is no space for another beside it"
                    );
                }
                Ok(Outcome::Swept(bytes)) => {
                    self.counts.segments.fetch_add(1, Ordering::Relaxed);
                    self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
                    tracing::info!(segment = number, bytes, "logs that have ended were taken out of a file");
                }
                // A file that cannot be swept does not keep those behind it from being.
                Err(error) => {
                    self.counts.failed.fetch_add(1, Ordering::Relaxed);
                    failed.get_or_insert(error);
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if !is_left {
            shared.ended.fetch_sub(ended, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// What became of a segment.
enum Outcome {
    Stays,
    /// Its file is shorter by so many bytes.
    Swept(u64),
    /// Another file has no place beside it.
    NoSpace,
    /// A copy has begun meanwhile, which needs it as it is.
    Copied,
}

/// Writes a segment anew if that halves it, and if there is space for both meanwhile.
fn sweep_segment(
    shared: &Shared,
    number: u32,
    logs: &BTreeMap<Arc<str>, u64>,
) -> Result<Outcome, StoreError> {
    let file = shared.dir.segment(number);
    let len = || fs::metadata(&file).map_or(0, |file| file.len());
    let before = len();
    let sealed = Sealed::open(&*shared.disk, &file)?;
    let unfinished = shared.dir.unfinished(number);
    let made = guarded(&file, || {
        let view = sealed.view()?;
        let meta = view.meta()?;
        let Some(last) = meta.sealed else { return Ok(Outcome::Stays) };
        let weights = weights(&view)?;
        let kept = weights.of(logs);
        if weights.all() == 0 || kept.all() > weights.all() / 2 {
            return Ok(Outcome::Stays);
        }
        let needed = kept.all().saturating_mul(2).saturating_add(RESERVE);
        if kept.all() > 0 && shared.disk.free(&file).is_some_and(|free| free < needed) {
            return Ok(Outcome::NoSpace);
        }
        write_anew(shared, &unfinished, &view, (&meta, last), logs, (&weights, &kept))?;
        Ok(Outcome::Swept(0))
    });
    drop(sealed);
    let outcome = made.and_then(|made| match made {
        Outcome::Swept(_) => {
            let replace = || shared.sealed.replace(number, || shared.dir.finish(number));
            match shared.unless_copied(replace) {
                Some(replaced) => replaced.map(|()| Outcome::Swept(before.saturating_sub(len()))),
                None => Ok(Outcome::Copied),
            }
        }
        other => Ok(other),
    });
    if matches!(outcome, Err(_) | Ok(Outcome::Copied)) {
        // It may hold space that is needed.
        let _ = fs::remove_file(&unfinished);
    }
    outcome
}

/// How much of it each log has. Where an earlier version has not written that down, all of it is read.
fn weights(view: &View<'_>) -> Result<Weights, StoreError> {
    if let Some(weights) = view.weights()? {
        return Ok(weights);
    }
    let mut weights = Weights::default();
    view.frames(|number, frame| {
        weights.add(&decode(view.file(), number, frame)?);
        Ok(())
    })?;
    Ok(weights)
}

fn keeps(logs: &BTreeMap<Arc<str>, u64>) -> impl Fn(&str, u64) -> bool {
    |room, epoch| logs.get(room) == Some(&epoch)
}

/// Writes what is kept of the segment `view` to `file`, if all is there that it says it has: of what is damaged nothing may be taken for a
/// log that has ended.
fn write_anew(
    shared: &Shared,
    file: &Path,
    view: &View<'_>,
    (meta, last): (&Meta, u64),
    logs: &BTreeMap<Arc<str>, u64>,
    (weights, kept): (&Weights, &Weights),
) -> Result<(), StoreError> {
    // Of a time when it could not be removed.
    let _ = fs::remove_file(file);
    let new = Segment::create_swept(&*shared.disk, file, meta, &view.room_rows(keeps(logs))?)?;
    let (mut frames, mut bytes, mut count) = (Vec::new(), 0, 0);
    let mut read = Source::new(meta, last);
    view.frames(|number, frame| {
        read.add(view, number, frame)?;
        let kept = frame::filtered(frame, keeps(logs))
            .map_err(|error| view.damaged(format!("frame {number}: {error}")))?;
        if let Some(kept) = kept {
            (count, bytes) = (count + 1, bytes + kept.len());
            frames.push((number, kept));
        }
        if bytes >= GROUP {
            bytes = 0;
            new.append_all(&std::mem::take(&mut frames))?;
        }
        Ok(())
    })?;
    read.verify(view, weights)?;
    new.append_all(&frames)?;
    // The index has the last log of a name only, and that is the one whose frames were kept.
    let kept_rooms: BTreeSet<&str> = kept.logs().map(|(room, _)| room).collect();
    new.seal_swept(last, count, &view.index_rows(|room| kept_rooms.contains(room))?, kept)
}

/// What was read of a segment that is written anew.
struct Source {
    expected: Frames,
    end: u64,
    last: u64,
    count: u64,
    weights: Weights,
}

impl Source {
    fn new(meta: &Meta, last: u64) -> Self {
        Self { expected: meta.frames, end: meta.before, last, count: 0, weights: Weights::default() }
    }

    /// Takes note of its next frame.
    fn add(&mut self, view: &View<'_>, number: u64, frame: &[u8]) -> Result<(), StoreError> {
        let is_next = match self.expected {
            Frames::All => self.end.checked_add(1) == Some(number),
            Frames::Left(_) | Frames::Unknown => number > self.end,
        };
        if !is_next || number > self.last {
            return Err(view.damaged(format!("frame {number} follows frame {}", self.end)));
        }
        self.end = number;
        self.count += 1;
        self.weights.add(&decode(view.file(), number, frame)?);
        Ok(())
    }

    /// Checks that those were all, and that they are what the segment says of them.
    fn verify(&self, view: &View<'_>, weights: &Weights) -> Result<(), StoreError> {
        match self.expected {
            Frames::All if self.end != self.last => {
                let what =
                    format!("it ends with frame {}, but was completed with frame {}", self.end, self.last);
                Err(view.damaged(what))
            }
            Frames::Left(left) if self.count != left => {
                Err(view.damaged(format!("it has {} frames, where {left} were left", self.count)))
            }
            _ if self.weights != *weights => {
                Err(view.damaged("its frames hold something else than it says of them"))
            }
            _ => Ok(()),
        }
    }
}
