//! The same ping-pong in simtest, turmoil and madsim: pairs of hosts, one datagram of 8 bytes under way in each pair, 1 ms there
//! and 1 ms back, nothing lost. What is measured is datagrams delivered per second of processor time.
//!
//! ```sh
//! cd bench/simulators && cargo run --release
//! ```

mod madsim;
mod simtest;
mod turmoil;

use std::time::Instant;

/// How many hosts, and how many rounds all pairs play together.
const SIZES: [usize; 3] = [2, 10, 50];
const ROUNDS: u64 = 100_000;
/// Each is measured so often, by turns; the best counts.
const TIMES: usize = 3;
const GOAL: u64 = 10;

/// Plays so many rounds with each of the pairs.
type Play = fn(pairs: usize, rounds: u64);

const OTHERS: [(&str, Play); 2] = [("turmoil 0.7.2", turmoil::play), ("madsim 0.2.34", madsim::play)];

fn main() {
    println!("{:<8}{:<16}{:>16}{:>14}", "hosts", "", "datagrams/s", "times slower");
    let mut missed = 0;
    for hosts in SIZES {
        let pairs = hosts / 2;
        let mut best = [0; 3];
        for _ in 0..TIMES {
            // Those that are slower play fewer rounds.
            best[0] = best[0].max(rate(simtest::play, pairs, 10 * ROUNDS));
            for (best, (_, play)) in best[1..].iter_mut().zip(OTHERS) {
                *best = (*best).max(rate(play, pairs, ROUNDS));
            }
        }
        println!("{hosts:<8}{:<16}{:>16}", "simtest", best[0]);
        for (best_of, (name, _)) in best[1..].iter().zip(OTHERS) {
            let tenths = best[0] * 10 / best_of.max(&1);
            println!("{hosts:<8}{name:<16}{best_of:>16}{:>12}.{}", tenths / 10, tenths % 10);
            missed += u64::from(tenths < GOAL * 10);
        }
    }
    println!("goal: at least {GOAL} times as fast as each; missed {missed} times");
    std::process::exit(i32::from(missed > 0));
}

/// Datagrams per second of processor time.
fn rate(play: Play, pairs: usize, rounds: u64) -> u64 {
    let each = rounds / pairs as u64;
    play(pairs, each / 10);
    let begun = Clock::now();
    play(pairs, each);
    let nanos = begun.elapsed().max(1);
    u64::try_from(u128::from(2 * each * pairs as u64) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

/// The processor time of this thread where the system tells (Linux), so that other work on the machine does not count; else the
/// time on the wall.
struct Clock {
    processor: Option<u128>,
    wall: Instant,
}

impl Clock {
    fn now() -> Self {
        Self { processor: Self::processor(), wall: Instant::now() }
    }

    fn elapsed(&self) -> u128 {
        let processor = self.processor.zip(Self::processor()).map(|(from, to)| to - from);
        processor.unwrap_or_else(|| self.wall.elapsed().as_nanos())
    }

    fn processor() -> Option<u128> {
        std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
    }
}
