//! Ends that are in nobody's way.

use std::thread::{self, ThreadId};
use std::time::Duration;

use bytes::Bytes;
use driver::RequestError;
use proto_core::{Advice, Close, CloseReason, ConfigBuilder, Drain, Message, SendError, code};

use crate::env::{Relay, accept, connect, number, pattern, recv, send, spawn};
use crate::world::{Relay as _, World};
use crate::{Env, Pair, Stack, WAIT};

/// A server goes away before it has accepted a client.
pub fn who_waits_to_be_accepted_is_told_to_come_back<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(ConfigBuilder::default());
    let client = env.client(ConfigBuilder::default());
    let here = connect::<S>(&client, &address);
    let retry_after = Duration::from_secs(20);
    S::drain(&server, Drain { advice: Advice::After, retry_after, ..Drain::default() });
    let closed = S::closed(&here, WAIT).expect("the end hangs");
    assert!(matches!(closed.reason, CloseReason::Peer { code: code::GOING_AWAY, .. }), "{closed:?}");
    assert_eq!(closed.advice, Advice::After);
    assert!(
        closed.retry_after.is_some_and(|wait| wait >= retry_after && wait <= retry_after * 2),
        "{closed:?}"
    );
}

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
            Err(_) => <S::World as World>::pause(),
        }
    };
    let here = connect::<S>(&client, &address);
    let there = accept::<S>(&server);
    send::<S>(&here, number(1));
    assert_eq!(recv::<S>(&there).payload, "1");
}

/// A payload of an application that panics when its memory is given back, but for one thread.
struct Fragile(ThreadId);

impl AsRef<[u8]> for Fragile {
    fn as_ref(&self) -> &[u8] {
        b"fragile"
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(thread::panicking() || thread::current().id() == self.0, "the application's memory is gone");
    }
}

/// When the I/O ends by a panic, in code of the application's for instance, nobody waits for ever, and the end says why.
pub fn a_panic_is_told_to_all_who_wait<S: Stack>(env: &Env<S>) {
    let Pair { here, there, server, client: _client } = env.pair(ConfigBuilder::default());
    let (receiver, closer, acceptor) = (there.clone(), there.clone(), server.clone());
    let asked = S::ask(&there, Message::new("?"), 2 * WAIT);
    let receiver = spawn::<S, _>(move || S::recv(&receiver, WAIT));
    let closer = spawn::<S, _>(move || S::closed(&closer, WAIT));
    let acceptor = spawn::<S, _>(move || S::accept(&acceptor, WAIT).map(|accepted| accepted.is_some()));
    let asked = spawn::<S, _>(asked);
    // What is given back by this thread, before the I/O has done with it, does no harm.
    let fragile = || Message::new(Bytes::from_owner(Fragile(thread::current().id())));
    let refused = loop {
        match S::send(&there, fragile(), WAIT).expect("the sender hangs") {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(refused, SendError::Closed);
    let reason = |closed: Option<proto_core::Closed>| closed.expect("the end hangs").reason;
    assert_eq!(reason(closer()), CloseReason::Ended { panicked: true });
    assert_eq!(receiver(), Some(None));
    assert_eq!(acceptor(), Some(false));
    // Asked before the end, or after it.
    let asked = asked();
    let is_over = matches!(
        asked,
        Err(RequestError::Disconnected { not_processed: false } | RequestError::Refused(SendError::Closed))
    );
    assert!(is_over, "{asked:?}");
    assert_eq!(reason(S::closed(&there, WAIT)), CloseReason::Ended { panicked: true });
    assert_eq!(S::recv(&there, WAIT), Some(None));
    assert!(matches!(S::accept(&server, WAIT), Some(None)));
    assert_eq!(S::wait_idle(&server, WAIT), Some(()));
    drop(here);
}

/// A process that is gone, with all that it had: its peer hears nothing any more, not even that.
pub fn a_peer_that_vanishes_is_noticed<S: Stack>(env: &Env<S>) {
    let millis = Duration::from_millis;
    let config = ConfigBuilder {
        heartbeat: millis(1000),
        dead: millis(4000),
        resume_window: Duration::ZERO,
        ..ConfigBuilder::default()
    };
    let (server, address) = env.server(config.clone());
    let relay = Relay::<S>::new(&address);
    let client = env.client(config.clone());
    let here = connect::<S>(&client, relay.address());
    let there = accept::<S>(&server);
    send::<S>(&here, number(1));
    assert_eq!(recv::<S>(&there).payload, "1");
    relay.swallow();
    drop((here, client));
    let closed = S::closed(&there, WAIT).expect("nobody notices");
    assert_eq!(closed.reason, CloseReason::TimedOut);
    let client = env.client(config);
    let here = connect::<S>(&client, &address);
    let there = accept::<S>(&server);
    send::<S>(&there, number(2));
    assert_eq!(recv::<S>(&here).payload, "2");
}
