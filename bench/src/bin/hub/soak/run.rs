//! The course of a soak.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use adapter_tokio::Address;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::judge::{self, Page, descriptors, sample};
use super::reader;
use super::way::Way;
use crate::Arguments;
use crate::rolling::{Course, ROOM, Seen, Server, client, endpoint};
use crate::socket::{framed, read, try_enter, write};

const GUESTS: usize = 500;
/// Native clients: so many for each of the others.
const NATIVE: usize = 4 * GUESTS;
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// Each client says a line so often: memory is to be full of what it may hold well before the end.
const EVERY: Duration = Duration::from_secs(4);
/// After so long nothing is left of those who were killed, or lost their last word.
const LEAVE: Duration = Duration::from_mins(4);

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

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    listener.local_addr().expect("it is bound").port()
}

/// Native clients, half of them encrypted and half over streams, by a bad way, a quarter as many guests over web sockets, and a
/// server that is killed now and then in the first third.
pub(crate) async fn soak(arguments: &Arguments, data: PathBuf) {
    let http = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut listeners: Vec<String> = [
        "--udp",
        "127.0.0.1:0",
        "--tcp",
        "127.0.0.1:0",
        "--encrypt",
        "always",
        "--max-http",
        "2000",
        "--http",
    ]
    .map(str::to_owned)
    .into();
    listeners.push(http.to_string());
    let mut server = Server::start(&arguments.bowline, &data, &listeners);
    let open = descriptors(server.id());
    let [udp, tcp] = [0, 1].map(|at| server.addresses[at].socket_addr().expect("an IP address"));
    (listeners[1], listeners[3]) = (udp.to_string(), tcp.to_string());
    let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket"));
    let front_tcp = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let addresses = [
        Address::from(front.local_addr().expect("it is bound")),
        format!("tcp://{}", front_tcp.local_addr().expect("it is bound")).parse().expect("an address"),
    ];
    let way = Way::new(udp, tcp);
    let mut weather = JoinSet::new();
    weather.spawn(Arc::clone(&way).carry(front));
    weather.spawn(Arc::clone(&way).carry_streams(front_tcp));
    weather.spawn(Arc::clone(&way).pollute());
    weather.spawn(Arc::clone(&way).pollute_streams());

    let course =
        Arc::new(Course { every: EVERY, is_over: AtomicBool::new(false), gaps: std::sync::Mutex::default() });
    let (begun, mut born) = (Instant::now(), Instant::now());
    let keys = [Some(server.key.expect("it encrypts")), None];
    let count = arguments.sockets.max(1);
    let endpoints = keys.map(|key| (0..count).map(|_| endpoint(key)).collect::<Vec<_>>());
    let (mut clients, mut guests) = (JoinSet::new(), JoinSet::new());
    for number in 0..NATIVE {
        let endpoint = endpoints[number % 2][number / 2 % count].clone();
        let (address, of_all) = (addresses[number % 2].clone(), Arc::clone(&course));
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
        samples.extend(sample(server.id(), begun));
        if born.elapsed() >= kill_every && begun.elapsed() < arguments.seconds() / 3 {
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
    let count = |of: &std::sync::atomic::AtomicU64| of.load(Ordering::Relaxed);
    println!(
        "soak: {NATIVE} clients and {GUESTS} guests for {} s, {kills} kills, {visits} visits of guests, {} interruptions of clients, {} \
         streams cut, {} datagrams and {} streams of junk",
        begun.elapsed().as_secs(),
        course.gaps.lock().expect("nobody panics").len(),
        count(&way.cuts),
        count(&way.junk),
        count(&way.junk_streams)
    );
    judge::clients(&seen);
    let mut lines = 0;
    for number in 0..NATIVE / ROOM {
        let found = reader::read(&endpoints[1][0], server.addresses[1].clone(), number).await;
        lines += judge::log(number, &found, &seen);
    }
    println!("soak: {} logs have {lines} lines, those that were acknowledged, and no others", NATIVE / ROOM);
    weather.shutdown().await;
    let until = Instant::now() + LEAVE;
    while !Page::of(http).is_quiet() && Instant::now() < until {
        tokio::time::sleep(SAMPLE_EVERY).await;
    }
    judge::quiet(&Page::of(http), open, server.id());
    judge::memory(&samples);
    drop(endpoints);
    server.end();
}
