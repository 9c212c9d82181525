//! Appends to logs, acknowledged when they are durable.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use adapter_tokio::{ConfigBuilder, Endpoint, Message, SendError, clock};
use bytes::Bytes;
use proto_core::chat::{Client, ClientConfig, ClientEvent, ClientSecret, Kind};
use tokio::sync::{Mutex, Semaphore};

use crate::Arguments;
use crate::figures::{Spread, millis, rate};
use crate::pace::Ticks;
use crate::process::Hub;

const ROOMS: usize = 100;
/// Appends of one client that are on their way.
const WINDOW: usize = 32;
/// Appends in a second of the paced run.
const PACE: u64 = 20_000;
const BODY: &[u8] = &[b'x'; 128];

struct Tally {
    acknowledged: AtomicU64,
    wanted: AtomicU64,
    times: Mutex<Vec<Duration>>,
    /// What each may begin, where they are paced.
    paces: Option<Vec<Semaphore>>,
}

impl Tally {
    /// Lets so many appends a second be begun, by one writer after the other.
    async fn pace(&self, rate: u64) {
        let (ticks, begun) = (Ticks::start(), Instant::now());
        let mut next = self.paces.iter().flatten().cycle();
        let mut given = 0;
        loop {
            ticks.tick().await;
            let due = begun.elapsed().as_micros() as u64 * rate / 1_000_000;
            for pace in next.by_ref().take((due - given) as usize) {
                pace.add_permits(1);
            }
            given = due;
        }
    }
}

/// Appends as fast as they are acknowledged, or as fast as it may, until enough are.
async fn write(endpoint: Endpoint, server: SocketAddr, number: usize, tally: Arc<Tally>) {
    let connection = endpoint.connect(server).await.expect("the server lets it in");
    let pace = tally.paces.as_ref().map(|paces| &paces[number]);
    // What was said in another run was said.
    let log = if pace.is_some() { "paced log" } else { "log" };
    let mut secret = [9; 32];
    secret[0] = number as u8;
    let config = ClientConfig {
        last: Some(0),
        ..ClientConfig::new(&*format!("{log} {number}"), "writer", ClientSecret(secret))
    };
    let mut client = Client::new(config).expect("a name and a room");
    client.handle_connected(clock::now());
    let mut begun = BTreeMap::new();
    let mut times = Vec::new();
    while tally.acknowledged.load(Ordering::Relaxed) < tally.wanted.load(Ordering::Relaxed) {
        while client.unacknowledged() < WINDOW {
            match pace.map(Semaphore::try_acquire) {
                None => {}
                Some(Ok(permit)) => permit.forget(),
                Some(Err(_)) => break,
            }
            let Ok(sequence) = client.append(clock::now(), Kind::TEXT, Bytes::from_static(BODY)) else {
                break;
            };
            begun.insert(sequence, Instant::now());
        }
        while let Some(payload) = client.poll_message() {
            match connection.send(Message::new(payload)).await {
                Ok(()) | Err(SendError::Full) => {}
                Err(error) => panic!("the connection is lost: {error}"),
            }
        }
        let timer = client.poll_timeout().map(clock::instant).map(tokio::time::Instant::from_std);
        tokio::select! {
            message = connection.recv() => {
                let message = message.expect("the connection lasts");
                client.handle_message(clock::now(), &message.payload);
            }
            () = async { tokio::time::sleep_until(timer.expect("there is one")).await }, if timer.is_some() => {
                client.handle_timeout(clock::now());
            }
            permit = async { pace.expect("there is one").acquire().await },
                if pace.is_some() && client.unacknowledged() < WINDOW => drop(permit),
        }
        while let Some(event) = client.poll_event() {
            match event {
                ClientEvent::Acked { sequence, .. } => {
                    times.extend(begun.remove(&sequence).map(|begun| begun.elapsed()));
                    tally.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                ClientEvent::Rejected { reason, .. } => panic!("an append is refused: {reason:?}"),
                _ => {}
            }
        }
    }
    tally.times.lock().await.extend(times);
}

async fn run(server: SocketAddr, wanted: u64, pace: Option<u64>) -> (u64, Duration, Spread) {
    let endpoints: Vec<_> =
        (0..10).map(|_| Endpoint::client(ConfigBuilder::chat()).expect("a socket")).collect();
    let tally = Arc::new(Tally {
        acknowledged: AtomicU64::new(0),
        wanted: AtomicU64::new(wanted),
        times: Mutex::new(Vec::new()),
        paces: pace.map(|_| (0..ROOMS).map(|_| Semaphore::new(0)).collect()),
    });
    let pacer = pace.map(|rate| {
        let tally = Arc::clone(&tally);
        tokio::spawn(async move { tally.pace(rate).await })
    });
    let begun = Instant::now();
    let writers: Vec<_> = (0..ROOMS)
        .map(|number| tokio::spawn(write(endpoints[number % 10].clone(), server, number, Arc::clone(&tally))))
        .collect();
    for writer in writers {
        writer.await.expect("it writes");
    }
    let took = begun.elapsed();
    pacer.inspect(tokio::task::JoinHandle::abort);
    let times = std::mem::take(&mut *tally.times.lock().await);
    (tally.acknowledged.load(Ordering::Relaxed), took, Spread::of(times))
}

/// How long the disk takes to make a page durable.
fn disk(dir: &Path) -> Spread {
    let path = dir.join("probe");
    let mut file = File::create(&path).expect("the directory can be written");
    let times = (0..300).map(|_| {
        file.write_all(&[7; 4096]).expect("there is space");
        let begun = Instant::now();
        file.sync_data().expect("the disk works");
        begun.elapsed()
    });
    let spread = Spread::of(times.collect());
    // Its directory is removed in the end.
    let _ = fs::remove_file(path);
    spread
}

pub(crate) async fn durable(hub: &Hub, arguments: &Arguments) {
    let disk = disk(hub.dir());
    println!("the disk's own fdatasync: {disk}");
    for (pace, wanted) in [(None, 200_000), (Some(PACE), PACE * arguments.seconds)] {
        let (count, took, times) = run(hub.udp, wanted, pace).await;
        println!(
            "durable appends over {ROOMS} rooms{}: {} /s, acknowledged after {times}",
            if pace.is_some() { ", paced" } else { "" },
            rate(count, took)
        );
        let of_disk = millis(times.at(99)) / millis(disk.at(99)).max(0.001);
        println!("that is {of_disk:.1} times the disk's own p99");
    }
}

/// Appends so many entries.
pub(crate) async fn fill(server: SocketAddr, entries: u64) -> u64 {
    run(server, entries, None).await.0
}
