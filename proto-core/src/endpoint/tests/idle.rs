//! Connections that say nothing cost nothing.

use alloc::vec::Vec;

use super::{SERVER, World, client_config, ms, secs, server_config};
use crate::{Message, Timestamp};

const CLIENTS: usize = 10_000;

fn deadlines(world: &World) -> Vec<Option<Timestamp>> {
    world.nodes[SERVER]
        .slots
        .iter()
        .map(|slot| slot.entry.as_ref().and_then(|e| e.conn.poll_timeout()))
        .collect()
}

#[test]
fn ten_thousand_idle_connections_are_touched_one_at_a_time() {
    let mut world = World::new(server_config(), CLIENTS, &client_config());
    // Spread over a heartbeat, as in life.
    for client in 1..=CLIENTS {
        world.connect(client);
        if client % 50 == 0 {
            world.run(ms(50));
        }
    }
    world.run(ms(500));
    assert_eq!(world.nodes[SERVER].len(), CLIENTS);
    let server = &mut world.nodes[SERVER];
    assert!(server.sending.front().is_none() && server.speaking.front().is_none());
    assert!(server.poll_transmit(world.now, &mut Vec::new()).is_none());
    assert!(server.poll_event().is_none());

    // Nothing is due: nothing is touched.
    let before = deadlines(&world);
    let first = before.iter().flatten().min().copied();
    assert_eq!(world.nodes[SERVER].poll_timeout(), first);
    world.nodes[SERVER].handle_timeout(world.now);
    assert_eq!(deadlines(&world), before);
    assert!(world.nodes[SERVER].sending.front().is_none());

    // One is due: one is touched.
    let first = first.expect("heartbeats are armed");
    world.nodes[SERVER].handle_timeout(first);
    let due = before.iter().flatten().filter(|&&at| at <= first).count();
    let touched = deadlines(&world).iter().zip(&before).filter(|(now, before)| now != before).count();
    assert_eq!(touched, due);
    assert!(due <= 100);
}

#[test]
fn a_heartbeat_interval_is_a_ping_and_an_ack_for_each() {
    let mut world = World::new(server_config(), 200, &client_config());
    for client in 1..=200 {
        world.connect(client);
    }
    world.run(secs(5));
    world.sent.clear();
    world.run(secs(100));
    let (pings, acks) =
        (world.sent.iter().filter(|sent| sent.to == SERVER).count(), world.sent_by(SERVER).count());
    assert_eq!(pings, acks);
    assert!((200 * 9..=200 * 10).contains(&pings), "{pings} in ten intervals");
}

#[test]
fn one_that_speaks_wakes_no_other() {
    let mut world = World::new(server_config(), 50, &client_config());
    for client in 1..=50 {
        world.connect(client);
    }
    world.run(ms(500));
    let ids = world.established(SERVER);
    let before = deadlines(&world);
    world.send(SERVER, ids[20], Message::new("x"));
    assert_eq!(world.nodes[SERVER].sending.front(), Some(ids[20].slot));
    world.drain();
    let touched = deadlines(&world).iter().zip(&before).filter(|(now, before)| now != before).count();
    assert_eq!(touched, 1);
}
