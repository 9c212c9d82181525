//! The store: the chat log on disk.
//!
//! A log is a row of segments, `log-00000001.redb` and so on; only the newest is written. A segment begins with the state
//! of all rooms and then holds frames, one for each group commit. When it is large enough it is sealed with an index of its
//! frames, and the next one begins, so that opening a log reads one segment, and a damaged file is one segment. How far the log
//! goes is noted in `log.tip`, so that an end cannot be lost unnoticed.
//!
//! ```text
//!  Persister ── batches ──► writer thread ── one frame, one sync ──► segment ──► Report::Persisted
//!  Librarian ── reads ────► reader thread ── segments, newest or sealed ───────► entries
//! ```

mod copy;
mod data_dir;
mod disk;
mod error;
mod frame;
pub(crate) mod fuzzing;
mod index;
mod librarian;
mod log;
mod open_files;
mod persister;
mod places;
mod reader;
mod redb_log;
mod rooms;
mod row;
mod segment;
mod sweep;
#[cfg(test)]
mod tests;
mod tip;
mod weights;

pub(crate) use copy::{Contents, Copier, CopyError, Copying, read as read_copy, restore};
pub(crate) use data_dir::DataDir;
pub(crate) use error::StoreError;
pub(crate) use librarian::{Answer, Librarian};
pub(crate) use log::{LogReader, LogWriter};
pub(crate) use persister::{Persister, Report};
pub(crate) use redb_log::{Opened, Options, open};
pub(crate) use sweep::{Sweeper, Sweeping, Swept};
