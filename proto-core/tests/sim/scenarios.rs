//! Scenarios drawn and shrunk by quickcheck: any number of clients, any preset of a link, any faults.

use std::sync::Arc;

use proto_core::{Class, Config, ReceiptKind};
use simtest::{Scenario, Sim, ms, secs};

use crate::core::settings;
use crate::oracles::Guarantees;
use crate::peer::{Ask, Cmd, Peer};

fn build(scenario: &Scenario) -> Sim<Peer> {
    let config = |accept| -> Arc<Config> { settings(accept).build().expect("a sound configuration") };
    let (server, client) = (config(true), config(false));
    let mut sim = Sim::new("scenarios");
    let s = sim.node("s", move |boot| Peer::new(Arc::clone(&server), None, boot.seed, boot.now.mono));
    let clients: Vec<_> = (0..scenario.hosts.clamp(1, 4))
        .map(|index| {
            let client = Arc::clone(&client);
            sim.node(&format!("c{index}"), move |boot| {
                let peer = Peer::new(Arc::clone(&client), Some(s.addr()), boot.seed, boot.now.mono);
                peer.connected(boot.now.mono)
            })
        })
        .collect();
    sim.links(scenario.link.link());
    sim.workload(|w| {
        for (number, &client) in (0..scenario.messages.min(40)).zip(clients.iter().cycle()) {
            let size = u32::from(number) * 97 % 1500;
            let receipts = [ReceiptKind::Arrival, ReceiptKind::None, ReceiptKind::Processing];
            let ask = Ask {
                class: Class::ALL[usize::from(number % 4)],
                receipt: receipts[usize::from(number % 3)],
                ..Ask::default()
            };
            let send = Cmd::Send { channel: 0, ask, size, count: 2 };
            w.at(ms(100 * u64::from(number))).cmd(client, send);
        }
    });
    sim.campaign(simtest::Chaos::default().until(secs(4)).quiet_for(secs(60)).without(simtest::Kind::Disk));
    sim.oracle("guarantees", Guarantees::new(None));
    sim.eventually("settled", |v| v.nodes().all(|(_, peer)| peer.is_settled() && peer.is_connected()));
    sim
}

quickcheck::quickcheck! {
    fn any_scenario_keeps_the_guarantees(scenario: Scenario) -> bool {
        build(&scenario).run(scenario.chooser()).verdict.is_pass()
    }
}
