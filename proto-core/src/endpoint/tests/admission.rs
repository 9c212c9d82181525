//! Clients that show credentials, and an application that decides about them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::{SERVER, World, client_config, ms, secs, server_config};
use crate::wire::params::MAX_CREDENTIALS;
use crate::{
    Advice, Close, CloseReason, ConfigBuilder, ConnectError, ConnectionId, Credentials, Drop, Event, Message,
    Reconnect, State, code,
};

fn guarded() -> ConfigBuilder {
    ConfigBuilder { admission: true, ..server_config() }
}

fn undecided(world: &World) -> Vec<(ConnectionId, Box<Credentials>)> {
    let events = world.events[SERVER].iter();
    events
        .filter_map(|(id, event)| match event {
            Event::Undecided(credentials) => Some((*id, credentials.clone())),
            _ => None,
        })
        .collect()
}

fn knock(world: &mut World, client: usize, credentials: &[u8]) -> ConnectionId {
    let now = world.now;
    world.nodes[client].connect_with(now, super::address(SERVER), credentials).expect("room for a connection")
}

fn end(world: &World, node: usize) -> Option<crate::Closed> {
    world.events[node].iter().rev().find_map(|(_, event)| match event {
        Event::ConnectFailed(closed) | Event::Closed(closed) => Some(closed.clone()),
        _ => None,
    })
}

#[test]
fn nothing_of_a_client_comes_through_before_it_is_admitted() {
    let mut world = World::new(guarded(), 1, &client_config());
    let id = knock(&mut world, 1, b"open sesame");
    world.send(1, id, Message::new("hello"));
    world.run(secs(2));
    let [(peer, credentials)] = &undecided(&world)[..] else { panic!("{:?}", world.events[SERVER]) };
    let peer = *peer;
    assert_eq!(&credentials.token[..], b"open sesame");
    assert_eq!((credentials.unix, credentials.certificates.len()), (None, 0));
    assert_eq!(world.nodes[SERVER].address(peer), Some(super::address(1)));
    assert_eq!(world.events[SERVER].len(), 1, "however often the client asks");
    assert!(world.established(1).is_empty());
    let now = world.now;
    assert!(world.nodes[SERVER].admit(now, peer));
    assert!(!world.nodes[SERVER].admit(now, peer), "once");
    assert!(!world.nodes[SERVER].refuse(now, peer, Close::default()));
    world.run(ms(500));
    assert_eq!((world.established(SERVER), world.established(1)), (Vec::from([peer]), Vec::from([id])));
    assert!(matches!(world.events[SERVER].last(), Some((_, Event::Readable(_)))));
    assert_eq!(world.nodes[SERVER].stats().peers_admitted, 1);
    assert!(world.nodes[1].get(id).expect("it is there").rtt() < ms(30), "the wait is not the network's");
}

#[test]
fn a_refused_client_learns_why_and_what_to_do() {
    let mut world = World::new(guarded(), 1, &client_config());
    knock(&mut world, 1, b"let me in");
    world.run(ms(100));
    let (peer, _) = undecided(&world)[0];
    let now = world.now;
    let close = Close {
        code: 0x123,
        reason: "not on the list".into(),
        advice: Advice::After,
        retry_after: secs(7),
        ..Close::default()
    };
    // The first answer is lost: the client asks again, and is told again.
    let mut lost = 0;
    world.lose(move |sent| {
        lost += u32::from(sent.from == SERVER);
        lost == 1 && sent.from == SERVER
    });
    assert!(world.nodes[SERVER].refuse(now, peer, close));
    world.run(ms(900));
    let told = end(&world, 1).expect("the client heard");
    assert_eq!(told.reason, CloseReason::Peer { code: 0x123, reason: "not on the list".into() });
    assert_eq!((told.advice, told.retry_after), (Advice::After, Some(secs(7))));
    let seen = end(&world, SERVER).expect("somebody was asked, so somebody hears");
    assert_eq!(seen.reason, CloseReason::Local { code: 0x123 });
    assert_eq!(undecided(&world).len(), 1, "asking again changes nothing");
    world.run(secs(10));
    assert!(world.nodes[SERVER].is_empty());
    assert_eq!(world.nodes[SERVER].stats().peers_refused, 1);
}

#[test]
fn who_is_never_decided_about_is_refused_in_time() {
    let config = ConfigBuilder { admission_timeout: secs(2), ..guarded() };
    let mut world = World::new(config, 1, &client_config());
    knock(&mut world, 1, b"?");
    world.run(ms(2200));
    let told = end(&world, 1).expect("the client heard");
    assert!(matches!(&told.reason, CloseReason::Peer { code: code::NOT_ADMITTED, .. }), "{told:?}");
    assert_eq!(told.advice, Advice::After);
    assert!(told.retry_after.is_some_and(|wait| wait >= secs(1) && wait <= secs(3)), "{told:?}");
    assert_eq!(world.dropped(SERVER, Drop::AdmissionExpired), 1);
    assert_eq!(end(&world, SERVER).expect("told").reason, CloseReason::Local { code: code::NOT_ADMITTED });
}

#[test]
fn an_admitted_client_that_vanishes_is_told_of() {
    let mut world = World::new(guarded(), 1, &client_config());
    knock(&mut world, 1, b"!");
    world.run(ms(100));
    let (peer, _) = undecided(&world)[0];
    let now = world.now;
    world.lose(|_| true);
    assert!(world.nodes[SERVER].admit(now, peer));
    world.run(secs(30));
    assert_eq!(world.events[SERVER].len(), 2);
    assert!(matches!(world.events[SERVER][1], (id, Event::ConnectFailed(_)) if id == peer));
    assert!(world.nodes[SERVER].is_empty());
}

#[test]
fn the_undecided_are_bounded_and_counted() {
    let config = ConfigBuilder { max_undecided: 3, ..guarded() };
    let mut world = World::new(config, 5, &client_config());
    for client in 1..=5 {
        knock(&mut world, client, b"x");
    }
    world.run(ms(200));
    assert_eq!(undecided(&world).len(), 3);
    assert_eq!(world.dropped(SERVER, Drop::UndecidedFull), 2);
    let busy = (1..=5).filter(|&client| {
        matches!(end(&world, client), Some(closed) if matches!(closed.reason, CloseReason::Peer { code: code::BUSY, .. }))
    });
    assert_eq!(busy.count(), 2);
    let now = world.now;
    let (first, _) = undecided(&world)[0];
    assert!(world.nodes[SERVER].refuse(now, first, Close::default()));
    knock(&mut world, 4, b"x");
    knock(&mut world, 5, b"x");
    world.run(ms(200));
    assert_eq!(undecided(&world).len(), 4, "there was room for one more");
    let second = undecided(&world)[1].0;
    world.nodes[SERVER].forget(second);
    knock(&mut world, 4, b"x");
    world.run(ms(200));
    assert_eq!(undecided(&world).len(), 5, "a forgotten one makes room");
}

#[test]
fn the_undecided_have_proven_their_address() {
    let config = ConfigBuilder { retry: crate::Retry::UnderPressure, ..guarded() };
    let mut world = World::new(config, 1, &client_config());
    world.lose(|sent| sent.from == SERVER);
    knock(&mut world, 1, b"x");
    world.run(secs(3));
    assert!(world.events[SERVER].is_empty() && world.nodes[SERVER].is_empty());
}

#[test]
fn closing_an_undecided_client_refuses_it() {
    let mut world = World::new(guarded(), 1, &client_config());
    knock(&mut world, 1, b"x");
    world.run(ms(100));
    let (now, (peer, _)) = (world.now, undecided(&world)[0].clone());
    world.nodes[SERVER].connection(peer).expect("it is there").close(now, Close::default());
    world.run(ms(100));
    let told = end(&world, 1).expect("the client heard");
    assert!(matches!(told.reason, CloseReason::Peer { code: code::NOT_ADMITTED, .. }));
    assert!(!world.nodes[SERVER].get(peer).is_some_and(|conn| conn.state() == State::Accepting));
}

#[test]
fn credentials_are_bounded_and_shown_again() {
    let client = ConfigBuilder { reconnect: Some(Reconnect::default()), ..client_config() };
    let mut world = World::new(guarded(), 1, &client);
    let now = world.now;
    let refused = world.nodes[1].connect_with(now, super::address(SERVER), &[1; MAX_CREDENTIALS + 1]);
    assert_eq!(refused, Err(ConnectError::CredentialsTooLong { max: 1024 }));
    assert!(world.nodes[1].is_empty());
    let longest = [1; MAX_CREDENTIALS];
    let id = knock(&mut world, 1, &longest);
    world.run(ms(100));
    let (peer, credentials) = undecided(&world)[0].clone();
    assert_eq!(credentials.token, longest.as_slice());
    assert!(alloc::format!("{credentials:?}").len() < 100, "no secrets in logs");
    let now = world.now;
    world.nodes[SERVER].admit(now, peer);
    world.run(ms(200));
    assert_eq!(world.established(1), [id]);
    assert!(world.sent.iter().all(|sent| sent.packet.len() <= 1280));
    world.restart_server();
    world.send(1, id, Message::new("are you there?"));
    world.run(Duration::from_millis(2500));
    let (_, again) = undecided(&world).pop().expect("the connection in its place");
    assert_eq!((undecided(&world).len(), again.token == longest.as_slice()), (2, true));
}
