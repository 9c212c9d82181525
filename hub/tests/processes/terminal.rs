//! The chat at a terminal, which the `script` program of util-linux pretends to be.

use std::io::{Read as _, Write as _};
use std::process::{ChildStdout, Command, Stdio};

use super::support::{Server, chat};

/// What a terminal has received.
struct Screen {
    output: ChildStdout,
    text: String,
}

impl Screen {
    /// Reads until `text` comes, and forgets everything up to its end. Returns what came before it.
    fn wait_for(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.text.find(text) {
                let before = self.text[..at].to_owned();
                self.text.drain(..at + text.len());
                return before;
            }
            let mut bytes = [0; 4096];
            let len = self.output.read(&mut bytes).unwrap();
            assert!(len > 0, "{text:?} never came, but {:?}", self.text);
            self.text.push_str(&String::from_utf8_lossy(&bytes[..len]));
        }
    }
}

#[test]
fn entries_and_states_appear_above_the_line_that_is_typed() {
    if !cfg!(target_os = "linux") || Command::new("script").arg("--version").output().is_err() {
        println!("skipped: there is no `script` program to make a terminal with");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path());
    let command = format!("{} chat {} --name zoe", env!("CARGO_BIN_EXE_bowline"), server.url());
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = terminal.stdin.take().unwrap();
    let mut screen = Screen { output: terminal.stdout.take().unwrap(), text: String::new() };

    screen.wait_for("-- joined; the room is empty\r\n");
    keys.write_all(b"half a li").unwrap();
    screen.wait_for("half a li");
    assert_eq!(chat(&server.url(), &["--name", "bob"], "hello\x1b[2J\n").code, Some(0));
    screen.wait_for("[1] bob: hello\\x1b[2J\r\n");
    screen.wait_for("zoe> half a li");
    server.kill_and_restart(dir.path());
    for state in ["-- lost: the server was restarted\r\n", "-- reconnecting", "-- back\r\n"] {
        screen.wait_for(state);
        screen.wait_for("zoe> half a li");
    }
    keys.write_all(b"ne\r").unwrap();
    screen.wait_for("[2] zoe: half a line\r\n");
    keys.write_all(b"\x04").unwrap();
    let status = terminal.wait().unwrap();
    assert!(status.success(), "{status}");
}
