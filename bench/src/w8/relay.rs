//! A relay between a client and a server: packets are lost at random, and take their time.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long a packet is under way, each way.
pub(super) const DELAY: Duration = Duration::from_millis(20);
/// How often the threads look whether they should end.
const PATIENCE: Duration = Duration::from_millis(50);
/// Packets under way in one direction, as many as a link holds that has room for everybody's window.
const QUEUE: usize = 16_384;

/// What IP and UDP put before a packet, which the narrow place carries too.
const HEADERS: usize = 28;

/// What the relay did.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) passed: AtomicU64,
    pub(super) lost: AtomicU64,
    /// At the narrow place: when each packet came, how long it stood there, and what it was long, headers included.
    pub(super) stood: Mutex<Vec<(Instant, Duration, usize)>>,
}

impl Counts {
    /// Percent of the packets that were lost.
    pub(super) fn share_lost(&self) -> f64 {
        let (passed, lost) = (self.passed.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed));
        lost as f64 / (lost + passed).max(1) as f64 * 100.0
    }
}

/// Where the way to the server is narrow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Narrow {
    /// Bytes a second.
    pub(super) rate: u32,
    /// What would stand longer than this is lost.
    pub(super) queue: Duration,
}

/// Runs until it is dropped.
pub(super) struct Relay {
    /// Where the client sends to.
    pub(super) address: SocketAddr,
    pub(super) counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Relay {
    /// Between whoever sends first and `server`; of a thousand packets `loss` are lost, each way.
    pub(super) fn start(server: SocketAddr, loss: u64, narrow: Option<Narrow>, seed: u64) -> Self {
        let bind = || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket on loopback");
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            Arc::new(socket)
        };
        let (front, back) = (bind(), bind());
        let client = Arc::new(Mutex::new(None));
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let address = front.local_addr().expect("it is bound");
        let mut threads = Vec::new();
        for (from, to, is_forth) in [(&front, &back, true), (&back, &front, false)] {
            let (queue, due) = mpsc::sync_channel(QUEUE);
            let narrow = narrow.filter(|_| is_forth);
            let seed = seed.wrapping_mul(2) + u64::from(is_forth);
            let lane = Lane { loss, narrow, seed, counts: Arc::clone(&counts) };
            let (from, to) = (Arc::clone(from), Arc::clone(to));
            let (stop, learned, known) = (Arc::clone(&stop), Arc::clone(&client), Arc::clone(&client));
            threads.push(thread::spawn(move || {
                lane.take_in(&from, &queue, &stop, |peer| {
                    if is_forth {
                        *learned.lock().expect("nobody panics with it") = Some(peer);
                    }
                });
            }));
            threads.push(thread::spawn(move || {
                give_out(&due, |packet| {
                    let peer =
                        if is_forth { Some(server) } else { *known.lock().expect("nobody panics with it") };
                    if let Some(peer) = peer {
                        // A full socket buffer loses it, like a full router.
                        let _ = to.send_to(packet, peer);
                    }
                });
            }));
        }
        Self { address, counts, stop, threads }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the relay panicked");
        }
    }
}

struct Lane {
    loss: u64,
    narrow: Option<Narrow>,
    seed: u64,
    counts: Arc<Counts>,
}

impl Lane {
    fn take_in(
        self,
        socket: &UdpSocket,
        queue: &mpsc::SyncSender<(Instant, Vec<u8>)>,
        stop: &AtomicBool,
        from: impl Fn(SocketAddr),
    ) {
        let (mut state, mut buf) = (self.seed, [0; 2048]);
        let mut free = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let Ok((len, peer)) = socket.recv_from(&mut buf) else { continue };
            from(peer);
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let now = Instant::now();
            let through =
                self.narrow.map_or(Some(now), |narrow| self.stand(narrow, now, &mut free, len + HEADERS));
            let packet = through.map(|at| (at + DELAY, buf[..len].to_vec()));
            let is_lost = (state >> 33) % 1000 < self.loss;
            if is_lost || packet.is_none_or(|packet| queue.try_send(packet).is_err()) {
                self.counts.lost.fetch_add(1, Ordering::Relaxed);
            } else {
                self.counts.passed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Lane {
    /// When a packet that comes `now` is through the narrow place, which is `free` again at some time; none when it has no room.
    fn stand(&self, narrow: Narrow, now: Instant, free: &mut Instant, len: usize) -> Option<Instant> {
        let stands = free.saturating_duration_since(now);
        if stands > narrow.queue {
            return None;
        }
        *free = now + stands + Duration::from_secs(1) * len as u32 / narrow.rate;
        self.counts.stood.lock().expect("nobody panics with it").push((now, stands, len));
        Some(*free)
    }
}

fn give_out(due: &mpsc::Receiver<(Instant, Vec<u8>)>, send: impl Fn(&[u8])) {
    while let Ok((at, packet)) = due.recv() {
        if let Some(wait) = at.checked_duration_since(Instant::now()) {
            thread::sleep(wait);
        }
        send(&packet);
    }
}
