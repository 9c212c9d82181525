//! A server that has forgotten a connection says so, cheaply.

use alloc::vec::Vec;

use super::{DELAY, SERVER, World, client_config, ms, secs, server_config};
use crate::{CloseReason, Drop, Event, Message};

fn is_reset(world: &World, node: usize) -> bool {
    world.events[node]
        .iter()
        .any(|(_, event)| matches!(event, Event::Closed(closed) if closed.reason == CloseReason::Reset))
}

#[test]
fn a_restarted_server_is_noticed_within_a_round_trip() {
    let (mut world, id, _) = World::connected(server_config(), &client_config());
    world.restart_server();
    world.send(1, id, Message::new("x"));
    world.run(DELAY * 2);
    assert!(is_reset(&world, 1));
    let reset = world.sent_by(SERVER).next().expect("the reset").packet.len();
    let trigger = world.sent_by(1).next().expect("the trigger").packet.len();
    assert!(reset < trigger, "{reset} bytes for {trigger}");
}

#[test]
fn even_the_smallest_packet_that_asks_is_answered() {
    let (mut world, ..) = World::connected(server_config(), &client_config());
    world.restart_server();
    // Nothing is sent but the next heartbeat.
    world.run(secs(11));
    assert!(is_reset(&world, 1));
}

#[test]
fn a_connection_that_was_forgotten_is_reset() {
    let (mut world, id, peer) = World::connected(server_config(), &client_config());
    world.nodes[SERVER].forget(peer);
    world.send(1, id, Message::new("x"));
    world.run(ms(100));
    assert!(is_reset(&world, 1));
}

#[test]
fn resets_are_spaced_out_and_always_shorter_than_what_they_answer() {
    let mut world = World::new(server_config(), 0, &client_config());
    for len in 1..200 {
        let mut packet = alloc::vec![0x40; len];
        packet.iter_mut().skip(1).for_each(|byte| *byte = len as u8);
        world.sent.clear();
        for _ in 0..10 {
            world.hand_in(SERVER, 1, &packet);
            world.drain();
        }
        let resets: Vec<_> = world.sent_by(SERVER).map(|sent| sent.packet.len()).collect();
        assert!(resets.len() <= 1, "{} resets for {len} bytes at once", resets.len());
        assert!(resets.iter().all(|&reset| reset < len), "{resets:?} for {len}");
        assert_eq!(resets.is_empty(), len <= 21);
        world.run(ms(20));
    }
    assert!(world.dropped(SERVER, Drop::ResetSuppressed) > 1000);
    assert!(world.nodes[SERVER].is_empty());
}

#[test]
fn two_that_have_both_forgotten_do_not_go_on_for_ever() {
    let mut world = World::new(server_config(), 1, &server_config());
    let mut packet = alloc::vec![0x40; 1200];
    packet[5] = 9;
    world.hand_in(SERVER, 1, &packet);
    world.run(secs(10));
    assert!(world.sent.len() <= 1200 - 21, "{} packets", world.sent.len());
    assert!(world.sent.windows(2).all(|pair| pair[1].packet.len() < pair[0].packet.len()));
    let before = world.sent.len();
    world.run(secs(100));
    assert_eq!(world.sent.len(), before);
}

#[test]
fn a_client_answers_no_stranger() {
    let mut world = World::new(server_config(), 1, &client_config());
    world.hand_in(1, SERVER, &[0x40; 1200]);
    world.drain();
    assert!(world.sent.is_empty());
    assert_eq!(world.dropped(1, Drop::UnknownConnection), 1);
}

#[test]
fn a_reset_counts_only_with_the_token_and_from_the_server() {
    let (mut world, id, _) = World::connected(server_config(), &client_config());
    let token = world.nodes[1].get(id).expect("it is there").reset_token().expect("from ACCEPT");
    let mut reset = alloc::vec![0x40; 5];
    reset.extend(token.expose());
    for at in 5..reset.len() {
        let mut wrong = reset.clone();
        wrong[at] ^= 1;
        world.hand_in(1, SERVER, &wrong);
    }
    world.hand_in(1, 7, &reset);
    world.drain();
    assert!(!is_reset(&world, 1));
    assert_eq!(world.dropped(1, Drop::WrongAddress), 1);
    world.hand_in(1, SERVER, &reset);
    world.drain();
    assert!(is_reset(&world, 1));
}

#[test]
fn tokens_cannot_be_guessed_from_others() {
    let key = [5; 32];
    let token = |byte| crate::connection::reset_token(&key, crate::wire::Cid([byte; 8]));
    let tokens: Vec<_> = (0..=255).map(token).collect();
    for (index, token) in tokens.iter().enumerate() {
        assert!(!tokens[..index].contains(token));
    }
    assert_ne!(token(1), crate::connection::reset_token(&[6; 32], crate::wire::Cid([1; 8])));
}
