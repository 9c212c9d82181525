//! How fast the simulator runs the chat of `tests/sim/chat`, with all faults, oracles, invariants and the hash:
//! `cargo run --release -p proto-core --example simulated_chat`.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "the modules belong to the tests")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures")]

#[path = "../tests/sim/chat/mod.rs"]
mod chat;
#[path = "../tests/sim/core.rs"]
mod core;
#[path = "../tests/sim/linked.rs"]
mod linked;
#[path = "../tests/sim/net.rs"]
mod net;
#[path = "../tests/sim/oracles.rs"]
mod oracles;
#[path = "../tests/sim/peer.rs"]
mod peer;
#[path = "../tests/sim/story.rs"]
mod story;
#[path = "../tests/sim/streams.rs"]
mod streams;
#[path = "../tests/sim/wires.rs"]
mod wires;

use std::time::Instant;

use proto_core::chat::ChatConfig;
use simtest::FromSeed;

const GOAL: u64 = 1_000_000;

fn main() {
    let seeds = std::env::args().nth(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(500);
    let begun = (processor(), Instant::now());
    let mut events = 0;
    for seed in 0..seeds {
        let outcome = chat::stormy_with(seed, &ChatConfig::default()).run(FromSeed::new(seed));
        assert!(outcome.verdict.is_pass(), "seed {seed}: {}", outcome.verdict);
        events += outcome.stats.events;
    }
    let processor = begun.0.zip(processor()).map(|(from, to)| to - from);
    let nanos = processor.unwrap_or_else(|| begun.1.elapsed().as_nanos());
    let rate = u64::try_from(u128::from(events) * 1_000_000_000 / nanos.max(1)).unwrap_or(u64::MAX);
    println!("{seeds} seeds, {events} events, {rate} events/s (goal: {GOAL})");
}

/// The processor time of this thread in nanoseconds, where the system tells (Linux).
fn processor() -> Option<u128> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}
