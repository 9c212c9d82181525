//! The thread that makes batches durable. Whatever queues up during one sync is committed by the next.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use proto_core::chat::{Batch, PersistFailure};

use super::LogWriter;

/// How many batches may wait. The server has at most 4 outstanding.
const QUEUE: usize = 64;

/// What became of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// All batches up to this number are durable, but for those that were reported as failed.
    Persisted {
        /// The highest number.
        upto: u64,
    },
    /// This batch and all later ones that were handed in before this report was heard are not in the store, and never will be.
    Failed {
        /// The lowest number.
        from: u64,
        /// Why.
        failure: PersistFailure,
    },
}

/// A batch that is not in the store, and never will be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The thread has ended.
    #[error("the thread that writes the log has ended")]
    Ended,
    /// More batches wait than the server may have outstanding.
    #[error("{QUEUE} batches wait for the thread that writes the log")]
    Full,
}

struct Job {
    /// How many failures the sender had heard of. Fewer than there were: the batch was made in ignorance of one, and falls
    /// with it.
    heard: u64,
    batch: Batch,
}

/// The way to the writer thread. It ends when this is dropped, after everything that was handed in is durable.
pub(crate) struct Persister {
    jobs: SyncSender<Job>,
    heard: u64,
}

impl Persister {
    /// Starts the thread. It calls `report` in the order of the batches.
    pub(crate) fn spawn(
        log: impl LogWriter,
        report: impl FnMut(Report) + Send + 'static,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (jobs, queue) = sync_channel(QUEUE);
        let run = move || run(log, &queue, report);
        let thread = thread::Builder::new().name("log-writer".to_owned()).spawn(run)?;
        Ok((Self { jobs, heard: 0 }, thread))
    }

    /// Hands in a batch. Never waits.
    pub(crate) fn append(&self, batch: Batch) -> Result<(), Refused> {
        self.jobs.try_send(Job { heard: self.heard, batch }).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Full,
            TrySendError::Disconnected(_) => Refused::Ended,
        })
    }

    /// Must be called with each report before the next batch is handed in.
    pub(crate) fn hear(&mut self, report: Report) {
        if matches!(report, Report::Failed { .. }) {
            self.heard += 1;
        }
    }
}

fn run(mut log: impl LogWriter, queue: &Receiver<Job>, mut report: impl FnMut(Report)) {
    let mut failures = 0;
    while let Ok(job) = queue.recv() {
        let group: Vec<Batch> = std::iter::once(job)
            .chain(queue.try_iter().take(QUEUE))
            .filter(|job| job.heard == failures)
            .map(|job| job.batch)
            .collect();
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        match log.append(&group) {
            Ok(()) => report(Report::Persisted { upto: last.number }),
            Err(error) => {
                let failure = error.failure();
                match failure {
                    PersistFailure::Full => {
                        tracing::warn!(%error, "nothing is acknowledged until there is space");
                    }
                    PersistFailure::Broken => tracing::error!(%error, "nothing is acknowledged any more"),
                }
                failures += 1;
                report(Report::Failed { from: first.number, failure });
            }
        }
    }
}
