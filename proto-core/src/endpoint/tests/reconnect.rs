//! Connections that take the place of lost ones.

use alloc::vec::Vec;
use core::time::Duration;

use super::{SERVER, World, address, client_config, ms, secs, server_config};
use crate::{
    Advice, Close, CloseReason, Closed, ConfigBuilder, ConnectionId, Event, Message, Reconnect, State, code,
};

fn policy() -> Reconnect {
    Reconnect { spread: ms(200), ..Reconnect::default() }
}

fn keen(policy: Reconnect) -> ConfigBuilder {
    ConfigBuilder { reconnect: Some(policy), ..client_config() }
}

/// How `id` of node 1 ended.
fn end(world: &World, id: ConnectionId) -> Option<&Closed> {
    world.events[1].iter().find_map(|(conn, event)| match event {
        Event::Closed(closed) | Event::ConnectFailed(closed) if *conn == id => Some(closed),
        _ => None,
    })
}

/// A client whose server has just been restarted, and the connection that was lost by it.
fn lost(policy: Reconnect, uptime: Duration) -> (World, ConnectionId) {
    let (mut world, id, _) = World::connected(server_config(), &keen(policy));
    world.run(uptime);
    world.restart_server();
    world.send(1, id, Message::new("x"));
    world.run(ms(20));
    assert!(end(&world, id).is_some());
    (world, id)
}

#[test]
fn a_lost_connection_names_its_successor_before_that_speaks() {
    let (mut world, id) = lost(policy(), secs(10));
    let closed = end(&world, id).expect("lost");
    assert_eq!(closed.reason, CloseReason::Reset);
    let next = closed.next.expect("a successor");
    assert_ne!(next, id);
    let told = world.events[1].iter().position(|(conn, event)| *conn == id && event.is_last());
    let spoke = world.events[1].iter().position(|(conn, _)| *conn == next);
    assert!(told < spoke, "{told:?} {spoke:?}");
    assert_eq!(world.nodes[1].address(next), Some(address(SERVER)));
    let queued = Message::new("queued while it is not there yet");
    world.send(1, next, queued);
    world.run(secs(1));
    assert!(world.established(1).contains(&next));
    let server = world.established(SERVER)[0];
    let now = world.now;
    let mut conn = world.nodes[SERVER].connection(server).expect("it is there");
    assert!(conn.channel(crate::ChannelId::DEFAULT).recv(now).is_some());
}

#[test]
fn its_end_comes_first_even_into_a_slot_that_still_had_something_to_say() {
    for polled in [0, 1] {
        let (mut world, id, _) = World::connected(server_config(), &keen(policy()));
        // A second connection ends; of its events some are polled and then it is gone.
        let other = world.connect(1);
        world.run(ms(500));
        world.events[1].clear();
        let now = world.now;
        world.nodes[1]
            .connection(other)
            .expect("there")
            .close(now, Close { linger: Duration::ZERO, ..Close::default() });
        if polled == 0 {
            world.nodes[1].forget(other);
        } else {
            while world.nodes[1].get(other).is_some_and(|conn| !conn.state().is_closed()) {
                world.now = world.nodes[1].poll_timeout().expect("it is closing").max(world.now + ms(1));
                world.nodes[1].handle_timeout(world.now);
            }
            assert!(matches!(world.nodes[1].poll_event(), Some((conn, Event::Closed(_))) if conn == other));
        }
        let token = world.nodes[1].get(id).expect("it is there").reset_token().expect("from ACCEPT");
        let mut reset = Vec::from([0x40; 5]);
        reset.extend(token.expose());
        world.hand_in(1, SERVER, &reset);
        let continued = world.nodes[1].poll_event().expect("an event");
        assert!(continued.0 == id && matches!(continued.1, Event::Continued { .. }), "{continued:?}");
        let first = world.nodes[1].poll_event().expect("an event");
        assert!(first.0 == id && first.1.is_last(), "{first:?} with {polled} polled");
    }
}

#[test]
fn without_a_policy_or_a_reason_there_is_none() {
    let (mut world, id, _) = World::connected(server_config(), &client_config());
    world.restart_server();
    world.send(1, id, Message::new("x"));
    world.run(ms(100));
    assert_eq!(end(&world, id).expect("lost").next, None);

    let (mut world, id, _) = World::connected(server_config(), &keen(policy()));
    let now = world.now;
    world.nodes[1].connection(id).expect("there").close(now, Close::default());
    world.run(secs(1));
    assert_eq!(end(&world, id).expect("closed").next, None, "it was this side's wish");
    assert!(world.nodes[1].is_empty());

    let (mut world, id, peer) = World::connected(server_config(), &keen(policy()));
    let now = world.now;
    world.nodes[SERVER].connection(peer).expect("there").close(now, Close::default());
    world.run(secs(1));
    assert_eq!(end(&world, id).expect("closed").next, None, "the server advised against it");
}

#[test]
fn the_servers_wish_to_be_left_alone_is_honoured() {
    let (mut world, id, peer) = World::connected(server_config(), &keen(policy()));
    let now = world.now;
    let close =
        Close { code: code::GOING_AWAY, advice: Advice::After, retry_after: secs(20), ..Close::default() };
    world.nodes[SERVER].connection(peer).expect("there").close(now, close);
    world.run(secs(1));
    let next = end(&world, id).expect("closed").next.expect("a successor");
    world.run(secs(18));
    assert_eq!(world.nodes[1].get(next).expect("it waits").state(), State::Backoff);
    world.run(secs(3));
    assert_eq!(world.nodes[1].get(next).expect("it is back").state(), State::Established);
}

#[test]
fn busy_is_honoured_by_a_first_attempt_as_well() {
    let server = ConfigBuilder { max_connections: 1, busy_retry_after: secs(7), ..server_config() };
    let mut world = World::new(server, 2, &keen(policy()));
    world.connect(2);
    world.run(ms(500));
    world.connect(1);
    world.run(ms(500));
    let Some((_, Event::RetryAt { at, attempt: 2, reason })) = world.events[1].last() else {
        panic!("{:?}", world.events[1])
    };
    assert!(matches!(reason, CloseReason::Peer { code: code::BUSY, .. }), "{reason:?}");
    let wait = at.since(world.now);
    assert!(wait >= secs(3) && wait <= secs(12), "around 7 s: {wait:?}");
    let ids = world.established(SERVER);
    world.nodes[SERVER].forget(ids[0]);
    world.run(secs(13));
    assert_eq!(world.established(1).len(), 1);
}

#[test]
fn attempts_are_limited_and_the_last_one_fails() {
    let (mut world, id) = lost(Reconnect { max_attempts: Some(3), cap: secs(1), ..policy() }, secs(10));
    let next = end(&world, id).expect("lost").next.expect("a successor");
    world.lose(|_| true);
    world.run(secs(60));
    let of_next: Vec<_> =
        world.events[1].iter().filter(|(conn, _)| *conn == next).map(|(_, event)| event).collect();
    let attempts = of_next.iter().filter(|event| matches!(event, Event::Connecting { .. }));
    assert_eq!(attempts.count(), 3);
    let Some(Event::ConnectFailed(closed)) = of_next.last() else { panic!("{of_next:?}") };
    assert_eq!((closed.reason.clone(), closed.next), (CloseReason::TimedOut, None));
    assert!(world.nodes[1].is_empty());
}

#[test]
fn only_a_connection_that_lasted_makes_the_delays_start_anew() {
    // A server that accepts and at once throws out: delays must grow all the same.
    let policy = Reconnect { first: ms(250), cap: secs(30), spread: ms(250), ..Reconnect::default() };
    let (mut world, mut id, mut peer) = World::connected(server_config(), &keen(policy));
    world.run(secs(6));
    let mut longest = Duration::ZERO;
    for _ in 0..12 {
        let now = world.now;
        let close = Close { advice: Advice::Now, linger: Duration::ZERO, ..Close::default() };
        world.nodes[SERVER].connection(peer).expect("there").close(now, close);
        world.run(ms(100));
        let closed = world.now;
        id = end(&world, id).expect("closed").next.expect("a successor");
        while world.nodes[1].get(id).expect("it tries").state() != State::Established {
            world.run(ms(50));
            assert!(world.now.since(closed) < secs(60));
        }
        longest = longest.max(world.now.since(closed));
        world.run(ms(50));
        peer = *world.established(SERVER).last().expect("it is back");
    }
    assert!(longest > secs(3), "{longest:?}: a dozen short lives must slow it down");
    // One that lasts puts an end to it.
    world.run(secs(6));
    let now = world.now;
    let close = Close { advice: Advice::Now, linger: Duration::ZERO, ..Close::default() };
    world.nodes[SERVER].connection(peer).expect("there").close(now, close);
    world.run(ms(600));
    let next = end(&world, id).expect("closed").next.expect("a successor");
    assert_eq!(world.nodes[1].get(next).expect("it is back").state(), State::Established);
}

#[test]
fn a_successor_can_be_closed_while_it_waits() {
    let (mut world, id) = lost(Reconnect { spread: secs(100), ..policy() }, secs(10));
    let next = end(&world, id).expect("lost").next.expect("a successor");
    world.send(1, next, Message::new("never sent").receipt());
    assert_eq!(world.nodes[1].get(next).expect("it waits").state(), State::Backoff);
    let now = world.now;
    world.nodes[1].connection(next).expect("there").close(now, Close { code: 0x321, ..Close::default() });
    world.run(secs(1));
    let closed = end(&world, next).expect("closed");
    assert_eq!((closed.reason.clone(), closed.unsent), (CloseReason::Local { code: 0x321 }, 1));
    assert!(world.nodes[1].is_empty());
    assert!(world.nodes[1].poll_timeout().is_none());
    world.run(secs(200));
    assert_eq!(world.established(SERVER), [], "it never came back");
}

#[test]
fn what_was_to_end_is_not_replaced_however_it_ends() {
    let patient = Close { linger: secs(60), ..Close::default() };
    for end_of_it in ["silence", "reset", "the server's close"] {
        let (mut world, id, peer) = World::connected(server_config(), &keen(policy()));
        world.lose(|sent| sent.from == SERVER);
        world.send(1, id, Message::new("never acknowledged"));
        let now = world.now;
        world.nodes[1].connection(id).expect("there").close(now, patient.clone());
        match end_of_it {
            "reset" => {
                world.restart_server();
                world.lose(|_| false);
            }
            "the server's close" => {
                let close = Close { advice: Advice::Now, linger: Duration::ZERO, ..Close::default() };
                world.nodes[SERVER].connection(peer).expect("there").close(now, close);
                world.lose(|_| false);
            }
            _ => {}
        }
        world.run(secs(100));
        let closed = end(&world, id).expect("it ended");
        assert_eq!(closed.next, None, "{end_of_it}: {:?}", closed.reason);
        assert!(world.nodes[1].is_empty());
    }
}

#[test]
fn a_close_that_takes_long_is_not_taken_for_a_loss() {
    // Three probe timeouts are longer here than the silence that counts as death.
    let hasty = ConfigBuilder { heartbeat: ms(100), dead: ms(200), ..keen(policy()) };
    let slow = ConfigBuilder { max_ack_delay: ms(500), ..server_config() };
    let (mut world, id, peer) = World::connected(slow, &hasty);
    let now = world.now;
    for _ in 0..3 {
        world.send(SERVER, peer, Message::new("under way when the client closes"));
    }
    world.drain();
    world.lose(|_| true);
    world.nodes[1].connection(id).expect("there").close(now, Close::default());
    world.run(secs(10));
    assert_eq!(end(&world, id).expect("closed").reason, CloseReason::Local { code: 0 });
}

#[test]
fn a_lost_connection_keeps_what_was_received_for_its_reader() {
    let (mut world, id, peer) = World::connected(server_config(), &keen(policy()));
    world.send(SERVER, peer, Message::new("unread"));
    world.run(ms(50));
    world.restart_server();
    world.send(1, id, Message::new("x"));
    world.run(secs(2));
    assert!(end(&world, id).is_some());
    let now = world.now;
    let mut conn = world.nodes[1].connection(id).expect("kept for what is unread");
    assert!(conn.channel(crate::ChannelId::DEFAULT).recv(now).is_some());
    drop(conn);
    assert!(world.nodes[1].get(id).is_none(), "and now it is gone");
    assert_eq!(world.nodes[1].len(), 1);
}
