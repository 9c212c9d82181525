//! Rate limits over a bad network: who is told of one keeps to it, and the receiver never takes in more.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto_core::{Class, ConfigBuilder, Rate, ReceiptKind};
use simtest::{Chaos, Check, Kind, Link, NodeId, Now, Oracle, Sim, Time, ms, secs};

use crate::core::settings;
use crate::oracles::Guarantees;
use crate::peer::{Ask, Cmd, Ev, Peer};

const RATE: Rate = Rate { messages: 20, message_burst: 8, bytes: 0, byte_burst: 0 };

/// What arrives of one connection in any span of time is a burst and the rate at most.
#[derive(Clone, Default)]
struct KeepsToTheRate {
    /// When messages arrived at each end.
    arrived: BTreeMap<(NodeId, proto_core::ConnectionId), Vec<Time>>,
}

impl Oracle<Peer> for KeepsToTheRate {
    fn event(&mut self, now: Now, node: NodeId, event: &Ev) -> Check {
        let Ev::Received { conn, .. } = event else { return Ok(()) };
        let arrived = self.arrived.entry((node, *conn)).or_default();
        arrived.push(now.mono);
        // Unreliable messages may use a burst that credit has been granted for.
        for (before, &from) in arrived.iter().enumerate() {
            let count = (arrived.len() - before) as u64;
            let most = 2 * RATE.message_burst
                + (now.mono.since(from).as_millis() as u64 + 1) * RATE.messages / 1000
                + 1;
            if count > most {
                return Err(format!("{count} messages since {from:?}, at most {most}"));
            }
        }
        Ok(())
    }
}

pub(crate) fn limited_settings(accept: bool) -> ConfigBuilder {
    ConfigBuilder { receive_rate: accept.then_some(RATE), ..settings(accept) }
}

pub(crate) fn limited(seed: u64, config: impl Fn(bool) -> ConfigBuilder) -> Sim<Peer> {
    let server = config(true).build().expect("sound");
    let client = config(false).build().expect("sound");
    let mut sim = Sim::new("rates");
    let s = sim.node("s", move |boot| Peer::new(Arc::clone(&server), None, boot.seed, boot.now.mono));
    let a = sim.node("a", move |boot| {
        let peer = Peer::new(Arc::clone(&client), Some(s.addr()), boot.seed, boot.now.mono);
        peer.connected(boot.now.mono)
    });
    sim.links(Link::new().delay(simtest::Dist::uniform(ms(5)..ms(40))));
    sim.workload(|w| {
        w.at(ms(150)).cmd(a, Cmd::Open { reliable_sequenced: true });
        for step in 0..30 {
            let class = Class::ALL[((seed + step) % 4) as usize];
            let receipt = [ReceiptKind::None, ReceiptKind::Arrival][(step % 2) as usize];
            let send =
                Cmd::Send { channel: 0, ask: Ask { class, receipt, ..Ask::default() }, size: 50, count: 6 };
            w.at(ms(200 * step)).cmd(a, send);
            let ask = Ask { class: Class::Sequenced, ..Ask::default() };
            w.at(ms(200 * step + 70)).cmd(a, Cmd::Send { channel: 1, ask, size: 60, count: 4 });
        }
    });
    sim.campaign(
        Chaos::default().until(secs(6)).quiet_for(secs(60)).without(Kind::Disk).without(Kind::Pause),
    );
    sim.oracle("guarantees", Guarantees::new(None));
    sim.oracle("rate", KeepsToTheRate::default());
    sim.eventually("settled", |v| v.nodes().all(|(_, peer)| peer.is_settled() && peer.is_connected()));
    sim
}

#[simtest::test(seeds = 0..1000)]
fn nobody_is_sent_more_than_it_takes(sim: &mut Sim<Peer>, seed: u64) {
    *sim = limited(seed, limited_settings);
}

/// Without faults nothing is dropped for the rate: the peer has been told.
#[test]
fn who_is_told_keeps_to_it() {
    for seed in 0..20 {
        let mut sim = limited(seed, limited_settings);
        sim.campaign(Chaos::none().until(secs(6)).quiet_for(secs(60)));
        let outcome = sim.run(simtest::FromSeed::new(seed));
        outcome.assert_pass();
        let stats = outcome.node(NodeId::new(0)).expect("it lives").endpoint.stats();
        assert!(stats.messages_delivered > 100, "seed {seed}: {} delivered", stats.messages_delivered);
        assert_eq!(stats.drops.get(proto_core::Drop::RateLimited), 0, "seed {seed}");
    }
}
