//! The files under the database, watched: after a failed sync nobody knows what a file holds, so it must not be written again.

use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

use super::data_dir::private;

/// Where segments are kept. Tests put in one that fails on demand.
pub(crate) trait Disk: Send + Sync + 'static {
    /// Opens `file` for reading and writing; creates it when it does not exist.
    fn open(&self, file: &Path) -> Result<Box<dyn StorageBackend>, DatabaseError>;

    /// How many bytes may still be written to the file system of `file`; `None` where nobody can tell.
    fn free(&self, file: &Path) -> Option<u64>;
}

/// The file system.
pub(crate) struct FileSystem;

impl Disk for FileSystem {
    fn open(&self, file: &Path) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        let file =
            private(OpenOptions::new().read(true).write(true).create(true).truncate(false)).open(file)?;
        Ok(Box::new(FileBackend::new(file)?))
    }

    #[cfg(unix)]
    fn free(&self, file: &Path) -> Option<u64> {
        let system = rustix::fs::statvfs(file).ok()?;
        system.f_bavail.checked_mul(system.f_frsize)
    }

    #[cfg(not(unix))]
    fn free(&self, _: &Path) -> Option<u64> {
        None
    }
}

/// A backend that remembers whether a sync failed.
#[derive(Debug)]
pub(super) struct Watched {
    inner: Box<dyn StorageBackend>,
    sync_failed: Arc<AtomicBool>,
}

/// Whether a sync of one open file has failed.
#[derive(Clone, Debug, Default)]
pub(super) struct SyncFailed(Arc<AtomicBool>);

impl SyncFailed {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Watched {
    pub(super) fn new(inner: Box<dyn StorageBackend>) -> (Self, SyncFailed) {
        let sync_failed = SyncFailed::default();
        (Self { inner, sync_failed: sync_failed.0.clone() }, sync_failed)
    }
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let result = self.inner.sync_data();
        if result.is_err() {
            self.sync_failed.store(true, Ordering::Release);
        }
        result
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
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
