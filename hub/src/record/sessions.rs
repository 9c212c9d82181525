//! Sessions of real processes on real sockets, of which one is killed: what was recorded runs again bit for bit.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path as File;
use std::process::{Child, Command as Process, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use std::{env, process, thread};

use clap::Parser as _;
use driver::recorded::{Put as _, get};
use driver::{Path, Peer, Scheme};
use proto_core::LinkId;
use proto_core::chat::RoomState;
use simtest::Recording;

use super::replay::replay;
use super::{Rooms, kind};
use crate::cli::{Cli, Command};
use crate::serve::Start;
use crate::{chat, serve};

/// The arguments of a process, one a line.
const ARGUMENTS: &str = "BOWLINE_TEST_ARGUMENTS";

pub(super) const PATIENCE: Duration = Duration::from_mins(4);

/// The processes are this binary: told so, this test is the program.
#[test]
fn the_program() {
    let Ok(arguments) = env::var(ARGUMENTS) else { return };
    let cli = Cli::try_parse_from(["bowline"].into_iter().chain(arguments.lines())).expect("sound arguments");
    let code = match cli.into_command() {
        Command::Serve(args) => serve::run(&args),
        Command::Chat(args) => chat::run(&args),
        _ => ExitCode::FAILURE,
    };
    process::exit(i32::from(code != ExitCode::SUCCESS));
}

/// A process, and the lines that it prints.
pub(super) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(super) fn start(arguments: &[&str]) -> Self {
        let mut child = Process::new(env::current_exe().unwrap())
            .args(["--exact", "record::sessions::the_program", "--nocapture"])
            .env(ARGUMENTS, arguments.join("\n"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (tell, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines }
    }

    /// Reads until there is a line with `text` in it.
    pub(super) fn wait_for(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line with {text}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// As an operator ends it.
    #[cfg(target_os = "linux")]
    pub(super) fn end(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    pub(super) fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
}

/// As a power cut would end it.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn read(file: &File) -> Recording {
    Recording::parse(&std::fs::read(file).unwrap()).unwrap()
}

pub(super) fn holds(recording: &Recording, text: &str) -> bool {
    let has = |input: &simtest::Input| input.bytes.windows(text.len()).any(|part| part == text.as_bytes());
    recording.inputs.iter().any(has)
}

/// Two clients over links of this kind, the first of which is killed, and then the server.
fn killed(flag: &str, scheme: Scheme) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.rec");
    let data = folder.path().join("data");
    let paths = [&data, &file].map(|path| path.to_str().unwrap());
    let arguments = ["serve", "--data", paths[0], flag, "127.0.0.1:0", "--record", paths[1]];
    let server = Running::start(&arguments);
    let line = server.wait_for("listening ");
    let url = line.split_once("listening ").unwrap().1.to_owned();
    server.wait_for("ready");

    let mut first = Running::start(&["chat", &url, "--name", "first"]);
    for number in 0..20 {
        first.say(&format!("first {number} {}", "x".repeat(number * 40)));
    }
    first.wait_for("first 19");
    first.say("perhaps this one is on its way");
    drop(first);

    let mut second = Running::start(&["chat", &url, "--name", "second"]);
    second.say("second 0");
    second.wait_for("second 0");
    // Until what was said has been written down.
    let has_both = |recording: &Recording| holds(recording, "first 19") && holds(recording, "second 0");
    let mut turns = 0;
    while !has_both(&read(&file)) {
        turns += 1;
        assert!(turns < 100_000, "the recording is never written");
        let line = format!("go on {turns}");
        second.say(&line);
        second.wait_for(&line);
    }
    drop(server);
    drop(second);

    let recording = read(&file);
    let peers: Vec<Peer> = recording
        .inputs
        .iter()
        .filter(|input| input.kind == kind::PATH)
        .map(|input| get::<(u32, Path)>(&input.bytes).unwrap().1.peer)
        .collect();
    let of_kind = |peer: &Peer| match peer {
        Peer::Udp(_) => scheme == Scheme::Udp,
        Peer::Stream(of, _) => *of == scheme,
        _ => false,
    };
    assert!(peers.len() >= 2 && peers.iter().all(of_kind), "{peers:?}");
    let output = |input: &&simtest::Input| match input.kind {
        kind::TRANSMIT => get::<(usize, usize, u32)>(&input.bytes).unwrap().1 > 0,
        kind::POLL_RECORD => get::<(LinkId, (usize, u32))>(&input.bytes).unwrap().1.0 > 0,
        _ => false,
    };
    assert!(recording.inputs.iter().filter(output).count() > 5, "the server has answered");
    replay(&recording, true).unwrap();

    // Whoever starts it again still has it.
    Running::start(&arguments).wait_for("ready");
    assert!(read(&driver::recorded::kept_beside(&file)) == recording, "another");
    assert!(read(&file) != recording, "a new one has begun");
}

#[test]
fn a_session_over_udp_outlives_its_processes() {
    killed("--udp", Scheme::Udp);
}

#[test]
fn a_session_over_tcp_outlives_its_processes() {
    killed("--tcp", Scheme::Tcp);
}

#[test]
fn a_session_over_websocket_outlives_its_processes() {
    killed("--ws", Scheme::Ws);
}

/// A room more than the log may hold is refused in the replay, too, and would not be with other options.
#[test]
fn options_of_the_server_are_in_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("options.rec");
    let salt = folder.path().join("salt");
    std::fs::write(&salt, "0123456789abcdef").unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&salt, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let data = folder.path().join("data");
    let [data, record, salt] = [&data, &file, &salt].map(|path| path.to_str().unwrap());
    let mut arguments = vec!["serve", "--udp", "127.0.0.1:0", "--data", data, "--record", record];
    arguments.extend(["--max-logs", "1", "--max-rooms", "7", "--ban-prefix", "--salt-file", salt]);
    arguments.extend(["--crown-on-leave", "drop"]);
    let server = Running::start(&arguments);
    let line = server.wait_for("listening ");
    let url = line.split_once("listening ").unwrap().1.to_owned();
    server.wait_for("ready");
    let mut first = Running::start(&["chat", &url]);
    first.say("the only room");
    first.wait_for("the only room");
    let refused = Running::start(&["chat", &url, "--room", "another"]);
    let mut turns = 0;
    while !holds(&read(&file), "another") {
        turns += 1;
        assert!(turns < 100_000, "the recording is never written");
        let line = format!("go on {turns}");
        first.say(&line);
        first.wait_for(&line);
    }
    drop(server);
    drop((first, refused));

    let mut recording = read(&file);
    replay(&recording, true).unwrap();
    let (start, rooms) = get::<(Start, Rooms<Vec<RoomState>>)>(&recording.inputs[0].bytes).unwrap();
    let salt = Some(b"0123456789abcdef".to_vec().into());
    let expected = (1, 7, true, true, &salt);
    assert_eq!(
        (start.max_logs, start.max_rooms, start.ban_prefix, start.drops_crowns, &start.salt),
        expected
    );
    recording.inputs[0].bytes.clear();
    (Start { max_logs: 2, ..start }, Rooms(&rooms.0[..])).put(&mut recording.inputs[0].bytes);
    assert!(replay(&recording, true).is_err());
}
