//! Endpoints of several shards: whoever comes back finds its session, wherever it comes in.

use std::collections::BTreeSet;

use driver::Scheme;

use crate::env::{Relay, accept, connect, number, recv, send};
use crate::sessions::restless;
use crate::world::Relay as _;
use crate::{Env, Stack, WAIT};

/// Clients, each of which comes in for itself.
const CLIENTS: usize = 24;

/// The shard that a connection's session is in.
fn shard<S: Stack>(connection: &S::Connection) -> u8 {
    S::session(connection).expect("it is established").0[0]
}

/// Every client is served, and no shard has all of them.
pub fn newcomers_are_spread<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(restless());
    let clients: Vec<_> = (0..CLIENTS).map(|_| env.client(restless())).collect();
    let ends: Vec<_> = clients
        .iter()
        .enumerate()
        .map(|(i, client)| {
            let here = connect::<S>(client, &address);
            let there = accept::<S>(&server);
            send::<S>(&here, number(i));
            assert_eq!(recv::<S>(&there).payload, i.to_string());
            send::<S>(&there, number(i));
            assert_eq!(recv::<S>(&here).payload, i.to_string());
            (here, there)
        })
        .collect();
    let shards: BTreeSet<_> = ends.iter().map(|(here, _)| shard::<S>(here)).collect();
    assert!(shards.len() > 1, "all are in shard {shards:?}");
    for (here, there) in &ends {
        assert_eq!(S::session(here), S::session(there));
    }
}

/// Clients whose ways are cut come in anew, mostly at another shard than their session's.
pub fn sessions_are_found_from_any_shard<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(restless());
    go_on(env, &server, |client| {
        let relay = Relay::<S>::new(&address);
        let here = connect::<S>(client, relay.address());
        (relay, here, false)
    });
}

/// Sessions that were begun on this kind of link go on by datagrams.
pub fn sessions_go_on_by_datagrams<S: Stack>(env: &Env<S>) {
    let addresses = [env.address(), Env::<S>::new(Scheme::Udp).address()];
    let server = S::listen(&addresses, env.options(restless())).expect("the addresses are free");
    let [by_stream, by_datagrams] = &S::addresses(&server)[..] else { panic!("it listens on both") };
    go_on(env, &server, |client| {
        let relay = Relay::<S>::new(by_stream);
        let ways = [relay.address().clone(), by_datagrams.clone()];
        let here = S::connect(client, &ways, WAIT).expect("it hangs").expect("the server answers");
        (relay, here, true)
    });
}

/// All ways are cut, and each session goes on, healed or by another way, without a loss.
fn go_on<S: Stack>(
    env: &Env<S>,
    server: &S::Endpoint,
    mut begin: impl FnMut(&S::Endpoint) -> (Relay<S>, S::Connection, bool),
) {
    let clients: Vec<_> = (0..CLIENTS / 2).map(|_| env.client(restless())).collect();
    let ends: Vec<_> = clients
        .iter()
        .map(|client| {
            let (relay, here, has_other_way) = begin(client);
            let there = accept::<S>(server);
            send::<S>(&here, number(1));
            assert_eq!(recv::<S>(&there).payload, "1");
            let session = S::session(&here);
            (relay, here, there, session, has_other_way)
        })
        .collect();
    for (relay, ..) in &ends {
        relay.swallow();
        relay.cut();
    }
    for (_, here, there, ..) in &ends {
        send::<S>(here, number(2));
        send::<S>(there, number(3));
    }
    for (relay, here, _, _, has_other_way) in &ends {
        if !has_other_way {
            assert!(S::is_linked(here, false, WAIT), "the cut is noticed");
            relay.heal();
        }
    }
    for (_, here, there, session, _) in &ends {
        assert_eq!(recv::<S>(there).payload, "2");
        assert_eq!(recv::<S>(here).payload, "3");
        assert_eq!(S::session(here), *session);
        assert_eq!(S::session(there), *session);
        assert_eq!(S::incarnation(here), S::incarnation(there));
    }
}

/// A port that several sockets share is not shared with another endpoint.
pub fn a_shared_address_is_nobody_elses<S: Stack>(env: &Env<S>) {
    let (_server, address) = env.server(restless());
    assert!(S::listen(&[address], env.options(restless())).is_err());
}
