//! What the flight recorder costs for an input, alone and as a part of an endpoint: `cargo run --release -p driver --example recorder`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures")]

use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use driver::{End, Endpoint, LINK, Machine as _, Path, Peer, RecordOptions, Recorder, clock};
use proto_core::{ConfigBuilder, Meta, Now, Timestamp};

const INPUTS: u64 = 200_000;
/// Goals: nanoseconds for an input, and bytes beside what came with it.
const NANOS: u128 = 200;
const BYTES: u64 = 24;

/// So many inputs come at once; then the thread that writes catches up, which is not measured.
const BURST: u64 = 500;

fn main() {
    let mut missed = false;
    println!(
        "{:<12}{:>12}{:>24}{:>24}",
        "payload", "ns an input", "bytes beside payload", "MB/s with the disk"
    );
    for payload in [0, 64, 1_200] {
        let file = env::temp_dir().join(format!("recorder-{}.rec", process::id()));
        let runs: Vec<_> = (0..7).map(|_| record(&file, payload)).collect();
        let size = fs::metadata(&file).map_or(0, |file| file.len());
        let _ = fs::remove_file(&file);
        let noted = runs.iter().map(|run| run.0).min().unwrap_or_default();
        let all = runs.iter().map(|run| run.1).min().unwrap_or_default();
        let (nanos, bytes) = (noted.as_nanos() / u128::from(INPUTS), size / INPUTS - payload as u64);
        let disk = u128::from(size) * 1_000 / all.as_nanos().max(1);
        println!("{payload:<12}{nanos:>12}{bytes:>24}{disk:>24}");
        missed |= nanos > NANOS || bytes > BYTES;
    }
    println!(
        "\n{:<12}{:>24}{:>24}{:>24}",
        "packets of", "ns in an endpoint", "if it is recorded", "more for an input"
    );
    for payload in [64, 1_200] {
        let runs: Vec<_> = (0..3).map(|_| (endpoint(payload, false), endpoint(payload, true))).collect();
        let least = |times: Vec<Duration>| times.into_iter().min().unwrap_or_default().as_nanos();
        let plain = least(runs.iter().map(|run| run.0).collect()) / u128::from(INPUTS);
        let noted = least(runs.iter().map(|run| run.1).collect()) / u128::from(INPUTS);
        // A packet, and a poll for events.
        let each = noted.saturating_sub(plain) / 2;
        println!("{payload:<12}{plain:>24}{noted:>24}{each:>24}");
        missed |= each > NANOS;
    }
    println!("goal: at most {NANOS} ns and {BYTES} bytes{}", if missed { ": MISSED" } else { "" });
    process::exit(i32::from(missed));
}

/// Notes that many inputs of the kind that a busy server gets: a path's number and a packet. How long whoever notes them is
/// busy, and how long it takes until they are written.
fn record(file: &std::path::Path, payload: usize) -> (Duration, Duration) {
    let packet = vec![7; payload];
    let mut recorder = Recorder::create(file, "cost/1", u64::MAX).expect("a file").with_memory(1 << 30);
    let (begun, mut noted) = (Instant::now(), Duration::ZERO);
    for burst in 0..INPUTS / BURST {
        let from = Instant::now();
        for i in burst * BURST..(burst + 1) * BURST {
            let now = Now { mono: Timestamp::from_nanos(i * 10_000), unix_ms: 1_700_000_000_000 + i / 100 };
            recorder.note(now, 2, &[&(i as u32 % 64).to_le_bytes(), &packet]);
        }
        noted += from.elapsed();
        recorder.flush();
    }
    (noted, begun.elapsed())
}

/// Gives an endpoint that many packets that are nobody's, and polls for events after each: two inputs. How long that takes.
fn endpoint(payload: usize, is_recorded: bool) -> Duration {
    let file = env::temp_dir().join(format!("recorder-endpoint-{}.rec", process::id()));
    let config = ConfigBuilder { accept: true, ..ConfigBuilder::default() }.build().expect("sound settings");
    let (_handle, shared) = if is_recorded {
        let record = RecordOptions { memory: 1 << 30, ..RecordOptions::new(&file) };
        Endpoint::recorded(&config, [1; 32], clock::now, 1, &record).expect("a file")
    } else {
        Endpoint::new(proto_core::Endpoint::new(config, LINK, [1; 32], clock::now().mono), clock::now, 1)
    };
    let packet = vec![0x40; payload];
    let from_path = Path { socket: 0, peer: Peer::Udp(([127, 0, 0, 1], 7).into()) };
    let mut took = Duration::ZERO;
    for _ in 0..INPUTS / BURST {
        let from = Instant::now();
        for _ in 0..BURST {
            shared.turn(|node, now| node.handle_packet(now, Meta { path: from_path, ecn: None }, &packet));
        }
        took += from.elapsed();
        thread::sleep(Duration::from_millis(2));
    }
    shared.end(End::Over);
    let _ = fs::remove_file(&file);
    took
}
