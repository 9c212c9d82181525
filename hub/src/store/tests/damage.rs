//! Whatever happens to a file: the log says so and names it, or it holds everything. It is never quietly shorter.

use std::fs;
use std::path::{Path, PathBuf};

use proto_core::chat::StoredEntry;

use super::feed::{Feed, open_at, small};
use crate::store::{LogReader as _, LogWriter as _, Opened, Options, StoreError};

/// A log of several segments, and a copy of it to damage.
struct Patient {
    _dir: tempfile::TempDir,
    original: PathBuf,
    copy: PathBuf,
    feed: Feed,
    options: Options,
}

impl Patient {
    /// A log that was closed.
    fn new() -> Self {
        Self::with(&small(20_000), |original, options| Feed::fill(original, options, 25))
    }

    /// A log of one segment whose process was killed: the files as they are while it is open.
    fn killed() -> Self {
        Self::with(&Options::default(), |original, options| {
            let open = original.with_file_name("open");
            let mut log = open_at(&open, options).unwrap();
            let mut feed = Feed::default();
            for _ in 0..25 {
                log.writer.append(&[feed.batch(4, 10)]).unwrap();
            }
            copy_files(&open, original);
            feed
        })
    }

    fn with(options: &Options, fill: impl FnOnce(&Path, &Options) -> Feed) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (original, copy) = (dir.path().join("original"), dir.path().join("copy"));
        let feed = fill(&original, options);
        Self { _dir: dir, original, copy, feed, options: options.clone() }
    }

    fn segments(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(&self.original).unwrap().map(|file| file.unwrap().path());
        let mut segments: Vec<_> =
            files.filter(|file| file.extension().is_some_and(|ext| ext == "redb")).collect();
        segments.sort();
        segments.iter().map(|file| self.copy.join(file.file_name().unwrap())).collect()
    }

    fn original_len(&self, file: &Path) -> usize {
        fs::metadata(self.original.join(file.file_name().unwrap())).unwrap().len() as usize
    }

    fn tip(&self) -> PathBuf {
        self.copy.join("log.tip")
    }

    /// A fresh copy, damaged, opened and read.
    fn examine(&self, damage: impl FnOnce()) -> Result<(), StoreError> {
        let _ = fs::remove_dir_all(&self.copy);
        copy_files(&self.original, &self.copy);
        damage();
        let Opened { rooms, mut reader, .. } = open_at(&self.copy, &self.options)?;
        assert!(rooms == self.feed.states(), "other rooms than were written");
        self.feed.verify(&mut reader)
    }

    /// That the damage is found, or leaves the log whole. Whether it was found.
    fn finds(&self, file: &Path, damage: impl FnOnce()) -> bool {
        self.examine(damage).inspect_err(|error| names(error, file)).is_err()
    }
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap().path();
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

fn names(error: &StoreError, damaged: &Path) {
    assert!(matches!(error, StoreError::Damaged { file, .. } if file == damaged), "{damaged:?}: {error}");
    assert!(error.to_string().contains("is damaged"), "{error}");
}

fn change(file: &Path, at: usize, change: impl FnOnce(&mut [u8])) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes[at..]);
    fs::write(file, bytes).unwrap();
}

#[test]
fn an_undamaged_copy_is_whole() {
    Patient::new().examine(|| {}).unwrap();
}

#[test]
fn a_flipped_byte_is_found_or_does_not_matter() {
    let patient = Patient::new();
    let segments = patient.segments();
    let mut found = 0;
    for file in [&segments[0], &segments[segments.len() - 1]] {
        for at in (0..patient.original_len(file)).step_by(1_499) {
            found += u32::from(patient.finds(file, || change(file, at, |bytes| bytes[0] ^= 0x10)));
        }
    }
    assert!(found > 5, "{found} found");
}

#[test]
fn a_file_that_was_cut_short_is_found() {
    let patient = Patient::new();
    let segments = patient.segments();
    for file in [&segments[0], &segments[segments.len() - 1]] {
        let length = patient.original_len(file) as u64;
        for keep in [100, 4096, length / 2, length - 100] {
            let cut = || fs::OpenOptions::new().write(true).open(file).unwrap().set_len(keep).unwrap();
            names(&patient.examine(cut).unwrap_err(), file);
        }
    }
}

#[test]
fn a_file_of_something_else_is_found() {
    let patient = Patient::new();
    let segments = patient.segments();
    for file in [&segments[1], &segments[segments.len() - 1]] {
        names(&patient.examine(|| fs::write(file, vec![0x42; 50_000]).unwrap()).unwrap_err(), file);
        names(&patient.examine(|| fs::write(file, []).unwrap()).unwrap_err(), file);
    }
}

#[test]
fn an_exchanged_segment_is_found() {
    let patient = Patient::new();
    let segments = patient.segments();
    names(
        &patient.examine(|| fs::copy(&segments[0], &segments[1]).map(drop).unwrap()).unwrap_err(),
        &segments[1],
    );
    let newest = &segments[segments.len() - 1];
    names(&patient.examine(|| fs::copy(&segments[0], newest).map(drop).unwrap()).unwrap_err(), newest);
}

#[test]
fn after_a_kill_no_damage_takes_the_log_back_to_an_earlier_commit() {
    let patient = Patient::killed();
    let [file] = &patient.segments()[..] else { panic!("one segment") };
    let (header, page) = (320, 4096);
    let mut found = 0;
    for at in 0..header {
        found += u32::from(patient.finds(file, || change(file, at, |bytes| bytes[0] ^= 1)));
    }
    for at in (0..patient.original_len(file)).step_by(page) {
        found += u32::from(patient.finds(file, || change(file, at, |bytes| bytes[..page].fill(0))));
        found += u32::from(patient.finds(file, || change(file, at + 17, |bytes| bytes[0] ^= 0x80)));
    }
    assert!(found > 50, "{found} found");
}

#[test]
fn a_log_that_is_older_than_its_tip_is_found() {
    let patient = Patient::new();
    let newest = patient.segments().pop().unwrap();
    let shorter = Patient::with(&patient.options, |original, options| Feed::fill(original, options, 24));
    let older = shorter.original.join(newest.file_name().unwrap());
    names(&patient.examine(|| fs::copy(&older, &newest).map(drop).unwrap()).unwrap_err(), &newest);
}

#[test]
fn a_segment_of_another_log_is_found() {
    let (patient, stranger) = (Patient::killed(), Patient::killed());
    let [file] = &patient.segments()[..] else { panic!("one segment") };
    let foreign = stranger.original.join(file.file_name().unwrap());
    names(&patient.examine(|| fs::copy(&foreign, file).map(drop).unwrap()).unwrap_err(), file);
}

#[test]
fn damage_to_the_tip_is_found_or_does_not_matter() {
    let patient = Patient::killed();
    let tip = patient.tip();
    for at in 0..patient.original_len(&tip) {
        patient.finds(&tip, || change(&tip, at, |bytes| bytes[0] ^= 0x10));
    }
    for length in [0, 20, 100] {
        let cut = || fs::OpenOptions::new().write(true).open(&tip).unwrap().set_len(length).unwrap();
        assert_eq!(patient.finds(&tip, cut), length < 36, "cut to {length} bytes");
    }
    assert!(patient.finds(&tip, || fs::remove_file(&tip).unwrap()));
}

#[test]
fn whatever_file_of_a_log_is_gone_is_missed() {
    let patient = Patient::new();
    let segments = patient.segments();
    assert!(segments.len() > 3, "{} segments", segments.len());
    for first in 0..segments.len() {
        for gone in [&segments[first..=first], &segments[first..]] {
            let remove = || gone.iter().for_each(|file| fs::remove_file(file).unwrap());
            names(&patient.examine(remove).unwrap_err(), &gone[0]);
        }
    }
    let remove_all = || {
        for file in segments.iter().chain([&patient.tip()]) {
            fs::remove_file(file).unwrap();
        }
    };
    names(&patient.examine(remove_all).unwrap_err(), &patient.tip());
}

#[test]
fn damage_to_an_entry_is_found_and_the_rest_is_served() {
    let patient = Patient::new();
    let segments = patient.segments();
    let entries = &patient.feed.rooms["room 0"].entries;
    let latest = entries.len() as u64;
    let long = |entry: &&StoredEntry| entry.body.len() > 100;
    let (oldest, newest) = (entries.iter().find(long).unwrap(), entries.iter().rev().find(long).unwrap());
    for (file, entry) in [(&segments[0], oldest), (&segments[segments.len() - 1], newest)] {
        let bytes = fs::read(patient.original.join(file.file_name().unwrap())).unwrap();
        let at = bytes.windows(entry.body.len()).position(|window| window == entry.body).unwrap();
        let flip = || change(file, at + 50, |bytes| bytes[0] ^= 1);
        names(&patient.examine(flip).unwrap_err(), file);
        let zero = || change(file, at & !0xFFF, |bytes| bytes[..4096].fill(0));
        names(&patient.examine(zero).unwrap_err(), file);
    }
    let zero = || change(&segments[0], 0, |bytes| bytes[4096..].fill(0));
    names(&patient.examine(zero).unwrap_err(), &segments[0]);

    let bytes = fs::read(patient.original.join(segments[0].file_name().unwrap())).unwrap();
    let at = bytes.windows(oldest.body.len()).position(|window| window == oldest.body).unwrap();
    names(&patient.examine(|| change(&segments[0], at, |bytes| bytes[0] ^= 1)).unwrap_err(), &segments[0]);
    let Opened { mut reader, .. } = open_at(&patient.copy, &patient.options).unwrap();
    assert!(reader.read(&patient.feed.page("room 0", latest, latest)).is_ok());
    assert!(reader.read(&patient.feed.page("room 0", oldest.slot, oldest.slot)).is_err());
}
