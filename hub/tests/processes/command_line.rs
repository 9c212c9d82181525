//! What the program says and ends with when it cannot do what it is asked.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::process::{Command, Stdio};

use super::support::{Server, bowline, chat, run};

#[test]
fn a_wrong_command_line_ends_with_2_and_names_what_is_wrong() {
    for (arguments, part) in [
        (&["chat", "http://localhost"][..], "scheme"),
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
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<String> = stdout.lines().take(3).map(Result::unwrap).collect();
    super::support::signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert!(
        lines[0].starts_with("listening udp://127.0.0.1:") && lines[1].starts_with("listening udp://"),
        "{lines:?}"
    );
    assert_ne!(lines[0], lines[1]);
    assert_eq!(lines[2], "ready");
    assert!(output.status.success());
}

#[cfg(unix)]
#[test]
fn what_to_type_next_is_said_whatever_is_logged_and_works_from_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("it's a folder");
    fs::create_dir(&folder).unwrap();
    let program = folder.join("bowline");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bowline"), &program).unwrap();
    for log in ["off", "warn"] {
        let mut server = Command::new(&program)
            .args(["--udp", "0.0.0.0:0", "--log", log, "--data"])
            .arg(dir.path().join(log))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(server.stderr.take().unwrap()).read_line(&mut said).unwrap();
        let (_, typed) = said.split_once("type in another terminal: ").expect("it is the first that is said");
        assert!(typed.contains(" chat udp://127.0.0.1:"), "{typed}");
        let chat =
            Command::new("sh").args(["-c", typed]).current_dir("/").stdin(Stdio::null()).output().unwrap();
        assert!(chat.status.success(), "{typed}: {chat:?}");
        super::support::signal(&server, "INT");
        let output = server.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(stdout.starts_with("listening udp://0.0.0.0:") && stdout.ends_with("\nready\n"), "{stdout}");
        assert!(stdout.contains("\nkey "), "beyond loopback it encrypts: {stdout}");
        assert_eq!(stdout.lines().count(), 3, "{stdout}");
    }
}
