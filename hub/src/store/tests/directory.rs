use std::fs;

use super::feed::{Feed, open_at};
use crate::store::{DataDir, Options, StoreError};

#[test]
fn a_directory_belongs_to_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let held = DataDir::open(dir.path()).unwrap();
    let error = DataDir::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { pid, .. } if pid == Some(std::process::id())), "{error}");
    let text = error.to_string();
    assert!(text.contains(&dir.path().display().to_string()) && text.contains("--data"), "{text}");
    drop(held);
    DataDir::open(dir.path()).unwrap();
}

#[test]
fn a_directory_stays_taken_while_either_half_of_the_log_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_at(dir.path(), &Options::default()).unwrap();
    drop(log.writer);
    assert!(DataDir::open(dir.path()).is_err());
    drop(log.reader);
    DataDir::open(dir.path()).unwrap();
}

#[test]
fn the_server_key_is_made_once_and_kept_private() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("a").join("b");
    let key = DataDir::open(&data).unwrap().server_key().unwrap();
    assert_ne!(*key, [0; 32]);
    assert_eq!(DataDir::open(&data).unwrap().server_key().unwrap(), key);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(data.join("server.key")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    }
    fs::write(data.join("server.key"), [7; 31]).unwrap();
    let error = DataDir::open(&data).unwrap().server_key().unwrap_err().to_string();
    assert!(error.contains("server.key") && error.contains("31 bytes"), "{error}");
}

#[test]
fn a_segment_that_was_never_finished_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let feed = Feed::fill(dir.path(), &Options::default(), 2);
    let unfinished = dir.path().join("log-00000002.new");
    fs::write(&unfinished, b"half a segment").unwrap();
    fs::write(dir.path().join("notes.txt"), b"not ours").unwrap();
    assert_eq!(open_at(dir.path(), &Options::default()).unwrap().rooms, feed.states());
    assert!(!unfinished.exists());
    assert!(dir.path().join("notes.txt").exists());
}
