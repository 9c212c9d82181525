//! Copies of the log of a server that runs, and logs from copies.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use tempfile::tempdir;

use crate::admin::{TOKEN, start_with_token};
use crate::support::{Chat, Server, chat, run};
use crate::web::address;

/// What `/admin/backup` answers.
fn backup(server: &Server) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address(server)).unwrap();
    write!(stream, "GET /admin/backup HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
}

fn import(copy: &Path, data: &Path) -> (Option<i32>, String, String) {
    store(&["import", copy.to_str().unwrap(), "--data", data.to_str().unwrap()])
}

fn store(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(&[&["store"], arguments].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_was_acknowledged_before_a_copy_outlives_the_server_and_its_disk() {
    let dir = tempdir().unwrap();
    let (data, copy, place) = (dir.path().join("data"), dir.path().join("copy"), dir.path().join("place"));
    fs::create_dir(&data).unwrap();
    let mut server = start_with_token(&data);
    // Somebody writes all the time.
    let mut writer = Chat::start(&server.url(), &["--name", "ann", "--follow"]);
    (0..300).for_each(|number| writer.say(&number.to_string()));
    writer.wait_for(300);
    (300..3000).for_each(|number| writer.say(&number.to_string()));
    let (head, bytes) = backup(&server);
    assert!(head.starts_with("HTTP/1.0 200 "), "{head}");
    fs::write(&copy, &bytes).unwrap();
    server.kill();
    drop(writer);
    fs::remove_dir_all(&data).unwrap();
    // A copy that was cut off is none, and leaves nothing behind.
    fs::write(dir.path().join("half"), &bytes[..bytes.len() / 2]).unwrap();
    let (code, _, said) = import(&dir.path().join("half"), &place);
    assert!(code == Some(4) && said.contains("not a whole copy"), "{said}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    let (code, said, _) = import(&copy, &place);
    assert!(code == Some(0) && said.starts_with("1 rooms, "), "{said}");
    let (code, _, said) = import(&copy, &place);
    assert!(code == Some(3) && said.contains("holds something already"), "{said}");
    let server = Server::start(&place);
    let lines = chat(&server.url(), &[], "").lines;
    assert!(lines.len() >= 300, "{} lines", lines.len());
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(*line, format!("{}\tann\t{at}", at + 1));
    }
    assert_eq!(chat(&server.url(), &["--last", "0"], "it goes on\n").lines.len(), 1);
}

#[test]
fn who_has_seen_more_than_the_copy_holds_is_told_that_the_log_is_another() {
    let dir = tempdir().unwrap();
    let (data, copy, place) = (dir.path().join("data"), dir.path().join("copy"), dir.path().join("place"));
    fs::create_dir(&data).unwrap();
    let mut server = start_with_token(&data);
    assert_eq!(chat(&server.url(), &[], "one\ntwo\n").code, Some(0));
    fs::write(&copy, backup(&server).1).unwrap();
    let mut reader = Chat::start(&server.url(), &["--follow", "--name", "bob"]);
    reader.wait_for(2);
    reader.say("three");
    reader.wait_for(3);
    let address = server.address().to_string();
    server.kill();
    drop(server);
    assert_eq!(import(&copy, &place).0, Some(0));
    let _server = Server::start_on(&place, &[&address]);
    reader.wait_for_words("another log than before");
    reader.wait_for(5);
    assert!(reader.seen[3].starts_with("1\t") && reader.seen[3].ends_with("\tone"), "{:?}", reader.seen);
}

#[test]
fn a_log_is_checked_and_exported_while_nobody_uses_it() {
    let dir = tempdir().unwrap();
    let (data, copy, place) = (dir.path().join("data"), dir.path().join("copy"), dir.path().join("place"));
    let server = Server::start(&data);
    assert_eq!(chat(&server.url(), &[], "one\ntwo\n").code, Some(0));
    let at = ["--data", data.to_str().unwrap()];
    let (code, _, said) = store(&[&["check"][..], &at].concat());
    assert!(code == Some(3) && said.contains("in use by process"), "{said}");
    assert!(server.signal("TERM").0.success());
    assert_eq!(store(&[&["check"][..], &at].concat()).1, "1 rooms, 2 entries\n");
    let export = [&["export", copy.to_str().unwrap()][..], &at].concat();
    assert_eq!(store(&export).1, "1 rooms, 2 entries\n");
    let (code, _, said) = store(&export);
    assert!(code == Some(1) && said.contains("copy"), "it is not overwritten: {said}");
    assert_eq!(import(&copy, &place).1, "1 rooms, 2 entries\n");
    let nothing = dir.path().join("nothing");
    let (code, _, said) = store(&["check", "--data", nothing.to_str().unwrap()]);
    assert!(code == Some(3) && said.contains("there is no log in") && !nothing.exists(), "{said}");
    let log = data.join("log-00000001.redb");
    let mut bytes = fs::read(&log).unwrap();
    let at_text = bytes.windows(3).rposition(|window| window == b"two").unwrap();
    bytes[at_text] ^= 1;
    fs::write(&log, bytes).unwrap();
    let (code, _, said) = store(&[&["check"][..], &at].concat());
    assert!(code == Some(4) && said.contains(log.to_str().unwrap()), "{said}");
}
