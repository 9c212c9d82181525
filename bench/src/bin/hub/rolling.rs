//! Restarts of the hub under load: whether anything is lost or doubled, and how long its clients wait.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use adapter_tokio::{Address, ConfigBuilder, Connection, Endpoint, Message, clock};
use proto_core::Reconnect;
use proto_core::chat::{AuthorId, Client, ClientConfig, ClientEvent, ClientSecret, Kind};
use proto_core::crypto::{Crypto, PublicKey, Trust};
use seal::Party;
use tokio::task::JoinSet;

use crate::Arguments;
use crate::figures::{Spread, millis};

const CLIENTS: usize = 2000;
/// Clients of one room.
pub(crate) const ROOM: usize = 20;
/// Each client says a line so often.
const EVERY: Duration = Duration::from_secs(2);
const RESTARTS: usize = 2;
/// Between the restarts, and before and after them.
const QUIET: Duration = Duration::from_secs(6);
const SPREAD: Duration = Duration::from_secs(1);

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    pub(crate) addresses: Vec<Address>,
    /// Where it encrypts.
    pub(crate) key: Option<PublicKey>,
    ready: Instant,
}

impl Server {
    pub(crate) fn start(bowline: &Path, data: &Path, listeners: &[String]) -> Self {
        let mut child = Command::new(bowline)
            .args(["serve", "--log", "error", "--unlimited"])
            .args(listeners)
            .arg("--data")
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts: build it with cargo build --release");
        let mut lines =
            BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let addresses = lines
            .by_ref()
            .take_while(|line| line != "ready" && !line.contains("http://"))
            .map(|line| {
                let address = line.strip_prefix("listening ").expect("it says where it listens");
                address.parse().expect("an address")
            })
            .collect();
        // Those of HTTP come last.
        let mut key = None;
        if listeners.iter().any(|option| option == "--http") {
            for line in lines.take_while(|line| line != "ready") {
                key = line.strip_prefix("key ").and_then(|key| key.parse().ok()).or(key);
            }
        }
        Self { child, addresses, key, ready: Instant::now() }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Ends it as an operator does; how long that takes.
    pub(crate) fn end(mut self) -> Duration {
        let begun = Instant::now();
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the server runs");
        let ended = self.child.wait().expect("it is this process's");
        assert!(ended.success(), "{ended}");
        begun.elapsed()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What all clients have in common.
pub(crate) struct Course {
    /// Each client says a line so often.
    pub(crate) every: Duration,
    pub(crate) is_over: AtomicBool,
    /// From when to when clients were without connections.
    pub(crate) gaps: Mutex<Vec<(Instant, Instant)>>,
}

/// What a client has seen.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// What its entries carry.
    pub(crate) author: Option<AuthorId>,
    pub(crate) said: u64,
    /// Where each line is that was acknowledged.
    pub(crate) acked: Acked,
    pub(crate) entries: u64,
    pub(crate) doubled: u64,
    /// Lines that came again in another place.
    pub(crate) again: u64,
}

/// Lines by their places in a log.
pub(crate) type Acked = BTreeMap<u64, u64>;

/// The number of a line, which is all that it says.
pub(crate) fn line_of(body: &[u8]) -> u64 {
    let line = str::from_utf8(body).ok().and_then(|line| line.strip_prefix("line "));
    line.and_then(|number| number.parse().ok()).expect("a line of a client")
}

/// The name of a room.
pub(crate) fn room(number: usize) -> String {
    format!("room {number}")
}

/// One client's part in the log.
struct Writer {
    chat: Client,
    seen: Seen,
    last_slot: u64,
    /// How many lines of each author have come: he numbers them.
    heard: BTreeMap<AuthorId, u64>,
    next: Instant,
}

impl Writer {
    fn new(number: usize, every: Duration) -> Self {
        let mut secret = [5; 32];
        secret[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let config =
            ClientConfig::new(room(number / ROOM), &*format!("client {number}"), ClientSecret(secret));
        Self {
            chat: Client::new(config).expect("a name and a room"),
            seen: Seen::default(),
            last_slot: 0,
            heard: BTreeMap::new(),
            next: Instant::now() + every * (number % 100) as u32 / 100,
        }
    }

    fn tell(&mut self) {
        while let Some(event) = self.chat.poll_event() {
            match event {
                ClientEvent::Joined { author, .. } => self.seen.author = Some(author),
                // Its own number begins with 1, lines begin with 0.
                ClientEvent::Acked { sequence, slot, .. } => {
                    let before = self.seen.acked.insert(slot, sequence - 1);
                    assert_eq!(before, None, "two lines in one place");
                }
                ClientEvent::Entry(entry) => {
                    self.seen.doubled += u64::from(entry.slot <= self.last_slot);
                    self.last_slot = entry.slot;
                    // A room notes in its log who has its crown, too.
                    if entry.kind == Kind::TEXT {
                        self.seen.entries += 1;
                        let number = line_of(&entry.body);
                        let heard = self.heard.entry(entry.author).or_default();
                        self.seen.again += u64::from(number < *heard);
                        *heard = (*heard).max(number + 1);
                    }
                }
                ClientEvent::Rejected { reason, .. } => panic!("an append is refused: {reason:?}"),
                ClientEvent::LogReset { .. } => panic!("the log is another"),
                _ => {}
            }
        }
    }

    /// Goes on until the connection ends; true when everything is done.
    async fn go_on(&mut self, connection: &Connection, course: &Course) -> bool {
        loop {
            let is_over = course.is_over.load(Ordering::Relaxed);
            if is_over && self.chat.unacknowledged() == 0 {
                return true;
            }
            if !is_over && self.next <= Instant::now() {
                let line = format!("line {}", self.seen.said);
                if self.chat.append(clock::now(), Kind::TEXT, line.into()).is_ok() {
                    self.seen.said += 1;
                }
                self.next += course.every;
            }
            while let Some(payload) = self.chat.poll_message() {
                if connection.send(Message::new(payload)).await.is_err() {
                    break;
                }
            }
            let timer = self.chat.poll_timeout().map(clock::instant);
            let soon = if is_over { Instant::now() + Duration::from_millis(100) } else { self.next };
            let at = timer.map_or(soon, |timer| timer.min(soon));
            tokio::select! {
                message = connection.recv() => match message {
                    Some(message) => self.chat.handle_message(clock::now(), &message.payload),
                    None => return false,
                },
                () = tokio::time::sleep_until(at.into()) => self.chat.handle_timeout(clock::now()),
            }
            self.tell();
        }
    }
}

pub(crate) async fn client(endpoint: Endpoint, server: Address, number: usize, course: Arc<Course>) -> Seen {
    let mut writer = Writer::new(number, course.every);
    let mut connection = endpoint.connect_to(&[server]).await.expect("the server lets it in");
    loop {
        writer.chat.handle_connected(clock::now());
        let is_done = writer.go_on(&connection, &course).await;
        let lost = Instant::now();
        if is_done {
            return writer.seen;
        }
        writer.chat.handle_disconnected(clock::now());
        let closed = connection.closed().await;
        let Some(next) = connection.next() else {
            panic!("client {number} does not reconnect: {closed:?}");
        };
        connection = next.await.expect("the server is back");
        course.gaps.lock().expect("nobody panics").push((lost, Instant::now()));
    }
}

/// An endpoint of clients; of encrypted ones, where the server has a `key`.
pub(crate) fn endpoint(key: Option<PublicKey>) -> Endpoint {
    let reconnect = Reconnect { spread: SPREAD, ..Reconnect::default() };
    let crypto = key.map(|key| {
        Crypto::new(Arc::new(Party::generate().expect("the system has randomness")), Trust::Pinned(key))
    });
    let config = ConfigBuilder { reconnect: Some(reconnect), crypto, ..ConfigBuilder::chat() };
    Endpoint::client(config).expect("a socket")
}

/// Two thousand clients, half of them over TCP, and the hub restarted under them.
pub(crate) async fn rolling(arguments: &Arguments, data: PathBuf) {
    let any = |scheme: &str| [format!("--{scheme}"), "127.0.0.1:0".to_owned()];
    let shards = arguments.shards.iter().flat_map(|shards| ["--shards".to_owned(), shards.to_string()]);
    let more: Vec<String> = shards.collect();
    let first: Vec<String> = any("udp").into_iter().chain(any("tcp")).chain(more.clone()).collect();
    let mut server = Server::start(&arguments.bowline, &data, &first);
    let addresses = server.addresses.clone();
    let again: Vec<String> = addresses
        .iter()
        .flat_map(|address| {
            let place = address.socket_addr().expect("an IP address");
            [format!("--{}", address.scheme()), place.to_string()]
        })
        .chain(more)
        .collect();
    let course = Arc::new(Course { every: EVERY, is_over: AtomicBool::new(false), gaps: Mutex::default() });
    let endpoints: Vec<_> = (0..arguments.sockets.max(1)).map(|_| endpoint(None)).collect();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let endpoint = endpoints[number % endpoints.len()].clone();
        clients.spawn(client(endpoint, addresses[number % 2].clone(), number, Arc::clone(&course)));
        if number.is_multiple_of(20) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let (mut ready, mut down) = (Vec::new(), Vec::new());
    for _ in 0..RESTARTS {
        tokio::time::sleep(QUIET).await;
        let (bowline, data, again) = (arguments.bowline.clone(), data.clone(), again.clone());
        let restarted = tokio::task::spawn_blocking(move || {
            let drained = server.end();
            (drained, Server::start(&bowline, &data, &again))
        });
        let (drained, started) = restarted.await.expect("it restarts");
        down.push(drained);
        ready.push(started.ready);
        server = started;
    }
    tokio::time::sleep(QUIET).await;
    course.is_over.store(true, Ordering::Relaxed);
    let (mut said, mut acked, mut entries, mut doubled) = (0, 0, 0, 0);
    while let Some(seen) = clients.join_next().await {
        let seen = seen.expect("no client panics");
        said += seen.said;
        acked += seen.acked.len() as u64;
        entries += seen.entries;
        doubled += seen.doubled;
    }
    server.end();
    let gaps = course.gaps.lock().expect("nobody panics");
    // Nobody could be back before the server was.
    let waits = gaps.iter().map(|(lost, back)| {
        let could = ready.iter().filter(|ready| *ready > lost).min().unwrap_or(lost);
        back.saturating_duration_since(*could)
    });
    let drained: Vec<_> = down.iter().map(|time| format!("{:.0} ms", millis(*time))).collect();
    println!("rolling: {CLIENTS} clients, {RESTARTS} restarts, drained in {}", drained.join(" and "));
    println!(
        "rolling: {said} lines, {} not acknowledged, {doubled} entries of {entries} twice",
        said - acked
    );
    println!(
        "rolling: without a connection {}",
        Spread::of(gaps.iter().map(|(lost, back)| *back - *lost).collect())
    );
    println!("rolling: of that after the server was back {}", Spread::of(waits.collect()));
    assert_eq!((said, doubled), (acked, 0), "a line is lost, or an entry came twice");
}
