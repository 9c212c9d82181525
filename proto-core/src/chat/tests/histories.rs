use alloc::string::String;
use alloc::vec::Vec;

use super::world::{Outcome, World};
use crate::chat::{ChatConfig, ClientConfig};

const STEPS: u64 = 400;

fn run(seed: u64, configure: impl FnOnce(&mut ChatConfig, &mut Vec<ClientConfig>)) -> Result<World, String> {
    let mut world = World::new(seed, configure);
    let run = |world: &mut World| -> Outcome {
        for _ in 0..STEPS {
            world.step()?;
        }
        world.settle()
    };
    run(&mut world).map(|()| world)
}

#[test]
fn every_history_ends_in_one_log() {
    let (mut entries, mut faults, mut duplicates) = (0, 0, 0);
    for seed in 0..2500 {
        match run(seed, |_, _| {}) {
            Ok(world) => {
                entries += world.store.rooms.values().map(|kept| kept.entries.len()).sum::<usize>();
                faults += world.faults;
                duplicates += world.server.stats().duplicates;
            }
            Err(why) => panic!("history {seed}: {why}"),
        }
    }
    assert!(entries > 50_000, "too little was committed to mean anything: {entries}");
    assert!(faults > 25_000, "too little went wrong to mean anything: {faults}");
    assert!(duplicates > 500, "too little was repeated to mean anything: {duplicates}");
}

#[test]
fn the_same_history_twice_is_the_same() {
    for seed in 0..50 {
        let [first, second] = [run(seed, |_, _| {}), run(seed, |_, _| {})].map(|run| run.expect("it holds"));
        assert_eq!(first.server.stats(), second.server.stats());
        for (name, kept) in &first.store.rooms {
            assert_eq!(kept.entries, second.store.rooms[name].entries);
        }
    }
}

#[cfg(planted)]
mod planted {
    use super::run;
    use crate::chat::Planted;

    fn is_found(bug: Planted) -> bool {
        (0..200).any(|seed| {
            run(seed, |config, clients| {
                config.planted = Some(bug);
                for client in clients {
                    client.planted = Some(bug);
                }
            })
            .is_err()
        })
    }

    #[test]
    fn each_is_found() {
        for bug in [Planted::DedupOff, Planted::AckBeforePersist, Planted::DeliverOverGap] {
            assert!(is_found(bug), "{bug:?}");
        }
    }
}
