//! Peers that acknowledge what they like, or nothing, and read what they like.

use std::time::Duration;

use proto_core::wire::params::Params;
use proto_core::wire::{Credit, Frame};
use proto_core::{ChannelId, Class, CloseReason, ConfigBuilder, Drop, Event, Message, SendError, code};

use crate::peer::{Peer, msg, plenty};
use crate::world::{World, host, ms, secs};

const ZERO: ChannelId = ChannelId::DEFAULT;

fn send(world: &mut World, peer: &Peer, message: Message) -> Result<(), SendError> {
    let now = world.now;
    let mut conn = world.server.connection(peer.id()).expect("it is there");
    let sent = conn.channel(ZERO).send(now, message).map(|_| ());
    drop(conn);
    world.drain();
    sent
}

#[test]
pub(crate) fn row_09_credit_a_byte_at_a_time_costs_the_queue_and_no_more() {
    let mut world = World::new(ConfigBuilder::default());
    let offer =
        Params { channel_bytes: 1, channel_messages: 1, session_bytes: 1, session_messages: 1, ..plenty() };
    let mut peer = Peer::join_with(&mut world, host(1), &offer);
    let mut accepted = 0_u64;
    while send(&mut world, &peer, Message::new(vec![7; 4000])).is_ok() {
        accepted += 1;
    }
    // 512 KiB: each costs 64 bytes beside what is in it.
    assert_eq!(accepted, 512 * 1024 / 4064);
    assert_eq!(world.server.get(peer.id()).map_or(0, |conn| conn.unsettled() as u64), accepted);
    let before = world.stats().packets_sent;
    for bytes in 2..500 {
        // Every other grants less than before, which is nothing.
        for bytes in [bytes, bytes / 2] {
            let credit = Credit { channel: None, bytes, messages: 1 };
            peer.say(
                &mut world,
                &[Frame::Credit(credit), Frame::Credit(Credit { channel: Some(0), ..credit })],
            );
        }
        world.run(ms(20));
        peer.ack(&mut world);
    }
    peer.assert_open(&world, "it is slow, and acknowledges what it gets");
    assert!(world.stats().packets_sent - before < 2 * 499 + 50, "no packet for each byte that is granted");
    assert_eq!(send(&mut world, &peer, Message::new(vec![7; 4000])), Err(SendError::Full));
    assert_eq!(world.dropped(Drop::SendQueueDropped), 0, "the sender waits, and nothing is lost");
    assert!(world.stats().blocked_sent > 0, "it says what it waits for");
}

#[test]
pub(crate) fn row_13_who_acknowledges_nothing_is_closed_and_costs_one_queue_until_then() {
    let (world, _) = never_acknowledged(secs(0));
    assert!(world.events.iter().any(|(_, event)| {
        matches!(event, Event::Closed(closed) if closed.reason == CloseReason::TimedOut)
    }));
    // With a session the link is given up first, and taken again as often as its peer is heard: three times.
    let (mut world, peer) = never_acknowledged(secs(60));
    peer.assert_ended(&mut world, code::EXCESSIVE, "it speaks, and acknowledges nothing");
    let suspended = world.events.iter().filter(|(_, event)| matches!(event, Event::Suspended { .. })).count();
    assert_eq!((suspended, world.stats().suspensions), (3, 3));
}

/// The server's application sends all that it can to a peer that keeps a session for `window`, speaks, and acknowledges nothing.
fn never_acknowledged(window: Duration) -> (World, Peer) {
    let mut world = World::new(ConfigBuilder::default());
    let offer = Params { resume_window: window, ..plenty() };
    let mut peer = Peer::join_with(&mut world, host(1), &offer);
    let begun = world.now;
    let (mut accepted, mut full) = (0, 0);
    while world.closed(peer.id()).is_none() && world.now < begun + secs(300) {
        for _ in 0..20 {
            match send(&mut world, &peer, Message::new(vec![7; 4000]).receipt()) {
                Ok(()) => accepted += 1,
                Err(error) => {
                    assert!(matches!(error, SendError::Full | SendError::Closed), "{error:?}");
                    full += 1;
                }
            }
        }
        assert!(world.server.unsettled() <= 512 * 1024 / 4064);
        // Its heartbeats come.
        peer.say(&mut world, &[Frame::Ping]);
        world.run(ms(500));
    }
    assert!(accepted <= 512 * 1024 / 4064 && full > 0);
    assert!(world.now.since(begun) <= secs(120), "{:?}", world.now.since(begun));
    assert_eq!(world.stats().messages_unknown, accepted, "the fate of each is told");
    (world, peer)
}

#[test]
pub(crate) fn row_10_an_ack_of_what_was_never_sent_settles_nothing() {
    for range in [1 << 40..=1 << 40, 0..=1 << 20] {
        let mut world = World::new(ConfigBuilder::default());
        let mut peer = Peer::join(&mut world, host(1));
        send(&mut world, &peer, Message::new("x").receipt()).expect("room");
        peer.write(&mut world, |writer| writer.write_ack(0, [range.clone()].into_iter()));
        peer.assert_ended(&mut world, code::PROTOCOL_VIOLATION, "an ACK of the future");
        assert_eq!((world.stats().messages_acked, world.stats().messages_unknown), (0, 1));
    }
}

#[test]
pub(crate) fn row_15_no_ack_is_answered_by_an_ack() {
    let mut world = World::new(ConfigBuilder::default());
    let mut peer = Peer::join(&mut world, host(1));
    world.run(secs(1));
    let came = *peer.came(&world).last().expect("the handshake was acknowledged");
    world.sent.clear();
    let before = world.stats().packets_sent;
    for _ in 0..1000 {
        peer.write(&mut world, |writer| writer.write_ack(0, [came..=came].into_iter()));
        world.run(ms(1));
    }
    assert_eq!((world.sent_to(peer.at).count(), world.stats().packets_sent), (0, before));
    for _ in 0..100 {
        peer.say(&mut world, &[Frame::Ping]);
        world.run(ms(30));
    }
    let answers = world.sent_to(peer.at).count();
    assert!((50..=100).contains(&answers), "{answers}: at most one for each that asks");
}

#[test]
pub(crate) fn row_22_a_packet_counts_once_and_only_among_the_last_1024() {
    let mut world = World::new(ConfigBuilder::default());
    let mut peer = Peer::join(&mut world, host(1));
    let sealed = |peer: &Peer, number: u64, id: u32| {
        let mut record = Vec::new();
        let frame = Frame::Msg(msg(Class::Unreliable, id, b"x"));
        proto_core::wire::RecordWriter::new(&mut record).write(&frame, true);
        peer.seal_as(number, &record)
    };
    world.keep("record", &[0x01]);
    let newest = peer.number + 5000;
    let steps =
        [(0, newest, true), (1, newest - 1023, true), (2, newest - 1024, false), (3, newest - 1023, false)];
    let mut expected = (world.stats().packets_received, 0);
    for (id, number, counts) in steps {
        let packet = sealed(&peer, number, id);
        world.hand_in(peer.at, &packet);
        let deadline = world.server.poll_timeout();
        if counts {
            expected.0 += 1;
        } else {
            expected.1 += 1;
        }
        for _ in 0..100 {
            world.hand_in(peer.at, &packet);
            expected.1 += 1;
        }
        assert_eq!(world.server.poll_timeout(), deadline, "a repetition is no sign of life");
        let stats = world.stats();
        assert_eq!((stats.packets_received, stats.drops.get(Drop::DuplicatePacket)), expected, "{number}");
    }
    peer.number = newest;
    peer.say(&mut world, &[Frame::Ping]);
    peer.assert_open(&world, "a replay is nobody's fault");
    assert_eq!(peer.held(&world), 2);
}
