//! A rolling restart under load: the server drains, dies, and comes back, and everything that was sent and not yet acknowledged
//! finds its way, in any weather.

use std::sync::Arc;

use proto_core::{Class, ConfigBuilder, Drain, Event, Fate, ReceiptKind};
use simtest::{Chaos, Dist, Fault, FromSeed, Kind, Link, Sim, at, ms, secs};

use crate::core::settings;
use crate::oracles::Guarantees;
use crate::peer::{Ask, Cmd, Ev, Peer};

const CLIENTS: usize = 5;

/// Clients that send all the time, and a server that is asked to drain at 2 s and is dead from 4 s to 4.2 s.
fn rolling(seed: u64) -> Sim<Peer> {
    rolling_with(seed, |config| config)
}

pub(crate) fn rolling_with(seed: u64, config: impl Fn(ConfigBuilder) -> ConfigBuilder) -> Sim<Peer> {
    let mut sim = Sim::new("drain");
    let server = config(settings(true)).build().expect("sound");
    let client = config(ConfigBuilder { send_messages: 64, ..settings(false) }).build().expect("sound");
    let s = sim.node("s", move |boot| Peer::new(Arc::clone(&server), None, boot.seed, boot.now.mono));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let client = Arc::clone(&client);
            sim.node(&format!("c{number}"), move |boot| {
                let peer = Peer::new(Arc::clone(&client), Some(s.addr()), boot.seed, boot.now.mono);
                peer.connected(boot.now.mono)
            })
        })
        .collect();
    sim.links(Link::new().delay(Dist::uniform(ms(5)..ms(30))).loss(30_000));
    sim.workload(|w| {
        let ask = Ask { class: Class::ReliableOrdered, receipt: ReceiptKind::Arrival, ..Ask::default() };
        for step in 0..40 {
            for (number, &client) in clients.iter().enumerate() {
                let size = ((seed + step * 7) % 900) as u32;
                w.at(ms(100 + 97 * step + number as u64))
                    .cmd(client, Cmd::Send { channel: 0, ask, size, count: 1 });
                if step % 8 == 3 {
                    w.at(ms(110 + 97 * step)).cmd(client, Cmd::Request { size: 300, timeout: secs(20) });
                }
            }
        }
        w.at(secs(2)).cmd(s, Cmd::Drain(Drain { timeout: ms(1500), ..Drain::default() }));
    });
    sim.fault(at(secs(4)), Fault::crash("s").restart_after(ms(200)));
    sim.oracle("guarantees", Guarantees::new(None));
    sim
}

#[test]
fn a_rolling_restart_loses_nothing() {
    for seed in 0..300 {
        let mut sim = rolling(seed);
        sim.run_for(secs(30));
        sim.keep_events(true);
        sim.finally("back", |v| v.nodes().all(|(_, peer)| peer.is_connected() && peer.is_settled()));
        let outcome = sim.run(FromSeed::new(seed));
        outcome.assert_pass();
        for node in (1..=CLIENTS as u32).map(simtest::NodeId::new) {
            let (mut came, mut left) = (0, 0);
            for (_, event) in outcome.events(node) {
                let Ev::Core { event, .. } = event else { continue };
                match event {
                    Event::Established { .. } => came += 1,
                    Event::Fate { fate, .. } => {
                        assert_eq!(*fate, Fate::Acked, "seed {seed}: nothing is in doubt");
                    }
                    Event::Closed(closed) => {
                        assert_eq!((closed.unsent, closed.unacked), (0, 0), "seed {seed}");
                        assert!(closed.next.is_some(), "seed {seed}: it comes back");
                        left += 1;
                    }
                    _ => {}
                }
            }
            assert_eq!(came, left + 1, "seed {seed}: sent away once for each time that it came");
        }
    }
}

#[simtest::test(seeds = 0..1000)]
fn draining_keeps_the_guarantees_in_every_weather(sim: &mut Sim<Peer>, seed: u64) {
    *sim = rolling(seed);
    sim.campaign(Chaos::default().until(secs(6)).quiet_for(secs(60)).without(Kind::Disk));
    sim.eventually("back", |v| v.nodes().all(|(_, peer)| peer.is_connected() && peer.is_settled()));
}
