//! What people of a hub feel of those who mean it harm.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::Arguments;
use crate::figures::{Spread, millis};
use crate::process::{Hub, run};
use crate::socket::{crowd, enter, framed, round_trips, write};

/// Those who mean no harm, and how many messages they send in a second.
const PEOPLE: usize = 100;
const RATE: u64 = 2000;
/// Handshakes that are begun and not ended.
const HALF_OPEN: usize = 5000;
/// Clients that are in a room and read nothing, how many notes a second are told to each, and what their systems take.
const SLOW: usize = 1000;
const NOTES: u64 = 10;
const SLOW_BUFFER: u32 = 4096;
const FILL: Duration = Duration::from_secs(10);
/// How long handshakes have been open when it is measured: the server has enough of them meanwhile, and they come again.
const SETTLE: Duration = Duration::from_secs(7);
/// Bytes of a datagram of junk.
const JUNK: usize = 1200;

/// Junk as fast as the system takes it, on a thread of its own, until it is told to stop. It takes the clients' processor from
/// them, so they are measured beside one that nobody reads as well.
struct Flood {
    is_over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
}

impl Flood {
    fn start(to: SocketAddr) -> Self {
        let flood = Self { is_over: Arc::default(), sent: Arc::default() };
        let (is_over, sent) = (Arc::clone(&flood.is_over), Arc::clone(&flood.sent));
        std::thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            let mut junk = [0; JUNK];
            let mut state = 1_u64;
            while !is_over.load(Ordering::Relaxed) {
                for byte in &mut junk {
                    // Knuth's multiplier: what matters is that no two datagrams are alike.
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *byte = (state >> 56) as u8;
                }
                // A full queue drops it.
                let _ = socket.send_to(&junk, to);
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
        flood
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Begins a handshake and leaves it at that; begins another when the server has had enough of it.
async fn half_open(server: SocketAddr) {
    loop {
        if let Ok(stream) = TcpStream::connect(server).await {
            // It may be refused.
            let _ = write(&stream, b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upg").await;
            let mut answer = [0; 256];
            while stream.readable().await.is_ok() {
                match stream.try_read(&mut answer) {
                    Ok(len) if len > 0 => {}
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    _ => break,
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// As many notes as one message may have, with long names.
fn chord() -> Vec<u8> {
    let notes: Vec<_> = (0..100).map(|i| format!(r#"{{"n":"a key with a name {i}","v":0.5}}"#)).collect();
    framed(&format!(r#"[{{"m":"n","t":1700000000000,"n":[{}]}}]"#, notes.join(",")))
}

/// Harm that is done by a thread of its own until this is dropped, so that what it takes is not taken from those who are measured.
struct Harm {
    _is_over: oneshot::Sender<()>,
}

impl Harm {
    fn start<F: Future<Output = ()>>(harm: impl FnOnce() -> F + Send + 'static) -> Self {
        let (is_over, over) = oneshot::channel();
        std::thread::spawn(move || {
            run(async {
                tokio::select! {
                    () = harm() => {}
                    _ = over => {}
                }
            });
        });
        Self { _is_over: is_over }
    }
}

/// Clients of one room, in which somebody plays, who read nothing; `full` hears that they are there.
async fn crowd_that_does_not_read(server: SocketAddr, full: oneshot::Sender<()>) {
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(enter(server, "slow", Some(SLOW_BUFFER)).await);
    }
    let player = enter(server, "slow", None).await;
    // Who waits for it is gone when the run is.
    let _ = full.send(());
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / NOTES));
    loop {
        ticks.tick().await;
        // Nobody reads what comes back, so the server may part with the player, too.
        let _ = write(&player.stream, &chord()).await;
    }
}

pub(crate) async fn hostile(hub: &Hub, arguments: &Arguments) {
    let people = crowd(hub.http, PEOPLE, 10).await;
    let (_, alone) = round_trips(&people, RATE, arguments.seconds()).await;
    let resident = hub.resident();
    println!("people alone: {alone}, {} KiB resident", resident / 1024);
    let nobody = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let flood = Flood::start(nobody.local_addr().expect("it is bound"));
    let (_, before) = round_trips(&people, RATE, arguments.seconds()).await;
    drop(flood);
    println!("people beside junk for somebody else: {before}");

    let during = async |what: &str| {
        let busy = hub.ticks();
        let (_, during) = round_trips(&people, RATE, arguments.seconds()).await;
        let busy = (hub.ticks() - busy) / arguments.seconds;
        let resident = hub.resident() / 1024;
        println!("people beside {what}: {during}, {resident} KiB resident, {busy} % of a processor");
        during
    };
    let flood = Flood::start(hub.udp);
    during("junk").await;
    drop(flood);

    let http = hub.http;
    let _half_open = Harm::start(move || async move {
        let mut all: JoinSet<()> = (0..HALF_OPEN).map(|_| half_open(http)).collect();
        all.join_next().await;
    });
    tokio::time::sleep(SETTLE).await;
    during(&format!("{HALF_OPEN} half-open handshakes")).await;

    let (full, is_full) = oneshot::channel();
    let _slow = Harm::start(move || crowd_that_does_not_read(http, full));
    is_full.await.expect("they come in");
    // Until what the systems take for those who do not read is full.
    tokio::time::sleep(FILL).await;
    during(&format!("these and {SLOW} who do not read")).await;
    let flood = Flood::start(hub.udp);
    let all = during("all of it").await;
    println!("{} datagrams of junk", flood.sent.load(Ordering::Relaxed));
    drop(flood);
    let p99 = |spread: &Spread| millis(spread.at(99));
    println!("p99 is {:.2} times as long", p99(&all) / p99(&before));
}
