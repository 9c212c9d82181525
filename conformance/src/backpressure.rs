//! Those who read slowly, or not at all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proto_core::{ConfigBuilder, Message, SendError};

use crate::env::{accept, connect, number, pattern, recv, send, share, spawn};
use crate::world::World as _;
use crate::{Env, Pair, Stack, WAIT};

fn small() -> ConfigBuilder {
    ConfigBuilder { send_messages: 4, receive_messages: 4, ..ConfigBuilder::default() }
}

/// A sender waits, and everything arrives.
pub fn a_slow_reader_loses_nothing<S: Stack>(env: &Env<S>) {
    let Pair { here, there, server: _server, client: _client } = env.pair(small());
    let sent = share(AtomicUsize::new(0));
    let counts = sent.clone();
    let sender = spawn::<S, _>(move || {
        for i in 0..500 {
            send::<S>(&here, Message::new(pattern(2000, i)));
            counts.store(i + 1, Ordering::SeqCst);
        }
        here
    });
    for i in 0..500 {
        // Four wait here, four there, and one is being sent.
        assert!(sent.load(Ordering::SeqCst) <= i + 10, "the sender does not wait");
        assert_eq!(recv::<S>(&there).payload, pattern(2000, i));
    }
    drop(sender());
}

/// Who does not want to wait is told.
pub fn a_full_queue_says_so<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(small());
    let taken = (0..100).take_while(|&i| S::send_now(here, number(i)).is_ok()).count();
    assert!((4..=20).contains(&taken), "{taken}");
    let full = (0..100).map(|i| S::send_now(here, number(i))).any(|sent| sent == Err(SendError::Full));
    assert!(full);
    assert_eq!(recv::<S>(there).payload, "0");
}

/// Whoever was refused is told when there is room.
pub fn room_is_told<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(small());
    assert_eq!(S::writable(here, WAIT), Some(Ok(())));
    let mut sent = 0;
    // Four find room there, and room is told once at most two wait here.
    while sent < 7 {
        match S::send_now(here, number(sent)) {
            Ok(()) => sent += 1,
            Err(SendError::Full) => assert_eq!(S::writable(here, WAIT), Some(Ok(()))),
            Err(error) => panic!("{error}"),
        }
    }
    while S::send_now(here, number(sent)).is_ok() {
        sent += 1;
    }
    assert!(S::writable(here, Duration::from_millis(20)).is_none(), "there is no room");
    for i in 0..sent {
        assert_eq!(recv::<S>(there).payload, i.to_string());
    }
    assert_eq!(S::writable(here, WAIT), Some(Ok(())));
}

/// Other connections do not wait for it.
pub fn one_that_does_not_read_stops_only_itself<S: Stack>(env: &Env<S>) {
    let (server, address) = env.server(small());
    let client = env.client(small());
    let (lazy, _unread) = (connect::<S>(&client, &address), accept::<S>(&server));
    let (here, there) = (connect::<S>(&client, &address), accept::<S>(&server));
    while S::send_now(&lazy, Message::new(pattern(100_000, 0))).is_ok() {}
    for i in 0..100 {
        send::<S>(&here, number(i));
        assert_eq!(recv::<S>(&there).payload, i.to_string());
    }
}

/// However much is sent, a reader that takes nothing holds what its limits say.
pub fn memory_stays_bounded<S: Stack>(env: &Env<S>) {
    let config = ConfigBuilder { receive_bytes: 512 * 1024, ..ConfigBuilder::default() };
    let Pair { here, there, .. } = &env.pair(config);
    let mut sent = 0;
    let wait = Duration::from_millis(200);
    while S::send(here, Message::new(pattern(64 * 1024, sent)), wait).is_some_and(|sent| sent.is_ok()) {
        sent += 1;
        assert!(sent < 100, "the sender does not wait");
    }
    for i in 0..sent {
        assert_eq!(recv::<S>(there).payload, pattern(64 * 1024, i));
    }
}

/// One message wakes its reader once.
pub fn waking_is_done_once<S: Stack>(env: &Env<S>) {
    let Pair { client, here, there, .. } = &env.pair(ConfigBuilder::default());
    let before = S::counters(client);
    let reader = here.clone();
    let reads = spawn::<S, _>(move || recv::<S>(&reader).payload);
    for _ in 0..10_000 {
        if S::counters(client).waiting > before.waiting {
            break;
        }
        S::World::pause();
    }
    send::<S>(there, number(1));
    assert_eq!(reads(), "1");
    let after = S::counters(client);
    assert_eq!((after.woken - before.woken, after.waiting), (1, before.waiting));
}
