//! Clients whose addresses change under way, in any weather: their connections go on, and nothing is lost or repeated.

use std::collections::BTreeSet;
use std::sync::Arc;

use proto_core::{Config, ConfigBuilder, Event, Retry};
use simtest::{
    Addr, Check, Dissect, Dist, Fault, FromSeed, Kind, Link, Node, Now, RecvMeta, Sim, Time, Transmit, at,
    ms, secs,
};

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
#[simtest::test(seeds = 0..1000)]
fn everything_holds_while_addresses_change(sim: &mut Sim<Peer>, seed: u64) {
    let config = |accept| settings(accept).build().expect("sound");
    *sim = everything(seed, &config(true), &config(false));
    sim.campaign(chaos());
    for (number, client) in ["a", "b", "a", "b", "a"].into_iter().enumerate() {
        let time = 700 + 1000 * number as u64 + seed * 37 % 900;
        sim.fault(at(ms(time)), Fault::rebind(client));
    }
}

/// Notes to whom it has shown a token, and whom it has let in without.
#[derive(Clone, Debug)]
pub(crate) struct Doorstep {
    peer: Peer,
    shown: BTreeSet<Addr>,
    unproven: Option<Addr>,
}

impl Dissect for Doorstep {
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        Peer::dissect(bytes, text)
    }

    fn reseal(original: &[u8], corrupted: &mut [u8]) {
        Peer::reseal(original, corrupted);
    }
}

impl Node for Doorstep {
    type Cmd = Cmd;
    type Event = Ev;

    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], with: RecvMeta) {
        self.peer.on_datagram(now, from, bytes, with);
    }

    fn on_timeout(&mut self, now: Now) {
        self.peer.on_timeout(now);
    }

    fn on_cmd(&mut self, now: Now, cmd: Cmd) {
        self.peer.on_cmd(now, cmd);
    }

    fn poll_transmit(&mut self, now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = self.peer.poll_transmit(now, out)?;
        match Self::dissect(out, &mut String::new()) {
            Some("RETRY") => {
                self.shown.insert(transmit.dst);
            }
            Some("ACCEPT") if !self.shown.contains(&transmit.dst) => self.unproven = Some(transmit.dst),
            _ => {}
        }
        Some(transmit)
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.peer.poll_timeout()
    }

    fn poll_event(&mut self) -> Option<Ev> {
        self.peer.poll_event()
    }
}

fn proven(doorstep: &Doorstep) -> Check {
    let from = |addr| format!("G14: let in from {addr:?}, which has never been shown a token");
    doorstep.unproven.map_or(Ok(()), |addr| Err(from(addr)))
}

#[cfg(planted)]
pub(crate) fn knocking(change: impl Fn(ConfigBuilder) -> ConfigBuilder) -> Sim<Doorstep> {
    let mut sim = Sim::new("knocking");
    knock(&mut sim, change);
    sim
}

/// Clients that come and go, and change their addresses meanwhile, at a server that lets in nobody who has not proven theirs.
fn knock(sim: &mut Sim<Doorstep>, change: impl Fn(ConfigBuilder) -> ConfigBuilder) {
    let config = |accept| -> Arc<Config> {
        let config = ConfigBuilder { retry: Retry::Always, ..settings(accept) };
        change(config).build().expect("sound")
    };
    let (server, client) = (config(true), config(false));
    let doorstep = |peer| Doorstep { peer, shown: BTreeSet::new(), unproven: None };
    let s =
        sim.node("s", move |boot| doorstep(Peer::new(Arc::clone(&server), None, boot.seed, boot.now.mono)));
    for name in ["a", "b"] {
        let client = Arc::clone(&client);
        let client = sim.node(name, move |boot| {
            let peer = Peer::new(Arc::clone(&client), Some(s.addr()), boot.seed, boot.now.mono);
            doorstep(if boot.life == 0 { peer } else { peer.connected(boot.now.mono) })
        });
        sim.workload(|w| {
            for step in 0..6 {
                w.at(ms(100 + 1000 * step)).cmd(client, Cmd::Connect);
                w.at(ms(900 + 1000 * step)).cmd(client, Cmd::Close { linger: ms(50) });
            }
            w.at(ms(6100)).cmd(client, Cmd::Connect);
        });
    }
    sim.links(Link::new().delay(Dist::uniform(ms(20)..ms(60))));
    sim.campaign(chaos().loss(200_000).rebind(ms(500)).victims(Kind::Rebind, ["a", "b"]));
    sim.invariant("proven", |v| v.nodes().try_for_each(|(_, doorstep)| proven(doorstep)));
    sim.eventually("let in", |v| v.nodes().all(|(_, doorstep)| doorstep.peer.is_connected()));
}

#[simtest::test(seeds = 0..2000)]
fn only_who_has_proven_an_address_is_let_in_from_there(sim: &mut Sim<Doorstep>) {
    knock(sim, |config| config);
}
