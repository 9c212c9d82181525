//! Copies of a log that is written meanwhile, and logs from copies.

use std::collections::BTreeMap;

use super::feed::{Feed, open_at, small};
use crate::store::{CopyError, LogWriter as _, Opened, restore};

/// A copy of a log of several segments, made while more is appended; the feed as it was when the copy began.
fn copied() -> (Vec<u8>, Feed) {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, reader, .. } = open_at(dir.path(), &small(30_000)).unwrap();
    let (mut feed, mut then) = (Feed::default(), Feed::default());
    for _ in 0..60 {
        writer.append(&[feed.batch(4, 10)]).unwrap();
        then.batch(4, 10);
    }
    let mut copying = reader.copier().begin().unwrap();
    let mut copy = Vec::new();
    while let Some(piece) = copying.piece().unwrap() {
        copy.extend(piece);
        for _ in 0..20 {
            writer.append(&[feed.batch(4, 10)]).unwrap();
        }
    }
    assert!(std::fs::read_dir(dir.path()).unwrap().count() > 5, "there are several segments");
    (copy, then)
}

fn restored(copy: &[u8], dir: &std::path::Path) -> Result<(u64, Opened), CopyError> {
    let Opened { mut writer, reader, .. } = open_at(dir, &small(30_000)).unwrap();
    let mut epoch = 1_000_000;
    let contents = restore(copy, &mut writer, || {
        epoch += 1;
        epoch
    })?;
    drop((writer, reader));
    Ok((contents.entries, open_at(dir, &small(30_000)).unwrap()))
}

#[test]
fn a_copy_holds_what_was_durable_when_it_was_begun_under_new_epochs() {
    let (copy, then) = copied();
    let dir = tempfile::tempdir().unwrap();
    let (entries, opened) = restored(&copy, dir.path()).unwrap();
    assert_eq!(entries, 600);
    let expected: BTreeMap<_, _> = then.states().into_iter().map(|room| (room.room.clone(), room)).collect();
    assert_eq!(opened.rooms.len(), expected.len());
    for room in &opened.rooms {
        let before = &expected[&room.room];
        assert_eq!((room.latest, &room.salt, &room.clients), (before.latest, &before.salt, &before.clients));
        assert!(room.epoch > 1_000_000 && room.epoch != before.epoch, "it is another log");
    }
    // It goes on from there.
    let (mut again, _) = (opened.reader.copier().begin().unwrap(), opened.writer);
    let mut copy = Vec::new();
    while let Some(piece) = again.piece().unwrap() {
        copy.extend(piece);
    }
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(restored(&copy, dir.path()).unwrap().0, 600);
}

#[test]
fn an_empty_log_has_a_copy() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open_at(dir.path(), &small(30_000)).unwrap();
    let mut copying = opened.reader.copier().begin().unwrap();
    let copy = copying.piece().unwrap().unwrap();
    assert_eq!(copying.piece().unwrap(), None);
    let place = tempfile::tempdir().unwrap();
    assert_eq!(restored(&copy, place.path()).unwrap().0, 0);
}

#[test]
fn a_copy_that_was_cut_or_changed_anywhere_is_refused() {
    let (copy, _) = copied();
    let refused = |copy: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        matches!(restored(copy, dir.path()), Err(CopyError::Damaged(_)))
    };
    let step = copy.len() / 23;
    for at in (0..copy.len()).step_by(step).chain([1, 8, copy.len() - 1, copy.len() - 33]) {
        assert!(refused(&copy[..at]), "cut at {at}");
        let mut changed = copy.clone();
        changed[at] ^= 0x10;
        assert!(refused(&changed), "changed at {at}");
    }
}
