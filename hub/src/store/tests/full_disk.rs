//! A file system that really is full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proto_core::chat::PersistFailure;

use super::feed::{Feed, open_at, small};
use crate::store::{LogWriter as _, Opened};

/// A small file system in memory, until it is dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(dir: &Path, size: &str) -> Option<Self> {
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(dir).output().ok()?;
        mounted.status.success().then(|| Self(dir.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).output();
        assert!(unmounted.is_ok_and(|output| output.status.success()) || std::thread::panicking());
    }
}

#[test]
fn a_full_file_system_refuses_and_then_accepts_again() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = Tmpfs::mount(dir.path(), "size=6m") else {
        println!("skipped: this user may not mount a file system");
        return;
    };
    let ballast = dir.path().join("ballast");
    fs::write(&ballast, vec![1; 3 * 1024 * 1024]).unwrap();
    let data = dir.path().join("data");
    let mut feed = Feed::default();
    let mut log = open_at(&data, &small(400_000)).unwrap();
    let mut refused = 0;
    for _ in 0..2_000 {
        let before = feed.clone();
        let batch = feed.batch(20, 40);
        match log.writer.append(&[batch]) {
            Ok(()) if refused > 0 => break,
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.failure(), PersistFailure::Full, "{error}");
                feed = before;
                feed.verify(&mut log.reader).unwrap();
                refused += 1;
                if refused == 3 {
                    fs::remove_file(&ballast).unwrap();
                }
            }
        }
    }
    assert!(refused >= 3, "the disk was never full");
    feed.verify(&mut log.reader).unwrap();
    drop(log);
    let Opened { rooms, mut reader, .. } = open_at(&data, &small(400_000)).unwrap();
    assert_eq!(rooms, feed.states());
    feed.verify(&mut reader).unwrap();
}
