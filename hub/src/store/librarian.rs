//! The thread that reads pages, so that nobody else waits for the disk.

use std::io;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use proto_core::chat::{Read, ReadFailure, ReadId, StoredEntry};

use super::LogReader;

/// How many reads may wait. The server has at most 64 outstanding.
const QUEUE: usize = 64;

/// What became of a read.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Which read it answers.
    pub(crate) id: ReadId,
    /// A dense prefix of what was asked for.
    pub(crate) entries: Result<Vec<StoredEntry>, ReadFailure>,
}

/// The way to the reader thread, which ends when this is dropped.
pub(crate) struct Librarian {
    reads: SyncSender<Read>,
}

impl Librarian {
    /// Starts the thread. It calls `answer` in the order of the reads.
    pub(crate) fn spawn(
        mut log: impl LogReader,
        mut answer: impl FnMut(Answer) + Send + 'static,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (reads, queue) = sync_channel::<Read>(QUEUE);
        let run = move || {
            for read in queue {
                let entries = log.read(&read).map_err(|error| {
                    tracing::error!(%error, "a page cannot be read");
                    error.read_failure()
                });
                answer(Answer { id: read.id, entries });
            }
        };
        let thread = thread::Builder::new().name("log-reader".to_owned()).spawn(run)?;
        Ok((Self { reads }, thread))
    }

    /// Asks for a page; false when too many wait, or when the thread has ended. Then no answer comes.
    pub(crate) fn read(&self, read: Read) -> bool {
        match self.reads.try_send(read) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}
