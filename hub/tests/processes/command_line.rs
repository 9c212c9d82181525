//! What the program says and ends with when it cannot do what it is asked.

use std::fs;
use std::net::UdpSocket;
use std::process::Stdio;

use super::support::{Server, bowline, chat, run};

#[test]
fn a_wrong_command_line_ends_with_2_and_names_what_is_wrong() {
    for (arguments, part) in [
        (&["chat", "tcp://localhost"][..], "scheme"),
        (&["chat", "udp://localhost:http"], "port"),
        (&["chat", "udp://a b"], "host"),
        (&["chat", "udp://localhost/lobby"], "/lobby"),
        (&["serve", "--udp", "localhost"], "--udp"),
        (&["talk"], "talk"),
    ] {
        let output = run(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn an_address_in_use_ends_with_3() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let output = run(&["serve", "--udp", &address, "--data", dir.path().to_str().unwrap()]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains(&address), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_data_directory_in_use_ends_with_3() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let _server = Server::start(dir.path());
    let output = run(&["serve", "--udp", "127.0.0.1:0", "--data", data]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains(data) && stderr.contains("in use by process"), "{stderr}");
}

#[test]
fn a_damaged_store_ends_with_4_and_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    assert_eq!(chat(&server.url(), &[], "to be damaged\n").code, Some(0));
    assert!(server.signal("TERM").0.success());
    let log = dir.path().join("log-00000001.redb");
    let bytes = fs::read(&log).unwrap();
    let text = b"to be damaged";
    let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
    let mut damaged = bytes.clone();
    damaged[at] ^= 1;
    for contents in [&damaged[..], &bytes[..bytes.len() - 100], b"something else"] {
        fs::write(&log, contents).unwrap();
        let output = run(&["serve", "--udp", "127.0.0.1:0", "--data", dir.path().to_str().unwrap()]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{stderr}");
        assert!(stderr.contains(log.to_str().unwrap()) && stderr.contains("is damaged"), "{stderr}");
    }
    fs::write(&log, bytes).unwrap();
    let server = Server::start(dir.path());
    assert_eq!(chat(&server.url(), &[], "").lines.len(), 1);
}

#[test]
fn no_subcommand_serves_and_every_listener_is_announced() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = bowline(["--udp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--data"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<String> = std::io::BufRead::lines(stdout).take(3).map(Result::unwrap).collect();
    super::support::signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert!(
        lines[0].starts_with("listening udp://127.0.0.1:") && lines[1].starts_with("listening udp://"),
        "{lines:?}"
    );
    assert_ne!(lines[0], lines[1]);
    assert_eq!(lines[2], "ready");
    assert!(output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    let next = format!("bowline chat {}", lines[0].trim_start_matches("listening "));
    assert!(stderr.contains(&next), "what to type next: {stderr}");
}
