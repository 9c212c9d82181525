//! Peers that say too much about everything but messages.

use proto_core::wire::{Advice, Close, Frame, RecordWriter, Skipped};
use proto_core::{ChannelId, Class, CloseReason, ConfigBuilder, Drop, Event, code};

use crate::peer::{Peer, msg, open};
use crate::world::{World, host, ms, secs};

fn joined() -> (World, Peer) {
    let mut world = World::new(ConfigBuilder::default());
    let peer = Peer::join(&mut world, host(1));
    (world, peer)
}

#[test]
pub(crate) fn row_02_what_cannot_be_decoded_has_no_effect_but_the_end() {
    let whole = [0x8A, 0, 0, 1, b'x'];
    let bad: [&[u8]; 8] = [
        &[0x05],
        &[0x05, 0x00],
        &[0x05, 0x00, 0xFF, 1],
        &[0x05, 0x00, 0x80, 0x01, 0x00],
        &[0x05, 0x00, 0xC0, 0x00, 0x01, 0x00],
        &[0x40, 0xBF, 0xFF],
        &[0x8A, 0, 0, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1],
        &[0x8A, 0, 0, 5, 1, 2, 3],
    ];
    for bytes in bad {
        let (mut world, mut peer) = joined();
        peer.raw(&mut world, &[&whole[..], bytes].concat());
        peer.assert_ended(&mut world, code::FRAME_ENCODING, "it cannot be decoded");
        assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::Readable(_))), "{bytes:?}");
    }
}

#[test]
pub(crate) fn row_03_unknown_core_frames_end_the_connection_and_extensions_are_skipped() {
    for unknown in [0x3F_u8, 0x3E, 0x2A] {
        let (mut world, mut peer) = joined();
        peer.raw(&mut world, &[unknown]);
        peer.assert_ended(&mut world, code::FRAME_UNKNOWN, "a core frame of unknown type");
    }
    let (mut world, mut peer) = joined();
    let body = [0xFF; 30];
    for code in 0x40..=0x7F {
        let id = 1 << (code - 0x40).min(61);
        let message = Frame::Msg(msg(Class::Unreliable, u32::from(code), b"behind it"));
        peer.say(&mut world, &[Frame::Extension { code, id, body: &body }, message]);
    }
    peer.assert_open(&world, "extensions");
    assert_eq!(peer.held(&world), 64 * 9);
}

#[test]
pub(crate) fn row_04_a_record_has_512_frames() {
    let (mut world, mut peer) = joined();
    peer.raw(&mut world, &[0x40, 0x00].repeat(512));
    peer.raw(&mut world, &[0x00; 1100]);
    peer.assert_open(&world, "512 frames of no length, and padding");
    peer.raw(&mut world, &[0x40, 0x00].repeat(513));
    peer.assert_ended(&mut world, code::FRAME_ENCODING, "513 frames");
}

#[test]
pub(crate) fn row_28_floods_of_control_frames_cost_an_answer_each_at_most() {
    let (mut world, mut peer) = joined();
    world.run(secs(1));
    let before = world.stats();
    world.sent.clear();
    for round in 0..10_000 {
        peer.say(&mut world, &[Frame::Ping, Frame::Ping, Frame::Padding, Frame::Cancel(round), Frame::Ping]);
        if round % 10 == 0 {
            world.run(ms(1));
            peer.ack(&mut world);
            world.sent.drain(..world.sent.len().saturating_sub(4));
        }
    }
    let stats = world.stats();
    let answers = stats.packets_sent - before.packets_sent;
    assert!(answers <= 10_000 && stats.bytes_sent - before.bytes_sent < 100 * answers, "{answers} answers");
    assert_eq!(peer.held(&world), 0);
    peer.assert_open(&world, "pings");
    // Of frames about paths 3 answers wait, and over 100 in a probe timeout are too many.
    for round in 0..101_u64 {
        let mut record = Vec::new();
        let frame = Frame::PathChallenge(round.to_be_bytes());
        RecordWriter::new(&mut record).write(&frame, false);
        world.keep("record", &record);
        peer.number += 1;
        let packet = peer.seal_as(peer.number, &record);
        world.hand_in(peer.at, &packet);
    }
    assert_eq!(world.dropped(Drop::PathAnswerDropped), 100 - 3);
    peer.assert_ended(&mut world, code::EXCESSIVE, "the 101st");
}

#[test]
pub(crate) fn row_29_sixty_four_channels_however_far_apart_and_short_names() {
    let (mut world, mut peer) = joined();
    let longest = "n".repeat(64);
    for index in 0..64 {
        let channel = 1 + index * 0x0400_0000;
        for _ in 0..3 {
            peer.say(&mut world, &[open(channel, &longest)]);
        }
    }
    let opened = world.events.iter().filter(|(_, event)| matches!(event, Event::Opened(_))).count();
    assert_eq!(opened, 64, "a repetition opens none, and none is opened between them");
    let mut conn = world.server.connection(peer.id()).expect("it is there");
    assert!(conn.channel(ChannelId(1)).is_open() && !conn.channel(ChannelId(3)).is_open());
    drop(conn);
    peer.assert_open(&world, "64 channels");
    peer.say(&mut world, &[open(u32::MAX, "x")]);
    peer.assert_ended(&mut world, code::PROTOCOL_VIOLATION, "the 65th");
    let (mut world, mut peer) = joined();
    let longer = "n".repeat(65);
    peer.say(&mut world, &[open(1, &longer)]);
    peer.assert_ended(&mut world, code::FRAME_ENCODING, "a name of 65 bytes");
}

#[test]
pub(crate) fn row_35_nothing_is_skipped_beyond_the_window() {
    for number in [4096, 1 << 32, (1 << 62) - 1] {
        let (mut world, mut peer) = joined();
        peer.write(&mut world, |writer| writer.write_skip(0, 0, &[Skipped { number, total: 0 }]));
        peer.assert_ended(&mut world, code::FLOW_CONTROL, "beyond the window");
    }
    let (mut world, mut peer) = joined();
    for round in 0..500_u64 {
        let skips: Vec<_> = (0..8).map(|i| Skipped { number: round * 8 + i, total: 0 }).collect();
        for _ in 0..4 {
            peer.write(&mut world, |writer| writer.write_skip(0, 0, &skips));
        }
        world.run(ms(25));
    }
    peer.say(&mut world, &[Frame::Msg(msg(Class::ReliableOrdered, 4000, b"x"))]);
    let now = world.now;
    let mut conn = world.server.connection(peer.id()).expect("it goes on");
    let received = conn.channel(ChannelId::DEFAULT).recv(now).expect("the message behind them");
    assert_eq!(received.gap, 4000, "told once, as one gap");
    drop(conn);
    assert_eq!(peer.held(&world), 0);
    let readable = world.events.iter().filter(|(_, event)| matches!(event, Event::Readable(_))).count();
    assert_eq!(readable, 1);
}

#[test]
pub(crate) fn row_48_core_frames_that_are_not_there_are_refused() {
    // Of shared memory, and of anything else.
    let mut refused = 0;
    for kind in 0..0x40_u8 {
        let (mut world, mut peer) = joined();
        let mut record = vec![kind];
        record.extend([0; 40]);
        peer.raw(&mut world, &record);
        let end = peer.close(&world).map(|(code, _)| code);
        refused += usize::from(end == Some(code::FRAME_UNKNOWN));
    }
    assert!(refused > 30, "{refused}");
}

#[test]
pub(crate) fn row_49_no_message_is_compressed() {
    // The reserved bit of a message's extension is all that could say so.
    for extension in [0x02, 0x0A, 0x12] {
        let (mut world, mut peer) = joined();
        peer.raw(&mut world, &[0x89, 0, 0, extension, 1, b'x', b'x']);
        peer.assert_ended(&mut world, code::FRAME_ENCODING, "a reserved bit");
        assert_eq!(peer.held(&world), 0);
    }
}

#[test]
pub(crate) fn row_50_reasons_are_cut_and_shown_escaped() {
    let (mut world, mut peer) = joined();
    let long = "x".repeat(257);
    let close = |reason| Frame::Close(Close { code: 0, advice: Advice::Never, retry_after_ms: 0, reason });
    peer.say(&mut world, &[close(&long)]);
    peer.assert_ended(&mut world, code::FRAME_ENCODING, "a reason of 257 bytes");
    let (mut world, mut peer) = joined();
    peer.say(&mut world, &[close("\u{1b}[2J\r\n")]);
    world.run(ms(1));
    let closed = world.closed(peer.id()).expect("the peer closed it");
    // As it came, for the application to escape; so does what shows it.
    assert!(
        matches!(&closed.reason, CloseReason::Peer { reason, .. } if &**reason == "\u{1b}[2J\r\n"),
        "{closed:?}"
    );
    assert!(!format!("{closed:?}").contains('\u{1b}'), "what is printed of it is escaped");
    let (mut world, peer) = joined();
    let reason = "e\u{301}\u{1b}[2J".repeat(40);
    let now = world.now;
    let mut conn = world.server.connection(peer.id()).expect("it is there");
    conn.close(now, proto_core::Close { reason, ..proto_core::Close::default() });
    drop(conn);
    world.run(ms(1));
    let said = peer.close(&world).expect("CLOSE").1;
    assert!(said.len() <= 256 && said.len() > 250, "{} bytes", said.len());
}
