//! Calls that are given up half-way.

use std::time::Duration;

use proto_core::{Close, ConfigBuilder, Fate, Message};

use crate::env::{accept, connect, number, recv, send, spawn};
use crate::world::World;
use crate::{Env, Pair, Stack, WAIT};

const SOON: Duration = Duration::from_millis(1);

/// Whoever gives up accepting loses no connection.
pub fn accepting_given_up_loses_no_connection<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(ConfigBuilder::default());
    let client = env.client(ConfigBuilder::default());
    let connects = spawn::<S, _>(move || (0..5).map(|_| connect::<S>(&client, &address)).collect::<Vec<_>>());
    let mut accepted = Vec::new();
    while accepted.len() < 5 {
        accepted.extend(S::accept(&server, Duration::ZERO).or_else(|| S::accept(&server, SOON)).flatten());
    }
    assert_eq!(connects().len(), 5);
}

/// Whoever gives up receiving loses no message.
pub fn receiving_given_up_loses_no_message<S: Stack>(env: &Env<S>) {
    let Pair { here, there, server: _server, client: _client } = env.pair(ConfigBuilder::default());
    let sender = spawn::<S, _>(move || {
        for i in 0..300 {
            send::<S>(&here, number(i));
            if i % 20 == 0 {
                <S::World as World>::pause();
            }
        }
        here
    });
    let mut next = 0;
    while next < 300 {
        let received = S::recv(&there, Duration::ZERO).or_else(|| S::recv(&there, SOON));
        if let Some(received) = received {
            assert_eq!(received.expect("the connection is there").payload, next.to_string());
            next += 1;
        }
    }
    drop(sender());
}

/// What was given up was not sent; what was sent arrives once.
pub fn sending_given_up_sends_nothing_twice<S: Stack>(env: &Env<S>) {
    let config = ConfigBuilder { send_messages: 4, receive_messages: 4, ..ConfigBuilder::default() };
    let Pair { here, there, server: _server, client: _client } = env.pair(config);
    let sender = spawn::<S, _>(move || {
        for i in 0..200 {
            while S::send(&here, number(i), SOON).is_none() {}
        }
        here
    });
    for i in 0..200 {
        assert_eq!(recv::<S>(&there).payload, i.to_string());
        if i % 10 == 0 {
            <S::World as World>::pause();
        }
    }
    drop(sender());
    assert!(S::recv(&there, WAIT).is_some_and(|rest| rest.is_none()), "there is no more");
}

/// The same for many at once: what was not sent is still there.
pub fn sending_many_given_up_keeps_the_rest<S: Stack>(env: &Env<S>) {
    let config = ConfigBuilder { send_messages: 4, receive_messages: 4, ..ConfigBuilder::default() };
    let Pair { here, there, server: _server, client: _client } = env.pair(config);
    let sender = spawn::<S, _>(move || {
        let mut messages = (0..200).map(number).collect();
        while S::send_all(&here, &mut messages, SOON).is_none() {
            assert!(!messages.is_empty());
        }
        assert!(messages.is_empty());
        here
    });
    for i in 0..200 {
        assert_eq!(recv::<S>(&there).payload, i.to_string());
        if i % 10 == 0 {
            <S::World as World>::pause();
        }
    }
    drop(sender());
    assert!(S::recv(&there, WAIT).is_some_and(|rest| rest.is_none()), "there is no more");
}

/// Whoever gives up connecting leaves nothing that stays.
pub fn connecting_given_up_leaves_nothing<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(ConfigBuilder::default());
    let client = env.client(ConfigBuilder::default());
    for wait in [Duration::ZERO, Duration::from_micros(50), Duration::from_micros(500)] {
        let given_up = S::connect(&client, std::slice::from_ref(&address), wait);
        drop(given_up);
    }
    assert!(S::wait_idle(&client, WAIT).is_some());
    let here = connect::<S>(&client, &address);
    send::<S>(&here, number(1));
    // Those that were given up may have come this far.
    let there = loop {
        let there = accept::<S>(&server);
        if let Some(Some(received)) = S::recv(&there, WAIT) {
            assert_eq!(received.payload, "1");
            break there;
        }
    };
    send::<S>(&there, number(2));
    assert_eq!(recv::<S>(&here).payload, "2");
}

/// An answer that nobody waits for harms nobody.
pub fn a_request_given_up_disturbs_nobody<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let given_up = S::ask(here, number(1), Duration::from_millis(1));
    assert!(given_up().is_err());
    let asked = S::ask(here, number(2), WAIT);
    let mut received = recv::<S>(there);
    if received.payload == "1" {
        let _ = S::reply(there, received.request.expect("it is a request"), "late".into());
        received = recv::<S>(there);
    }
    S::reply(there, received.request.expect("it is a request"), "in time".into()).expect("it is taken");
    assert_eq!(asked().expect("it is answered"), "in time");
}

/// Whoever works for it hears of it, as of the end of its connection.
pub fn a_request_given_up_is_told<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    // Whoever asks by a call gives up when its time is over.
    let asked = S::ask(here, number(1), if S::GIVES_UP { WAIT } else { Duration::from_secs(2) });
    let request = recv::<S>(there).request.expect("it is a request");
    assert!(S::cancelled(there, request, SOON).is_none());
    if S::GIVES_UP {
        drop(asked);
    } else {
        assert!(asked().is_err());
    }
    S::cancelled(there, request, WAIT).expect("it is told");
    assert!(S::reply(there, request, "late".into()).is_err());
    let asked = S::ask(here, number(2), WAIT);
    let request = recv::<S>(there).request.expect("it is a request");
    S::close(here, Close::default());
    S::cancelled(there, request, WAIT).expect("it is told of the end, too");
    assert!(S::reply(there, request, "late".into()).is_err());
    assert!(asked().is_err());
}

/// The end is told to whoever asks later.
pub fn waiting_for_the_end_given_up<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    assert!(S::closed(there, SOON).is_none());
    S::close(here, Close::default());
    assert!(S::closed(there, WAIT).is_some());
    assert!(S::closed(there, SOON).is_some());
}

/// So is a fate.
pub fn waiting_for_a_fate_given_up<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let sent = S::send_receipt(here, Message::new("x").receipt_of_processing(), WAIT);
    let mut receipt = sent.expect("the sender hangs").expect("the connection is there");
    assert!(S::fate(&mut receipt, SOON).is_none());
    assert!(recv::<S>(there).ack());
    assert_eq!(S::fate(&mut receipt, WAIT), Some(Fate::Processed));
}

/// And a channel.
pub fn waiting_for_a_channel_given_up<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    assert!(S::accept_channel(there, SOON).is_none());
    let _channel = S::open_channel(here, &proto_core::ChannelOptions::default()).expect("there is room");
    assert!(S::accept_channel(there, WAIT).flatten().is_some());
}
