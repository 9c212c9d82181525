//! Real processes on real sockets.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Lines, Read, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// What has not come by then never comes: the test says so, instead of waiting for ever.
pub(crate) const PATIENCE: Duration = Duration::from_mins(4);

/// The program with these arguments.
pub(crate) fn bowline<I: IntoIterator<Item: AsRef<OsStr>>>(arguments: I) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bowline"));
    command.args(arguments);
    command
}

/// A running server; killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    log: Receiver<String>,
    /// Where it listens on UDP.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Where it listens.
    pub(crate) urls: Vec<String>,
    /// The public key that it has said, where it encrypts.
    pub(crate) key: Option<String>,
}

impl Server {
    /// Starts a server on `data` and any free port, and waits until it is ready.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_on(data, &["127.0.0.1:0"])
    }

    pub(crate) fn start_on(data: &Path, listeners: &[&str]) -> Self {
        Self::start_with(data, &listeners.iter().flat_map(|address| ["--udp", address]).collect::<Vec<_>>())
    }

    /// Starts a server with these arguments, and waits until it is ready.
    pub(crate) fn start_with(data: &Path, arguments: &[&str]) -> Self {
        let mut command = bowline(["serve", "--data"]);
        command.arg(data).args(arguments);
        if !arguments.contains(&"--log") {
            command.args(["--log", "warn"]);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let log = lines("server: ", child.stderr.take().unwrap());
        let mut server = Self { child, stdout, log, addresses: Vec::new(), urls: Vec::new(), key: None };
        loop {
            let line = server.stdout.next().expect("the server says that it is ready").unwrap();
            if line == "ready" {
                return server;
            }
            if let Some(key) = line.strip_prefix("key ") {
                server.key = Some(key.to_owned());
                continue;
            }
            let url = line.strip_prefix("listening ").expect("nothing else is on stdout");
            server
                .addresses
                .extend(url.strip_prefix("udp://").map(|address| address.parse::<SocketAddr>().unwrap()));
            server.urls.push(url.to_owned());
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn url(&self) -> String {
        url(self.address())
    }

    /// Waits until the server logs something that contains `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        while !self.log.recv_timeout(PATIENCE).expect(text).contains(text) {}
    }

    /// Ends it as a power cut would, and starts it again on the same data and address.
    pub(crate) fn kill_and_restart(&mut self, data: &Path) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        *self = Self::start_on(data, &[&self.address().to_string()]);
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Ends it in good order; returns all that it logged and that was not waited for.
    pub(crate) fn end_and_read_log(mut self) -> String {
        signal(&self.child, "TERM");
        assert!(self.child.wait().unwrap().success());
        self.log.iter().map(|line| line + "\n").collect()
    }

    /// Sends a signal and waits for the end; returns what else was on stdout.
    pub(crate) fn signal(mut self, name: &str) -> (ExitStatus, Vec<String>) {
        signal(&self.child, name);
        let status = self.child.wait().unwrap();
        (status, self.stdout.by_ref().map(Result::unwrap).collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of an output. A thread reads it, so that the process never waits for us.
fn lines(prefix: &'static str, output: impl Read + Send + 'static) -> Receiver<String> {
    let (lines, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map(Result::unwrap) {
            if !prefix.is_empty() {
                eprintln!("{prefix}{line}");
            }
            // The test may have ended.
            let _ = lines.send(line);
        }
    });
    receiver
}

pub(crate) fn url(address: SocketAddr) -> String {
    format!("udp://{address}")
}

pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// A running chat with its ends in our hands.
pub(crate) struct Chat {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    pub(crate) seen: Vec<String>,
    told: Vec<String>,
}

impl Chat {
    pub(crate) fn start(url: &str, arguments: &[&str]) -> Self {
        let mut command = bowline(["chat", url]);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = lines("", child.stdout.take().unwrap());
        let stderr = lines("", child.stderr.take().unwrap());
        Self { stdin: child.stdin.take(), stdout, stderr, child, seen: Vec::new(), told: Vec::new() }
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().expect("the input is open"), "{line}").unwrap();
    }

    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Reads until `count` lines were seen.
    pub(crate) fn wait_for(&mut self, count: usize) {
        while self.seen.len() < count {
            let Ok(line) = self.stdout.recv_timeout(PATIENCE) else {
                let told: Vec<_> = self.stderr.try_iter().collect();
                panic!("{count} lines never came, but {:?} and {told:?}", self.seen);
            };
            self.seen.push(line);
        }
    }

    /// Reads stderr until something there contains `text`.
    pub(crate) fn wait_for_words(&mut self, text: &str) {
        while !self.told.last().is_some_and(|line| line.contains(text)) {
            self.told.push(self.stderr.recv_timeout(PATIENCE).expect(text));
        }
    }

    /// Ends the input, and waits for the end; returns the exit code, all lines of stdout and all of stderr.
    pub(crate) fn finish(mut self) -> Finished {
        self.end_input();
        let mut lines = self.seen;
        lines.extend(self.stdout);
        let code = self.child.wait().unwrap().code();
        let told = self.told.into_iter().chain(self.stderr).map(|line| line + "\n");
        Finished { code, lines, stderr: told.collect() }
    }
}

pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<String>,
    pub(crate) stderr: String,
}

impl Finished {
    /// The lines that were reported at the end, below the one that says so.
    pub(crate) fn unacknowledged(&self) -> Vec<&str> {
        let lines: Vec<&str> =
            self.stderr.lines().skip_while(|line| !line.starts_with("bowline: ")).collect();
        let count = format!("; {} lines were not acknowledged:", lines.len().saturating_sub(1));
        assert!(lines.is_empty() || lines[0].ends_with(&count), "{lines:?}");
        lines.into_iter().skip(1).collect()
    }
}

/// Runs a chat with that input to its end.
pub(crate) fn chat(url: &str, arguments: &[&str], input: impl AsRef<[u8]>) -> Finished {
    let mut chat = Chat::start(url, arguments);
    chat.stdin.as_mut().unwrap().write_all(input.as_ref()).unwrap();
    chat.finish()
}

/// Runs the program to its end, with an empty input.
pub(crate) fn run(arguments: &[&str]) -> Output {
    bowline(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The slots of printed entries.
pub(crate) fn slots(lines: &[String]) -> Vec<u64> {
    lines.iter().map(|line| line.split('\t').next().unwrap().parse().unwrap()).collect()
}

/// Writes a file that nobody else can read.
pub(crate) fn write_private(file: &Path, contents: impl AsRef<[u8]>) {
    std::fs::write(file, contents).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// Checks that `lines` are the slots `1..=clients * each`, dense, and that every client's messages are there once and in
/// its order. Client `i` is called `client i` and says `0`, `1`, `2` ...
pub(crate) fn assert_whole(lines: &[String], clients: usize, each: usize) {
    assert_eq!(slots(lines), (1..=(clients * each) as u64).collect::<Vec<_>>());
    for client in 0..clients {
        let name = format!("client {client}");
        let said: Vec<usize> = lines
            .iter()
            .map(|line| line.split('\t').collect::<Vec<_>>())
            .filter(|fields| fields[1] == name)
            .map(|fields| fields[2].parse().unwrap())
            .collect();
        assert_eq!(said, (0..each).collect::<Vec<_>>(), "{name}");
    }
}

/// A size that a longer run can raise by the environment.
pub(crate) fn scaled(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |value| value.parse().expect("a number"))
}
