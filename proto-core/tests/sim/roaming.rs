//! Clients whose addresses change under way, in any weather: their connections go on, and nothing is lost or repeated.

use std::sync::Arc;

use proto_core::Event;
use simtest::{Dist, Fault, FromSeed, Link, Sim, at, ms, secs};

use crate::core::{chaos, everything, settings};
use crate::oracles::Guarantees;
use crate::peer::{Ask, Cmd, Ev, Peer};

/// A server and two clients that talk both ways; `a` gets a new address again and again.
fn wandering(seed: u64) -> Sim<Peer> {
    let mut sim = Sim::new("roaming");
    let config = |accept| settings(accept).build().expect("sound");
    let (server, client) = (config(true), config(false));
    let s = sim.node("s", move |boot| Peer::new(Arc::clone(&server), None, boot.seed, boot.now.mono));
    let clients: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|name| {
            let client = Arc::clone(&client);
            sim.node(name, move |boot| {
                let peer = Peer::new(Arc::clone(&client), Some(s.addr()), boot.seed, boot.now.mono);
                peer.connected(boot.now.mono)
            })
        })
        .collect();
    sim.links(Link::new().delay(Dist::uniform(ms(5)..ms(30))).loss(20_000).duplicate(20_000, ms(0)..ms(60)));
    sim.workload(|w| {
        for step in 0..60 {
            let size = ((seed + step * 131) % 3000) as u32;
            let send = || Cmd::Send { channel: 0, ask: Ask::default(), size, count: 2 };
            w.at(ms(100 + 90 * step)).cmd(clients[(step % 2) as usize], send());
            w.at(ms(120 + 90 * step)).cmd(s, send());
        }
    });
    sim.oracle("guarantees", Guarantees::new(None));
    sim
}

#[test]
fn a_connection_outlives_its_addresses() {
    for seed in 0..300 {
        let mut sim = wandering(seed);
        for (number, every) in [700, 1400, 2300, 3700].into_iter().enumerate() {
            sim.fault(at(ms(every + 10 * number as u64 + seed % 90)), Fault::rebind("a"));
        }
        sim.run_for(secs(20));
        sim.keep_events(true);
        sim.finally("all arrived", |v| v.nodes().all(|(_, peer)| peer.is_connected() && peer.is_settled()));
        let outcome = sim.run(FromSeed::new(seed));
        outcome.assert_pass();
        for node in (0..3).map(simtest::NodeId::new) {
            let ended = outcome.events(node).any(|(_, event)| {
                matches!(event, Ev::Core { event: Event::Closed(_) | Event::ConnectFailed(_), .. })
            });
            assert!(!ended, "seed {seed}: a connection did not outlive a change of address");
        }
        let moves = outcome.node(simtest::NodeId::new(0)).map_or(0, |peer| peer.endpoint.stats().moves);
        assert!(moves >= 1, "seed {seed}: {moves} moves");
    }
}

/// The clients of a campaign change their addresses as well.
#[test]
fn everything_holds_while_addresses_change() {
    simtest::run_seeds(0..2000, |seed| {
        let config = |accept| settings(accept).build().expect("sound");
        let mut sim = everything(seed, &config(true), &config(false));
        sim.campaign(chaos());
        for (number, client) in ["a", "b", "a", "b", "a"].into_iter().enumerate() {
            let time = 700 + 1000 * number as u64 + seed * 37 % 900;
            sim.fault(at(ms(time)), Fault::rebind(client));
        }
        sim
    });
}
