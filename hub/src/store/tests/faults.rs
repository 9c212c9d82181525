//! A disk that fails on demand.

use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex};

use proto_core::chat::PersistFailure;
use redb::{BackendError, DatabaseError, StorageBackend};

use super::feed::{Feed, open_at, small};
use crate::store::disk::{Disk, FileSystem};
use crate::store::{LogWriter as _, Opened, Options, StoreError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Write,
    Sync,
}

#[derive(Debug, Default)]
struct Plan {
    /// Operations until the first failure, and what fails then and from then on.
    failing: Option<(u64, Op, io::ErrorKind)>,
    done: u64,
    /// Space that is left, if anybody asks.
    free: Option<u64>,
}

/// The file system, with a plan of failures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faulty(Arc<Mutex<Plan>>);

impl Faulty {
    pub(crate) fn fail_from(&self, operation: u64, op: Op, kind: io::ErrorKind) {
        *self.0.lock().unwrap() = Plan { failing: Some((operation, op, kind)), ..Plan::default() };
    }

    pub(crate) fn leave(&self, free: u64) {
        *self.0.lock().unwrap() = Plan { free: Some(free), ..Plan::default() };
    }

    pub(crate) fn heal(&self) {
        *self.0.lock().unwrap() = Plan::default();
    }

    fn pass(&self, op: Op) -> io::Result<()> {
        let mut plan = self.0.lock().unwrap();
        plan.done += 1;
        match plan.failing {
            Some((first, failing, kind)) if failing == op && plan.done > first => Err(kind.into()),
            _ => Ok(()),
        }
    }
}

impl Disk for Faulty {
    fn open(&self, file: &Path) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        Ok(Box::new(FaultyFile { inner: FileSystem.open(file)?, faults: self.clone() }))
    }

    fn free(&self, _: &Path) -> Option<u64> {
        self.0.lock().unwrap().free
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn StorageBackend>,
    faults: Faulty,
}

impl StorageBackend for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.pass(Op::Write)?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.pass(Op::Sync)?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faults.pass(Op::Write)?;
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }
}

/// Appends until the plan strikes; returns what was acknowledged, and the failure.
fn append_until_failure(log: &mut Opened, feed: &mut Feed) -> Option<PersistFailure> {
    for _ in 0..20 {
        let before = feed.clone();
        let batch = feed.batch(3, 8);
        if let Err(error) = log.writer.append(&[batch]) {
            *feed = before;
            return Some(error.failure());
        }
    }
    None
}

fn each_first_failure(op: Op, kind: io::ErrorKind, mut examine: impl FnMut(&Path, &Options, &Faulty, u64)) {
    for operation in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        let faults = Faulty::default();
        let options = Options { disk: Arc::new(faults.clone()), ..small(6_000) };
        faults.fail_from(operation, op, kind);
        examine(dir.path(), &options, &faults, operation);
    }
}

#[test]
fn a_full_disk_loses_nothing_and_is_written_again_when_there_is_space() {
    let mut survived = 0;
    each_first_failure(Op::Write, io::ErrorKind::StorageFull, |dir, options, faults, operation| {
        let mut feed = Feed::default();
        let mut log = match open_at(dir, options) {
            Ok(log) => log,
            Err(error) => return assert!(matches!(error, StoreError::Full { .. }), "{operation}: {error}"),
        };
        let failure = append_until_failure(&mut log, &mut feed);
        if failure.is_none() {
            return;
        }
        assert_eq!(failure, Some(PersistFailure::Full), "{operation}");
        assert_eq!(
            append_until_failure(&mut log, &mut feed),
            Some(PersistFailure::Full),
            "{operation}: still full"
        );
        faults.heal();
        assert_eq!(append_until_failure(&mut log, &mut feed), None, "{operation}: there is space again");
        feed.verify(&mut log.reader).unwrap();
        drop(log);
        let Opened { rooms, mut reader, .. } = open_at(dir, options).unwrap();
        assert_eq!(rooms, feed.states(), "{operation}");
        feed.verify(&mut reader).unwrap();
        survived += 1;
    });
    assert!(survived > 20, "{survived} survived");
}

#[test]
fn after_a_failed_sync_nothing_is_written_and_what_was_acknowledged_is_there() {
    let mut stopped = 0;
    each_first_failure(Op::Sync, io::ErrorKind::StorageFull, |dir, options, faults, operation| {
        let mut feed = Feed::default();
        let Ok(mut log) = open_at(dir, options) else { return };
        let Some(failure) = append_until_failure(&mut log, &mut feed) else { return };
        assert_eq!(failure, PersistFailure::Broken, "{operation}");
        faults.heal();
        assert_eq!(
            append_until_failure(&mut log, &mut feed),
            Some(PersistFailure::Broken),
            "{operation}: for good"
        );
        drop(log);
        let Opened { rooms, mut reader, .. } = open_at(dir, options).unwrap();
        for acknowledged in feed.states() {
            let kept = rooms.iter().find(|room| room.room == acknowledged.room).map_or(0, |room| room.latest);
            assert!(kept >= acknowledged.latest, "{operation}: {} of {}", kept, acknowledged.latest);
        }
        feed.verify(&mut reader).unwrap();
        stopped += 1;
    });
    assert!(stopped > 20, "{stopped} stopped");
}

#[test]
fn any_other_error_stops_the_writer_and_not_the_reader() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faulty::default();
    let options = Options { disk: Arc::new(faults.clone()), ..Options::default() };
    let mut feed = Feed::default();
    let mut log = open_at(dir.path(), &options).unwrap();
    assert_eq!(append_until_failure(&mut log, &mut feed), None);
    faults.fail_from(0, Op::Write, io::ErrorKind::PermissionDenied);
    assert_eq!(append_until_failure(&mut log, &mut feed), Some(PersistFailure::Broken));
    faults.heal();
    assert_eq!(append_until_failure(&mut log, &mut feed), Some(PersistFailure::Broken));
    feed.verify(&mut log.reader).unwrap();
}
