//! Whatever happens to a file: the log says so and names it, or it holds everything. It is never quietly shorter.

use std::fs;
use std::path::{Path, PathBuf};

use proto_core::chat::StoredEntry;

use super::feed::{Feed, open_at, small};
use crate::store::{LogReader as _, Opened, Options, StoreError};

/// A log of several segments, and a copy of it to damage.
struct Patient {
    _dir: tempfile::TempDir,
    original: PathBuf,
    copy: PathBuf,
    feed: Feed,
    options: Options,
}

impl Patient {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (original, copy) = (dir.path().join("original"), dir.path().join("copy"));
        let options = small(20_000);
        let feed = Feed::fill(&original, &options, 25);
        Self { _dir: dir, original, copy, feed, options }
    }

    fn segments(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(&self.original).unwrap().map(|file| file.unwrap().path());
        let mut segments: Vec<_> =
            files.filter(|file| file.extension().is_some_and(|ext| ext == "redb")).collect();
        segments.sort();
        segments.iter().map(|file| self.copy.join(file.file_name().unwrap())).collect()
    }

    /// A fresh copy, damaged, opened and read.
    fn examine(&self, damage: impl FnOnce()) -> Result<(), StoreError> {
        let _ = fs::remove_dir_all(&self.copy);
        fs::create_dir(&self.copy).unwrap();
        for file in fs::read_dir(&self.original).unwrap() {
            let file = file.unwrap().path();
            fs::copy(&file, self.copy.join(file.file_name().unwrap())).unwrap();
        }
        damage();
        let Opened { rooms, mut reader, .. } = open_at(&self.copy, &self.options)?;
        assert_eq!(rooms, self.feed.states());
        self.feed.verify(&mut reader)
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
        let length = fs::metadata(patient.original.join(file.file_name().unwrap())).unwrap().len() as usize;
        for at in (0..length).step_by(1_499) {
            match patient.examine(|| change(file, at, |bytes| bytes[0] ^= 0x10)) {
                Ok(()) => {}
                Err(error) => {
                    names(&error, file);
                    found += 1;
                }
            }
        }
    }
    assert!(found > 5, "{found} found");
}

#[test]
fn a_file_that_was_cut_short_is_found() {
    let patient = Patient::new();
    let segments = patient.segments();
    for file in [&segments[0], &segments[segments.len() - 1]] {
        let length = fs::metadata(patient.original.join(file.file_name().unwrap())).unwrap().len();
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
fn a_missing_or_exchanged_segment_is_found() {
    let patient = Patient::new();
    let segments = patient.segments();
    names(&patient.examine(|| fs::remove_file(&segments[1]).unwrap()).unwrap_err(), &segments[1]);
    names(
        &patient.examine(|| fs::copy(&segments[0], &segments[1]).map(drop).unwrap()).unwrap_err(),
        &segments[1],
    );
    let newest = &segments[segments.len() - 1];
    names(&patient.examine(|| fs::copy(&segments[0], newest).map(drop).unwrap()).unwrap_err(), newest);
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
