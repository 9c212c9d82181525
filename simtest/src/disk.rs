//! A node's disk: named append-only files of which a crash keeps what was synced.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::link::Dist;
use crate::prf::{hash_bytes, mix, prf, scale};
use crate::time::{ms, us};

/// The name of a store operation, chosen by the node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OpId(pub u64);

/// A request to the disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreOp {
    /// Comes back in [`Node::on_stored`](crate::Node::on_stored).
    pub id: OpId,
    /// What to do.
    pub op: DiskOp,
}

/// What a disk can do. A file that does not exist is made by the first append to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskOp {
    /// Add `bytes` to the end of `file`. Readable at once, durable only after a [`Sync`](Self::Sync).
    Append {
        /// The file's name.
        file: Cow<'static, str>,
        /// What to add.
        bytes: Vec<u8>,
    },
    /// Make everything that was appended to `file` so far durable.
    ///
    /// When this fails, the bytes that it should have covered are in doubt for ever: they may or may not be
    /// on the disk after a crash, *even if a later sync succeeds* (the operating system counts them as
    /// written). Only truncating and appending them again helps.
    Sync {
        /// The file's name.
        file: Cow<'static, str>,
    },
    /// Cut `file` to `len` bytes; durable when it has succeeded. Nothing happens to a file that is shorter. An empty
    /// file does not survive a crash.
    Truncate {
        /// The file's name.
        file: Cow<'static, str>,
        /// The new length, in bytes.
        len: u64,
    },
    /// Delete `file`; durable when it has succeeded.
    Remove {
        /// The file's name.
        file: Cow<'static, str>,
    },
}

/// Why a store operation failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreError {
    /// An input/output error. Nothing was appended; see [`DiskOp::Sync`] for a failed sync.
    Io,
    /// No space left. Nothing was appended.
    NoSpace,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io => "input/output error",
            Self::NoSpace => "no space left on the disk",
        })
    }
}

impl std::error::Error for StoreError {}

/// How long the operations of a disk take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskModel {
    /// Append, truncate and remove.
    pub append: Dist,
    /// Sync.
    pub sync: Dist,
}

impl Default for DiskModel {
    /// A common SSD: appends take 10 to 50 µs, syncs 0.5 to 4 ms.
    fn default() -> Self {
        Self { append: Dist::uniform(us(10)..us(50)), sync: Dist::uniform(us(500)..ms(4)) }
    }
}

/// What a crash does to the bytes that were appended but never synced (and to those that a failed sync left
/// in doubt).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DiskLoss {
    /// All of them are lost; those in doubt read as zeros.
    #[default]
    Unsynced,
    /// None is lost.
    Kept,
    /// Each file keeps a prefix of them, cut at any byte as the seed says.
    Torn(u32),
    /// As `Torn`, and up to the last 16 of the kept ones are zeros or junk.
    Garbled(u32),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct File {
    data: Vec<u8>,
    synced: usize,
    doubtful: Vec<Range<usize>>,
}

/// The files of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    files: BTreeMap<Cow<'static, str>, File>,
}

impl Disk {
    /// A disk as a booting node finds it: `files` with their contents, all durable. For unit tests of boot
    /// code.
    pub fn with_files<'a>(files: impl IntoIterator<Item = (&'static str, &'a [u8])>) -> Self {
        let whole = |(name, bytes): (&'static str, &[u8])| {
            let file = File { data: bytes.to_vec(), synced: bytes.len(), doubtful: Vec::new() };
            (Cow::Borrowed(name), file)
        };
        Self { files: files.into_iter().map(whole).collect() }
    }

    /// The content of a file, or `None` if it does not exist.
    pub fn read(&self, file: &str) -> Option<&[u8]> {
        self.files.get(file).map(|f| &f.data[..])
    }

    /// The names of all files, sorted.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(|name| &**name)
    }

    pub(crate) fn apply(&mut self, op: DiskOp) {
        match op {
            DiskOp::Append { file, bytes } => {
                self.files.entry(file).or_default().data.extend_from_slice(&bytes);
            }
            DiskOp::Sync { file } => {
                if let Some(file) = self.files.get_mut(&file) {
                    file.synced = file.data.len();
                }
            }
            DiskOp::Truncate { file, len } => {
                if let Some(file) = self.files.get_mut(&file) {
                    file.truncate(usize::try_from(len).unwrap_or(usize::MAX));
                }
            }
            DiskOp::Remove { file } => {
                self.files.remove(&file);
            }
        }
    }

    /// The sync of `file` has failed: what it should have covered is in doubt from now on.
    pub(crate) fn doubt(&mut self, file: &str) {
        if let Some(file) = self.files.get_mut(file)
            && file.synced < file.data.len()
        {
            file.doubtful.push(file.synced..file.data.len());
            file.synced = file.data.len();
        }
    }

    pub(crate) fn crash(&mut self, loss: DiskLoss) {
        for (name, file) in &mut self.files {
            let word = |seed: u32| prf(u64::from(seed), 0, hash_bytes(0, name.as_bytes()), 0);
            match loss {
                DiskLoss::Kept => {}
                DiskLoss::Unsynced => file.lose(0, |_| true),
                DiskLoss::Torn(seed) => file.tear(word(seed)),
                DiskLoss::Garbled(seed) => {
                    let word = word(seed);
                    let durable = file.synced;
                    file.tear(word);
                    file.garble(durable, mix(word));
                }
            }
            file.synced = file.data.len();
            file.doubtful.clear();
        }
        self.files.retain(|_, file| !file.data.is_empty());
    }
}

impl File {
    fn truncate(&mut self, len: usize) {
        self.data.truncate(len);
        let len = self.data.len();
        self.synced = self.synced.min(len);
        for range in &mut self.doubtful {
            range.end = range.end.min(len);
        }
        self.doubtful.retain(|range| range.start < range.end);
    }

    fn tear(&mut self, word: u64) {
        let unsynced = (self.data.len() - self.synced) as u64;
        self.lose(scale(word, unsynced + 1) as usize, |i| mix(word ^ i) & 1 == 0);
    }

    /// Keeps `kept` of the unsynced bytes; the n-th range in doubt becomes zeros if `zero(n)`.
    fn lose(&mut self, kept: usize, zero: impl Fn(u64) -> bool) {
        self.data.truncate(self.synced + kept);
        for (i, range) in (0..).zip(&self.doubtful) {
            if zero(i) {
                self.data[range.clone()].fill(0);
            }
        }
    }

    fn garble(&mut self, durable: usize, word: u64) {
        let most = (self.data.len() - durable).min(16) as u64;
        let from = self.data.len() - scale(word, most + 1) as usize;
        for (i, byte) in (0_u64..).zip(&mut self.data[from..]) {
            *byte = if word & 1 == 0 { 0 } else { mix(word ^ i) as u8 };
        }
    }
}

#[cfg(test)]
mod tests;
