//! Looks for planted bugs in a replicated register, and tells the story of each.
//!
//! ```sh
//! cargo run --release -p simtest --example register
//! ```

mod protocol;
mod scenario;

use protocol::{BUGS, Bug, Register};
use simtest::{Bounds, Budget, Chaos, Sim, certify, ms, search, secs, shrink};

fn small(bug: Bug) -> Sim<Register> {
    let mut sim = Sim::new("register");
    scenario::register(&mut sim, bug, 2, 1);
    sim
}

fn stormy(bug: Bug) -> Sim<Register> {
    let mut sim = Sim::new("register");
    scenario::register(&mut sim, bug, 3, 20);
    sim.campaign(Chaos::default().until(secs(2)).quiet_for(secs(30)));
    sim
}

fn main() {
    let bounds = Bounds::faults(1).crashes(ms(20), [ms(50)]);
    match certify(|| small(Bug::None), &bounds) {
        Ok(certificate) => println!("{certificate}\n"),
        Err(failure) => println!("{}\n", failure.report()),
    }
    for bug in BUGS {
        println!("{bug:?}");
        match search(0..2_000, |_| stormy(bug)) {
            Ok(report) => println!("  not found in {} seeds\n", report.seeds),
            Err(failure) => {
                println!("  seed {}: {}", failure.seed.unwrap_or_default(), failure.verdict);
                match shrink(&stormy(bug), &failure.schedule, Budget::default()) {
                    Some(shrunk) => println!("{shrunk}\n"),
                    None => println!("  it passes when replayed\n"),
                }
            }
        }
    }
}
