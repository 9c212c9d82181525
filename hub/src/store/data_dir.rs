//! The data directory: one process at a time, private to its owner, and the names of what it holds.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::StoreError;
use super::tip::TipFile;
use crate::private::{self, PrivateError};

const LOCK: &str = "lock";
const SERVER_KEY: &str = "server.key";
const TIP: &str = "log.tip";
const NEW: &str = "new";

/// A data directory that belongs to this process until it is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    lock: File,
}

impl DataDir {
    /// Takes the directory `path`; creates it when it does not exist.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        create(path).map_err(|error| StoreError::io("create the data directory", path, error))?;
        let file = path.join(LOCK);
        let mut lock = private(OpenOptions::new().read(true).write(true).create(true).truncate(false))
            .open(&file)
            .map_err(|error| StoreError::io("open", &file, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let pid = lock.read_to_string(&mut holder).ok().and_then(|_| holder.trim().parse().ok());
                return Err(StoreError::InUse { dir: path.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &file, error)),
        }
        // The pid only helps whoever meets the lock: a full disk must not keep the log from being opened.
        let noted = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::warn!(file = %file.display(), %error, "cannot note the process id");
        }
        Ok(Self { path: path.to_owned(), lock })
    }

    /// The file of segment `number`.
    pub(super) fn segment(&self, number: u32) -> PathBuf {
        self.path.join(format!("log-{number:08}.redb"))
    }

    /// The file of segment `number` while it is being made.
    pub(super) fn unfinished(&self, number: u32) -> PathBuf {
        self.segment(number).with_extension(NEW)
    }

    /// The numbers of all segments, ascending. Segments that were never finished are removed.
    pub(super) fn segments(&self) -> Result<Vec<u32>, StoreError> {
        let failed = |error| StoreError::io("list", &self.path, error);
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(number) = number_of(&path) else { continue };
            if path == self.unfinished(number) {
                fs::remove_file(&path).map_err(|error| StoreError::io("remove", &path, error))?;
            } else if path == self.segment(number) {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Gives a finished segment its name, durably.
    pub(super) fn finish(&self, number: u32) -> Result<(), StoreError> {
        let (from, to) = (self.unfinished(number), self.segment(number));
        fs::rename(&from, &to).map_err(|error| StoreError::io("rename", &from, error))?;
        self.sync()
    }

    /// The note of how far the log goes, made if this is a new directory. `has_log`: whether it has segments.
    pub(super) fn tip(&self, has_log: bool) -> Result<TipFile, StoreError> {
        let path = self.path.join(TIP);
        let open = || OpenOptions::new().read(true).write(true).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if has_log || self.path.join(SERVER_KEY).exists() {
                    return Err(StoreError::damaged(&path, "the file is missing"));
                }
                let mut log = [0; 8];
                Self::draw(&path, &mut log)?;
                self.make(&path, &TipFile::blank(u64::from_be_bytes(log)))?;
                open()
            }
            opened => opened,
        };
        TipFile::open(path.clone(), file.map_err(|error| StoreError::io("open", &path, error))?)
    }

    /// The server's secret, from which it derives tokens that outlive a restart: 32 random bytes, made on first use. To be
    /// asked for after the log: in a directory that has a key, a log is expected.
    pub(super) fn server_key(&self) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        let file = self.path.join(SERVER_KEY);
        let mut key = Zeroizing::new([0; 32]);
        match private::read(&file) {
            Ok(bytes) if bytes.len() == key.len() => key.copy_from_slice(&bytes),
            Ok(bytes) => {
                let what = format!("it holds {} bytes instead of 32", bytes.len());
                return Err(StoreError::damaged(&file, what));
            }
            Err(PrivateError::Read { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                Self::draw(&file, &mut *key)?;
                self.make(&file, &*key)?;
            }
            Err(PrivateError::Read { error, .. }) => return Err(StoreError::io("read", &file, error)),
            Err(PrivateError::NotPrivate { .. }) => return Err(StoreError::Exposed { file }),
        }
        Ok(key)
    }

    fn draw(file: &Path, bytes: &mut [u8]) -> Result<(), StoreError> {
        getrandom::fill(bytes).map_err(|error| {
            StoreError::io("draw random bytes for", file, io::Error::other(error.to_string()))
        })
    }

    /// Writes a file of the owner's own: all of it or nothing, and durably.
    fn make(&self, file: &Path, contents: &[u8]) -> Result<(), StoreError> {
        let unfinished = file.with_extension(NEW);
        let write = || {
            let mut made =
                private(OpenOptions::new().write(true).create(true).truncate(true)).open(&unfinished)?;
            made.write_all(contents)?;
            made.sync_all()?;
            fs::rename(&unfinished, file)
        };
        write().map_err(|error| StoreError::io("write", file, error))?;
        self.sync()
    }

    fn sync(&self) -> Result<(), StoreError> {
        sync_dir(&self.path).map_err(|error| StoreError::io("sync", &self.path, error))
    }
}

impl Drop for DataDir {
    /// Closing would not do: a child that was just forked, to run a program, still has the file open for a moment.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(dir = %self.path.display(), %error, "cannot unlock the data directory");
        }
    }
}

fn number_of(path: &Path) -> Option<u32> {
    path.file_stem()?.to_str()?.strip_prefix("log-")?.parse().ok()
}

/// Creates the directory, with its name durable in its parent.
fn create(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    create_private(path)?;
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_dir(Path::new(".")),
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(unix)]
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600)
}

#[cfg(not(unix))]
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Makes the names in a directory durable.
#[cfg(unix)]
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_free_although_a_child_has_its_files_open() {
        let dir = tempfile::tempdir().unwrap();
        let taken = DataDir::open(dir.path()).unwrap();
        let inherited = taken.lock.try_clone().unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(StoreError::InUse { .. })));
        drop(taken);
        DataDir::open(dir.path()).unwrap();
        drop(inherited);
    }
}
