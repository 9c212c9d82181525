//! A server whose disk is full.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use super::support::{Chat, Server, chat, slots};

/// A small file system in memory, until it is dropped.
struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    fn mount(dir: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(dir).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.0).output();
        assert!(unmounted.is_ok_and(|output| output.status.success()) || std::thread::panicking());
    }
}

#[test]
fn a_full_disk_acknowledges_nothing_and_loses_nothing() {
    const LINES: u64 = 64;
    let dir = tempfile::tempdir().unwrap();
    let Some(_mounted) = Tmpfs::mount(dir.path()) else {
        println!("skipped: this user may not mount a file system");
        return;
    };
    let data = dir.path().join("data");
    let mut server = Server::start(&data);
    assert_eq!(chat(&server.url(), &[], "before\n").code, Some(0));
    let ballast = dir.path().join("ballast");
    let mut file = File::create(&ballast).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    drop(file);

    let mut writer = Chat::start(&server.url(), &["--last", "0"]);
    for _ in 0..LINES {
        writer.say(&"x".repeat(16_000));
    }
    server.wait_for_log("no space is left to write");
    let acknowledged = chat(&server.url(), &[], "").lines.len() as u64;
    assert!(acknowledged <= LINES, "the disk was not full");
    server.kill_and_restart(&data);
    let kept = slots(&chat(&server.url(), &[], "").lines);
    assert!(kept.len() as u64 >= acknowledged, "{} of {acknowledged}", kept.len());

    server.wait_for_log("no space is left to write");
    fs::remove_file(&ballast).unwrap();
    let writer = writer.finish();
    assert_eq!(writer.code, Some(0), "{}", writer.stderr);
    assert!(writer.stderr.contains("the server's disk is full"), "{}", writer.stderr);
    assert_eq!(slots(&writer.lines), (2..=LINES + 1).collect::<Vec<_>>());
    assert_eq!(slots(&chat(&server.url(), &[], "").lines), (1..=LINES + 1).collect::<Vec<_>>());
}
