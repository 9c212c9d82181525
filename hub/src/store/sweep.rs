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
use super::redb_log::{FIRST, Shared};
use super::segment::{Meta, Sealed, Segment, View, guarded};

/// Frames are written together, up to about this many bytes.
const GROUP: usize = 4 * 1024 * 1024;

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
    /// Times that it failed.
    pub(crate) failed: u64,
}

impl Sweeping {
    /// The totals.
    pub(crate) fn totals(&self) -> Swept {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { segments, bytes, put_off, failed } = &*self.0;
        Swept { segments: get(segments), bytes: get(bytes), put_off: get(put_off), failed: get(failed) }
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
        let mut failed = None;
        for number in FIRST..active {
            if is_over() {
                return Ok(());
            }
            match sweep_segment(&shared, number, &logs) {
                Ok(None) => {}
                Ok(Some(bytes)) => {
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
        shared.ended.fetch_sub(ended, Ordering::Relaxed);
        Ok(())
    }
}

/// Writes a segment anew if that halves it; by how much its file is shorter then.
fn sweep_segment(
    shared: &Shared,
    number: u32,
    logs: &BTreeMap<Arc<str>, u64>,
) -> Result<Option<u64>, StoreError> {
    let file = shared.dir.segment(number);
    let len = || fs::metadata(&file).map_or(0, |file| file.len());
    let before = len();
    let sealed = Sealed::open(&*shared.disk, &file)?;
    let unfinished = shared.dir.unfinished(number);
    let made = guarded(&file, || {
        let view = sealed.view()?;
        let meta = view.meta()?;
        let Some(last) = meta.sealed else { return Ok(false) };
        if is_worth_it(&view, logs)? {
            write_anew(shared, &unfinished, &view, &meta, last, logs)?;
            return Ok(true);
        }
        Ok(false)
    });
    drop(sealed);
    let replaced =
        made.and_then(|made| if made { shared.dir.finish(number).map(|()| true) } else { Ok(false) });
    let replaced = replaced.inspect_err(|_| {
        // It may hold space that is needed.
        let _ = fs::remove_file(&unfinished);
    })?;
    if !replaced {
        return Ok(None);
    }
    shared.replaced.fetch_add(1, Ordering::Release);
    Ok(Some(before.saturating_sub(len())))
}

fn keeps(logs: &BTreeMap<Arc<str>, u64>) -> impl Fn(&str, u64) -> bool {
    |room, epoch| logs.get(room) == Some(&epoch)
}

fn filtered(
    view: &View<'_>,
    number: u64,
    frame: &[u8],
    keeps: impl FnMut(&str, u64) -> bool,
) -> Result<Option<Vec<u8>>, StoreError> {
    frame::filtered(frame, keeps).map_err(|error| view.damaged(format!("frame {number}: {error}")))
}

/// Whether half of it or more is of logs that have ended.
fn is_worth_it(view: &View<'_>, logs: &BTreeMap<Arc<str>, u64>) -> Result<bool, StoreError> {
    let (mut all, mut kept) = (0, 0);
    view.frames(|number, frame| {
        all += frame.len();
        kept += filtered(view, number, frame, keeps(logs))?.map_or(0, |frame| frame.len());
        Ok(())
    })?;
    Ok(all > 0 && kept <= all / 2)
}

fn write_anew(
    shared: &Shared,
    file: &Path,
    view: &View<'_>,
    meta: &Meta,
    last: u64,
    logs: &BTreeMap<Arc<str>, u64>,
) -> Result<(), StoreError> {
    // Of a time when it could not be removed.
    let _ = fs::remove_file(file);
    let new = Segment::create_swept(&*shared.disk, file, meta, &view.room_rows(keeps(logs))?)?;
    let mut kept_rooms: BTreeSet<String> = BTreeSet::new();
    let (mut frames, mut bytes) = (Vec::new(), 0);
    view.frames(|number, frame| {
        let kept = filtered(view, number, frame, |room, epoch| {
            let is_kept = logs.get(room) == Some(&epoch);
            if is_kept && !kept_rooms.contains(room) {
                kept_rooms.insert(room.to_owned());
            }
            is_kept
        })?;
        if let Some(kept) = kept {
            bytes += kept.len();
            frames.push((number, kept));
        }
        if bytes >= GROUP {
            bytes = 0;
            new.append_all(&std::mem::take(&mut frames))?;
        }
        Ok(())
    })?;
    new.append_all(&frames)?;
    // The index has the last log of a name only, and that is the one whose frames were kept.
    new.seal_swept(last, &view.index_rows(|room| kept_rooms.contains(room))?)
}
