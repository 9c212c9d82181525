//! What can go wrong with a store, in words for the person who runs it.

use std::io;
use std::path::{Path, PathBuf};

use proto_core::chat::ReadFailure;

/// Why the store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Another process works with the data directory.
    #[error(
        "the data directory {} is in use{}: stop that process, or choose another directory with --data",
        dir.display(),
        pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Who holds it, if it said so.
        pid: Option<u32>,
    },
    /// A file does not hold what was written to it.
    #[error(
        "{} is damaged: {what}. Restore the data directory from a copy, \
         or move the whole directory away to begin with an empty log",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Others can read a secret.
    #[error("{}: others can read this secret: chmod 600", file.display())]
    Exposed {
        /// The file.
        file: PathBuf,
    },
    /// A file was written in a format that this program does not know.
    #[error(
        "{} has format {found}, and this program knows formats up to {known}: run the version of bowline that wrote it",
        file.display()
    )]
    Unknown {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format that can be read.
        known: u64,
    },
    /// The disk or the quota is full.
    #[error("no space is left to write {}: {source}", file.display())]
    Full {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused an operation.
    #[error("cannot {action} {}: {source}", file.display())]
    Io {
        /// The operation.
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be written any more, after an error that leaves its contents in doubt.
    #[error("{} is not written any more: {why}. Look at the disk and its messages, then start again", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// The first error.
        why: String,
    },
}

impl StoreError {
    pub(crate) fn damaged(file: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), what: what.into() }
    }

    pub(crate) fn broken(file: &Path, why: impl Into<String>) -> Self {
        Self::Broken { file: file.to_owned(), why: why.into() }
    }

    /// What a client that wanted to read is told.
    pub(crate) const fn read_failure(&self) -> ReadFailure {
        match self {
            Self::Damaged { .. } | Self::Exposed { .. } | Self::Unknown { .. } | Self::Io { .. } => {
                ReadFailure::Unreadable
            }
            Self::InUse { .. } | Self::Full { .. } | Self::Broken { .. } => ReadFailure::Busy,
        }
    }

    pub(crate) fn io(action: &'static str, file: &Path, source: io::Error) -> Self {
        let file = file.to_owned();
        if is_full(&source) { Self::Full { file, source } } else { Self::Io { action, file, source } }
    }
}

/// Whether space is what an operation lacked, so that it may succeed later.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
