//! The server's process.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that runs; ended when it is dropped, with its data.
pub(crate) struct Hub {
    child: Child,
    dir: Option<PathBuf>,
    pub(crate) udp: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) started_in: Duration,
}

impl Hub {
    /// Starts a server without limits on `dir`, and waits until it is ready.
    pub(crate) fn start(bowline: &Path, dir: PathBuf) -> Self {
        let begun = Instant::now();
        let mut child = Command::new(bowline)
            .args(["serve", "--log", "error", "--unlimited", "--max-http", "20000"])
            .args(["--udp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"])
            .arg(&dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts: build it with cargo build --release");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut address = |scheme: &str| -> SocketAddr {
            let line = lines.next().and_then(Result::ok).expect("it says where it listens");
            let place = line.strip_prefix("listening ").and_then(|url| url.strip_prefix(scheme));
            place.and_then(|place| place.parse().ok()).expect("it listens there")
        };
        let (udp, http) = (address("udp://"), address("http://"));
        assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("ready"));
        Self { child, dir: Some(dir), udp, http, started_in: begun.elapsed() }
    }

    /// What a line of `/proc/PID/FILE` says.
    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// Bytes in RAM.
    pub(crate) fn resident(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() * 1024
    }

    /// Time on processors, in hundredths of a second.
    pub(crate) fn ticks(&self) -> u64 {
        let stat = self.proc("stat");
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum()
    }

    /// A number of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(self.http).expect("the server listens");
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("the server reads");
        let mut page = String::new();
        stream.read_to_string(&mut page).expect("the server answers");
        let values =
            page.lines().filter_map(|line| line.strip_prefix(name)?.rsplit(' ').next()?.parse::<u64>().ok());
        values.sum()
    }

    /// Ends it as a power cut would, and leaves its data.
    pub(crate) fn kill(&mut self) {
        self.dir = None;
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Where its data is.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.as_deref().expect("it was not killed")
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(dir) = &self.dir {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// Runs clients on one thread: the server has the other processor.
pub(crate) fn run<T>(clients: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(clients)
}
