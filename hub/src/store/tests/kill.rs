//! A process that dies without warning while it appends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::feed::{Feed, open_at, small};
use crate::store::{LogWriter as _, Opened};

const DIR: &str = "BOWLINE_TEST_KILL_DIR";

/// Appends without end, and says the number of each batch that is durable.
#[test]
#[ignore = "runs in the process that the test below kills"]
fn child_that_appends() {
    let dir = PathBuf::from(std::env::var_os(DIR).expect("only the test below starts this"));
    let mut log = open_at(&dir, &small(30_000)).unwrap();
    let mut feed = Feed::default();
    let durable = log.rooms.iter().map(|room| room.latest).sum::<u64>();
    let mut batches = 0;
    while feed.rooms.values().map(|room| room.entries.len() as u64).sum::<u64>() < durable {
        feed.batch(4, 10);
        batches += 1;
    }
    assert_eq!(log.rooms, feed.states(), "what was found is a prefix of the feed");
    loop {
        batches += 1;
        log.writer.append(&[feed.batch(4, 10)]).unwrap();
        writeln!(std::io::stdout(), "durable {batches}").unwrap();
    }
}

#[test]
fn nothing_that_was_durable_is_lost_when_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut durable = 0;
    for more in [1, 30, 7, 55, 18] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "store::tests::kill::child_that_appends"])
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

        let Opened { rooms, mut reader, .. } = open_at(dir.path(), &small(30_000)).unwrap();
        let found: u64 = rooms.iter().map(|room| room.latest).sum();
        assert!(found >= durable * 10, "{found} entries of {durable} batches");
        let mut feed = Feed::default();
        for _ in 0..found / 10 {
            feed.batch(4, 10);
        }
        assert_eq!(rooms, feed.states());
        feed.verify(&mut reader).unwrap();
    }
}
