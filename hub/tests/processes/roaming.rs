//! Chats whose address changes under way, that sleep, and whose network is cut; and a server that goes away in good order.

use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::{self, JoinHandle, park_timeout};
use std::time::Duration;

use super::support::{Chat, Server, signal, url};

/// The way of one client to the server, through an address that can change.
struct Nat {
    address: SocketAddr,
    /// The last byte of the address towards the server; with each change comes another port.
    host: Arc<AtomicU8>,
    changes: Arc<AtomicU8>,
    is_cut: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn bind(host: u8) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    socket
}

impl Nat {
    fn start(server: SocketAddr) -> Self {
        let front = bind(1);
        let mut nat = Self {
            address: front.local_addr().unwrap(),
            host: Arc::new(AtomicU8::new(1)),
            changes: Arc::default(),
            is_cut: Arc::default(),
            stop: Arc::default(),
            thread: None,
        };
        let (host, changes) = (nat.host.clone(), nat.changes.clone());
        let (is_cut, stop) = (nat.is_cut.clone(), nat.stop.clone());
        nat.thread = Some(thread::spawn(move || {
            let (mut back, mut client, mut seen) = (bind(1), None, 0);
            let mut buffer = vec![0; 65_536];
            while !stop.load(Ordering::Relaxed) {
                if changes.load(Ordering::Relaxed) != seen {
                    seen = changes.load(Ordering::Relaxed);
                    back = bind(host.load(Ordering::Relaxed));
                }
                // What is said once the way is cut must find it cut: hence after receiving.
                let passes = || !is_cut.load(Ordering::Relaxed);
                if let Ok((len, from)) = front.recv_from(&mut buffer) {
                    client = Some(from);
                    if passes() {
                        // Refused while the server is down.
                        let _ = back.send_to(&buffer[..len], server);
                    }
                }
                match back.recv_from(&mut buffer) {
                    Ok((len, _)) => {
                        if let Some(client) = client.filter(|_| passes()) {
                            let _ = front.send_to(&buffer[..len], client);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(_) => {}
                }
            }
        }));
        nat
    }

    fn move_to(&self, host: u8) {
        self.host.store(host, Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
        park_timeout(Duration::from_millis(20));
    }

    fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the relay panicked");
        }
    }
}

/// Leads every stream there.
fn forward(front: TcpListener, to: SocketAddr) {
    thread::spawn(move || {
        for near in front.incoming().map_while(Result::ok) {
            let far = TcpStream::connect(to).unwrap();
            for (from, to) in [(&near, &far), (&far, &near)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                thread::spawn(move || {
                    // Either side may hang up.
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
}

#[test]
fn a_chat_goes_on_from_another_address() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let nat = Nat::start(server.address());
    let mut ann = Chat::start(&url(nat.address), &["--name", "ann", "--until-slot", "12"]);
    let mut bob = Chat::start(&server.url(), &["--name", "bob", "--until-slot", "12"]);
    // The same host and another port first, then other hosts.
    for (round, host) in [1, 2, 3].into_iter().enumerate() {
        ann.say(&format!("before {round}"));
        bob.say(&format!("bob before {round}"));
        ann.wait_for(4 * round + 2);
        nat.move_to(host);
        ann.say(&format!("after {round}"));
        ann.wait_for(4 * round + 3);
        bob.say(&format!("bob after {round}"));
        ann.wait_for(4 * round + 4);
    }
    let (ann, bob) = (ann.finish(), bob.finish());
    assert_eq!((ann.code, bob.code), (Some(0), Some(0)), "{}", ann.stderr);
    assert_eq!(ann.lines, bob.lines);
    assert!(!ann.stderr.contains("lost"), "the connection outlives its address: {}", ann.stderr);
}

#[test]
fn a_server_that_is_asked_to_end_sends_everybody_away_and_they_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let address = server.address();
    let mut chats: Vec<_> = ["ann", "bob", "cleo"]
        .into_iter()
        .map(|name| Chat::start(&url(address), &["--name", name, "--until-slot", "6"]))
        .collect();
    for chat in &mut chats {
        chat.say("before");
    }
    for chat in &mut chats {
        chat.wait_for(3);
    }
    let (status, _) = server.signal("TERM");
    assert!(status.success());
    let _again = Server::start_on(dir.path(), &[&address.to_string()]);
    for chat in &mut chats {
        chat.say("after");
    }
    let chats: Vec<_> = chats.into_iter().map(Chat::finish).collect();
    for chat in &chats {
        assert_eq!((chat.code, &chat.lines), (Some(0), &chats[0].lines), "{}", chat.stderr);
    }
}

#[test]
fn a_chat_whose_datagrams_are_blocked_goes_on_over_tcp() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &["--udp", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]);
    let nat = Nat::start(server.address());
    let tcp = server.urls.iter().find_map(|url| url.strip_prefix("tcp://")).expect("it listens on TCP");
    // Nothing answers there before the chat goes over UDP.
    let front = TcpListener::bind("127.0.0.1:0").unwrap();
    let by_tcp = format!("tcp://{}", front.local_addr().unwrap());
    let mut ann = Chat::start(&url(nat.address), &[&by_tcp, "--name", "ann", "--until-slot", "8"]);
    let mut bob = Chat::start(&server.url(), &["--name", "bob", "--until-slot", "8"]);
    ann.say("over UDP");
    bob.say("over UDP");
    ann.wait_for(2);
    forward(front, tcp.parse().unwrap());
    nat.cut(true);
    for line in 0..3 {
        ann.say(&format!("blocked {line}"));
        bob.say(&format!("to ann {line}"));
    }
    ann.wait_for(8);
    let (ann, bob) = (ann.finish(), bob.finish());
    assert_eq!((ann.code, bob.code), (Some(0), Some(0)), "{}", ann.stderr);
    assert_eq!(ann.lines, bob.lines);
    assert!(ann.stderr.contains("lost: the server is silent"), "{}", ann.stderr);
    assert!(!ann.stderr.contains("forgot"), "the session goes on: {}", ann.stderr);
}

#[test]
fn a_chat_survives_that_its_machine_sleeps() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let mut ann = Chat::start(&server.url(), &["--name", "ann", "--until-slot", "2"]);
    ann.say("awake");
    ann.wait_for(1);
    signal(&ann.child, "STOP");
    park_timeout(Duration::from_mins(1));
    signal(&ann.child, "CONT");
    ann.say("awake again");
    let ann = ann.finish();
    assert_eq!(ann.code, Some(0), "{}", ann.stderr);
}

#[test]
fn a_chat_survives_a_long_partition() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let nat = Nat::start(server.address());
    let mut ann = Chat::start(&url(nat.address), &["--name", "ann", "--until-slot", "3"]);
    ann.say("hello");
    ann.wait_for(1);
    nat.cut(true);
    ann.say("is anybody there?");
    park_timeout(Duration::from_secs(90));
    nat.cut(false);
    ann.wait_for(2);
    ann.say("back");
    let ann = ann.finish();
    assert_eq!(ann.code, Some(0), "{}", ann.stderr);
    assert!(!ann.stderr.contains("forgot"), "the session goes on: {}", ann.stderr);
}
