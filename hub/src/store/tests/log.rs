use std::time::Duration;

use proto_core::chat::{Batch, ClientId, PersistFailure, Record};

use super::feed::{Feed, open_at, small};
use crate::store::{LogReader, LogWriter, Opened, Options};

#[test]
fn what_was_appended_is_read_before_and_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::default();
    for round in 0..4 {
        let Opened { mut writer, mut reader, rooms, .. } = open_at(dir.path(), &Options::default()).unwrap();
        assert_eq!(rooms, feed.states(), "round {round}");
        for _ in 0..10 {
            let group: Vec<Batch> = (0..3).map(|_| feed.batch(7, 9)).collect();
            writer.append(&group).unwrap();
            feed.verify(&mut reader).unwrap();
        }
    }
}

#[test]
fn a_log_of_many_segments_reads_like_one() {
    let dir = tempfile::tempdir().unwrap();
    let options = small(4_000);
    let mut feed = Feed::default();
    for _ in 0..3 {
        let Opened { mut writer, mut reader, rooms, .. } = open_at(dir.path(), &options).unwrap();
        assert_eq!(rooms, feed.states());
        for batch in 0..20 {
            // A room is silent for most segments, one begins late, and a new one begins with each open.
            writer.append(&[feed.batch(if batch == 10 { 9 } else { 3 }, 12)]).unwrap();
        }
        feed.verify(&mut reader).unwrap();
    }
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert!(files > 10, "only {files} files");
    let Opened { mut reader, .. } = open_at(dir.path(), &options).unwrap();
    feed.verify(&mut reader).unwrap();
}

#[test]
fn a_page_keeps_to_its_limits() {
    let dir = tempfile::tempdir().unwrap();
    let mut feed = Feed::default();
    let Opened { mut writer, mut reader, .. } = open_at(dir.path(), &small(500)).unwrap();
    for number in 1..=10 {
        let records = feed.entry("lobby", 1, &[b'x'; 100]);
        writer.append(&[Batch { number, records }]).unwrap();
    }
    let name = feed.rooms["lobby"].entries[0].name.len();
    for (max_bytes, expected) in [(0, 1), (100 + name, 1), (2 * (100 + name), 2), (1 << 20, 8)] {
        let mut read = feed.page("lobby", 3, 10);
        read.max_bytes = max_bytes;
        let slots: Vec<u64> = reader.read(&read).unwrap().iter().map(|entry| entry.slot).collect();
        assert_eq!(slots, (3..3 + expected).collect::<Vec<_>>(), "{max_bytes} bytes");
    }
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    for (name, body) in [("x".repeat(65), 1), ("x".to_owned(), 16 * 1024 + 1)] {
        let dir = tempfile::tempdir().unwrap();
        let mut feed = Feed::default();
        let mut opened = open_at(dir.path(), &Options::default()).unwrap();
        opened.writer.append(&[feed.batch(1, 3)]).unwrap();
        let mut records = feed.clone().entry("room 0", 1, &vec![b'x'; body]);
        for record in &mut records {
            if let Record::Entry { entry, .. } = record {
                entry.name = name.as_str().into();
            }
        }
        let error = opened.writer.append(&[Batch { number: 9, records }]).unwrap_err();
        assert!(error.to_string().contains("room 0") && error.to_string().contains("at most"), "{error}");
        drop(opened);
        assert_eq!(open_at(dir.path(), &Options::default()).unwrap().rooms, feed.states());
    }
}

#[test]
fn a_page_that_does_not_exist_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let feed = Feed::fill(dir.path(), &Options::default(), 3);
    let mut reader = open_at(dir.path(), &Options::default()).unwrap().reader;
    let latest = feed.rooms["room 1"].entries.len() as u64;
    let mut other_epoch = feed.page("room 1", 1, 1);
    other_epoch.epoch += 1;
    let absent = [
        feed.page("room 1", 1, latest + 1),
        feed.page("room 1", 0, 1),
        feed.page("nowhere", 1, 1),
        other_epoch,
    ];
    for read in absent {
        let error = reader.read(&read).unwrap_err().to_string();
        assert!(error.contains(&*read.room), "{error}");
    }
}

#[test]
fn a_batch_that_does_not_continue_the_log_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let feed = Feed::fill(dir.path(), &Options::default(), 3);
    let mut gap = feed.clone();
    gap.entry("room 1", 1, b"skipped");
    let mut reborn = Feed::default();
    let mut stranger = feed.clone();
    stranger.entry("nowhere", 1, b"skipped");
    let broken = [
        ("slot", gap.entry("room 1", 1, b"behind a gap")),
        ("second time", reborn.entry("room 1", 1, b"again")),
        ("never began", stranger.entry("nowhere", 1, b"no room")),
    ];
    for (word, records) in broken {
        let mut log = open_at(dir.path(), &Options::default()).unwrap();
        let error = log.writer.append(&[Batch { number: 1, records }]).unwrap_err();
        assert_eq!(error.failure(), PersistFailure::Broken);
        assert!(error.to_string().contains(word), "{error}");
        assert!(log.writer.append(&[feed.clone().batch(5, 1)]).is_err(), "nothing is written after that");
        feed.verify(&mut log.reader).unwrap();
        drop(log);
        assert_eq!(open_at(dir.path(), &Options::default()).unwrap().rooms, feed.states());
    }
}

#[test]
fn clients_that_were_idle_for_long_are_forgotten_with_a_new_segment() {
    let dir = tempfile::tempdir().unwrap();
    // The feed's clock advances 10 ms a slot.
    let options = Options { remember: Duration::from_millis(500), ..small(2_000) };
    let mut feed = Feed::default();
    let mut log = open_at(dir.path(), &options).unwrap();
    for (number, client) in (1..).zip([1].into_iter().chain([2; 100])) {
        let records = feed.entry("lobby", client, b"a body of some length");
        log.writer.append(&[Batch { number, records }]).unwrap();
    }
    drop(log);
    let rooms = open_at(dir.path(), &options).unwrap().rooms;
    let remembered: Vec<ClientId> = rooms[0].clients.keys().copied().collect();
    assert_eq!(remembered, [ClientId([2; 16])]);
    assert_eq!(rooms[0].clients[&ClientId([2; 16])], feed.states()[0].clients[&ClientId([2; 16])]);
}
