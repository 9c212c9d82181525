//! How connections come and go.

use std::time::Duration;

use driver::{Address, ConnectError, Scheme};
use proto_core::{Close, CloseReason, ConfigBuilder, SendError};

use crate::env::{accept, connect, number, recv, send, spawn};
use crate::world::World;
use crate::{Env, Pair, Stack, WAIT};

fn closed<S: Stack>(connection: &S::Connection) -> CloseReason {
    S::closed(connection, WAIT).expect("the end hangs").reason
}

/// Both ends name the same session.
pub fn both_ends_have_one_session<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let session = S::session(here);
    assert!(session.is_some());
    assert_eq!(session, S::session(there));
}

/// The kind of link is known, and what the link tells of the peer.
pub fn the_peer_says_what_it_is<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    assert_eq!((S::peer(here).scheme(), S::peer(there).scheme()), (env.scheme, env.scheme));
    if env.scheme == Scheme::Uds {
        let is_known = cfg!(any(target_os = "linux", target_os = "android"));
        let process = S::peer(there).credentials().map(|found| found.pid);
        assert_eq!(process, is_known.then(|| std::process::id().cast_signed()));
    } else {
        assert!(S::peer(there).socket_addr().is_some_and(|address| address.ip().is_loopback()));
    }
}

/// The client closes; both are told.
pub fn a_client_closes<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    S::close(here, Close::default());
    assert!(matches!(closed::<S>(here), CloseReason::Local { code: 0 }));
    assert!(matches!(closed::<S>(there), CloseReason::Peer { code: 0, .. }));
}

/// The server closes; both are told.
pub fn a_server_closes<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    S::close(there, Close::default());
    assert!(matches!(closed::<S>(there), CloseReason::Local { code: 0 }));
    assert!(matches!(closed::<S>(here), CloseReason::Peer { code: 0, .. }));
}

/// The application's code and words reach the peer.
pub fn a_code_and_a_reason_arrive<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    S::close(here, Close { code: 0x1234, reason: "enough".into(), ..Close::default() });
    assert_eq!(closed::<S>(there), CloseReason::Peer { code: 0x1234, reason: "enough".into() });
}

/// A connection that nobody holds closes.
pub fn the_last_handle_closes<S: Stack>(env: &Env<S>) {
    let Pair { here, there, client: _client, server: _server } = env.pair(ConfigBuilder::default());
    let clone = here.clone();
    drop(here);
    send::<S>(&clone, number(1));
    assert_eq!(recv::<S>(&there).payload, "1");
    drop(clone);
    assert!(matches!(closed::<S>(&there), CloseReason::Peer { .. }));
}

/// The first word is the one that counts.
pub fn closing_twice_is_closing_once<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    S::close(here, Close { code: 0x101, ..Close::default() });
    S::close(here, Close { code: 0x102, ..Close::default() });
    assert!(matches!(closed::<S>(there), CloseReason::Peer { code: 0x101, .. }));
}

/// Whoever sends after the end is told so.
pub fn after_the_end_nothing_is_sent<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    S::close(here, Close::default());
    assert_eq!(S::send_now(here, number(1)), Err(SendError::Closed));
    closed::<S>(there);
    assert_eq!(S::send(there, number(1), WAIT), Some(Err(SendError::Closed)));
    assert_eq!(S::writable(there, WAIT), Some(Err(SendError::Closed)));
}

/// Messages that were not taken survive the end.
pub fn what_arrived_before_the_end_can_be_taken<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    for i in 0..10 {
        send::<S>(here, number(i));
    }
    S::close(here, Close::default());
    closed::<S>(there);
    for i in 0..10 {
        assert_eq!(recv::<S>(there).payload, i.to_string());
    }
    assert_eq!(S::recv(there, WAIT), Some(None));
}

/// The end stays what it was, for every handle.
pub fn everybody_is_told_the_same_end<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let others: Vec<_> = (0..4).map(|_| there.clone()).collect();
    let threads: Vec<_> =
        others.into_iter().map(|other| spawn::<S, _>(move || closed::<S>(&other))).collect();
    S::close(here, Close { code: 0x105, ..Close::default() });
    let first = closed::<S>(there);
    for thread in threads {
        assert_eq!(thread(), first);
    }
}

/// An endpoint without connections is idle.
pub fn an_idle_endpoint_says_so<S: Stack>(env: &Env<S>) {
    let Pair { here, there, client, server } = env.pair(ConfigBuilder::default());
    assert!(S::wait_idle(&client, Duration::from_millis(1)).is_none());
    S::close(&here, Close::default());
    assert!(S::wait_idle(&client, WAIT).is_some());
    closed::<S>(&there);
    drop((here, there));
    assert!(S::wait_idle(&server, WAIT).is_some());
}

/// Closing an endpoint closes its connections.
pub fn closing_an_endpoint_closes_all<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(ConfigBuilder::default());
    let client = env.client(ConfigBuilder::default());
    let ends: Vec<_> = (0..3).map(|_| (connect::<S>(&client, &address), accept::<S>(&server))).collect();
    S::close_all(&server);
    for (here, there) in &ends {
        assert!(matches!(closed::<S>(here), CloseReason::Peer { .. }));
        assert!(matches!(closed::<S>(there), CloseReason::Local { .. }));
    }
}

/// A closed endpoint has nobody to accept.
pub fn a_closed_endpoint_accepts_nobody<S: Stack>(env: &Env<S>) {
    let (server, _) = env.server(ConfigBuilder::default());
    S::close_all(&server);
    assert!(S::accept(&server, WAIT).expect("it says so").is_none());
}

/// Connections that come and go leave nothing behind.
pub fn twenty_connections_in_turn<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(ConfigBuilder::default());
    let client = env.client(ConfigBuilder::default());
    for i in 0..20 {
        let here = connect::<S>(&client, &address);
        let there = accept::<S>(&server);
        send::<S>(&here, number(i));
        assert_eq!(recv::<S>(&there).payload, i.to_string());
        S::close(&there, Close::default());
        closed::<S>(&here);
    }
    assert!(S::wait_idle(&client, WAIT).is_some());
}

/// Where nobody listens, the reason says so, or that nobody answered.
pub fn nobody_listens_there<S: Stack>(env: &Env<S>) {
    let config = ConfigBuilder { handshake_timeout: Duration::from_millis(300), ..ConfigBuilder::default() };
    let (at, _silence) = <S::World as World>::silence(env.scheme);
    let failed = S::connect(&env.client(config), &[env.address().at(at)], WAIT).expect("it fails in time");
    assert!(matches!(failed, Err(ConnectError::Failed(_))));
}

/// Of several addresses the first that works is kept.
pub fn the_first_that_works_is_kept<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(ConfigBuilder::default());
    let (dead, _silence) = <S::World as World>::silence(Scheme::Udp);
    let dead = Address::from(dead);
    let client = env.client(ConfigBuilder::default());
    let here = S::connect(&client, &[dead, address], WAIT).expect("it hangs").expect("the second answers");
    let there = accept::<S>(&server);
    send::<S>(&here, number(1));
    assert_eq!(recv::<S>(&there).payload, "1");
    assert_eq!((S::peer(&here).scheme(), S::peer(&there).scheme()), (env.scheme, env.scheme));
}

/// Two servers cannot have one address.
pub fn an_address_in_use_says_so<S: Stack>(env: &Env<S>) {
    let (_server, address) = env.server(ConfigBuilder::default());
    let taken = S::listen(std::slice::from_ref(&address), env.options(ConfigBuilder::default()));
    let error = taken.err().expect("the address is taken").to_string();
    assert!(error.contains(&address.to_string()), "{error}");
}
