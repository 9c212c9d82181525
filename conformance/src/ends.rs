//! Ends that are in nobody's way.

use std::time::Duration;

use proto_core::{Close, CloseReason, ConfigBuilder, Message};

use crate::env::{accept, connect, number, pattern, recv, send};
use crate::{Env, Pair, Stack, WAIT};

/// What was sent before the close arrives.
pub fn closing_with_linger_delivers<S: Stack>(env: &Env<S>) {
    let Pair { here, there, server: _server, client: _client } = env.pair(ConfigBuilder::default());
    for i in 0..50 {
        send::<S>(&here, number(i));
    }
    S::close(&here, Close { linger: Duration::from_secs(10), ..Close::default() });
    for i in 0..50 {
        assert_eq!(recv::<S>(&there).payload, i.to_string());
    }
    assert_eq!(S::recv(&there, WAIT), Some(None));
    let closed = S::closed(&here, WAIT).expect("the end hangs");
    assert_eq!((closed.unsent, closed.unacked), (0, 0));
}

/// Neither waits for the other.
pub fn closing_both_ends_at_once<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    S::close(here, Close::default());
    S::close(there, Close::default());
    assert!(S::closed(here, WAIT).is_some() && S::closed(there, WAIT).is_some());
}

/// Whoever drops everything has said goodbye.
pub fn a_dropped_endpoint_says_goodbye<S: Stack>(env: &Env<S>) {
    let Pair { here, there, client, server: _server } = env.pair(ConfigBuilder::default());
    drop((here, client));
    let closed = S::closed(&there, WAIT).expect("the end hangs");
    assert!(matches!(closed.reason, CloseReason::Peer { .. }), "{closed:?}");
}

/// However large it is.
pub fn a_large_message_is_delivered_before_the_end<S: Stack>(env: &Env<S>) {
    let Pair { here, there, client, server: _server } = env.pair(ConfigBuilder::default());
    send::<S>(&here, Message::new(pattern(256 * 1024, 9)));
    S::close(&here, Close { linger: Duration::from_secs(10), ..Close::default() });
    drop((here, client));
    assert_eq!(recv::<S>(&there).payload, pattern(256 * 1024, 9));
    assert_eq!(S::recv(&there, WAIT), Some(None));
}

/// A server comes back at the same address.
pub fn a_restarted_server_is_found<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(ConfigBuilder::default());
    let client = env.client(ConfigBuilder::default());
    let here = connect::<S>(&client, &address);
    drop(accept::<S>(&server));
    S::close_all(&server);
    S::wait_idle(&server, WAIT).expect("it is idle");
    drop(server);
    S::closed(&here, WAIT).expect("the end hangs");
    let server = loop {
        // The old task may need a moment to end.
        match S::listen(std::slice::from_ref(&address), env.options(ConfigBuilder::default())) {
            Ok(server) => break server,
            Err(_) => std::thread::yield_now(),
        }
    };
    let here = connect::<S>(&client, &address);
    let there = accept::<S>(&server);
    send::<S>(&here, number(1));
    assert_eq!(recv::<S>(&there).payload, "1");
}
