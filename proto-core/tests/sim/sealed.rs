//! Encrypted connections: whatever holds in the open holds for them, and what is forged on the way is found.

use std::sync::Arc;

use proto_core::crypto::{Crypto, Identity, Trust};
use proto_core::{Config, ConfigBuilder, Drop};
use seal::Party;
use simtest::{Chaos, Dist, Fault, FromSeed, Link, NodeId, Sim, View, at, ms, secs};

use crate::core::{chaos, everything, everything_by, settings, sleepy};
use crate::oracles::Guarantees;
use crate::peer::{Ask, Cmd, Peer};
use crate::streams::By;

/// The private keys of clients and of the server, and the secret of their group.
pub(crate) const KEYS: [&[u8]; 3] = [&[0xC1; 32], &[0x51; 32], b"known to all of a simulation"];

/// The keys of the server and of its clients. What is random in handshakes is drawn by the core, so that runs can be repeated.
fn party(accept: bool) -> Party {
    let private = KEYS[usize::from(accept)].try_into().expect("32 bytes");
    Party::from_private(private).repeatable().with_secret(KEYS[2]).expect("long enough")
}

/// The same, encrypted: the server is known beforehand, or shows its key. Keys are replaced all the time.
pub(crate) fn encrypted(config: ConfigBuilder, is_known: bool) -> Arc<Config> {
    let trust = if is_known { Trust::Pinned(party(true).public_key()) } else { Trust::FirstUse };
    let crypto = Crypto {
        update_packets: 12,
        update_interval: secs(3),
        ..Crypto::new(Arc::new(party(config.accept)), trust)
    };
    ConfigBuilder { crypto: Some(crypto), ..config }.build().expect("a sound configuration")
}

fn both(of: fn(bool) -> ConfigBuilder, is_known: bool) -> [Arc<Config>; 2] {
    [true, false].map(|accept| encrypted(of(accept), is_known))
}

fn stormy(seed: u64) -> Sim<Peer> {
    let [server, client] = both(settings, seed.is_multiple_of(2));
    let mut sim = everything(seed, &server, &client);
    sim.campaign(chaos());
    sim
}

#[simtest::test(seeds = 0..1000)]
fn everything_holds_encrypted_in_every_weather(sim: &mut Sim<Peer>, seed: u64) {
    *sim = stormy(seed);
}

#[test]
fn runs_are_the_same_encrypted() {
    for seed in 0..10 {
        simtest::check_determinism(seed, stormy).expect("the same run twice");
    }
}

#[simtest::test(seeds = 0..400)]
fn whoever_was_put_away_has_its_keys(sim: &mut Sim<Peer>, seed: u64) {
    let [server, client] = both(sleepy, true);
    *sim = everything(seed, &server, &client);
    sim.campaign(chaos());
}

#[simtest::test(seeds = 0..800)]
fn encrypted_sessions_outlive_their_links(sim: &mut Sim<Peer>, seed: u64) {
    let [server, client] = both(crate::sessions::restless, seed.is_multiple_of(2));
    let by = if seed.is_multiple_of(3) { By::Both } else { By::Datagrams };
    *sim = everything_by(by, seed, &server, &client);
    sim.campaign(crate::sessions::weather());
}

#[simtest::test(seeds = 0..400)]
fn encrypted_clients_change_their_addresses(sim: &mut Sim<Peer>, seed: u64) {
    let [server, client] = both(settings, true);
    *sim = everything(seed, &server, &client);
    sim.campaign(chaos());
    for (number, client) in ["a", "b", "a", "b", "a"].into_iter().enumerate() {
        let time = 700 + 1000 * number as u64 + seed * 37 % 900;
        sim.fault(at(ms(time)), Fault::rebind(client));
    }
}

/// Whoever watches two networks cannot tell by the ids that a client which has moved is the same.
#[test]
fn nothing_links_the_addresses_of_an_encrypted_client() {
    for seed in 0..300 {
        let [server, client] = both(settings, true);
        let mut sim = chatty(seed, &server, &client);
        for time in [1700, 3900, 6100] {
            sim.fault(at(ms(time + seed % 90)), Fault::rebind("a"));
        }
        let outcome = sim.run(FromSeed::new(seed));
        outcome.assert_pass();
        let [s, a] = [0, 1].map(|node| outcome.node(NodeId::new(node)).expect("it is there"));
        for (id, places) in &s.called {
            assert!(places.len() == 1, "seed {seed}: {id:02x?} was said to {places:?}");
        }
        let (moves, renewed) =
            (s.endpoint.stats().moves, [s, a].map(|peer| peer.endpoint.stats().cids_renewed));
        assert!(
            moves >= 2 && renewed.iter().all(|&count| count >= moves),
            "seed {seed}: {moves}, {renewed:?}"
        );
        assert!(a.called.len() as u64 > moves, "seed {seed}: {:?}", a.called);
    }
}

/// Changed packets whose checksum was made right again: in the open they are taken, here nothing of them is.
#[test]
fn what_is_forged_on_the_way_changes_nothing() {
    let forging = |seed: u64| {
        let [server, client] = both(settings, seed.is_multiple_of(2));
        let mut sim = everything(seed, &server, &client);
        sim.campaign(Chaos::default().until(secs(6)).quiet_for(secs(60)).corrupt_resealed(50_000));
        sim
    };
    let forged = |seed| {
        let outcome = forging(seed).run(FromSeed::new(seed));
        // Who changes handshakes can keep a client out, and no more than that.
        let oracle = outcome.verdict.oracle();
        assert!(matches!(oracle, None | Some("settled")), "seed {seed}: {}", outcome.verdict);
        let nodes = (0..3).filter_map(|node| outcome.node(NodeId::new(node)));
        nodes.map(|peer| peer.endpoint.stats().drops.get(Drop::ForgedPacket)).sum::<u64>()
    };
    assert!((0..400).map(forged).sum::<u64>() > 100, "the campaign meets what it judges");
}

fn forged(view: &View<'_, Peer>) -> Result<(), String> {
    view.nodes().try_for_each(|(id, peer)| match peer.endpoint.stats().drops.get(Drop::ForgedPacket) {
        0 => Ok(()),
        count => Err(format!("{} could not open {count} packets that nobody has changed", view.name(id))),
    })
}

/// Two sides that talk over a link that loses and repeats a little, and replace their keys every few packets.
pub(crate) fn chatty(seed: u64, server: &Arc<Config>, client: &Arc<Config>) -> Sim<Peer> {
    let (server, client) = (Arc::clone(server), Arc::clone(client));
    let mut sim = Sim::new("chatty");
    let s = sim.node("s", move |boot| Peer::new(Arc::clone(&server), None, boot.seed, boot.now.mono));
    let a = sim.node("a", move |boot| {
        Peer::new(Arc::clone(&client), Some(s.addr()), boot.seed, boot.now.mono).connected(boot.now.mono)
    });
    sim.links(Link::new().delay(Dist::uniform(ms(5)..ms(15))).loss(20_000).duplicate(20_000, ms(0)..ms(10)));
    sim.workload(|w| {
        for step in 0..100 {
            let size = ((seed + step * 131) % 2500) as u32;
            let node = if step % 3 == 0 { s } else { a };
            let send = Cmd::Send { channel: 0, ask: Ask::default(), size, count: 2 };
            w.at(ms(100 + 50 * step)).cmd(node, send);
        }
    });
    sim.run_for(secs(10));
    sim.oracle("guarantees", Guarantees::new(None));
    sim.invariant("nothing is forged", forged);
    sim.finally("settled", |v| v.nodes().all(|(_, peer)| peer.is_connected() && peer.is_settled()));
    sim
}

#[test]
fn keys_are_replaced_under_way() {
    let [server, client] = both(settings, true);
    for seed in 0..200 {
        let outcome = chatty(seed, &server, &client).run(FromSeed::new(seed));
        outcome.assert_pass();
        for node in [0, 1].map(NodeId::new) {
            let peer = outcome.node(node).expect("it was built");
            let updates: u64 = peer.connections().map(|conn| conn.key_updates()).sum();
            assert!(updates >= 5, "seed {seed}: {updates} updates");
        }
    }
}
