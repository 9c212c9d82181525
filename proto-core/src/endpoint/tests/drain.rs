//! A server that goes away: everybody is told once, finishes, and comes back.

use alloc::vec::Vec;
use core::time::Duration;

use super::{SERVER, World, ZERO, client_config, ms, secs, server_config};
use crate::wire::checksum::crc32c;
use crate::wire::{Frame, Packet, Record};
use crate::{
    Advice, Close, CloseReason, Closed, ConfigBuilder, ConnectionId, Drain, Drop, Event, Message, Reconnect,
    RequestOutcome, SendError, State, code,
};

fn reconnecting() -> ConfigBuilder {
    ConfigBuilder { reconnect: Some(Reconnect::default()), ..client_config() }
}

fn drain(world: &mut World, drain: Drain) {
    let now = world.now;
    world.nodes[SERVER].drain(now, drain);
}

fn ends(world: &World, node: usize) -> Vec<Closed> {
    let events = world.events[node].iter();
    events
        .filter_map(|(_, event)| match event {
            Event::Closed(closed) | Event::ConnectFailed(closed) => Some(closed.clone()),
            _ => None,
        })
        .collect()
}

fn goaways(world: &World, from: usize) -> usize {
    let is_goaway = |packet: &[u8]| {
        let Ok(Packet::Short(short)) = Packet::decode(packet, crc32c) else { return false };
        Record::new(short.payload).any(|frame| matches!(frame, Ok(Frame::GoAway(_))))
    };
    world.sent_by(from).filter(|sent| is_goaway(&sent.packet)).count()
}

fn take(world: &mut World, node: usize, id: ConnectionId) -> usize {
    let now = world.now;
    let mut conn = world.nodes[node].connection(id).expect("it is there");
    core::iter::from_fn(|| conn.channel(ZERO).recv(now)).count()
}

#[test]
fn an_idle_client_leaves_at_once_and_comes_back() {
    let (mut world, id, _) = World::connected(server_config(), &reconnecting());
    drain(&mut world, Drain::default());
    drain(&mut world, Drain::default());
    world.run(ms(500));
    assert_eq!((goaways(&world, SERVER), goaways(&world, 1)), (1, 1), "once");
    assert!(world.nodes[SERVER].is_empty() && world.nodes[SERVER].is_draining());
    assert!(matches!(&world.events[1][0], (of, Event::GoingAway(said))
        if *of == id && said.advice == Advice::Now && said.timeout <= secs(10)));
    let [closed] = &ends(&world, 1)[..] else { panic!("{:?}", world.events[1]) };
    assert!(matches!(closed.reason, CloseReason::Peer { code: code::GOING_AWAY, .. }));
    assert_eq!((closed.unsent, closed.unacked), (0, 0));
    let next = closed.next.expect("the core dials again");
    world.restart_server();
    world.run(secs(2));
    assert_eq!(world.established(1), [next]);
}

#[test]
fn what_has_begun_comes_to_its_end() {
    let (mut world, id, peer) = World::connected(server_config(), &reconnecting());
    let now = world.now;
    for number in 0..200 {
        world.send(1, id, Message::new([number; 900].to_vec()));
        world.send(SERVER, peer, Message::new([number; 900].to_vec()));
    }
    let mut conn = world.nodes[1].connection(id).expect("it is there");
    let request = conn.channel(ZERO).request(now, Message::new("?"), secs(5)).expect("room");
    drop(conn);
    drain(&mut world, Drain::default());
    world.run(secs(1));
    let now = world.now;
    assert!(ends(&world, 1).is_empty(), "somebody waits for a reply");
    assert_eq!(take(&mut world, 1, id), 200);
    let mut conn = world.nodes[1].connection(id).expect("it is there");
    let refused = conn.channel(ZERO).send(now, Message::new("one more"));
    assert_eq!(refused.map(|_| ()), Err(SendError::Draining), "nothing new");
    drop(conn);
    assert_eq!(take(&mut world, SERVER, peer), 201);
    let mut conn = world.nodes[SERVER].connection(peer).expect("it is there");
    conn.reply(now, request, "!").expect("room");
    drop(conn);
    world.run(secs(1));
    let done = Event::RequestDone { request, outcome: RequestOutcome::Replied };
    assert!(world.events[1].contains(&(id, done)));
    let [closed] = &ends(&world, 1)[..] else { panic!("{:?}", world.events[1]) };
    assert_eq!((closed.unsent, closed.unacked), (0, 0));
    assert_eq!(ends(&world, SERVER)[0].unacked, 0);
}

#[test]
fn who_does_not_finish_is_closed_in_time() {
    let (mut world, id, peer) = World::connected(server_config(), &reconnecting());
    let now = world.now;
    let mut conn = world.nodes[1].connection(id).expect("it is there");
    conn.channel(ZERO).request(now, Message::new("?"), secs(500)).expect("room");
    drop(conn);
    drain(&mut world, Drain { timeout: secs(3), ..Drain::default() });
    world.run(ms(2900));
    assert_eq!(world.nodes[SERVER].get(peer).expect("it is there").state(), State::Established);
    world.run(ms(400));
    assert!(matches!(ends(&world, 1)[0].reason, CloseReason::Peer { code: code::GOING_AWAY, .. }));
    assert!(ends(&world, 1)[0].next.is_some());
    assert_eq!(ends(&world, SERVER)[0].reason, CloseReason::Local { code: code::GOING_AWAY });
}

#[test]
fn a_server_that_never_closes_is_not_waited_for() {
    let (mut world, _, _) = World::connected(server_config(), &reconnecting());
    drain(&mut world, Drain { timeout: secs(3), ..Drain::default() });
    world.drain();
    world.lose(|sent| sent.from == SERVER);
    world.run(secs(5));
    let [closed] = &ends(&world, 1)[..] else { panic!("{:?}", world.events[1]) };
    assert!(matches!(closed.reason, CloseReason::Peer { code: code::GOING_AWAY, .. }));
    assert!(closed.next.is_some());
}

#[test]
fn clients_are_told_to_come_back_spread() {
    let mut world = World::new(server_config(), 40, &reconnecting());
    for client in 1..=40 {
        world.connect(client);
    }
    world.run(ms(500));
    let how =
        Drain { advice: Advice::After, retry_after: secs(5), spread: Some(secs(20)), ..Drain::default() };
    drain(&mut world, how);
    world.run(ms(500));
    let mut told: Vec<Duration> =
        (1..=40).map(|client| ends(&world, client)[0].retry_after.expect("told")).collect();
    told.sort();
    assert!(told[0] >= secs(5) && told[39] <= secs(25));
    assert!(told[0] < secs(8) && told[39] > secs(22), "{told:?}");
    assert!(told.windows(2).all(|pair| pair[1] < pair[0] + secs(4)), "{told:?}");
}

#[test]
fn newcomers_are_told_to_come_back() {
    let mut world = World::new(server_config(), 2, &client_config());
    let how = Drain { advice: Advice::After, retry_after: secs(4), ..Drain::default() };
    drain(&mut world, how);
    world.connect(1);
    world.run(ms(100));
    let [closed] = &ends(&world, 1)[..] else { panic!("{:?}", world.events[1]) };
    assert!(matches!(closed.reason, CloseReason::Peer { code: code::BUSY, .. }));
    assert_eq!(closed.advice, Advice::After);
    assert!(closed.retry_after.is_some_and(|wait| wait >= secs(4) && wait <= secs(8)), "{closed:?}");
    assert_eq!(world.dropped(SERVER, Drop::Draining), 1);
    assert!(world.nodes[SERVER].is_empty());
}

#[test]
fn whose_handshake_is_under_way_is_told_when_it_is_done() {
    let mut world = World::new(server_config(), 1, &reconnecting());
    world.connect(1);
    world.run(ms(25));
    assert_eq!(world.nodes[SERVER].len(), 0);
    world.run(ms(10));
    assert_eq!(world.nodes[SERVER].len(), 1);
    drain(&mut world, Drain::default());
    world.run(ms(200));
    assert!(world.events[1].iter().any(|(_, event)| matches!(event, Event::GoingAway(_))));
    assert!(world.nodes[SERVER].is_empty());
}

#[test]
fn a_client_may_still_close_by_itself() {
    let (mut world, id, _) = World::connected(server_config(), &reconnecting());
    let now = world.now;
    let mut conn = world.nodes[1].connection(id).expect("it is there");
    conn.channel(ZERO).request(now, Message::new("?"), secs(500)).expect("room");
    drop(conn);
    drain(&mut world, Drain::default());
    world.run(ms(100));
    let now = world.now;
    world.nodes[1].connection(id).expect("it is there").close(now, Close::default());
    world.run(secs(3));
    let [closed] = &ends(&world, 1)[..] else { panic!("{:?}", world.events[1]) };
    assert_eq!((&closed.reason, closed.next), (&CloseReason::Local { code: 0 }, None));
    assert_eq!(ends(&world, SERVER).len(), 1);
}

/// A client claims its session while the server goes away, and never confirms.
#[test]
fn a_claim_does_not_keep_a_server_that_goes_away() {
    let quick = super::resume::quick;
    let (mut world, _, _) = World::connected(quick(server_config()), &quick(client_config()));
    world.lose(|_| true);
    world.run(secs(6));
    world.lose(|sent| sent.from == 1 && sent.packet[0] & 0x80 == 0);
    drain(&mut world, Drain { timeout: secs(8), ..Drain::default() });
    world.run(secs(10));
    assert!(world.nodes[SERVER].is_empty());
}

/// A client whose link dies meanwhile takes another, and waits for a reply that never comes: it still goes in time.
#[test]
fn a_client_that_comes_back_is_closed_in_time() {
    let quick = super::resume::quick;
    let (mut world, id, _) = World::connected(quick(server_config()), &quick(client_config()));
    let now = world.now;
    let mut conn = world.nodes[1].connection(id).expect("it is there");
    conn.channel(ZERO).request(now, Message::new("?"), secs(60)).expect("room");
    drop(conn);
    world.run(ms(500));
    drain(&mut world, Drain { timeout: secs(10), ..Drain::default() });
    world.lose(|_| true);
    let now = world.now;
    world.nodes[1].connection(id).expect("it is there").link_lost(now);
    world.run(ms(100));
    world.lose(|_| false);
    world.run(secs(3));
    assert_eq!(world.nodes[SERVER].stats().resumptions, 1);
    assert_eq!(ends(&world, 1), [], "somebody waits for a reply");
    world.run(secs(9));
    assert_eq!(ends(&world, SERVER).len(), 1, "{:?}", world.events[SERVER]);
    let [closed] = &ends(&world, 1)[..] else { panic!("{:?}", world.events[1]) };
    assert!(matches!(closed.reason, CloseReason::Peer { code: code::GOING_AWAY, .. }), "{closed:?}");
}
