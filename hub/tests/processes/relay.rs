//! A UDP relay that loses, repeats, reorders and corrupts, from a seed.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// After this long without a packet one that was held back goes on its way.
const QUIET: Duration = Duration::from_millis(5);

/// What happens to packets, in percent of them, each way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Harm {
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    pub(crate) reordering: u64,
    pub(crate) corruption: u64,
}

/// What happened to packets.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) passed: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) duplicated: AtomicU64,
    pub(crate) reordered: AtomicU64,
    pub(crate) corrupted: AtomicU64,
}

/// A relay between clients and one server.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    pub(crate) counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    pub(crate) fn start(server: SocketAddr, harm: Harm, seed: u64) -> Self {
        let front = Arc::new(bind());
        let address = front.local_addr().unwrap();
        let (counts, stop) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
        let relay = Clients { front, server, harm, seed, counts: counts.clone(), stop: stop.clone() };
        Self { address, counts, stop, thread: Some(thread::spawn(move || relay.run())) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the relay panicked");
        }
    }
}

fn bind() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(QUIET)).unwrap();
    socket
}

struct Clients {
    front: Arc<UdpSocket>,
    server: SocketAddr,
    harm: Harm,
    seed: u64,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
}

impl Clients {
    /// Forwards from the clients; a thread for each client forwards to it.
    fn run(self) {
        let mut clients: BTreeMap<SocketAddr, (Arc<UdpSocket>, Lane)> = BTreeMap::new();
        let mut threads = Vec::new();
        let mut buffer = vec![0; 65_536];
        while !self.stop.load(Ordering::Relaxed) {
            let Ok((len, client)) = self.front.recv_from(&mut buffer) else {
                for (back, lane) in clients.values_mut() {
                    lane.release(|packet| send(back, packet));
                }
                continue;
            };
            if !clients.contains_key(&client) {
                let back = Arc::new(bind());
                back.connect(self.server).unwrap();
                let number = clients.len() as u64 * 2;
                threads.push(self.spawn_return(client, back.clone(), number + 1));
                clients.insert(client, (back, self.lane(number)));
            }
            if let Some((back, lane)) = clients.get_mut(&client) {
                lane.pass(&buffer[..len], |packet| send(back, packet));
            }
        }
        for thread in threads {
            thread.join().unwrap();
        }
    }

    fn spawn_return(&self, client: SocketAddr, back: Arc<UdpSocket>, number: u64) -> JoinHandle<()> {
        let (front, stop, mut lane) = (self.front.clone(), self.stop.clone(), self.lane(number));
        thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            let to_client = |packet: &[u8]| {
                // A client that has gone is no concern of the others.
                let _ = front.send_to(packet, client);
            };
            while !stop.load(Ordering::Relaxed) {
                match back.recv(&mut buffer) {
                    Ok(len) => lane.pass(&buffer[..len], to_client),
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(_) => lane.release(to_client),
                }
            }
        })
    }

    fn lane(&self, number: u64) -> Lane {
        let state = self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Lane { harm: self.harm, counts: self.counts.clone(), state, held: None }
    }
}

fn send(socket: &UdpSocket, packet: &[u8]) {
    // Refused while the server is down.
    let _ = socket.send(packet);
}

/// One direction of one client.
struct Lane {
    harm: Harm,
    counts: Arc<Counts>,
    state: u64,
    held: Option<Vec<u8>>,
}

impl Lane {
    fn pass(&mut self, packet: &[u8], send: impl Fn(&[u8])) {
        if self.happens(self.harm.loss, |counts| &counts.lost) {
            return;
        }
        let mut packet = packet.to_vec();
        if self.happens(self.harm.corruption, |counts| &counts.corrupted) {
            let at = self.draw(packet.len().max(1) as u64) as usize;
            if let Some(byte) = packet.get_mut(at) {
                *byte ^= 1 << (self.state % 8);
            }
        }
        if self.held.is_none() && self.happens(self.harm.reordering, |counts| &counts.reordered) {
            self.held = Some(packet);
            return;
        }
        let copies = 1 + usize::from(self.happens(self.harm.duplication, |counts| &counts.duplicated));
        for _ in 0..copies {
            self.counts.passed.fetch_add(1, Ordering::Relaxed);
            send(&packet);
        }
        self.release(send);
    }

    /// Sends what was held back.
    fn release(&mut self, send: impl Fn(&[u8])) {
        if let Some(packet) = self.held.take() {
            send(&packet);
        }
    }

    fn happens(&mut self, percent: u64, count: impl Fn(&Counts) -> &AtomicU64) -> bool {
        let happens = self.draw(100) < percent;
        count(&self.counts).fetch_add(u64::from(happens), Ordering::Relaxed);
        happens
    }

    /// splitmix64, below `bound`.
    fn draw(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % bound
    }
}
