//! Requests and answers.

use std::time::Duration;

use driver::RequestError;
use proto_core::{Close, ConfigBuilder, Message};

use crate::env::{number, pattern, recv, spawn};
use crate::{Env, Pair, Stack, WAIT};

fn one<S: Stack>(asks: &S::Connection, answers: &S::Connection) {
    let asked = S::ask(asks, Message::new("loud"), WAIT);
    let received = recv::<S>(answers);
    let payload = received.payload.to_ascii_uppercase();
    S::reply(answers, received.request.expect("it is a request"), payload.into()).expect("it is taken");
    assert_eq!(asked().expect("it is answered"), "LOUD");
}

/// The client asks.
pub fn a_client_asks<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    one::<S>(here, there);
}

/// The server asks.
pub fn a_server_asks<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    one::<S>(there, here);
}

/// Both ask, and neither waits for the other.
pub fn both_ask_at_once<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let asked = [S::ask(here, number(1), WAIT), S::ask(there, number(2), WAIT)];
    for (answers, payload) in [(here, "two"), (there, "one")] {
        let request = recv::<S>(answers).request.expect("it is a request");
        S::reply(answers, request, payload.into()).expect("it is taken");
    }
    let [one, two] = asked.map(|asked| asked().expect("it is answered"));
    assert_eq!((&one[..], &two[..]), (&b"one"[..], &b"two"[..]));
}

/// An error has a code and a payload.
pub fn an_error_is_an_answer<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let asked = S::ask(here, number(1), WAIT);
    let request = recv::<S>(there).request.expect("it is a request");
    S::reply_error(there, request, 0x404, "never heard of it".into()).expect("it is taken");
    let payload = "never heard of it".into();
    assert_eq!(asked(), Err(RequestError::Failed { code: 0x404, not_processed: false, payload }));
}

/// Who does not answer does not stop the one who asks.
pub fn an_unanswered_request_times_out<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let asked = S::ask(here, number(1), Duration::from_millis(500));
    assert_eq!(recv::<S>(there).payload, "1");
    assert_eq!(asked(), Err(RequestError::TimedOut { not_processed: false }));
    one::<S>(here, there);
}

/// Many at once.
pub fn sixty_four_are_outstanding<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let asked: Vec<_> = (0..64).map(|i| S::ask(here, number(i), WAIT)).collect();
    for _ in 0..64 {
        let received = recv::<S>(there);
        S::reply(there, received.request.expect("it is a request"), received.payload).expect("it is taken");
    }
    for (i, asked) in asked.into_iter().enumerate() {
        assert_eq!(asked().expect("it is answered"), i.to_string());
    }
}

/// As large as a message can be.
pub fn a_large_answer<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let asked = S::ask(here, Message::new(pattern(100_000, 1)), WAIT);
    let received = recv::<S>(there);
    assert_eq!(received.payload, pattern(100_000, 1));
    let request = received.request.expect("it is a request");
    S::reply(there, request, pattern(256 * 1024, 2).into()).expect("it is taken");
    assert_eq!(asked().expect("it is answered"), pattern(256 * 1024, 2));
}

/// The last question may be answered first.
pub fn answers_come_in_any_order<S: Stack>(env: &Env<S>) {
    let Pair { here, there, .. } = &env.pair(ConfigBuilder::default());
    let asked: Vec<_> = (0..10).map(|i| S::ask(here, number(i), WAIT)).collect();
    let received: Vec<_> = (0..10).map(|_| recv::<S>(there)).collect();
    for received in received.into_iter().rev() {
        S::reply(there, received.request.expect("it is a request"), received.payload).expect("it is taken");
    }
    for (i, asked) in asked.into_iter().enumerate() {
        assert_eq!(asked().expect("it is answered"), i.to_string());
    }
}

/// The end of the connection is the end of its requests.
pub fn a_request_to_the_gone_fails<S: Stack>(env: &Env<S>) {
    let Pair { here, there, server: _server, client: _client } = env.pair(ConfigBuilder::default());
    let asked = S::ask(&here, number(1), WAIT);
    let waits = spawn::<S, _>(asked);
    assert!(recv::<S>(&there).request.is_some());
    S::close(&there, Close { linger: Duration::ZERO, ..Close::default() });
    let failed = waits().expect_err("nobody answers");
    // A close may reject what was not answered, or simply end it.
    assert!(matches!(failed, RequestError::Disconnected { .. } | RequestError::Failed { .. }), "{failed:?}");
    S::closed(&here, WAIT).expect("the end is told");
    assert!(S::ask(&here, number(2), WAIT)().is_err());
    assert!(S::send_now(&here, number(3)).is_err());
}
