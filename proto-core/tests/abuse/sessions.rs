//! Clients that lie about the session that they go on with.

use proto_core::wire::{Frame, StateLine};
use proto_core::{ChannelId, Class, CloseReason, ConfigBuilder, Event, Message, code};

use crate::peer::{Peer, msg};
use crate::world::{World, host, ms};

/// A server that has sent two messages, one of which has arrived, and taken one; its client comes back by another link.
fn resumed() -> (World, Peer) {
    let mut world = World::new(ConfigBuilder::default());
    let mut peer = Peer::join(&mut world, host(1));
    let now = world.now;
    let mut conn = world.server.connection(peer.id()).expect("it is there");
    conn.channel(ChannelId::DEFAULT).send(now, Message::new("one").receipt()).expect("room");
    drop(conn);
    world.drain();
    peer.say(&mut world, &[Frame::Msg(msg(Class::ReliableOrdered, 0, b"mine"))]);
    world.run(ms(50));
    peer.ack(&mut world);
    let mut conn = world.server.connection(peer.id()).expect("it is there");
    conn.channel(ChannelId::DEFAULT).send(now, Message::new("two").receipt()).expect("room");
    assert!(conn.channel(ChannelId::DEFAULT).recv(now).is_some());
    drop(conn);
    world.drain();
    let mut next = peer.resume(&mut world, host(2));
    world.sent.clear();
    let confirm = Frame::Confirm(next.confirm);
    next.say(&mut world, &[confirm]);
    (world, next)
}

fn state(world: &mut World, peer: &mut Peer, sent: u64, next: u64) {
    let line = StateLine { sent, next, ..StateLine::default() };
    peer.write(world, |writer| writer.write_resume_state(0, true, &[line]));
    world.run(ms(1));
}

#[test]
pub(crate) fn row_36_lies_about_what_arrived_end_the_session_and_repeat_nothing() {
    let is_resumed =
        |world: &World| world.events.iter().any(|(_, event)| matches!(event, Event::Resumed { .. }));
    // The truth: it has sent one, and has the first of two.
    let (mut world, mut peer) = resumed();
    state(&mut world, &mut peer, 1, 1);
    peer.assert_open(&world, "the truth");
    assert!(is_resumed(&world), "{:?}", world.events);
    let repeated = |world: &World, peer: &Peer, text: &[u8]| {
        world.sent_to(peer.at).any(|packet| packet.windows(text.len()).any(|window| window == text))
    };
    assert!(repeated(&world, &peer, b"two") && !repeated(&world, &peer, b"one"));
    // More than was ever sent.
    for next in [3, 1000, 1 << 40] {
        let (mut world, mut peer) = resumed();
        state(&mut world, &mut peer, 1, next);
        peer.assert_ended(&mut world, code::PROTOCOL_VIOLATION, "messages that were never sent");
        assert!(!is_resumed(&world));
    }
    // Less than it had acknowledged, or less sent than had come: that is another client, or one that has lost its state.
    for (sent, next) in [(1, 0), (0, 1), (0, 0)] {
        let (mut world, mut peer) = resumed();
        state(&mut world, &mut peer, sent, next);
        let closed = world.closed(peer.id()).expect("the session is over");
        assert_eq!(closed.reason, CloseReason::Reset, "{sent} {next}");
        assert_eq!(peer.close(&world).map(|(code, _)| code), Some(code::RESUME_UNKNOWN));
        assert!(!repeated(&world, &peer, b"one"), "nothing is delivered again in silence");
        assert!(!is_resumed(&world));
    }
}
