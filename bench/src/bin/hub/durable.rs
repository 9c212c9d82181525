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
use tokio::sync::Mutex;

use crate::Arguments;
use crate::figures::{Spread, millis, rate};
use crate::process::Hub;

const ROOMS: usize = 100;
/// Appends of one client that are on their way.
const WINDOW: usize = 32;
const BODY: &[u8] = &[b'x'; 128];

struct Tally {
    acknowledged: AtomicU64,
    wanted: AtomicU64,
    times: Mutex<Vec<Duration>>,
}

/// Appends as fast as they are acknowledged, until enough are.
async fn write(endpoint: Endpoint, server: SocketAddr, number: usize, tally: Arc<Tally>) {
    let connection = endpoint.connect(server).await.expect("the server lets it in");
    let mut secret = [9; 32];
    secret[0] = number as u8;
    let config = ClientConfig {
        last: Some(0),
        ..ClientConfig::new(&*format!("log {number}"), "writer", ClientSecret(secret))
    };
    let mut client = Client::new(config).expect("a name and a room");
    client.handle_connected(clock::now());
    let mut begun = BTreeMap::new();
    let mut times = Vec::new();
    while tally.acknowledged.load(Ordering::Relaxed) < tally.wanted.load(Ordering::Relaxed) {
        while client.unacknowledged() < WINDOW {
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

async fn run(server: SocketAddr, wanted: u64) -> (u64, Duration, Spread) {
    let endpoints: Vec<_> =
        (0..10).map(|_| Endpoint::client(ConfigBuilder::chat()).expect("a socket")).collect();
    let tally = Arc::new(Tally {
        acknowledged: AtomicU64::new(0),
        wanted: AtomicU64::new(wanted),
        times: Mutex::new(Vec::new()),
    });
    let begun = Instant::now();
    let writers: Vec<_> = (0..ROOMS)
        .map(|number| tokio::spawn(write(endpoints[number % 10].clone(), server, number, Arc::clone(&tally))))
        .collect();
    for writer in writers {
        writer.await.expect("it writes");
    }
    let took = begun.elapsed();
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

pub(crate) async fn durable(hub: &Hub, _: &Arguments) {
    let disk = disk(hub.dir());
    println!("the disk's own fdatasync: {disk}");
    let (count, took, times) = run(hub.udp, 200_000).await;
    println!("durable appends over {ROOMS} rooms: {} /s, acknowledged after {times}", rate(count, took));
    println!("that is {:.1} times the disk's own p99", millis(times.at(99)) / millis(disk.at(99)).max(0.001));
}

/// Appends so many entries.
pub(crate) async fn fill(server: SocketAddr, entries: u64) -> u64 {
    run(server, entries).await.0
}
