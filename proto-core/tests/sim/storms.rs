//! Ten thousand clients that lose their server at once, or are told to come back later: how many of them dial within 100 ms.

use std::sync::Arc;
use std::time::Duration;

use proto_core::{Advice, ConfigBuilder, Drain, Event, Reconnect};
use simtest::{Dist, Fault, FromSeed, Link, NodeId, Sim, at, ms, secs};

use crate::core::settings;
use crate::peer::{Cmd, Ev, Peer};
use crate::streams::By;

const CLIENTS: usize = 10_000;
const SPREAD: Duration = secs(1);
const WINDOW: Duration = ms(100);
/// What the server tells clients to wait for, before it draws.
const RETRY_AFTER: Duration = secs(20);
/// When it happens.
const STORM: Duration = secs(2);

/// A server that takes `room` clients, and all of them.
fn crowd(room: usize) -> Sim<Peer> {
    let mut sim = Sim::new("storm");
    let roomy = |accept| ConfigBuilder {
        max_connections: if accept { room } else { 4 },
        max_pending: 2 * CLIENTS,
        max_pending_per_prefix: 2 * CLIENTS,
        busy_retry_after: RETRY_AFTER,
        reconnect: Some(Reconnect { spread: SPREAD, ..Reconnect::default() }),
        ..settings(accept)
    };
    let [server, client] = [true, false].map(|accept| roomy(accept).build().expect("sound"));
    let s = sim.node("s", move |boot| Peer::new(Arc::clone(&server), None, boot.seed, boot.now.mono));
    for number in 0..CLIENTS {
        let client = Arc::clone(&client);
        let by = if number.is_multiple_of(2) { By::Datagrams } else { By::Streams };
        sim.node(&format!("c{number}"), move |boot| {
            let peer = Peer::new(Arc::clone(&client), Some(s.addr()), boot.seed, boot.now.mono);
            peer.by(by).connected(boot.now.mono)
        });
    }
    sim.links(Link::new().delay(Dist::uniform(ms(5)..ms(30))));
    sim.keep_events(true);
    sim
}

/// The largest part of the clients that begin an attempt within 100 ms, in hundredths of a percent, after the storm began.
fn largest_share(sim: &Sim<Peer>) -> usize {
    let outcome = sim.run(FromSeed::new(1));
    outcome.assert_pass();
    let mut dials = Vec::new();
    for node in (1..=CLIENTS as u32).map(NodeId::new) {
        for (_, event) in outcome.events(node) {
            if let Ev::Core { event: Event::RetryAt { at, .. }, .. } = event {
                dials.push(*at);
            }
        }
    }
    assert!(dials.len() >= CLIENTS - 1, "those without a server look for it");
    dials.sort_unstable();
    let mut first = 0;
    let in_window = |(last, at): (usize, &proto_core::Timestamp)| {
        while at.since(dials[first]) >= WINDOW {
            first += 1;
        }
        last + 1 - first
    };
    dials.iter().enumerate().map(in_window).max().unwrap_or(0) * 10_000 / CLIENTS
}

#[test]
fn a_server_that_restarts_is_not_met_by_a_crowd() {
    for outage in [ms(50), ms(1500)] {
        let mut sim = crowd(2 * CLIENTS);
        sim.fault(at(STORM), Fault::crash("s").restart_after(outage));
        sim.run_for(secs(12));
        sim.finally("all are back", |view| view.nodes().all(|(_, peer)| peer.is_connected()));
        let share = largest_share(&sim);
        println!("after an outage of {outage:?}: {share} in 10,000 within 100 ms");
        assert!(share <= 1200, "an outage of {outage:?}: {share} in 10,000 dial within 100 ms");
    }
}

#[test]
fn clients_that_are_told_when_come_back_one_by_one() {
    let mut sim = crowd(2 * CLIENTS);
    sim.workload(|w| {
        let how = Drain { advice: Advice::After, retry_after: RETRY_AFTER, ..Drain::default() };
        w.at(STORM).cmd(NodeId::new(0), Cmd::Drain(how));
    });
    sim.run_for(secs(10));
    let share = largest_share(&sim);
    println!("after a drain: {share} in 10,000 within 100 ms");
    assert!(share <= 100, "{share} in 10,000 dial within 100 ms");
}

#[test]
fn clients_that_find_no_room_come_back_one_by_one() {
    let mut sim = crowd(1);
    sim.run_for(secs(10));
    let share = largest_share(&sim);
    println!("without room: {share} in 10,000 within 100 ms");
    assert!(share <= 100, "{share} in 10,000 dial within 100 ms");
}
