//! A server with two addresses for datagrams.

use super::resume::quick;
use super::{BACK_DOOR, SERVER, World, address, client_config, ms, secs, server_config};
use crate::{Class, ConnectionId, Event, Message, Meta, State};

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
