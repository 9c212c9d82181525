//! Servers that have no room.

use std::time::Duration;

use driver::ConnectError;
use proto_core::{Close, CloseReason, ConfigBuilder, code};

use crate::env::{accept, connect, number, recv, send, spawn};
use crate::world::World;
use crate::{Env, Stack, WAIT};

fn two() -> ConfigBuilder {
    ConfigBuilder {
        max_connections: 2,
        busy_retry_after: Duration::from_millis(10),
        ..ConfigBuilder::default()
    }
}

/// Whoever finds no room is told so.
pub fn one_more_than_the_limit_is_told<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(two());
    let client = env.client(ConfigBuilder::default());
    let held: Vec<_> = (0..2).map(|_| (connect::<S>(&client, &address), accept::<S>(&server))).collect();
    let refused = S::connect(&client, std::slice::from_ref(&address), WAIT).expect("it is told");
    let reason = match refused.err() {
        Some(ConnectError::Failed(closed)) => closed.reason,
        other => panic!("{other:?}"),
    };
    assert!(matches!(reason, CloseReason::Peer { code: code::BUSY, .. }), "{reason:?}");
    for (here, there) in &held {
        send::<S>(here, number(1));
        assert_eq!(recv::<S>(there).payload, "1");
    }
}

/// Room that comes back is used.
pub fn room_that_comes_back_is_used<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(two());
    let client = env.client(ConfigBuilder::default());
    let first = (connect::<S>(&client, &address), accept::<S>(&server));
    let _second = (connect::<S>(&client, &address), accept::<S>(&server));
    S::close(&first.0, Close::default());
    S::closed(&first.1, WAIT).expect("the end hangs");
    drop(first);
    let here = loop {
        if let Some(Ok(here)) = S::connect(&client, std::slice::from_ref(&address), WAIT) {
            break here;
        }
    };
    let there = accept::<S>(&server);
    send::<S>(&here, number(1));
    assert_eq!(recv::<S>(&there).payload, "1");
}

/// Connections that nobody accepts wait, up to a limit; the rest is told to come again.
pub fn a_full_backlog_is_told<S: Stack>(env: &Env<S>) {
    const BACKLOG: usize = 1024;
    let config = ConfigBuilder { max_connections: 4096, ..ConfigBuilder::default() };
    let (server, address) = env.server(config.clone());
    let client = env.client(config);
    let held: Vec<_> = (0..BACKLOG).map(|_| connect::<S>(&client, &address)).collect();
    let more = connect::<S>(&client, &address);
    let closed = S::closed(&more, WAIT).expect("it is told");
    assert!(matches!(closed.reason, CloseReason::Peer { code: code::BUSY, .. }), "{closed:?}");
    for here in &held {
        send::<S>(here, number(1));
        let there = accept::<S>(&server);
        assert_eq!(recv::<S>(&there).payload, "1");
        <S::World as World>::pause();
    }
}

/// A thousand connections, each with messages of its own.
pub fn a_thousand_connections<S: Stack>(env: &Env<S>) {
    const COUNT: usize = 1000;
    let config = ConfigBuilder { max_connections: 4096, ..ConfigBuilder::default() };
    let (server, address) = env.server(config.clone());
    let client = env.client(config);
    let serves = {
        let server = server.clone();
        spawn::<S, _>(move || {
            let held: Vec<_> = (0..COUNT).map(|_| accept::<S>(&server)).collect();
            for there in &held {
                let received = recv::<S>(there);
                S::send(there, proto_core::Message::new(received.payload), WAIT)
                    .expect("it hangs")
                    .expect("sent");
            }
            held
        })
    };
    let held: Vec<_> = (0..COUNT).map(|_| connect::<S>(&client, &address)).collect();
    for (i, here) in held.iter().enumerate() {
        send::<S>(here, number(i));
    }
    for (i, here) in held.iter().enumerate() {
        assert_eq!(recv::<S>(here).payload, i.to_string());
    }
    drop(serves());
}
