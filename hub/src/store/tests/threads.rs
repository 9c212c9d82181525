use std::sync::mpsc::{Receiver, Sender, channel};

use proto_core::chat::{Batch, PersistFailure, ReadFailure};

use super::feed::{Feed, open_at};
use crate::store::log::AppendError;
use crate::store::{Answer, Librarian, LogWriter, Options, Persister, Report, StoreError};

/// A log whose every append waits for a word, and says what it was given.
struct Scripted {
    given: Sender<Vec<u64>>,
    results: Receiver<Result<(), StoreError>>,
}

impl LogWriter for Scripted {
    fn append(&mut self, batches: &[Batch]) -> Result<(), AppendError> {
        self.given.send(batches.iter().map(|batch| batch.number).collect()).unwrap();
        Ok(self.results.recv().unwrap()?)
    }
}

fn full() -> StoreError {
    StoreError::Full { file: "log".into(), source: std::io::ErrorKind::StorageFull.into() }
}

fn batch(number: u64) -> Batch {
    Batch { number, records: Vec::new() }
}

#[test]
fn batches_that_queue_during_a_sync_are_committed_together() {
    let (given, groups) = channel();
    let (decide, results) = channel();
    let (tell, reports) = channel();
    let (persister, thread) =
        Persister::spawn(Scripted { given, results }, move |report| tell.send(report).unwrap()).unwrap();
    persister.append(batch(1)).unwrap();
    assert_eq!(groups.recv().unwrap(), [1]);
    for number in 2..=4 {
        persister.append(batch(number)).unwrap();
    }
    decide.send(Ok(())).unwrap();
    assert_eq!(reports.recv().unwrap(), Report::Persisted { upto: 1 });
    assert_eq!(groups.recv().unwrap(), [2, 3, 4]);
    decide.send(Ok(())).unwrap();
    drop(persister);
    assert_eq!(reports.recv().unwrap(), Report::Persisted { upto: 4 });
    thread.join().unwrap();
}

#[test]
fn what_was_made_before_a_failure_was_heard_falls_with_it() {
    let (given, groups) = channel();
    let (decide, results) = channel();
    let (tell, reports) = channel();
    let (mut persister, thread) =
        Persister::spawn(Scripted { given, results }, move |report| tell.send(report).unwrap()).unwrap();
    persister.append(batch(1)).unwrap();
    assert_eq!(groups.recv().unwrap(), [1]);
    persister.append(batch(2)).unwrap();
    decide.send(Err(full())).unwrap();
    let failed = reports.recv().unwrap();
    assert_eq!(failed, Report::Failed { from: 1, failure: PersistFailure::Full });
    persister.append(batch(3)).unwrap();
    persister.hear(failed);
    persister.append(batch(4)).unwrap();
    assert_eq!(groups.recv().unwrap(), [4], "2 and 3 continue a batch that is not there");
    decide.send(Ok(())).unwrap();
    assert_eq!(reports.recv().unwrap(), Report::Persisted { upto: 4 });
    drop(persister);
    thread.join().unwrap();
}

#[test]
fn the_threads_serve_a_real_log_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_at(dir.path(), &Options::default()).unwrap();
    let (tell, reports) = channel();
    let (reply, answers) = channel();
    let (persister, writer) = Persister::spawn(log.writer, move |report| tell.send(report).unwrap()).unwrap();
    let (librarian, reader) =
        Librarian::spawn(log.reader, move |answer: Answer| reply.send(answer).unwrap()).unwrap();
    let mut feed = Feed::default();
    for _ in 0..30 {
        let batch = feed.batch(1, 4);
        let number = batch.number;
        persister.append(batch).unwrap();
        assert_eq!(reports.recv().unwrap(), Report::Persisted { upto: number });
        assert!(librarian.read(feed.page("room 0", number * 4 - 3, number * 4)));
    }
    drop((persister, librarian));
    let expected: Vec<_> = feed.rooms["room 0"].entries.chunks(4).map(<[_]>::to_vec).collect();
    let read: Vec<_> = answers.iter().map(|answer| answer.entries.unwrap()).collect();
    assert_eq!(read, expected);
    writer.join().unwrap();
    reader.join().unwrap();
}

#[test]
fn a_page_that_cannot_be_read_is_answered_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_at(dir.path(), &Options::default()).unwrap();
    let (reply, answers) = channel();
    let (librarian, _thread) =
        Librarian::spawn(log.reader, move |answer: Answer| reply.send(answer).unwrap()).unwrap();
    assert!(librarian.read(Feed::default().page("nowhere", 1, 1)));
    assert_eq!(answers.recv().unwrap().entries, Err(ReadFailure::Unreadable));
}
