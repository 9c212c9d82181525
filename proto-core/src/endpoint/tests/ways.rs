//! A server with two addresses for datagrams, and two servers.

use core::time::Duration;

use super::resume::quick;
use super::{BACK_DOOR, Endpoint, SERVER, World, address, client_config, config, ms, secs, server_config};
use crate::{
    Advice, Class, Close, CloseReason, ConfigBuilder, ConnectionId, Event, Link, Message, Meta, Reconnect,
    State,
};

const CLIENT: usize = 1;
const OTHER_SERVER: usize = 2;

fn far_apart() -> (World, ConnectionId) {
    let mut world = World::new(quick(server_config()), 1, &quick(client_config()));
    // The second way is tried before anything can have come by the first.
    world.delay = ms(200);
    let mut back_door = address(SERVER);
    back_door.set_port(BACK_DOOR);
    let id = world.nodes[1].connect_any(world.now, &[address(SERVER), back_door]).expect("there is room");
    world.run(secs(3));
    assert_eq!(world.established(1), [id]);
    (world, id)
}

fn told(world: &World, node: usize, wanted: impl Fn(&Event) -> bool) -> usize {
    world.events[node].iter().filter(|(_, event)| wanted(event)).count()
}

/// The server has the claim by both ways before the client answers, which it does by the first.
#[test]
fn a_session_that_is_claimed_by_two_ways_goes_on_by_the_one_that_is_confirmed() {
    let (mut world, id) = far_apart();
    for round in 1..=3 {
        world.lose(|_| true);
        world.run(secs(8));
        assert_eq!(world.nodes[1].get(id).unwrap().state(), State::Suspended);
        world.lose(|_| false);
        world.run(secs(5));
        let is_resumed = |event: &Event| matches!(event, Event::Resumed { .. });
        assert_eq!(told(&world, 1, is_resumed), round, "{:?}", world.events[1]);
        world.send(1, id, Message::new("as before").class(Class::ReliableOrdered).receipt());
        world.run(secs(1));
        let is_fate = |event: &Event| matches!(event, Event::Fate { .. });
        assert_eq!(told(&world, 1, is_fate), round);
    }
}

/// Whoever shows up from elsewhere before the session is confirmed gets nothing for it.
#[test]
fn only_the_confirmation_may_come_from_elsewhere() {
    let (mut world, id) = far_apart();
    world.lose(|_| true);
    world.run(secs(8));
    let is_short = |packet: &[u8]| packet[0] & 0x80 == 0;
    world.lose(move |sent| sent.from == 1 && is_short(&sent.packet));
    world.run(secs(2));
    let confirm =
        world.sent_by(1).filter(|sent| is_short(&sent.packet)).last().expect("it confirms").packet.clone();
    let mut forged = confirm.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let mut elsewhere = address(7);
    for packet in [&forged, &confirm[..12].to_vec()] {
        let before = world.sent.len();
        world.nodes[SERVER].handle_packet(world.now, Meta { path: elsewhere, ecn: None }, packet);
        world.drain();
        assert!(world.sent[before..].iter().all(|sent| sent.at != elsewhere));
        elsewhere.set_port(elsewhere.port() + 1);
    }
    world.lose(|_| false);
    world.run(secs(6));
    assert_eq!(world.nodes[1].get(id).unwrap().state(), State::Established);
}

/// A client that knows two servers, each of which asks its application about everybody.
fn two_servers() -> (World, ConnectionId) {
    let guarded = || ConfigBuilder { admission: true, ..server_config() };
    let client = ConfigBuilder { reconnect: Some(Reconnect::default()), ..client_config() };
    let mut world = World::new(guarded(), 2, &client);
    let other = Endpoint::new(config(guarded()), Link::datagram(1200), [8; 32], world.now);
    world.nodes[OTHER_SERVER] = other;
    let both = [address(SERVER), address(OTHER_SERVER)];
    let id = world.nodes[CLIENT].connect_any(world.now, &both).expect("there is room");
    (world, id)
}

/// What a server's application says to the client that has come: `None` lets it in.
fn decide(world: &mut World, server: usize, refusal: Option<(Advice, Duration)>) {
    let is_undecided = |event: &Event| matches!(event, Event::Undecided(_));
    let asked = world.events[server].iter().rev().find(|(_, event)| is_undecided(event));
    let (id, now) = (asked.expect("somebody came").0, world.now);
    let Some((advice, retry_after)) = refusal else {
        assert!(world.nodes[server].admit(now, id));
        return;
    };
    let close = Close { code: 0x123, reason: "no".into(), advice, retry_after, ..Close::default() };
    assert!(world.nodes[server].refuse(now, id, close));
}

#[test]
fn a_server_that_refuses_leaves_the_next_one_its_turn() {
    for refusal in [(Advice::Never, secs(0)), (Advice::After, secs(20)), (Advice::Now, secs(0))] {
        let (mut world, id) = two_servers();
        world.run(ms(100));
        decide(&mut world, SERVER, Some(refusal));
        world.run(ms(100));
        decide(&mut world, OTHER_SERVER, None);
        world.run(ms(100));
        assert_eq!(world.established(CLIENT), [id], "{refusal:?}");
        assert_eq!(world.nodes[CLIENT].address(id), Some(address(OTHER_SERVER)));
    }
}

#[test]
fn of_several_refusals_the_one_that_asks_back_first_decides() {
    let (never, late, soon) =
        ((Advice::Never, secs(0)), (Advice::After, secs(30)), (Advice::After, secs(20)));
    for (first, second) in [(late, soon), (soon, late), (never, soon), (soon, never)] {
        let (mut world, _) = two_servers();
        world.run(ms(100));
        decide(&mut world, SERVER, Some(first));
        world.run(ms(100));
        decide(&mut world, OTHER_SERVER, Some(second));
        world.run(ms(100));
        let begun = world.now;
        let tries = |event: &Event| match event {
            Event::RetryAt { at, .. } => Some(at.since(begun)),
            _ => None,
        };
        let wait = world.events[CLIENT].iter().find_map(|(_, event)| tries(event)).expect("it tries again");
        assert!(wait >= ms(19_700) && wait <= secs(22), "{first:?}, {second:?}: {wait:?}");
    }
}

#[test]
fn what_a_server_said_counts_for_more_than_that_another_is_silent() {
    let (mut world, id) = two_servers();
    world.lose(|sent| sent.to == OTHER_SERVER);
    world.run(ms(100));
    decide(&mut world, SERVER, Some((Advice::Never, secs(0))));
    world.run(secs(5));
    assert_eq!(world.nodes[CLIENT].get(id).expect("the other one may answer yet").state(), State::Connecting);
    world.run(secs(6));
    let closed = world.events[CLIENT].iter().find_map(|(_, event)| match event {
        Event::ConnectFailed(closed) => Some(closed.clone()),
        _ => None,
    });
    let closed = closed.expect("it is over");
    assert_eq!(closed.reason, CloseReason::Peer { code: 0x123, reason: "no".into() });
    assert_eq!(closed.advice, Advice::Never);
}
