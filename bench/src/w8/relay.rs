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

/// What the relay did.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) passed: AtomicU64,
    pub(super) lost: AtomicU64,
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
    pub(super) fn start(server: SocketAddr, loss: u64, seed: u64) -> Self {
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
            let lane =
                Lane { loss, seed: seed.wrapping_mul(2) + u64::from(is_forth), counts: Arc::clone(&counts) };
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
        while !stop.load(Ordering::Relaxed) {
            let Ok((len, peer)) = socket.recv_from(&mut buf) else { continue };
            from(peer);
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let packet = (Instant::now() + DELAY, buf[..len].to_vec());
            if (state >> 33) % 1000 < self.loss || queue.try_send(packet).is_err() {
                self.counts.lost.fetch_add(1, Ordering::Relaxed);
            } else {
                self.counts.passed.fetch_add(1, Ordering::Relaxed);
            }
        }
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
