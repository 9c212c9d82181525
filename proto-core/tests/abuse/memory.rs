//! Peers that want the other side's memory, or its time.

use proto_core::wire::{Extras, Fragment, Frame, Kind, Msg};
use proto_core::{ChannelId, Class, ConfigBuilder, Drop, Event, Message, Rate, RequestId, SendError, code};

use crate::peer::{Peer, msg, piece};
use crate::world::{World, host, ms, secs};

const ORDERED: Class = Class::ReliableOrdered;
const UNORDERED: Class = Class::ReliableUnordered;
const UNRELIABLE: Class = Class::Unreliable;
const ZERO: ChannelId = ChannelId::DEFAULT;

fn joined(config: ConfigBuilder) -> (World, Peer) {
    let mut world = World::new(config);
    let peer = Peer::join(&mut world, host(1));
    (world, peer)
}

fn take(world: &mut World, peer: &Peer) -> Vec<Vec<u8>> {
    let now = world.now;
    let mut conn = world.server.connection(peer.id()).expect("it is there");
    std::iter::from_fn(|| conn.channel(ZERO).recv(now)).map(|received| received.payload.to_vec()).collect()
}

#[test]
pub(crate) fn row_16_the_length_that_a_piece_claims_is_paid_for_by_what_comes() {
    // One byte of 256 KiB, over and over.
    let (mut world, mut peer) = joined(ConfigBuilder::default());
    for id in 0..40 {
        peer.say(&mut world, &[piece(UNRELIABLE, id, 15_000, 0, b"x")]);
        assert!(peer.held(&world) <= 32, "{} bytes", peer.held(&world));
    }
    assert_eq!(world.dropped(Drop::ReassemblyFull), 8, "32 may be incomplete");
    for id in 0..3 {
        peer.say(&mut world, &[piece(UNORDERED, id, 256 * 1024, 0, b"x")]);
    }
    assert!(peer.held(&world) <= 35);
    // Credit is charged for all of it: 1 MiB a channel.
    peer.say(&mut world, &[piece(UNORDERED, 3, 256 * 1024, 0, b"x")]);
    peer.assert_ended(&mut world, code::FLOW_CONTROL, "the fourth of 256 KiB, with what a message costs");
    let (mut world, mut peer) = joined(ConfigBuilder::default());
    peer.say(&mut world, &[piece(UNRELIABLE, 0, 15_000, 0, b"x")]);
    world.run(secs(4));
    assert_eq!((peer.held(&world), world.dropped(Drop::ReassemblyExpired)), (0, 1));
    peer.say(&mut world, &[piece(UNORDERED, 0, 1 << 30, 0, b"x")]);
    peer.assert_ended(&mut world, code::MESSAGE_TOO_LARGE, "a gigabyte");
}

#[test]
pub(crate) fn row_17_pieces_agree_and_bytes_that_are_there_stay() {
    for class in [ORDERED, UNORDERED, UNRELIABLE] {
        let lies: [(&str, &[Frame<'_>], u64); 5] = [
            (
                "another length",
                &[piece(class, 0, 9, 0, b"x"), piece(class, 0, 8, 1, b"x")],
                code::PROTOCOL_VIOLATION,
            ),
            ("beyond its end", &[piece(class, 0, 9, 9, b"x")], code::FRAME_ENCODING),
            ("far beyond its end", &[piece(class, 0, 9, u64::MAX, b"x")], code::FRAME_ENCODING),
            ("empty", &[piece(class, 0, 9, 3, b"")], code::FRAME_ENCODING),
            (
                "a request of which one piece is none",
                &[
                    piece(class, 0, 9, 0, b"x"),
                    Frame::Msg(Msg {
                        kind: Kind::Request(1),
                        fragment: Some(Fragment { total: 9, offset: 1 }),
                        ..msg(class, 0, b"y")
                    }),
                ],
                code::PROTOCOL_VIOLATION,
            ),
        ];
        for (what, frames, code) in lies {
            let (mut world, mut peer) = joined(ConfigBuilder::default());
            peer.say(&mut world, frames);
            peer.assert_ended(&mut world, code, what);
        }
        // An overlap is legal.
        let (mut world, mut peer) = joined(ConfigBuilder::default());
        for (offset, bytes) in [(2, &b"CD"[..]), (0, b"abcd"), (1, b"zzzz"), (4, b"ef")] {
            peer.say(&mut world, &[piece(class, 0, 6, offset, bytes)]);
        }
        peer.assert_open(&world, "an overlap");
        assert_eq!(take(&mut world, &peer), [b"abCDzf"], "{class:?}");
        peer.say(&mut world, &[piece(class, 0, 6, 0, b"a")]);
        assert_eq!(world.dropped(Drop::DuplicateMessage), 1);
    }
}

#[test]
pub(crate) fn row_18_dust_costs_its_message_and_gaps_are_counted() {
    for class in [UNORDERED, UNRELIABLE] {
        let (mut world, mut peer) = joined(ConfigBuilder::default());
        // 4000 pieces of a byte, the last one first.
        for offset in (0..4000).rev() {
            peer.say(&mut world, &[piece(class, 0, 4000, offset, &[offset as u8])]);
            assert!(peer.held(&world) <= 4000);
        }
        peer.assert_open(&world, "it is slow, but whole");
        let expected: Vec<u8> = (0..4000).map(|offset: u32| offset as u8).collect();
        assert_eq!(take(&mut world, &peer), [expected]);
        // Every other byte: 32 gaps, and one for every 256 bytes.
        let mut pieces = 0;
        while world.blames(peer.id()).is_none() {
            peer.say(&mut world, &[piece(class, 1, 4000, 2 * pieces, b"x")]);
            pieces += 1;
        }
        assert_eq!(pieces, 32 + 4000 / 256 + 1, "{class:?}");
        peer.assert_ended(&mut world, code::PROTOCOL_VIOLATION, "too many gaps");
    }
}

#[test]
pub(crate) fn row_19_messages_of_nothing_cost_64_bytes_and_their_tokens() {
    let config = ConfigBuilder {
        max_message: 4000,
        receive_bytes: 6400,
        receive_messages: 1000,
        session_bytes: 6400,
        ..ConfigBuilder::default()
    };
    let (mut world, mut peer) = joined(config.clone());
    for id in 0..100 {
        peer.say(&mut world, &[Frame::Msg(msg(ORDERED, id, b""))]);
    }
    peer.assert_open(&world, "100 times 64 bytes");
    peer.say(&mut world, &[Frame::Msg(msg(ORDERED, 100, b""))]);
    peer.assert_ended(&mut world, code::FLOW_CONTROL, "6400 bytes were granted");
    let (mut world, mut peer) = joined(config.clone());
    for id in 0..1000 {
        peer.say(&mut world, &[Frame::Msg(msg(UNRELIABLE, id, b""))]);
    }
    assert_eq!(world.dropped(Drop::ReceiveQueueFull), 900);
    assert_eq!(take(&mut world, &peer).len(), 100);
    let rate = Rate { messages: 10, message_burst: 10, bytes: 0, byte_burst: 0 };
    let (mut world, mut peer) = joined(ConfigBuilder { receive_rate: Some(rate), ..config });
    for id in 0..1000 {
        peer.say(&mut world, &[Frame::Msg(msg(UNRELIABLE, id, b""))]);
    }
    assert_eq!(world.dropped(Drop::RateLimited), 990);
}

#[test]
pub(crate) fn row_20_what_is_beyond_the_window_ends_the_connection_or_is_dropped() {
    for power in [12, 13, 16, 20, 31] {
        let (mut world, mut peer) = joined(ConfigBuilder::default());
        peer.say(&mut world, &[Frame::Msg(msg(ORDERED, 1 << power, b"x"))]);
        peer.assert_ended(&mut world, code::FLOW_CONTROL, "a number beyond the window");
        let (mut world, mut peer) = joined(ConfigBuilder::default());
        peer.say(&mut world, &[Frame::Msg(msg(UNRELIABLE, 1 << (power - 1), b"x"))]);
        peer.say(&mut world, &[Frame::Msg(msg(UNRELIABLE, 0, b"x"))]);
        peer.assert_open(&world, "unreliable numbers may leap");
        assert_eq!(world.dropped(Drop::StaleMessage), 1, "going back from 2^{power}");
    }
    let (mut world, mut peer) = joined(ConfigBuilder::default());
    for number in 0..1030 {
        peer.say(&mut world, &[Frame::Msg(msg(UNRELIABLE, number, b""))]);
    }
    peer.assert_open(&world, "unreliable messages need no credit");
    assert_eq!(world.dropped(Drop::ReceiveQueueFull), 1030 - 1024);
}

#[test]
pub(crate) fn row_30_requests_and_their_cancellations_are_bounded() {
    let (mut world, mut peer) = joined(ConfigBuilder::default());
    let ask = |peer: &mut Peer, world: &mut World, request: u64| {
        let kind = Kind::Request(request);
        peer.say(world, &[Frame::Msg(Msg { kind, ..msg(UNRELIABLE, request as u32, b"?") })]);
    };
    for request in 0..300 {
        ask(&mut peer, &mut world, request);
    }
    assert_eq!(world.dropped(Drop::RequestRejected), 300 - 256);
    assert_eq!(take(&mut world, &peer).len(), 256, "the application sees none of the others");
    peer.assert_open(&world, "asking is legal");
    // Asked and cancelled, over and over, and nobody takes them: what waits is one queue.
    let (mut world, mut peer) = joined(ConfigBuilder::default());
    for request in 0..5000 {
        ask(&mut peer, &mut world, request);
        peer.say(&mut world, &[Frame::Cancel(request)]);
    }
    assert_eq!(world.dropped(Drop::ReceiveQueueFull), 5000 - 1024);
    assert_eq!(world.dropped(Drop::RequestRejected), 0);
    let told = world.events.iter().filter(|(_, event)| matches!(event, Event::RequestCancelled(_))).count();
    assert_eq!(told, 0, "of what the application has not seen");
    let now = world.now;
    let mut conn = world.server.connection(peer.id()).expect("it is there");
    let taken: Vec<_> = std::iter::from_fn(|| conn.channel(ZERO).recv(now)).collect();
    assert!(taken.len() == 1024 && taken.iter().all(|received| received.cancelled));
    // A cancellation of what has not come is remembered for so many.
    drop(conn);
    for request in 0..100_000 {
        peer.say(&mut world, &[Frame::Cancel((1 << 40) + request)]);
    }
    assert_eq!(peer.held(&world), 0);
    peer.assert_open(&world, "cancelling is legal");
}

#[test]
pub(crate) fn row_30_a_request_that_was_taken_counts_until_its_handler_ends() {
    let (mut world, mut peer) = joined(ConfigBuilder::default());
    let ask = |peer: &mut Peer, world: &mut World, requests: std::ops::Range<u64>| {
        for request in requests {
            let kind = Kind::Request(request);
            peer.say(world, &[Frame::Msg(Msg { kind, ..msg(UNRELIABLE, request as u32, b"?") })]);
        }
    };
    ask(&mut peer, &mut world, 0..256);
    assert_eq!(take(&mut world, &peer).len(), 256);
    for request in 0..256 {
        peer.say(&mut world, &[Frame::Cancel(request), Frame::Cancel(request)]);
    }
    let told = world.events.iter().filter(|(_, event)| matches!(event, Event::RequestCancelled(_))).count();
    assert_eq!(told, 256, "each once");
    // All are cancelled and none of their handlers has ended: no other begins.
    ask(&mut peer, &mut world, 256..300);
    assert_eq!((take(&mut world, &peer).len(), world.dropped(Drop::RequestRejected)), (0, 44));
    let now = world.now;
    let mut conn = world.server.connection(peer.id()).expect("it is there");
    for request in 0..10 {
        let refused = conn.reply_part(now, RequestId(request), "more");
        assert_eq!(refused, Err(SendError::NoRequest), "nobody waits for it");
        let refused = match request % 2 {
            0 => conn.reply(now, RequestId(request), "done"),
            _ => conn.reply_error(now, RequestId(request), 0x123, "stopped"),
        };
        assert_eq!(refused, Err(SendError::NoRequest), "nobody waits for it");
    }
    drop(conn);
    ask(&mut peer, &mut world, 300..320);
    assert_eq!((take(&mut world, &peer).len(), world.dropped(Drop::RequestRejected)), (10, 54));
    // A handler that never says that it has ended counts for 10 s.
    world.run(ms(9_900));
    ask(&mut peer, &mut world, 320..330);
    assert_eq!(world.dropped(Drop::RequestRejected), 64);
    world.run(ms(200));
    ask(&mut peer, &mut world, 330..600);
    assert_eq!((take(&mut world, &peer).len(), world.dropped(Drop::RequestRejected)), (246, 88));
    assert_eq!(world.dropped(Drop::RequestExpired), 0, "of none that somebody waits for");
    peer.assert_open(&world, "cancelling is legal");
}

#[test]
pub(crate) fn row_32_tokens_are_paid_for_each_message_and_not_for_each_record() {
    let rate = Rate { messages: 10, message_burst: 10, bytes: 0, byte_burst: 0 };
    let (mut world, mut peer) =
        joined(ConfigBuilder { receive_rate: Some(rate), ..ConfigBuilder::default() });
    let frames: Vec<_> = (0..40).map(|id| Frame::Msg(msg(UNRELIABLE, id, b"x"))).collect();
    peer.say(&mut world, &frames);
    assert_eq!((take(&mut world, &peer).len(), world.dropped(Drop::RateLimited)), (10, 30));
    // A clock that the caller sets back gives nothing, and one that stands still neither.
    let now = world.now;
    for id in 40..80 {
        world.now = now - ms(500);
        peer.say(&mut world, &[Frame::Msg(msg(UNRELIABLE, id, b"x"))]);
    }
    world.now = now;
    assert_eq!((take(&mut world, &peer).len(), world.dropped(Drop::RateLimited)), (0, 70));
    world.now += secs(1);
    let frames: Vec<_> = (80..120).map(|id| Frame::Msg(msg(UNRELIABLE, id, b"x"))).collect();
    peer.say(&mut world, &frames);
    assert_eq!((take(&mut world, &peer).len(), world.dropped(Drop::RateLimited)), (10, 100));
}

#[test]
pub(crate) fn row_34_no_lifetime_is_longer_than_a_day_and_none_grows() {
    let of =
        |ttl, id| Msg { extras: Extras { ttl: Some(ttl), ..Extras::default() }, ..msg(UNRELIABLE, id, b"x") };
    let (mut world, mut peer) = joined(ConfigBuilder::default());
    peer.say(&mut world, &[Frame::Msg(of(0, 0)), Frame::Msg(of(86_400_000, 1))]);
    assert_eq!((take(&mut world, &peer).len(), world.dropped(Drop::ReceiveExpired)), (1, 1));
    let part = |id, offset, ttl| {
        let fragment = Some(Fragment { total: 2, offset });
        Frame::Msg(Msg { fragment, ..of(ttl, id) })
    };
    peer.say(&mut world, &[part(2, 0, 50)]);
    peer.say(&mut world, &[part(2, 1, 86_400_000)]);
    world.run(ms(51));
    assert_eq!((take(&mut world, &peer).len(), world.dropped(Drop::ReceiveExpired)), (0, 2));
    peer.say(&mut world, &[Frame::Msg(of(86_400_001, 3))]);
    peer.assert_ended(&mut world, code::FRAME_ENCODING, "a day and a millisecond");
}

#[test]
pub(crate) fn row_53_a_million_lifetimes_are_no_million_timers() {
    let (mut world, mut peer) = joined(ConfigBuilder::default());
    world.timeouts = 0;
    let extras = Extras { ttl: Some(1), ..Extras::default() };
    for round in 0..250_u32 {
        let frames: Vec<_> =
            (0..40).map(|i| Frame::Msg(Msg { extras, ..msg(UNRELIABLE, round * 40 + i, b"") })).collect();
        peer.say(&mut world, &frames);
    }
    // 1024 of 10,000 wait; the rest found the queue full.
    assert_eq!(world.dropped(Drop::ReceiveQueueFull), 10_000 - 1024);
    let now = world.now;
    for _ in 0..2000 {
        let mut conn = world.server.connection(peer.id()).expect("it is there");
        let message = Message::new("").class(UNRELIABLE).lifetime(ms(1));
        // A full queue pushes out the oldest.
        let _ = conn.channel(ZERO).send(now, message);
    }
    world.run(ms(100));
    assert!(world.timeouts <= 200, "{} timers in 100 ms, no finer than a millisecond", world.timeouts);
    assert!(take(&mut world, &peer).is_empty());
    assert_eq!(world.dropped(Drop::ReceiveExpired), 1024);
    assert_eq!(peer.held(&world), 0);
}
