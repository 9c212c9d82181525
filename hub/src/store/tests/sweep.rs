//! Logs that end, and what becomes of their bytes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use proto_core::chat::Batch;
use redb::{DatabaseError, ReadableDatabase as _, ReadableTable as _, StorageBackend, TableDefinition};

use super::faults::{Faulty, Op};
use super::feed::{Feed, open_at, small};
use crate::store::disk::{Disk, FileSystem};
use crate::store::open_files::OpenFiles;
use crate::store::segment::Sealed;
use crate::store::{LogReader as _, LogWriter as _, Opened, Options, StoreError, Swept, restore};

const DIR: &str = "BOWLINE_TEST_SWEEP_DIR";

fn files(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| (file.clone(), fs::metadata(&file).unwrap().len())).collect()
}

fn copied(opened: &Opened) -> Vec<u8> {
    let mut copying = opened.reader.copier().begin().unwrap();
    let mut copy = Vec::new();
    while let Some(piece) = copying.piece().unwrap() {
        assert!(!piece.is_empty(), "an empty piece looks like an end");
        copy.extend(piece);
    }
    copy
}

fn one(feed: &mut Feed, room: &str, body: &[u8]) -> Batch {
    let mut batch = feed.batch(1, 0);
    batch.records = feed.entry(room, 1, body);
    batch
}

/// Several segments, mostly of a room that has ended since and begun anew, with one that lives in all of them.
fn ended(dir: &Path, options: &Options) -> (Opened, Feed) {
    ended_after(dir, options, 1)
}

/// The same with so many entries in a frame.
fn ended_after(dir: &Path, options: &Options, entries: usize) -> (Opened, Feed) {
    let mut feed = Feed::default();
    let mut log = open_at(dir, options).unwrap();
    for round in 0..40 {
        let room = if round % 4 == 0 { "living" } else { "ended" };
        let batches: Vec<_> = (0..entries).map(|_| one(&mut feed, room, &[b'x'; 5000])).collect();
        log.writer.append(&batches).unwrap();
    }
    log.writer.append(&[feed.end("ended")]).unwrap();
    for _ in 0..10 {
        log.writer
            .append(&[one(&mut feed, "living", &[b'y'; 3000]), one(&mut feed, "ended", b"anew")])
            .unwrap();
    }
    (log, feed)
}

#[test]
fn a_log_that_has_ended_is_gone_and_its_name_free() {
    let dir = tempfile::tempdir().unwrap();
    for (segment, reopen) in [(1 << 20, false), (1 << 20, true), (700, false), (700, true)] {
        let (dir, options) = (dir.path().join(format!("{segment}{reopen}")), small(segment));
        let mut feed = Feed::default();
        let mut log = open_at(&dir, &options).unwrap();
        for _ in 0..10 {
            log.writer
                .append(&[one(&mut feed, "a", b"first life"), one(&mut feed, "b", b"beside it")])
                .unwrap();
        }
        let old = feed.page("a", 1, 3);
        // The end, the beginning, and more of it, in one frame.
        let end = feed.end("a");
        log.writer.append(&[end, one(&mut feed, "a", b"second life"), one(&mut feed, "a", b"more")]).unwrap();
        if reopen {
            drop(log);
            log = open_at(&dir, &options).unwrap();
            assert_eq!(log.rooms, feed.states());
        }
        feed.verify(&mut log.reader).unwrap();
        assert!(log.reader.read(&old).is_err(), "nothing is read of the first life");
        log.writer.append(&[one(&mut feed, "a", b"and more")]).unwrap();
        let end = feed.end("b");
        log.writer.append(&[end]).unwrap();
        feed.verify(&mut log.reader).unwrap();
        drop(log);
        assert_eq!(open_at(&dir, &options).unwrap().rooms, feed.states());
    }
}

#[test]
fn what_does_not_end_a_log_that_there_is_is_not_written() {
    for (room, epoch) in [("nowhere", 1000), ("room 0", 7)] {
        let dir = tempfile::tempdir().unwrap();
        let mut feed = Feed::default();
        let mut log = open_at(dir.path(), &Options::default()).unwrap();
        log.writer.append(&[feed.batch(1, 3)]).unwrap();
        let records = vec![proto_core::chat::Record::Gone { room: room.into(), epoch }];
        assert!(log.writer.append(&[Batch { number: 9, records }]).is_err());
        drop(log);
        assert_eq!(open_at(dir.path(), &Options::default()).unwrap().rooms, feed.states());
    }
}

#[test]
fn files_lose_what_has_ended_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    // An empty file of the engine has a size, too.
    let options = small(4_000_000);
    let (mut log, mut feed) = ended_after(dir.path(), &options, 100);
    feed.verify(&mut log.reader).unwrap();
    let (copy, before) = (copied(&log), files(dir.path()));
    let sweeper = log.reader.sweeper();
    sweeper.sweep(|| false).unwrap();
    let Swept { segments, bytes, put_off, no_space, failed } = sweeper.counts().totals();
    assert!(
        segments >= 4 && (put_off, no_space, failed) == (0, 0, 0),
        "{segments} of {} files",
        before.len()
    );
    let after = files(dir.path());
    let saved: u64 = before.values().sum::<u64>() - after.values().sum::<u64>();
    assert!(saved == bytes && bytes > 8_000_000, "{bytes} of {saved}: {before:?} {after:?}");
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    feed.verify(&mut log.reader).unwrap();
    assert_eq!(copied(&log), copy, "a copy holds the same");
    for _ in 0..60 {
        log.writer.append(&[feed.batch(3, 5)]).unwrap();
    }
    sweeper.sweep(|| false).unwrap();
    assert_eq!(sweeper.counts().totals().segments, segments, "nothing has ended since");
    drop(log);
    let mut log = open_at(dir.path(), &options).unwrap();
    assert_eq!(log.rooms, feed.states());
    feed.verify(&mut log.reader).unwrap();
    let place = tempfile::tempdir().unwrap();
    let mut epoch = 1_000_000;
    let mut anew = open_at(place.path(), &options).unwrap();
    let draw = || {
        epoch += 1;
        epoch
    };
    let entries = restore(&*copied(&log), &mut anew.writer, draw).unwrap().entries;
    assert_eq!(entries, feed.states().iter().map(|room| room.latest).sum::<u64>());
}

const FRAMES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("frames");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const WEIGHTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("weights");

fn sealed(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        files(dir).into_keys().filter(|file| file.extension().is_some_and(|is| is == "redb")).collect();
    files.pop();
    files
}

fn format(file: &Path) -> u64 {
    let database = redb::ReadOnlyDatabase::open(file).unwrap();
    let table = database.begin_read().unwrap().open_table(META).unwrap();
    table.get("format").unwrap().unwrap().value()
}

/// Changes a file that no process has open.
fn tamper(file: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = redb::Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

#[test]
fn segments_in_which_little_has_ended_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = ended(dir.path(), &small(20_000));
    log.reader.sweeper().sweep(|| false).unwrap();
    drop(log);
    for file in sealed(dir.path()) {
        tamper(&file, |transaction| {
            let mut frames = transaction.open_table(FRAMES).unwrap();
            let numbers: Vec<u64> = frames.iter().unwrap().map(|frame| frame.unwrap().0.value()).collect();
            for number in numbers {
                frames.insert(number, &b"whoever reads this finds it damaged"[..]).unwrap();
            }
        });
    }
    let log = open_at(dir.path(), &small(20_000)).unwrap();
    let sweeper = log.reader.sweeper();
    sweeper.sweep(|| false).unwrap();
    assert_eq!(sweeper.counts().totals(), Swept::default());
}

#[test]
fn segments_of_an_earlier_version_are_swept_too_and_are_of_the_present_one_then() {
    let dir = tempfile::tempdir().unwrap();
    let (log, feed) = ended(dir.path(), &small(20_000));
    drop(log);
    let older = |file: &Path| {
        tamper(file, |transaction| {
            let mut meta = transaction.open_table(META).unwrap();
            assert_eq!(meta.insert("format", 1).unwrap().map(|format| format.value()), Some(2));
            meta.remove("bytes").unwrap();
            transaction.delete_table(WEIGHTS).unwrap();
        });
    };
    let sealed = sealed(dir.path());
    for file in &sealed {
        older(file);
    }
    let mut log = open_at(dir.path(), &small(20_000)).unwrap();
    feed.verify(&mut log.reader).unwrap();
    let sweeper = log.reader.sweeper();
    sweeper.sweep(|| false).unwrap();
    assert!(sweeper.counts().totals().segments > 5, "{:?}", sweeper.counts().totals());
    feed.verify(&mut log.reader).unwrap();
    drop(log);
    let formats: Vec<u64> = sealed.iter().map(|file| format(file)).collect();
    assert!(formats.contains(&1) && formats.contains(&2), "{formats:?}");
}

#[test]
fn what_an_earlier_version_would_misread_is_not_written_into_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::default();
    let mut log = open_at(dir.path(), &Options::default()).unwrap();
    log.writer.append(&[feed.batch(3, 10)]).unwrap();
    drop(log);
    let file = dir.path().join("log-00000001.redb");
    tamper(&file, |transaction| {
        transaction.open_table(META).unwrap().insert("format", 1).unwrap();
    });
    drop(open_at(dir.path(), &Options::default()).unwrap());
    assert_eq!(format(&file), 1, "who only looks changes nothing");
    let mut log = open_at(dir.path(), &Options::default()).unwrap();
    log.writer.append(&[feed.batch(3, 10)]).unwrap();
    feed.verify(&mut log.reader).unwrap();
    drop(log);
    tamper(&file, |transaction| {
        let mut meta = transaction.open_table(META).unwrap();
        assert_eq!(meta.insert("format", 3).unwrap().map(|format| format.value()), Some(2));
    });
    assert!(matches!(
        open_at(dir.path(), &Options::default()),
        Err(StoreError::Unknown { found: 3, known: 2, .. })
    ));
}

#[test]
fn a_frame_that_is_missing_in_a_swept_file_is_noticed() {
    for which in [0, 1] {
        let dir = tempfile::tempdir().unwrap();
        let (log, _) = ended(dir.path(), &small(40_000));
        log.reader.sweeper().sweep(|| false).unwrap();
        drop(log);
        let mut damaged = None;
        for file in sealed(dir.path()) {
            tamper(&file, |transaction| {
                let swept = transaction.open_table(META).unwrap().get("swept").unwrap().is_some();
                let mut frames = transaction.open_table(FRAMES).unwrap();
                let numbers: Vec<u64> =
                    frames.iter().unwrap().map(|frame| frame.unwrap().0.value()).collect();
                if swept && damaged.is_none() && numbers.len() > 1 {
                    frames.remove(numbers[which * (numbers.len() - 1)]).unwrap();
                    damaged = Some(file.clone());
                }
            });
        }
        let log = open_at(dir.path(), &small(40_000)).unwrap();
        let mut copying = log.reader.copier().begin().unwrap();
        let error = loop {
            match copying.piece() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a frame is missing in {damaged:?}, and nobody minds"),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(&error, StoreError::Damaged { file, .. } if Some(file) == damaged.as_ref()),
            "{error}"
        );
    }
}

#[test]
fn a_damaged_file_is_not_written_anew() {
    type Damage = fn(&redb::WriteTransaction);
    fn frame(transaction: &redb::WriteTransaction, which: fn(&[u64]) -> u64) {
        let mut frames = transaction.open_table(FRAMES).unwrap();
        let numbers: Vec<u64> = frames.iter().unwrap().map(|frame| frame.unwrap().0.value()).collect();
        frames.remove(which(&numbers)).unwrap();
    }
    let damages: [Damage; 4] = [
        |transaction| drop(transaction.open_table(WEIGHTS).unwrap().remove("living").unwrap()),
        |transaction| frame(transaction, |numbers| numbers[0]),
        |transaction| frame(transaction, |numbers| numbers[numbers.len() / 2]),
        |transaction| frame(transaction, |numbers| numbers[numbers.len() - 1]),
    ];
    for (is_swept, damage) in [false, true].into_iter().flat_map(|is| damages.map(|damage| (is, damage))) {
        let dir = tempfile::tempdir().unwrap();
        let options = small(40_000);
        let (mut log, mut feed) = ended(dir.path(), &options);
        if is_swept {
            log.reader.sweeper().sweep(|| false).unwrap();
            // So that it is to be swept again.
            let ends = [feed.end("living"), feed.end("ended")];
            log.writer.append(&ends).unwrap();
        }
        drop(log);
        let file = &sealed(dir.path())[0];
        tamper(file, damage);
        let log = open_at(dir.path(), &options).unwrap();
        let before = fs::read(file).unwrap();
        let error = log.reader.sweeper().sweep(|| false).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { file: at, .. } if at == file), "{error}");
        assert!(fs::read(file).unwrap() == before, "it stays as it is");
        assert!(files(dir.path()).keys().all(|file| file.extension().is_none_or(|is| is != "new")));
    }
}

#[test]
fn files_that_an_earlier_version_swept_are_read_and_swept() {
    let dir = tempfile::tempdir().unwrap();
    let options = small(40_000);
    let (log, mut feed) = ended(dir.path(), &options);
    let copy = copied(&log);
    log.reader.sweeper().sweep(|| false).unwrap();
    drop(log);
    let mut most = 0;
    for file in sealed(dir.path()) {
        tamper(&file, |transaction| {
            let mut meta = transaction.open_table(META).unwrap();
            // It only said that there had been a sweep.
            if let Some(left) = meta.remove("swept").unwrap().map(|left| left.value()) {
                most = most.max(left);
                meta.insert("swept", 1).unwrap();
                meta.insert("format", 1).unwrap();
                meta.remove("bytes").unwrap();
                transaction.delete_table(WEIGHTS).unwrap();
            }
        });
    }
    assert!(most > 1, "several frames are left in a file");
    let mut log = open_at(dir.path(), &options).unwrap();
    assert!(copied(&log) == copy);
    feed.verify(&mut log.reader).unwrap();
    let ends = [feed.end("living"), feed.end("ended")];
    log.writer.append(&ends).unwrap();
    let sweeper = log.reader.sweeper();
    sweeper.sweep(|| false).unwrap();
    assert!(sweeper.counts().totals().segments as usize >= sealed(dir.path()).len() - 1);
}

#[test]
fn what_has_ended_in_the_newest_file_is_swept_when_that_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let (mut feed, mut log) = (Feed::default(), open_at(dir.path(), &small(20_000)).unwrap());
    let sweeper = log.reader.sweeper();
    for _ in 0..3 {
        log.writer.append(&[one(&mut feed, "ended", &[b'x'; 5000])]).unwrap();
    }
    log.writer.append(&[feed.end("ended")]).unwrap();
    sweeper.sweep(|| false).unwrap();
    assert_eq!(sweeper.counts().totals(), Swept::default());
    for _ in 0..2 {
        log.writer.append(&[one(&mut feed, "living", &[b'x'; 5000])]).unwrap();
    }
    assert_eq!(sealed(dir.path()).len(), 1);
    sweeper.sweep(|| false).unwrap();
    assert_eq!(sweeper.counts().totals().segments, 1);
    feed.verify(&mut log.reader).unwrap();
}

#[test]
fn a_file_that_may_have_been_replaced_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(ended(dir.path(), &small(20_000)));
    let file = &sealed(dir.path())[0];
    let (files, times) = (OpenFiles::default(), Cell::new(0));
    let open = || {
        times.set(times.get() + 1);
        Sealed::open(&FileSystem, file)
    };
    files.get(1, open).unwrap();
    let failed = || Err(StoreError::io("sync", dir.path(), io::ErrorKind::Other.into()));
    assert!(files.replace(1, failed).is_err());
    files.get(1, open).unwrap();
    assert_eq!(times.get(), 2);
}

#[test]
fn a_file_for_which_there_is_no_space_stays_until_there_is() {
    for frees_space in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let faults = Faulty::default();
        let options = Options { disk: Arc::new(faults.clone()), ..small(20_000) };
        let (mut log, mut feed) = ended(dir.path(), &options);
        let sweeper = log.reader.sweeper();
        faults.leave(1_000_000);
        sweeper.sweep(|| false).unwrap();
        let first = sweeper.counts().totals();
        assert!(first.no_space > 3, "{first:?}");
        assert_eq!(first, Swept { no_space: first.no_space, ..Swept::default() });
        feed.verify(&mut log.reader).unwrap();
        if frees_space {
            faults.leave(1_000_000_000);
        } else {
            // What leaves nothing behind needs no space.
            let ends = [feed.end("living"), feed.end("ended")];
            log.writer.append(&ends).unwrap();
        }
        sweeper.sweep(|| false).unwrap();
        let second = sweeper.counts().totals();
        assert!(second.segments >= first.no_space, "{second:?}");
        assert_eq!(second, Swept { segments: second.segments, bytes: second.bytes, ..first });
        feed.verify(&mut log.reader).unwrap();
    }
}

/// The space of a file that is removed is free when nobody has it open.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_was_replaced_is_not_held_open_by_readers() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, feed) = ended(dir.path(), &small(20_000));
    feed.verify(&mut log.reader).unwrap();
    log.reader.sweeper().sweep(|| false).unwrap();
    let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    let held: Vec<_> = open
        .filter(|file| file.starts_with(dir.path()) && file.to_string_lossy().ends_with("(deleted)"))
        .collect();
    assert_eq!(held, Vec::<PathBuf>::new());
    feed.verify(&mut log.reader).unwrap();
}

#[test]
fn everything_can_end() {
    let dir = tempfile::tempdir().unwrap();
    let options = small(20_000);
    let (mut log, mut feed) = ended(dir.path(), &options);
    let ends = [feed.end("living"), feed.end("ended")];
    log.writer.append(&ends).unwrap();
    log.reader.sweeper().sweep(|| false).unwrap();
    assert!(copied(&log).len() < 100, "a copy holds nothing");
    drop(log);
    let mut log = open_at(dir.path(), &options).unwrap();
    assert_eq!(log.rooms, []);
    log.writer.append(&[one(&mut feed, "living", b"again")]).unwrap();
    feed.verify(&mut log.reader).unwrap();
}

#[test]
fn a_copy_that_is_being_made_puts_a_sweep_off() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, mut feed) = ended(dir.path(), &small(20_000));
    let then = feed.states();
    let sweeper = log.reader.sweeper();
    let mut copying = log.reader.copier().begin().unwrap();
    let mut copy = copying.piece().unwrap().unwrap();
    log.writer.append(&[feed.end("living")]).unwrap();
    sweeper.sweep(|| false).unwrap();
    assert_eq!(sweeper.counts().totals(), Swept { put_off: 1, ..Swept::default() });
    while let Some(piece) = copying.piece().unwrap() {
        copy.extend(piece);
    }
    let place = tempfile::tempdir().unwrap();
    let mut anew = open_at(place.path(), &Options::default()).unwrap();
    let entries = restore(&*copy, &mut anew.writer, || 5).unwrap().entries;
    assert_eq!(
        entries,
        then.iter().map(|room| room.latest).sum::<u64>(),
        "all that there was when it was begun"
    );
    drop(copying);
    sweeper.sweep(|| false).unwrap();
    assert!(sweeper.counts().totals().segments > 5, "{:?}", sweeper.counts().totals());
}

type Event = Box<dyn FnMut() + Send>;

/// The file system, where something happens whenever somebody asks how much space there is: a sweep does, before it writes a file anew.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Option<Event>>>);

impl Disk for Asked {
    fn open(&self, file: &Path) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        FileSystem.open(file)
    }

    fn free(&self, _: &Path) -> Option<u64> {
        if let Some(event) = &mut *self.0.lock().unwrap() {
            event();
        }
        None
    }
}

#[test]
fn a_copy_that_begins_while_files_are_swept_ends_the_sweep_and_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let asked = Asked::default();
    // A piece of a copy is shorter than what is kept of a file.
    let options = Options { disk: Arc::new(asked.clone()), ..small(4_000_000) };
    let (mut log, feed) = ended_after(dir.path(), &options, 100);
    let expected = copied(&log);
    let (copier, begun, mut times) = (log.reader.copier(), Arc::new(Mutex::new(None)), 0);
    let copying = Arc::clone(&begun);
    *asked.0.lock().unwrap() = Some(Box::new(move || {
        times += 1;
        if times == 3 {
            let mut copy = copier.begin().unwrap();
            // Two of each file that was swept, and the first of the one that is to be.
            let pieces: Vec<u8> = (0..5).flat_map(|_| copy.piece().unwrap().unwrap()).collect();
            *copying.lock().unwrap() = Some((copy, pieces));
        }
    }));
    let sweeper = log.reader.sweeper();
    sweeper.sweep(|| false).unwrap();
    let (mut copying, mut copy) = begun.lock().unwrap().take().unwrap();
    let then = sweeper.counts().totals();
    while let Some(piece) = copying.piece().unwrap() {
        copy.extend(piece);
    }
    assert!(copy == expected);
    assert_eq!(then, Swept { segments: 2, put_off: 1, bytes: then.bytes, ..Swept::default() });
    assert!(files(dir.path()).keys().all(|file| file.extension().is_none_or(|is| is != "new")));
    drop(copying);
    sweeper.sweep(|| false).unwrap();
    assert!(sweeper.counts().totals().segments >= 4, "it goes on when the copy is made");
    assert!(copied(&log) == expected);
    feed.verify(&mut log.reader).unwrap();
}

#[test]
fn a_disk_that_fails_at_any_operation_of_a_sweep_leaves_the_log_whole() {
    let made = tempfile::tempdir().unwrap();
    let (_, feed) = ended(made.path(), &small(20_000));
    for (op, kind) in [
        (Op::Write, io::ErrorKind::StorageFull),
        (Op::Sync, io::ErrorKind::StorageFull),
        (Op::Write, io::ErrorKind::PermissionDenied),
    ] {
        let mut failures = 0;
        for operation in (0..12).chain((12..60).step_by(6)) {
            let dir = tempfile::tempdir().unwrap();
            for file in files(made.path()).keys() {
                fs::copy(file, dir.path().join(file.file_name().unwrap())).unwrap();
            }
            let faults = Faulty::default();
            let options = Options { disk: Arc::new(faults.clone()), ..small(20_000) };
            let (mut log, mut feed) = (open_at(dir.path(), &options).unwrap(), feed.clone());
            let sweeper = log.reader.sweeper();
            faults.fail_from(operation, op, kind);
            failures += u64::from(sweeper.sweep(|| false).is_err());
            faults.heal();
            assert!(files(dir.path()).keys().all(|file| file.extension().is_none_or(|is| is != "new")));
            feed.verify(&mut log.reader).unwrap();
            log.writer.append(&[one(&mut feed, "living", b"on")]).unwrap();
            sweeper.sweep(|| false).unwrap();
            feed.verify(&mut log.reader).unwrap();
            drop(log);
            let mut log = open_at(dir.path(), &options).unwrap();
            assert_eq!(log.rooms, feed.states(), "{operation}");
            feed.verify(&mut log.reader).unwrap();
        }
        assert!(failures >= 12, "{op:?}: {failures} failed");
    }
}

/// The step of that number: what is written.
fn step(feed: &mut Feed, number: u64) -> Batch {
    let rooms: Vec<_> = feed.rooms.keys().cloned().collect();
    match rooms.first() {
        Some(room) if number % 5 == 4 => feed.end(room),
        _ => feed.batch(4, 10),
    }
}

/// Appends, ends logs and sweeps without end, and says the number of each step that is durable.
#[test]
#[ignore = "runs in the process that the test below kills"]
fn child_that_sweeps() {
    let dir = PathBuf::from(std::env::var_os(DIR).expect("only the test below starts this"));
    let mut log = open_at(&dir, &small(10_000)).unwrap();
    let mut feed = Feed::default();
    let mut steps = 0;
    while feed.states() != log.rooms {
        step(&mut feed, steps);
        steps += 1;
        assert!(steps < 10_000, "what was found is no prefix of the feed");
    }
    let sweeper = log.reader.sweeper();
    loop {
        log.writer.append(&[step(&mut feed, steps)]).unwrap();
        steps += 1;
        writeln!(io::stdout(), "durable {steps}").unwrap();
        sweeper.sweep(|| false).unwrap();
    }
}

#[test]
fn a_process_that_is_killed_while_it_sweeps_leaves_the_log_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut durable = 0;
    for more in [9, 30, 7, 41, 18, 25] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "store::tests::sweep::child_that_sweeps"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let target = durable + more;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            if let Some(number) = line.unwrap().strip_prefix("durable ") {
                durable = number.parse().unwrap();
                if durable == target {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        assert!(durable >= target, "the child ended by itself after {durable} of {target}");

        let Opened { rooms, mut reader, .. } = open_at(dir.path(), &small(10_000)).unwrap();
        let mut feed = Feed::default();
        (0..durable).for_each(|number| drop(step(&mut feed, number)));
        if feed.states() != rooms {
            step(&mut feed, durable);
        }
        assert_eq!(rooms, feed.states(), "{durable} steps, or one more");
        feed.verify(&mut reader).unwrap();
    }
}
