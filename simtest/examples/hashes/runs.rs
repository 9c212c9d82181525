//! Hashes of a thousand runs: in each block 80 of a register and 20 of a talk over streams, with all faults.

#[path = "../register/protocol.rs"]
#[expect(dead_code, reason = "the bugs are not looked for here")]
mod protocol;
#[path = "../register/scenario.rs"]
mod scenario;
#[path = "talk.rs"]
mod talk;

use protocol::{Bug, Register};
use simtest::{Chaos, FromSeed, Link, Sim, ms, secs};

pub(crate) const BLOCKS: u64 = 10;
const SEEDS: u64 = 100;

/// The register under each of the presets in turn, with every fault that a campaign has.
fn register(seed: u64) -> Sim<Register> {
    let mut sim = Sim::new("register");
    scenario::register(&mut sim, Bug::None, 2, 4);
    let links = [Link::lan(), Link::cellular(), Link::satellite(), Link::hostile()];
    sim.links(links[(seed % 4) as usize].clone());
    let chaos = Chaos::default().clock(secs(3), ms(10)..secs(1)).rebind(secs(4)).until(secs(1));
    sim.campaign(chaos.quiet_for(secs(30)));
    sim
}

/// One line: the block, and the hashes of all its runs rolled into one.
pub(crate) fn line(block: u64) -> String {
    let seeds = block * SEEDS..(block + 1) * SEEDS;
    let hash = seeds.clone().fold(0_u128, |all, seed| {
        let seeded = FromSeed::new(seed);
        let hash =
            if seed % 5 == 4 { talk::talk().run(seeded).hash } else { register(seed).run(seeded).hash };
        all.rotate_left(1) ^ hash
    });
    format!("seeds {}..{} {hash:032x}", seeds.start, seeds.end)
}
