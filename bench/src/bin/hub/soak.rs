//! A hub for a long time under loss, kills and junk: whether anything is lost or doubled, and whether anything grows.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use adapter_tokio::Address;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::Arguments;
use crate::rolling::{Course, ROOM, Seen, Server, client, endpoint};
use crate::socket::{framed, read, try_enter, write};

const GUESTS: usize = 500;
/// Native clients: so many for each of the others.
const NATIVE: usize = 4 * GUESTS;
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// What is left of the time of a life before memory is looked at: everybody must be back.
const SETTLE: Duration = Duration::from_secs(25);
/// Of a million packets.
const LOST: u64 = 10_000;
const DOUBLED: u64 = 5_000;
const DAMAGED: u64 = 1_000;
const LATE: u64 = 10_000;

/// `SplitMix64`, shared.
struct Dice(AtomicU64);

impl Dice {
    fn throw(&self) -> u64 {
        let state = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let z = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn falls(&self, in_a_million: u64) -> bool {
        self.throw() % 1_000_000 < in_a_million
    }
}

/// A bad way between the clients and the server.
struct Way {
    server: SocketAddr,
    dice: Dice,
    junk: AtomicU64,
}

impl Way {
    /// A packet goes on, or what the way makes of it.
    fn pass(self: &Arc<Self>, from: &Arc<UdpSocket>, to: SocketAddr, mut packet: Vec<u8>) {
        if self.dice.falls(LOST) {
            return;
        }
        if self.dice.falls(DAMAGED) {
            let at = self.dice.throw() as usize % packet.len().max(1);
            packet.get_mut(at).into_iter().for_each(|byte| *byte ^= 0x10);
        }
        if self.dice.falls(DOUBLED) {
            // A full queue loses it.
            let _ = from.try_send_to(&packet, to);
        }
        if self.dice.falls(LATE) {
            let (from, late) = (Arc::clone(from), Duration::from_millis(self.dice.throw() % 200));
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                let _ = from.try_send_to(&packet, to);
            });
            return;
        }
        let _ = from.try_send_to(&packet, to);
    }

    /// Carries packets both ways, for ever.
    async fn carry(self: Arc<Self>, front: Arc<UdpSocket>) {
        let mut behind: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
        let mut buf = [0; 2048];
        loop {
            let Ok((len, from)) = front.recv_from(&mut buf).await else { continue };
            let socket = if let Some(socket) = behind.get(&from) {
                Arc::clone(socket)
            } else {
                let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await else { continue };
                let socket = Arc::new(socket);
                behind.insert(from, Arc::clone(&socket));
                tokio::spawn(Arc::clone(&self).answer(Arc::clone(&socket), Arc::clone(&front), from));
                socket
            };
            self.pass(&socket, self.server, buf[..len].to_vec());
        }
    }

    /// Carries what the server says to one client, for ever.
    async fn answer(self: Arc<Self>, behind: Arc<UdpSocket>, front: Arc<UdpSocket>, client: SocketAddr) {
        let mut buf = [0; 2048];
        loop {
            if let Ok((len, _)) = behind.recv_from(&mut buf).await {
                self.pass(&front, client, buf[..len].to_vec());
            }
        }
    }

    /// Datagrams of anything, from nobody.
    async fn pollute(self: Arc<Self>) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            ticks.tick().await;
            let len = 1 + self.dice.throw() as usize % 1400;
            let junk: Vec<u8> = (0..len).map(|_| self.dice.throw() as u8).collect();
            let _ = socket.try_send_to(&junk, self.server);
            self.junk.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A guest that comes, says something now and then, and comes again when the server was away; how often it came.
async fn guest(server: SocketAddr, number: usize, course: Arc<Course>) -> u64 {
    let (mut times, room) = (0, format!("guests {}", number % 25));
    while !course.is_over.load(Ordering::Relaxed) {
        let entered = tokio::time::timeout(Duration::from_secs(10), try_enter(server, &room, None));
        if let Ok(Ok(socket)) = entered.await {
            times += 1;
            let (stream, mut rest) = (socket.stream, Vec::new());
            let talk = async {
                let mut ticks = tokio::time::interval(Duration::from_secs(3));
                while !course.is_over.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    let text = match times % 3 {
                        0 => r#"[{"m":"a","message":"hello"}]"#,
                        1 => r#"[{"m":"m","x":"1","y":"2"}]"#,
                        _ => r#"[{"m":"t","e":1},{"nonsense":[[[]]]}]"#,
                    };
                    if write(&stream, &framed(text)).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = talk => {}
                _ = read(&stream, &mut rest, |_| false) => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(200 + number as u64 * 7 % 1000)).await;
    }
    times
}

/// What the server takes at a moment.
#[derive(Clone, Copy)]
struct Sample {
    seconds: f64,
    kib: u32,
    descriptors: usize,
    /// Since it was started.
    age: Duration,
}

fn sample(process: u32, begun: Instant, born: Instant) -> Option<Sample> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib = line.trim().trim_end_matches(" kB").parse().ok()?;
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count();
    Some(Sample { seconds: begun.elapsed().as_secs_f64(), kib, descriptors, age: born.elapsed() })
}

/// KiB a minute by least squares.
fn slope(samples: &[Sample]) -> f64 {
    let count = f64::from(u32::try_from(samples.len()).unwrap_or(u32::MAX).max(1));
    let kib = |sample: &Sample| f64::from(sample.kib);
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|sample| sample.seconds), mean(|sample| f64::from(sample.kib)));
    let covariance: f64 = samples.iter().map(|sample| (sample.seconds - x) * (kib(sample) - y)).sum();
    let variance: f64 = samples.iter().map(|sample| (sample.seconds - x).powi(2)).sum();
    if variance > 0.0 { 60.0 * covariance / variance } else { 0.0 }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    listener.local_addr().expect("it is bound").port()
}

/// Native clients over UDP by a bad way, half as many guests over web sockets, and a server that is killed now and then.
pub(crate) async fn soak(arguments: &Arguments, data: PathBuf) {
    let http = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut listeners: Vec<String> =
        ["--udp", "127.0.0.1:0", "--max-http", "2000", "--http"].map(str::to_owned).into();
    listeners.push(http.to_string());
    let mut server = Server::start(&arguments.bowline, &data, &listeners);
    let udp = server.addresses[0].socket_addr().expect("an IP address");
    listeners[1] = udp.to_string();
    let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket"));
    let address = Address::from(front.local_addr().expect("it is bound"));
    let way = Arc::new(Way { server: udp, dice: Dice(AtomicU64::new(1)), junk: AtomicU64::new(0) });
    let mut weather = JoinSet::new();
    weather.spawn(Arc::clone(&way).carry(front));
    weather.spawn(Arc::clone(&way).pollute());

    let course = Arc::new(Course { is_over: AtomicBool::new(false), gaps: std::sync::Mutex::default() });
    let (begun, mut born) = (Instant::now(), Instant::now());
    let endpoints: Vec<_> = (0..arguments.sockets.max(1)).map(|_| endpoint()).collect();
    let (mut clients, mut guests) = (JoinSet::new(), JoinSet::new());
    for number in 0..NATIVE {
        let (endpoint, address) = (endpoints[number % endpoints.len()].clone(), address.clone());
        let of_all = Arc::clone(&course);
        clients.spawn(async move { (number, client(endpoint, address, number, of_all).await) });
        if number % 4 == 0 {
            guests.spawn(guest(http, number / 4, Arc::clone(&course)));
        }
        if number.is_multiple_of(20) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let kill_every = Duration::from_secs(arguments.kill_every);
    let (mut samples, mut kills) = (Vec::new(), 0);
    while begun.elapsed() < arguments.seconds() {
        tokio::time::sleep(SAMPLE_EVERY).await;
        samples.extend(sample(server.id(), begun, born));
        if born.elapsed() >= kill_every && begun.elapsed() + kill_every / 2 < arguments.seconds() {
            let (bowline, data, listeners) = (arguments.bowline.clone(), data.clone(), listeners.clone());
            let restarted = tokio::task::spawn_blocking(move || {
                server.kill();
                Server::start(&bowline, &data, &listeners)
            });
            server = restarted.await.expect("it restarts");
            (born, kills) = (Instant::now(), kills + 1);
        }
    }
    course.is_over.store(true, Ordering::Relaxed);
    let mut seen: BTreeMap<usize, Seen> = BTreeMap::new();
    while let Some(done) = clients.join_next().await {
        let (number, one) = done.expect("no client panics");
        seen.insert(number, one);
    }
    let mut visits = 0;
    while let Some(times) = guests.join_next().await {
        visits += times.expect("no guest panics");
    }
    report(&seen, &samples, server.id());
    println!(
        "soak: {NATIVE} clients and {GUESTS} guests for {} s, {kills} kills, {visits} visits of guests, {} interruptions of clients, \
         {} datagrams of junk",
        begun.elapsed().as_secs(),
        course.gaps.lock().expect("nobody panics").len(),
        way.junk.load(Ordering::Relaxed)
    );
    drop(endpoints);
    server.end();
}

fn report(seen: &BTreeMap<usize, Seen>, samples: &[Sample], process: u32) {
    let total = |of: fn(&Seen) -> u64| seen.values().map(of).sum::<u64>();
    let (said, acked, doubled) = (total(|one| one.said), total(|one| one.acked), total(|one| one.doubled));
    let again = total(|one| one.again);
    // What was said in a room is what each of its clients may have been shown, and no more: nothing comes from nowhere.
    let mut rooms: BTreeMap<usize, u64> = BTreeMap::new();
    for (number, one) in seen {
        *rooms.entry(number / ROOM).or_default() += one.said;
    }
    let from_nowhere = seen.iter().filter(|(number, one)| one.entries > rooms[&(*number / ROOM)]).count();
    println!(
        "soak: {said} lines, {} not acknowledged, {doubled} entries twice, {again} lines in two places, {from_nowhere} clients with entries of nobody",
        said - acked
    );
    let settled: Vec<Sample> = samples.iter().copied().filter(|sample| sample.age >= SETTLE).collect();
    let last: Vec<Sample> = match settled.iter().rposition(|sample| sample.age < SETTLE + SAMPLE_EVERY) {
        Some(first) => settled[first..].to_vec(),
        None => settled.clone(),
    };
    let most = |of: fn(&Sample) -> usize| samples.iter().map(of).max().unwrap_or_default();
    println!(
        "soak: at most {} KiB resident, {:+.1} KiB a minute over the lives, {:+.1} in the last one, at most {} descriptors, {} at the end",
        samples.iter().map(|sample| sample.kib).max().unwrap_or_default(),
        slope(&settled),
        slope(&last),
        most(|sample| sample.descriptors),
        fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
    );
    assert_eq!(
        (said, doubled, again, from_nowhere),
        (acked, 0, 0, 0),
        "a line is lost, or an entry came twice"
    );
}
