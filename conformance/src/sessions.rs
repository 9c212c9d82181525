//! Sessions that outlive their links, and what is said of it.

use std::time::Duration;

use driver::{Incoming, Received, Scheme};
use proto_core::{Class, CloseReason, ConfigBuilder, Continuity, Fate, Message, Reconnect};

use crate::env::{Relay, accept, connect, number, recv, send};
use crate::world::Relay as _;
use crate::{Env, Stack, WAIT};

/// A silence is noticed soon, and the way back is looked for at once.
pub(crate) fn restless() -> ConfigBuilder {
    let soon = Duration::from_millis(100);
    let reconnect = Reconnect { first: soon, cap: soon, spread: soon, ..Reconnect::default() };
    ConfigBuilder {
        heartbeat: Duration::from_millis(400),
        dead: Duration::from_millis(1500),
        reconnect: Some(reconnect),
        ..ConfigBuilder::default()
    }
}

/// Both ends of a connection whose way can be cut.
struct Cuttable<S: Stack> {
    relay: Relay<S>,
    here: S::Connection,
    there: S::Connection,
    _server: S::Endpoint,
    _client: S::Endpoint,
}

impl<S: Stack> Cuttable<S> {
    fn new(env: &Env<S>) -> Self {
        let (server, address) = env.server(restless());
        let client = env.client(restless());
        let relay = Relay::<S>::new(&address);
        let here = connect::<S>(&client, relay.address());
        let there = accept::<S>(&server);
        send::<S>(&here, number(1));
        assert_eq!(recv::<S>(&there).payload, "1");
        Self { relay, here, there, _server: server, _client: client }
    }

    /// The link is lost, and both have noticed.
    fn cut(&self) {
        self.relay.swallow();
        self.relay.cut();
        for end in [&self.here, &self.there] {
            assert!(S::is_linked(end, false, WAIT), "the cut is noticed");
        }
    }

    fn heal(&self) {
        self.relay.heal();
        for end in [&self.here, &self.there] {
            assert!(S::is_linked(end, true, WAIT), "there is a link again");
        }
    }
}

fn incoming<S: Stack>(connection: &S::Connection) -> Option<Incoming> {
    S::incoming(connection, WAIT).expect("nothing comes")
}

/// How the channel went on, and the next message.
fn announced<S: Stack>(connection: &S::Connection) -> (Continuity, Received) {
    let Some(Incoming::Continued(continuity)) = incoming::<S>(connection) else {
        panic!("a message comes before it is told how the channel goes on");
    };
    match incoming::<S>(connection) {
        Some(Incoming::Message(message)) => (continuity, message),
        other => panic!("{other:?}"),
    }
}

/// The session is the same, and nothing of it is missing.
pub fn a_lost_link_is_replaced<S: Stack>(env: &Env<S>) {
    let pair = Cuttable::new(env);
    let Cuttable { here, there, .. } = &pair;
    let (session, first) = (S::session(here), S::incarnation(here));
    assert_eq!(first, Some(1));
    pair.cut();
    send::<S>(here, number(2));
    send::<S>(there, number(3));
    pair.heal();
    for (end, expected) in [(there, "2"), (here, "3")] {
        let (continuity, message) = announced::<S>(end);
        assert_eq!((continuity, &message.payload[..]), (Continuity::Continuous, expected.as_bytes()));
    }
    assert_eq!(S::session(here), session);
    assert!(S::incarnation(here) > first && S::incarnation(here) == S::incarnation(there));
}

/// Whoever only takes messages is not disturbed.
pub fn who_does_not_ask_how_it_went_on_gets_messages_only<S: Stack>(env: &Env<S>) {
    let pair = Cuttable::new(env);
    pair.cut();
    pair.heal();
    send::<S>(&pair.here, number(2));
    assert_eq!(recv::<S>(&pair.there).payload, "2");
    send::<S>(&pair.there, number(3));
    assert_eq!(recv::<S>(&pair.here).payload, "3");
}

/// What nobody sends again is missing, and so is what has no time any more; both are told.
pub fn what_is_missing_is_told<S: Stack>(env: &Env<S>) {
    let pair = Cuttable::new(env);
    let Cuttable { here, there, relay, .. } = &pair;
    relay.swallow();
    let receipt = |message: Message| {
        S::send_receipt(there, message, WAIT).expect("the sender hangs").expect("there is room")
    };
    let brief = number(2).lifetime(Duration::from_secs(1));
    let mut written = receipt(brief.clone());
    let mut lost = receipt(number(3).class(Class::Unreliable));
    if env.scheme != Scheme::Udp {
        assert_eq!(S::fate(&mut lost, WAIT), Some(Fate::Written));
    }
    pair.cut();
    let has_expired = |message: &mut S::Receipt| {
        let fate = S::fate(message, WAIT).expect("the fate hangs");
        assert!(matches!(fate, Fate::Expired { .. }), "{fate:?}");
    };
    // It is not written, and its time ends after that of the one before.
    has_expired(&mut receipt(brief));
    pair.heal();
    send::<S>(there, number(4));
    let (continuity, message) = announced::<S>(here);
    assert_eq!((continuity, message.gap), (Continuity::Gap(1), 1));
    assert_eq!(message.payload, "4");
    has_expired(&mut written);
    if env.scheme == Scheme::Udp {
        assert_eq!(S::fate(&mut lost, WAIT), Some(Fate::Lost));
    }
}

/// A server that knows nothing of the session says so, and everything has a fate.
pub fn a_restarted_server_says_that_all_is_lost<S: Stack>(env: &Env<S>) {
    let pair = Cuttable::new(env);
    let Cuttable { here, relay, .. } = &pair;
    relay.swallow();
    let receipt = |message: Message| {
        S::send_receipt(here, message, WAIT).expect("the sender hangs").expect("there is room")
    };
    let mut unknown = receipt(number(2).receipt());
    let mut again = receipt(number(3).receipt_of_processing());
    let elsewhere = Env::<S>::new(env.scheme);
    let (server, address) = elsewhere.server(restless());
    relay.redirect(&address);
    relay.cut();
    relay.heal();
    assert_eq!(incoming::<S>(here), Some(Incoming::Continued(Continuity::Reset)));
    assert_eq!(incoming::<S>(here), None);
    assert_eq!(S::fate(&mut unknown, WAIT), Some(Fate::Unknown));
    let Some(Fate::Moved(moved)) = S::fate(&mut again, WAIT) else { panic!("it is delivered again") };
    let closed = S::closed(here, WAIT).expect("the end hangs");
    assert_eq!(closed.reason, CloseReason::Reset);
    let next = S::next(here, WAIT).expect("it hangs").expect("a connection takes its place");
    let mut again = S::receipt(&next, moved).expect("it has the receipt");
    assert!(S::receipt(&next, moved).is_none(), "one caller gets it");
    let there = accept::<S>(&server);
    let message = recv::<S>(&there);
    assert_eq!(message.payload, "3");
    assert!(message.ack());
    assert_eq!(S::fate(&mut again, WAIT), Some(Fate::Processed));
}

/// A session that was begun by datagrams goes on over this stream when those are blocked.
pub fn a_session_goes_on_over_another_kind_of_link<S: Stack>(env: &Env<S>) {
    let addresses = [Env::<S>::new(Scheme::Udp).address(), env.address()];
    let server = S::listen(&addresses, env.options(restless())).expect("the addresses are free");
    let [by_datagrams, by_stream] = &S::addresses(&server)[..] else { panic!("it listens on both") };
    let relay = Relay::<S>::new(by_datagrams);
    let client = env.client(restless());
    let ways = [relay.address().clone(), by_stream.clone()];
    let here = S::connect(&client, &ways, WAIT).expect("it hangs").expect("the server answers");
    let there = accept::<S>(&server);
    let session = S::session(&here);
    send::<S>(&here, number(1));
    assert_eq!(recv::<S>(&there).payload, "1");
    assert_eq!((S::peer(&here).scheme(), S::peer(&there).scheme()), (Scheme::Udp, Scheme::Udp));
    relay.swallow();
    send::<S>(&here, number(2));
    send::<S>(&there, number(3));
    for (end, expected) in [(&there, "2"), (&here, "3")] {
        let (continuity, message) = announced::<S>(end);
        assert_eq!((continuity, &message.payload[..]), (Continuity::Continuous, expected.as_bytes()));
    }
    assert_eq!(S::session(&here), session);
    assert_eq!((S::peer(&here).scheme(), S::peer(&there).scheme()), (env.scheme, env.scheme));
}
