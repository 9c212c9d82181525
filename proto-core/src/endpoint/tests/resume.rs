//! Sessions that outlive their links.

use alloc::vec::Vec;
use core::time::Duration;

use super::{SERVER, World, ZERO, client_config, ms, secs, server_config};
use crate::wire::{Attach, Frame, Packet, Record, checksum};
use crate::{
    ChannelId, ChannelOptions, Class, Close, CloseReason, ConfigBuilder, ConnectionId, Continuity, Drop, Event,
    Fate, Message, Reconnect, RequestOutcome, State, Timestamp,
};

fn quick(config: ConfigBuilder) -> ConfigBuilder {
    let reconnect = Some(Reconnect { spread: ms(200), cap: secs(1), ..Reconnect::default() });
    ConfigBuilder { heartbeat: secs(1), dead: secs(4), handshake_timeout: secs(5), reconnect, ..config }
}

fn pair() -> (World, ConnectionId, ConnectionId) {
    World::connected(quick(server_config()), &quick(client_config()))
}

fn silence(world: &mut World, span: Duration) {
    world.lose(|_| true);
    world.run(span);
    world.lose(|_| false);
}

fn take(world: &mut World, node: usize, id: ConnectionId, channel: ChannelId) -> Vec<Vec<u8>> {
    let now = world.now;
    let mut taken = Vec::new();
    while let Some(received) =
        world.nodes[node].connection(id).and_then(|mut conn| conn.channel(channel).recv(now))
    {
        taken.push(received.payload.to_vec());
    }
    taken
}

fn told(world: &World, node: usize, wanted: impl Fn(&Event) -> bool) -> usize {
    world.events[node].iter().filter(|(_, event)| wanted(event)).count()
}

fn suspended(world: &World, node: usize) -> usize {
    told(world, node, |event| matches!(event, Event::Suspended { .. }))
}

fn resumed(world: &World, node: usize) -> Vec<u32> {
    let incarnation = |(_, event): &(_, Event)| match event {
        Event::Resumed { incarnation, .. } => Some(*incarnation),
        _ => None,
    };
    world.events[node].iter().filter_map(incarnation).collect()
}

fn continuity(world: &World, node: usize) -> Vec<Continuity> {
    let continued = |(_, event): &(_, Event)| match event {
        Event::Continued { continuity, .. } => Some(*continuity),
        _ => None,
    };
    world.events[node].iter().filter_map(continued).collect()
}

#[test]
fn a_silence_of_ten_seconds_loses_nothing_and_repeats_nothing() {
    let (mut world, id, peer) = pair();
    for side in [1, SERVER] {
        let conn = if side == 1 { id } else { peer };
        for class in [Class::ReliableOrdered, Class::ReliableUnordered] {
            for n in 0..5_u8 {
                world.send(side, conn, Message::new([n; 3].to_vec()).class(class).receipt());
            }
        }
    }
    // Everything arrives, and no word of that comes back.
    world.lose(|sent| sent.packet.len() < 60);
    world.run(ms(15));
    for (side, conn) in [(1, id), (SERVER, peer)] {
        world.send(side, conn, Message::new("under way"));
    }
    silence(&mut world, secs(10));
    assert_eq!((suspended(&world, 1), suspended(&world, SERVER)), (1, 1));
    for (side, conn) in [(1, id), (SERVER, peer)] {
        assert_eq!(world.nodes[side].get(conn).unwrap().state(), State::Suspended);
        world.send(side, conn, Message::new("while there is no link"));
    }
    world.run(secs(4));
    for (side, conn) in [(1, id), (SERVER, peer)] {
        let incarnations = resumed(&world, side);
        assert_eq!(incarnations.len(), 1, "{:?}", world.events[side]);
        assert!(incarnations[0] >= 2);
        assert_eq!(continuity(&world, side), [Continuity::Continuous]);
        assert_eq!(world.nodes[side].get(conn).unwrap().state(), State::Established);
        let taken = take(&mut world, side, conn, ZERO);
        assert_eq!(taken.len(), 12, "{taken:?}");
        assert_eq!(told(&world, side, |event| matches!(event, Event::Fate { fate: Fate::Acked, .. })), 10);
        assert_eq!(world.nodes[side].stats().resumptions, 1);
        assert_eq!(world.nodes[side].get(conn).unwrap().unsettled(), 0);
    }
}
