//! Peers that do not keep to the protocol, and streams that are cut.

use std::time::Duration;

use driver::{Address, ConnectError, Scheme};
use proto_core::{CloseReason, ConfigBuilder, DialError};

use crate::env::{Raw, Relay, accept, connect, number, recv, send};
use crate::world::{Raw as _, Relay as _};
use crate::{Env, Stack, WAIT};

fn works<S: Stack>(server: &S::Endpoint, client: &S::Endpoint, address: &Address) {
    let here = connect::<S>(client, address);
    let there = accept::<S>(server);
    send::<S>(&here, number(1));
    assert_eq!(recv::<S>(&there).payload, "1");
}

/// Bytes that make no sense end the stream that they came on.
pub fn garbage_ends_only_its_own_stream<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(ConfigBuilder::default());
    let client = env.client(ConfigBuilder::default());
    let good = connect::<S>(&client, &address);
    let there = accept::<S>(&server);
    for garbage in [&[0xff; 100][..], &[0; 100], b"GET / HTTP/1.1\r\n\r\n", &[5, 1, 2, 3, 4, 5, 6, 7]] {
        let mut raw = Raw::<S>::connect(&address);
        raw.write(garbage);
        raw.shutdown();
        // It may be told something before, or be cut off.
        let _ = raw.read_to_end();
    }
    send::<S>(&good, number(2));
    assert_eq!(recv::<S>(&there).payload, "2");
    works::<S>(&server, &client, &address);
}

/// A stream that ends before anything was answered is told apart from an address where nobody is.
pub fn who_hangs_up_without_an_answer_is_not_nobody<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(ConfigBuilder::default());
    let relay = Relay::<S>::new(&address);
    drop(server);
    let client = env.client(ConfigBuilder { reconnect: None, ..ConfigBuilder::default() });
    let connected = S::connect(&client, std::slice::from_ref(relay.address()), WAIT).expect("it is told");
    let Err(ConnectError::Failed(closed)) = connected.map(drop) else { panic!("it failed otherwise") };
    assert_eq!(closed.reason, CloseReason::Dial(DialError::HungUp));
}

/// Streams that say nothing cost a place, and nobody waits for them.
pub fn a_silent_stream_disturbs_nobody<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(ConfigBuilder::default());
    let client = env.client(ConfigBuilder::default());
    let _silent: Vec<_> = (0..10).map(|_| Raw::<S>::connect(&address)).collect();
    works::<S>(&server, &client, &address);
}

/// Streams that say nothing take no more places than there are, and the oldest of them makes room for whoever comes.
pub fn silent_streams_keep_nobody_out<S: Stack>(env: &Env<S>) {
    let mut options = env.options(ConfigBuilder::default());
    options.links.max_handshakes = 4;
    let server = S::listen(&[env.address()], options).expect("an address is free");
    let address = S::addresses(&server).remove(0);
    let client = env.client(ConfigBuilder::default());
    let _silent: Vec<_> = (0..20).map(|_| Raw::<S>::connect(&address)).collect();
    works::<S>(&server, &client, &address);
}

/// A record that begins and does not end ends its stream, long before anything else would.
pub fn a_record_that_does_not_end_in_time_ends_its_stream<S: Stack>(env: &Env<S>) {
    let hour = Duration::from_hours(1);
    let config = ConfigBuilder {
        handshake_timeout: hour,
        heartbeat: hour,
        dead: hour * 4,
        ..ConfigBuilder::default()
    };
    let mut options = env.options(config.clone());
    options.links.record_timeout = Duration::from_millis(100);
    let server = S::listen(&[env.address()], options).expect("an address is free");
    let address = S::addresses(&server).remove(0);
    let client = env.client(config);
    let relay = Relay::<S>::new(&address);
    let here = connect::<S>(&client, relay.address());
    let there = accept::<S>(&server);
    send::<S>(&here, number(1));
    assert_eq!(recv::<S>(&there).payload, "1");
    // With a length of two bytes, and as a masked frame of a web socket.
    relay.say(&[0x82, 0xE4]);
    S::closed(&here, WAIT).expect("the server hangs up");
    // The client may hear of it before the server has counted it.
    let mut stats = S::link_stats(&server);
    for _ in 0..1000 {
        if stats.records_overdue + stats.broken > 0 {
            break;
        }
        S::closed(&there, Duration::from_millis(10));
        stats = S::link_stats(&server);
    }
    // TLS takes no bytes in the name of its client at all.
    let is_sealed = matches!(env.scheme, Scheme::Tls | Scheme::Wss);
    assert_eq!((stats.records_overdue, stats.broken), if is_sealed { (0, 1) } else { (1, 0) });
}

/// A stream that dies is noticed by the client.
pub fn a_stream_that_is_cut_is_noticed<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(ConfigBuilder::default());
    let client = env.client(ConfigBuilder::default());
    let relay = Relay::<S>::new(&address);
    let here = connect::<S>(&client, relay.address());
    let there = accept::<S>(&server);
    send::<S>(&here, number(1));
    assert_eq!(recv::<S>(&there).payload, "1");
    relay.cut();
    S::closed(&here, WAIT).expect("the cut is noticed");
    works::<S>(&server, &client, relay.address());
}

/// Who is gone before he has said who he is.
pub fn who_hangs_up_at_once_disturbs_nobody<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(ConfigBuilder::default());
    let client = env.client(ConfigBuilder::default());
    drop(Raw::<S>::connect(&address));
    let mut raw = Raw::<S>::connect(&address);
    raw.write(&[1]);
    drop(raw);
    works::<S>(&server, &client, &address);
}

/// A peer that writes no more has gone.
pub fn a_half_closed_stream_is_over<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(ConfigBuilder::default());
    let mut raw = Raw::<S>::connect(&address);
    raw.shutdown();
    raw.read_to_end().expect("the server closes its half");
    works::<S>(&server, &env.client(ConfigBuilder::default()), &address);
}
