//! The chat at a terminal, which the `script` program of util-linux pretends to be.

use std::io::{Read as _, Write as _};
use std::net::UdpSocket;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::support::{PATIENCE, Server, chat, url};

const BOWLINE: &str = env!("CARGO_BIN_EXE_bowline");

/// A terminal with a program in it.
struct Terminal {
    program: Child,
    keys: ChildStdin,
    output: Receiver<String>,
    text: String,
}

impl Terminal {
    /// Runs a command of the shell; nothing if there is no program to make a terminal with. A shell that waits for
    /// the command dies of the Ctrl-C that the command answers with an exit code of its own: hence `exec`.
    fn start(command: &str) -> Option<Self> {
        if !cfg!(target_os = "linux") || Command::new("script").arg("--version").output().is_err() {
            println!("skipped: there is no `script` program to make a terminal with");
            return None;
        }
        let mut program = Command::new("script")
            .args(["--quiet", "--return", "--command", command, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (keys, mut screen) = (program.stdin.take().unwrap(), program.stdout.take().unwrap());
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = screen.read(&mut bytes) {
                // The test may have ended.
                let _ = sender.send(String::from_utf8_lossy(&bytes[..len]).into_owned());
            }
        });
        Some(Self { program, keys, output, text: String::new() })
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads the screen until `text` comes, and forgets everything up to its end. Returns what came before it.
    fn wait_for(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.text.find(text) {
                let before = self.text[..at].to_owned();
                self.text.drain(..at + text.len());
                return before;
            }
            let Ok(more) = self.output.recv_timeout(PATIENCE) else {
                panic!("{text:?} never came, but {:?}", self.text);
            };
            self.text.push_str(&more);
        }
    }

    fn finish(mut self) -> ExitStatus {
        self.program.wait().unwrap()
    }
}

#[test]
fn entries_and_states_appear_above_the_line_that_is_typed() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path());
    let Some(mut terminal) = Terminal::start(&format!("exec {BOWLINE} chat {} --name zoe", server.url()))
    else {
        return;
    };
    terminal.wait_for("-- joined; the room is empty\r\n");
    terminal.press("half a li");
    terminal.wait_for("half a li");
    assert_eq!(chat(&server.url(), &["--name", "bob"], "hello\x1b[2J\n").code, Some(0));
    terminal.wait_for("[1] bob: hello\\x1b[2J\r\n");
    terminal.wait_for("zoe> half a li");
    server.kill_and_restart(dir.path());
    for state in ["-- lost: the server was restarted", "-- reconnecting", "-- back\r\n"] {
        terminal.wait_for(state);
        terminal.wait_for("zoe> half a li");
    }
    terminal.press("ne\r");
    terminal.wait_for("[2] zoe: half a line\r\n");
    terminal.press("\x04");
    let status = terminal.finish();
    assert!(status.success(), "{status}");
}

#[test]
fn who_leaves_while_lines_wait_is_told_so_and_can_leave_at_once() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = url(silent.local_addr().unwrap());
    let Some(mut terminal) = Terminal::start(&format!("exec {BOWLINE} chat {server} --name zoe")) else {
        return;
    };
    terminal.wait_for("zoe> ");
    terminal.press("half a li");
    terminal.wait_for(&format!("-- connecting to {server}\r\n"));
    terminal.wait_for("zoe> half a li");
    terminal.press("ne\r");
    terminal.wait_for("zoe> ");
    terminal.press("\x04");
    terminal.wait_for("-- 1 line still waits for the server; Ctrl-C leaves at once\r\n");
    terminal.press("\x03");
    terminal.wait_for("bowline: interrupted; 1 line was not acknowledged:\r\nhalf a line\r\n");
    assert_eq!(terminal.finish().code(), Some(1));
}

#[test]
fn a_chat_that_is_ended_at_its_prompt_gives_the_terminal_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let chat = format!("{BOWLINE} chat {} --name zoe", server.url());
    let command = format!("sh -c 'echo process $$; exec {chat}'; echo ended $?; stty -a");
    let Some(mut terminal) = Terminal::start(&command) else { return };
    terminal.wait_for("process ");
    let id = terminal.wait_for("\r\n");
    terminal.wait_for("-- joined; the room is empty\r\n");
    terminal.wait_for("zoe> ");
    terminal.press("half");
    terminal.wait_for("half");
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    terminal.wait_for("ended 0\r\n");
    terminal.wait_for(" icanon ");
    terminal.wait_for(" echo ");
    assert!(terminal.finish().success());
}

#[test]
fn an_output_that_is_no_terminal_gets_lines() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let chat = format!("{BOWLINE} chat {} --name zoe | cat", server.url());
    let Some(mut terminal) = Terminal::start(&chat) else { return };
    terminal.wait_for("joined; the room is empty");
    terminal.press("hello\n");
    terminal.wait_for("1\tzoe\thello\r\n");
    terminal.press("\x04");
    assert!(terminal.finish().success());
}

#[test]
fn commands_names_and_rooms_are_completed_at_the_prompt() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let chat = |name: &str| format!("exec {BOWLINE} chat {} --name {name} --room together", server.url());
    let Some(mut zoe) = Terminal::start(&chat("zoe")) else { return };
    zoe.wait_for("-- you have the crown\r\n");
    let Some(mut bob) = Terminal::start(&chat("bobby")) else { return };
    bob.wait_for("-- you are in together with zoe\r\n");
    zoe.wait_for("-- bobby has come\r\n");
    zoe.wait_for("zoe> ");
    zoe.press("/cr\tbo\t");
    zoe.wait_for("/crown bobby");
    zoe.press("\r");
    bob.wait_for("-- you have the crown\r\n");
    zoe.wait_for("-- bobby has the crown\r\n");
    bob.press("session jo\tlob\t\r");
    // The lobby is in nobody's list as long as nobody is there.
    bob.wait_for("-- you are in lob, alone\r\n");
    zoe.wait_for("-- you have the crown\r\n");
    bob.press("/join toge\t");
    bob.wait_for("/join together");
    bob.press("\r");
    bob.wait_for("-- you are in together with zoe\r\n");
    bob.press("/nick robert\r");
    bob.wait_for("-- you are robert now\r\n");
    bob.press("hi\r");
    bob.wait_for("robert> ");
    zoe.wait_for("robert: hi\r\n");
    for mut terminal in [zoe, bob] {
        terminal.press("\x04");
        assert!(terminal.finish().success());
    }
}
