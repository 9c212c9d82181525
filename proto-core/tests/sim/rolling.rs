//! A rolling restart under load: two thousand clients, by datagrams and by streams, are sent away and come back, nothing is lost, and
//! nobody waits for much longer than it has to.

use std::sync::Arc;
use std::time::Duration;

use proto_core::{Class, ConfigBuilder, Drain, Event, Fate, ReceiptKind, Reconnect};
use simtest::{Dist, Fault, FromSeed, Link, NodeId, Sim, Time, at, ms, secs};

use crate::core::{Draw, settings};
use crate::oracles::Guarantees;
use crate::peer::{Ask, Cmd, Ev, Peer};
use crate::streams::By;

const CLIENTS: usize = 2000;

/// When the server is restarted, and what that takes.
#[derive(Clone, Copy)]
struct Pace {
    restarts: [Duration; 2],
    /// From the order to go away to the end of the process.
    drains: Duration,
    /// From there to the next one.
    starts: Duration,
}

const QUICK: Pace = Pace { restarts: [secs(2), secs(7)], drains: ms(300), starts: ms(150) };
/// Somebody has work that does not end, and the next server has a large store.
const SLOW: Pace = Pace { restarts: [secs(2), secs(22)], drains: secs(3), starts: secs(6) };
const SPREAD: Duration = secs(1);
/// Twice there and back at most, for a client that must prove its address.
const HANDSHAKE: Duration = ms(4 * 30);

fn restarts(seed: u64, clients: usize, pace: Pace) -> Sim<Peer> {
    let Pace { restarts, drains, starts } = pace;
    let mut sim = Sim::new("rolling");
    let roomy = |accept| ConfigBuilder {
        max_connections: 10_000,
        max_pending: 10_000,
        max_pending_per_prefix: 10_000,
        send_messages: 64,
        reconnect: Some(Reconnect { spread: SPREAD, ..Reconnect::default() }),
        ..settings(accept)
    };
    let [server, client] = [true, false].map(|accept| roomy(accept).build().expect("sound"));
    let s = sim.node("s", move |boot| Peer::new(Arc::clone(&server), None, boot.seed, boot.now.mono));
    let clients: Vec<_> = (0..clients)
        .map(|number| {
            let client = Arc::clone(&client);
            let by = if number.is_multiple_of(2) { By::Datagrams } else { By::Streams };
            sim.node(&format!("c{number}"), move |boot| {
                let peer = Peer::new(Arc::clone(&client), Some(s.addr()), boot.seed, boot.now.mono);
                peer.by(by).connected(boot.now.mono)
            })
        })
        .collect();
    sim.links(Link::new().delay(Dist::uniform(ms(5)..ms(30))));
    sim.workload(|w| {
        let ask = Ask { class: Class::ReliableOrdered, receipt: ReceiptKind::Arrival, ..Ask::default() };
        let mut draw = Draw(seed);
        for &client in &clients {
            let first = 200 + draw.below(1000);
            for step in 0..10 {
                let cmd = Cmd::Send { channel: 0, ask, size: 40 + draw.below(400) as u32, count: 1 };
                w.at(ms(first + step * 1000)).cmd(client, cmd);
            }
        }
        for restart in restarts {
            w.at(restart).cmd(s, Cmd::Drain(Drain { timeout: drains, ..Drain::default() }));
        }
    });
    for restart in restarts {
        sim.fault(at(restart + drains), Fault::crash("s").restart_after(starts));
    }
    sim.oracle("guarantees", Guarantees::new(None));
    sim.run_for(restarts[1] + drains + starts + secs(13));
    sim.keep_events(true);
    sim.finally("back", |v| v.nodes().all(|(_, peer)| peer.is_connected() && peer.is_settled()));
    sim
}

/// The longest that a client of `sim` was without a connection beyond what it had to.
fn longest_wait(seed: u64, clients: usize, pace: Pace) -> Duration {
    let Pace { restarts, drains, starts } = pace;
    let sim = self::restarts(seed, clients, pace);
    let outcome = sim.run(FromSeed::new(seed));
    outcome.assert_pass();
    let mut longest = Duration::ZERO;
    for node in (1..=clients as u32).map(NodeId::new) {
        let (mut left, mut came): (Option<Time>, _) = (None, 0);
        for (when, event) in outcome.events(node) {
            let Ev::Core { event, .. } = event else { continue };
            match event {
                Event::Established { .. } => {
                    came += 1;
                    let Some(left) = left.take() else { continue };
                    let back = restarts.map(|restart| Time::ZERO + restart + drains + starts);
                    let could = back.into_iter().filter(|back| left < *back).min().map_or(left, |back| back);
                    longest = longest.max(when.since(could).saturating_sub(HANDSHAKE));
                }
                Event::Fate { fate, .. } => assert_eq!(*fate, Fate::Acked, "nothing is in doubt"),
                Event::Closed(closed) => {
                    assert_eq!((closed.unsent, closed.unacked), (0, 0), "everything was said");
                    left = Some(when);
                }
                _ => {}
            }
        }
        assert!(came > restarts.len() && left.is_none(), "it comes back each time");
    }
    longest
}

#[test]
fn nobody_waits_for_longer_than_the_spread() {
    let longest =
        (0..20).map(|seed| longest_wait(seed, 50, QUICK)).chain([longest_wait(0, CLIENTS, QUICK)]).max();
    println!("the longest wait beyond the restart and the network: {longest:?}");
    assert!(longest <= Some(SPREAD), "{longest:?}");
}

/// However long the restart takes: those who ask meanwhile are not sent further and further away.
#[test]
fn nobody_waits_for_longer_when_the_restart_takes_long() {
    let longest = (0..10).map(|seed| longest_wait(seed, 50, SLOW)).max();
    assert!(longest <= Some(SPREAD), "{longest:?}");
}
