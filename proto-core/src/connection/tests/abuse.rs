//! A peer that lies, in packets that are otherwise valid: what each lie ends in.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Client, Pair, Server, Side, close_in, ms, msg, secs, small};
use crate::wire::frame::MAX_FRAMES;
use crate::wire::{Credit, Fragment, Frame, Kind, Msg, OpenChannel, WireId};
use crate::{
    ChannelId, ChannelOptions, Class, CloseReason, Config, ConfigBuilder, Drop, Event, Link, Message, Meta,
    State, code,
};

const ORDERED: Class = Class::ReliableOrdered;
const UNORDERED: Class = Class::ReliableUnordered;
const UNRELIABLE: Class = Class::Unreliable;

/// `side` has ended the connection with `code`, has told the peer so, and holds nothing any more.
pub(super) fn assert_ended(pair: &mut Pair, side: Side, code: u64, what: &str) {
    assert!(pair.closed(side).is_none());
    pair.sent.clear();
    pair.run(Duration::ZERO);
    let Some(closed) = pair.closed(side) else { panic!("{what}: the connection goes on") };
    let CloseReason::PeerMisbehaved(text) = closed.reason else { panic!("{what}: {:?}", closed.reason) };
    let closes: Vec<_> = pair.sent.iter().filter(|sent| sent.from == side).collect();
    assert_eq!(closes.len(), 1, "{what}: one packet");
    assert_eq!(close_in(&closes[0].packet), Some((code, text)), "{what}");
    assert_eq!(pair.conn(side).unsettled(), 0, "{what}");
}

fn piece(class: Class, id: u16, total: u64, offset: u64, payload: &[u8]) -> Frame<'_> {
    Frame::Msg(Msg { fragment: Some(Fragment { total, offset }), ..msg(class, id, payload) })
}

fn open(channel: u32) -> OpenChannel<'static> {
    OpenChannel {
        channel,
        classes: 0b111,
        priority: 4,
        reliable_sequenced: false,
        bytes: 1000,
        messages: 10,
        name: "",
    }
}

fn on_channel(channel: u32, class: Class) -> Frame<'static> {
    Frame::Msg(Msg { channel, ..msg(class, 0, b"x") })
}

fn of_kind(kind: Kind, class: Class) -> Frame<'static> {
    Frame::Msg(Msg { kind, ..msg(class, 0, b"x") })
}

#[test]
fn a_broken_rule_ends_the_connection_with_its_code() {
    let big = vec![0; 900];
    let only_ordered = OpenChannel { classes: 0b001, ..open(1) };
    let lies: Vec<(&str, u64, Vec<Frame<'_>>)> = vec![
        ("a piece of more than was agreed", code::MESSAGE_TOO_LARGE, vec![piece(ORDERED, 0, 4001, 0, b"x")]),
        (
            "a gigabyte of which one byte comes",
            code::MESSAGE_TOO_LARGE,
            vec![piece(UNORDERED, 0, 1 << 30, 0, b"x")],
        ),
        ("likewise, unreliable", code::MESSAGE_TOO_LARGE, vec![piece(UNRELIABLE, 0, u64::MAX, 0, b"x")]),
        (
            "pieces that disagree about the length",
            code::PROTOCOL_VIOLATION,
            vec![piece(ORDERED, 0, 100, 0, b"x"), piece(ORDERED, 0, 101, 1, b"x")],
        ),
        (
            "unreliable pieces that disagree about the length",
            code::PROTOCOL_VIOLATION,
            vec![piece(UNRELIABLE, 0, 100, 0, b"x"), piece(UNRELIABLE, 0, 101, 1, b"x")],
        ),
        (
            "pieces that disagree about the kind",
            code::PROTOCOL_VIOLATION,
            vec![
                piece(ORDERED, 0, 100, 0, b"x"),
                Frame::Msg(Msg {
                    kind: Kind::Request(0),
                    fragment: Some(Fragment { total: 100, offset: 1 }),
                    ..msg(ORDERED, 0, b"y")
                }),
            ],
        ),
        ("a message beyond the window", code::FLOW_CONTROL, vec![Frame::Msg(msg(ORDERED, 4096, b"x"))]),
        (
            "a number far beyond the window",
            code::FLOW_CONTROL,
            vec![Frame::Msg(Msg { id: WireId::Low32(u32::MAX), ..msg(UNORDERED, 0, b"x") })],
        ),
        (
            "more messages than there is credit for",
            code::FLOW_CONTROL,
            (0..9).map(|id| Frame::Msg(msg(ORDERED, id, b""))).collect(),
        ),
        (
            "more bytes than there is credit for",
            code::FLOW_CONTROL,
            (0..4).map(|id| piece(UNORDERED, id, 3000, 0, b"x")).collect(),
        ),
        (
            "a class that the channel does not have, sequenced",
            code::PROTOCOL_VIOLATION,
            vec![Frame::OpenChannel(only_ordered), on_channel(1, Class::Sequenced)],
        ),
        ("a channel that was never opened", code::PROTOCOL_VIOLATION, vec![on_channel(3, ORDERED)]),
        ("likewise, unreliable", code::PROTOCOL_VIOLATION, vec![on_channel(3, UNRELIABLE)]),
        (
            "a class that the channel does not have",
            code::PROTOCOL_VIOLATION,
            vec![Frame::OpenChannel(only_ordered), on_channel(1, UNORDERED)],
        ),
        (
            "a channel with the other side's parity",
            code::PROTOCOL_VIOLATION,
            vec![Frame::OpenChannel(open(2))],
        ),
        ("channel 0", code::PROTOCOL_VIOLATION, vec![Frame::OpenChannel(open(0))]),
        (
            "a channel opened twice, differently",
            code::PROTOCOL_VIOLATION,
            vec![Frame::OpenChannel(open(1)), Frame::OpenChannel(OpenChannel { name: "b", ..open(1) })],
        ),
        (
            "more channels than were agreed, however far apart",
            code::PROTOCOL_VIOLATION,
            [1, 3, u32::MAX].map(|id| Frame::OpenChannel(open(id))).to_vec(),
        ),
        (
            "credit for a channel that was never opened",
            code::PROTOCOL_VIOLATION,
            vec![Frame::Credit(Credit { channel: Some(1), bytes: 1, messages: 1 })],
        ),
        ("a reply that nobody asked for", code::PROTOCOL_VIOLATION, vec![of_kind(Kind::Reply(0), ORDERED)]),
        (
            "an error that nobody asked for",
            code::PROTOCOL_VIOLATION,
            vec![of_kind(Kind::ReplyError { request: u64::MAX, code: 0x80, index: None }, ORDERED)],
        ),
        ("a CONFIRM that answers nothing", code::PROTOCOL_VIOLATION, vec![Frame::Confirm([0; 16])]),
        ("RETRY in a short packet", code::PROTOCOL_VIOLATION, vec![Frame::Retry(b"token")]),
        (
            "over 512 frames",
            code::FRAME_ENCODING,
            core::iter::repeat_n(Frame::Ping, MAX_FRAMES + 1).collect(),
        ),
        ("good frames before the bad one", code::FLOW_CONTROL, {
            let mut frames = vec![Frame::Msg(msg(ORDERED, 0, &big)), Frame::Ping];
            frames.push(Frame::Msg(msg(ORDERED, 5000, b"x")));
            frames
        }),
    ];
    for (what, code, frames) in lies {
        let mut pair = Pair::established(small());
        pair.inject(Client, &frames);
        assert_ended(&mut pair, Server, code, what);
    }
}

#[test]
fn what_cannot_be_decoded_has_no_effect_but_the_end() {
    let cases: [(&str, u64, &[u8]); 6] = [
        ("a core frame of unknown type", code::FRAME_UNKNOWN, &[0x3F]),
        ("a reserved frame", code::FRAME_UNKNOWN, &[0x11, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("an integer that ends too soon", code::FRAME_ENCODING, &[0x05, 0x00, 0xFF, 1]),
        ("an integer longer than it need be", code::FRAME_ENCODING, &[0x05, 0x00, 0x80, 0x01, 0x00]),
        ("an extension beyond the record", code::FRAME_ENCODING, &[0x40, 0xBF, 0xFF]),
        ("a length beyond the record", code::FRAME_ENCODING, &[0x8A, 0, 0, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    for (what, code, bytes) in cases {
        let mut pair = Pair::established(small());
        // A whole message before the bad bytes: it must not be delivered.
        inject_bytes(&mut pair, &[&[0x8A, 0, 0, 1, b'x'], bytes].concat());
        assert_ended(&mut pair, Server, code, what);
        assert!(pair.recv(Server, 0).is_none(), "{what}");
    }
}

/// A packet of the client's with these bytes as its record.
fn inject_bytes(pair: &mut Pair, record: &[u8]) {
    let mut buf = Vec::new();
    let conn = pair.conn(Client);
    let (number, len) = conn.recovery.next_number();
    crate::wire::packet::start_short(&mut buf, conn.remote_cid, number, len);
    buf.extend_from_slice(record);
    crate::wire::packet::finish_short(&mut buf, 0, conn.guard, number, conn.config.checksum);
    pair.hand_in(Server, &buf);
}

#[test]
fn messages_behind_an_ack_are_judged_with_it() {
    let messages = |count: usize| {
        let mut record = vec![0x8A, 0, 0, 0];
        record.extend((2..count).flat_map(|_| [0x82, 0]));
        record.push(0x80);
        record
    };
    let ack = |largest: u64| {
        let mut ack = vec![0x03];
        crate::wire::varint::encode(largest, &mut ack);
        ack.extend([0, 0, 0]);
        ack
    };
    for (what, behind, result) in [
        ("512 frames", messages(511), Ok(511)),
        ("513 frames", messages(512), Err(code::FRAME_ENCODING)),
        ("an extension that ends too soon", vec![0x89, 0, 0, 5], Err(code::FRAME_ENCODING)),
        ("a message that comes last", vec![0x88, 0, 0], Ok(1)),
    ] {
        let mut pair = Pair::established(ConfigBuilder::default());
        pair.send(Server, 0, Message::new("x"));
        pair.run(ms(1));
        let newest = pair.conn(Server).recovery.next_number().0 - 1;
        inject_bytes(&mut pair, &[ack(newest), behind].concat());
        match result {
            Ok(count) => assert_eq!(core::iter::from_fn(|| pair.recv(Server, 0)).count(), count, "{what}"),
            Err(code) => {
                assert_ended(&mut pair, Server, code, what);
                assert!(pair.recv(Server, 0).is_none(), "{what}");
            }
        }
    }
    for behind in [vec![0x88, 0, 0], messages(3)] {
        let mut pair = Pair::established(small());
        inject_bytes(&mut pair, &[ack(1 << 20), behind].concat());
        assert_ended(&mut pair, Server, code::PROTOCOL_VIOLATION, "an ACK of what was not sent");
        assert!(pair.recv(Server, 0).is_none());
    }
}

#[test]
fn extensions_grease_and_padding_are_skipped() {
    let mut pair = Pair::established(small());
    let body = [7; 20];
    let mut frames = vec![Frame::Extension { code: 0x7F, id: 1 << 60, body: &body }, Frame::Padding];
    frames.extend(core::iter::repeat_n(Frame::Extension { code: 0x40, id: 0, body: &[] }, 500));
    frames.push(Frame::Msg(msg(ORDERED, 0, b"after them")));
    pair.inject(Client, &frames);
    assert_eq!(&pair.recv(Server, 0).expect("the message behind them").payload[..], b"after them");
}

#[test]
fn garbage_is_a_counter_and_nothing_else() {
    let mut pair = Pair::established(small());
    let mut rng = super::noise(3);
    let before = pair.conn(Server).stats().clone();
    let deadline = pair.conn(Server).poll_timeout();
    for len in 0..1300 {
        let bytes: Vec<u8> = (0..len).map(|_| rng.below(256) as u8).collect();
        pair.hand_in(Server, &bytes);
    }
    let after = pair.conn(Server).stats().clone();
    assert_eq!(after.packets_received, before.packets_received);
    assert_eq!(after.drops.iter().map(|(_, count)| count).sum::<u64>(), 1300);
    assert_eq!(pair.conn(Server).poll_timeout(), deadline, "garbage is no sign of life");
    assert!(pair.conn(Server).poll_event().is_none());
    pair.sent.clear();
    pair.drain();
    assert!(pair.sent.is_empty(), "no reply");
}

#[test]
fn a_packet_that_comes_again_updates_nothing() {
    let mut pair = Pair::established(small());
    pair.inject(Client, &[Frame::Msg(msg(UNRELIABLE, 0, b"once"))]);
    let packet = pair.forge(Client, |writer| writer.write(&Frame::Ping, false));
    pair.hand_in(Server, &packet);
    pair.run(ms(100));
    pair.sent.clear();
    let deadline = pair.conn(Server).poll_timeout();
    for _ in 0..1000 {
        pair.hand_in(Server, &packet);
    }
    assert_eq!(pair.conn(Server).stats().drops.get(Drop::DuplicatePacket), 1000);
    assert_eq!(pair.conn(Server).poll_timeout(), deadline, "a replay is no sign of life");
    pair.drain();
    assert!(pair.sent.is_empty(), "a replay is not acknowledged");
    assert_eq!(pair.recv_all(Server, 0).len(), 1);
}

#[test]
fn a_damaged_packet_never_existed() {
    let mut pair = Pair::established(small());
    let packet = pair.forge(Client, |writer| writer.write(&Frame::Ping, false));
    for at in 0..packet.len() * 8 {
        let mut damaged = packet.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        pair.hand_in(Server, &damaged);
    }
    pair.drain();
    assert!(pair.sent.is_empty());
    assert_eq!(pair.conn(Server).state(), State::Established);
    let drops = pair.conn(Server).stats().drops.clone();
    let (all, by_tag) = (drops.iter().map(|(_, count)| count).sum::<u64>(), drops.get(Drop::BadChecksum));
    assert!(all == packet.len() as u64 * 8 && by_tag >= 32, "each once, {by_tag} by their tag: {drops:?}");
    pair.hand_in(Server, &packet);
    pair.drain();
    assert_eq!(pair.frames_from(Server), [["ACK"]], "the undamaged one still counts");
}

#[test]
fn an_acknowledgement_is_never_acknowledged() {
    let mut pair = Pair::established(small());
    for _ in 0..40 {
        pair.sent.clear();
        pair.inject(Client, &[Frame::Ping]);
        pair.run(ms(200));
        assert_eq!(pair.frames_from(Server), [["ACK"]], "one for each packet that asks");
        assert!(pair.frames_from(Client).is_empty());
    }
    // Hundreds of PINGs in a packet are one packet.
    pair.sent.clear();
    pair.inject(Client, &vec![Frame::Ping; MAX_FRAMES]);
    pair.run(ms(200));
    assert_eq!(pair.sent.len(), 1);
}

#[test]
fn a_peer_that_never_acknowledges_is_given_up() {
    let mut pair = Pair::established(small());
    pair.send(Server, 0, Message::new("x").receipt());
    pair.lose(|sent| sent.from == Client);
    // Its heartbeats arrive, its acknowledgements do not.
    for _ in 0..60 {
        pair.inject(Client, &[Frame::Ping]);
        pair.run(secs(1));
    }
    assert_eq!(pair.closed(Server).expect("given up").reason, CloseReason::TimedOut);
    let events = pair.take_events(Server);
    assert!(events.iter().any(|event| matches!(event, Event::Fate { fate: crate::Fate::Unknown, .. })));
}

#[test]
fn credit_only_grows_and_any_number_is_credit() {
    let mut pair = Pair::established(small());
    for (bytes, messages) in [(u64::MAX, u64::MAX), (0, 0), (1, 1)] {
        pair.inject(Client, &[Frame::Credit(Credit { channel: None, bytes, messages })]);
        pair.inject(Client, &[Frame::Credit(Credit { channel: Some(0), bytes, messages })]);
    }
    assert_eq!(pair.conn(Server).state(), State::Established);
    for _ in 0..8 {
        pair.send(Server, 0, Message::new("x"));
    }
    pair.sent.clear();
    pair.drain();
    assert!(pair.sent.iter().any(|sent| sent.from == Server));
}

#[test]
fn unreliable_messages_are_bounded_by_their_receiver() {
    let mut pair = Pair::established(small());
    // Zero bytes long, yet not free.
    for id in 0..2000 {
        pair.inject(Client, &[Frame::Msg(msg(UNRELIABLE, id, b""))]);
    }
    assert_eq!(pair.conn(Server).stats().drops.get(Drop::ReceiveQueueFull), 1992);
    assert_eq!(pair.recv_all(Server, 0).len(), 8);
    // First pieces only: 4 are kept, and those not for long.
    for id in 3000..3100 {
        pair.inject(Client, &[piece(UNRELIABLE, id, 2000, 1999, b"x")]);
    }
    assert_eq!(pair.conn(Server).stats().drops.get(Drop::ReassemblyFull), 96);
    assert!(pair.conn(Server).held_bytes() <= 4 * 2000);
    pair.run(secs(4));
    assert_eq!(pair.conn(Server).held_bytes(), 0);
    assert_eq!(pair.conn(Server).stats().drops.get(Drop::ReassemblyExpired), 4);
}

#[test]
fn many_channels_hold_no_more_unreliable_messages_than_the_connection_may() {
    let config = ConfigBuilder { max_channels: 64, ..small() };
    let mut pair = Pair::established(config);
    for channel in (1..128).step_by(2) {
        pair.inject(Client, &[Frame::OpenChannel(open(channel))]);
        for id in 0..8 {
            let whole = Msg { channel, ..msg(UNRELIABLE, id, &[7; 900]) };
            pair.inject(Client, &[Frame::Msg(whole)]);
        }
        let fragment = Some(Fragment { total: 4000, offset: 3999 });
        pair.inject(Client, &[Frame::Msg(Msg { channel, fragment, ..msg(UNRELIABLE, 9, b"x") })]);
    }
    let held = pair.conn(Server).held_bytes();
    assert!(held > 8000 && held <= 12_000 + 4000, "{held} bytes for a session of 12,000");
    for channel in (1..128).step_by(2) {
        pair.recv_all(Server, channel);
    }
    pair.run(secs(4));
    assert_eq!(pair.conn(Server).held_bytes(), 0);
    pair.inject(Client, &[Frame::Msg(msg(UNRELIABLE, 9, b"there is room again"))]);
    assert!(pair.recv(Server, 0).is_some());
}

#[test]
fn dropped_numbers_are_counted_all_the_same() {
    // Over 2^16 messages in a row find the queue full: the one after them is still taken for what it is.
    let mut pair = Pair::established(small());
    for channel in [1, 3] {
        pair.inject(Client, &[Frame::OpenChannel(open(channel))]);
    }
    for (channel, id) in [0, 1, 3].into_iter().flat_map(|channel| (0..8).map(move |id| (channel, id))) {
        pair.inject(Client, &[Frame::Msg(Msg { channel, ..msg(UNRELIABLE, id, &[7; 900]) })]);
    }
    for id in 8..70_000_u32 {
        pair.inject(Client, &[Frame::Msg(msg(UNRELIABLE, id as u16, &[]))]);
    }
    assert!(!pair.recv_all(Server, 0).is_empty());
    pair.recv_all(Server, 1);
    pair.recv_all(Server, 3);
    pair.inject(Client, &[Frame::Msg(msg(UNRELIABLE, 70_000_u32 as u16, b"x"))]);
    assert_eq!(pair.recv(Server, 0).map(|received| received.number), Some(70_000));
}

#[test]
fn a_message_kept_alive_by_dust_is_given_up_all_the_same() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let begun = pair.now;
    for at in 0..30 {
        pair.inject(Client, &[piece(UNRELIABLE, 0, 4000, at, b"x")]);
        if pair.conn(Server).held_bytes() == 0
            || pair.conn(Server).stats().drops.get(Drop::ReassemblyExpired) > 0
        {
            break;
        }
        pair.run(secs(1));
    }
    assert_eq!(pair.conn(Server).stats().drops.get(Drop::ReassemblyExpired), 1);
    assert!(pair.now.since(begun) <= secs(11), "{:?}", pair.now.since(begun));
}

#[test]
fn old_and_repeated_unreliable_numbers_are_counted() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for id in [5000, 5000, 3000, 4999] {
        pair.inject(Client, &[Frame::Msg(msg(UNRELIABLE, id, b"x"))]);
    }
    let drops = pair.conn(Server).stats().drops.clone();
    assert_eq!((drops.get(Drop::DuplicateMessage), drops.get(Drop::StaleMessage)), (1, 1));
    assert_eq!(pair.recv_all(Server, 0).len(), 2);
}

#[test]
fn numbers_near_every_power_of_two_are_expanded_rightly() {
    // Unreliable numbers may leap; each leap of almost 2^31 must be followed exactly.
    let mut pair = Pair::established(ConfigBuilder::default());
    let mut at = 0_u64;
    for _ in 0..64 {
        at += (1 << 31) - 1;
        for id in [at, at + 1, at - 1] {
            let frame = Msg { id: WireId::Low32(id as u32), ..msg(UNRELIABLE, 0, b"x") };
            pair.inject(Client, &[Frame::Msg(frame)]);
            assert_eq!(pair.recv(Server, 0).expect("a new number").number, id);
        }
    }
}

#[test]
fn more_than_sixteen_pieces_of_an_unreliable_message_are_not_taken() {
    let mut pair = Pair::established(ConfigBuilder::default());
    let max = Link::datagram(1200).max_unreliable() as u64;
    pair.inject(Client, &[piece(UNRELIABLE, 0, max, 0, b"x")]);
    assert!(pair.conn(Server).held_bytes() > 0);
    let before = pair.conn(Server).held_bytes();
    pair.inject(Client, &[piece(UNRELIABLE, 1, max + 1, 0, b"x")]);
    assert!(pair.conn(Server).held_bytes() <= before);
}

#[test]
fn a_thousand_opened_channels_are_too_many_but_a_thousand_repetitions_are_none() {
    let mut pair = Pair::established(small());
    for _ in 0..1000 {
        pair.inject(Client, &[Frame::OpenChannel(open(1)), Frame::OpenChannel(open(u32::MAX))]);
    }
    pair.drain();
    let opened = pair.take_events(Server).into_iter().filter(|event| matches!(event, Event::Opened(_)));
    assert_eq!(opened.count(), 2);
    assert!(pair.conn(Server).channel(ChannelId(u32::MAX)).is_open());
    assert!(!pair.conn(Server).channel(ChannelId(3)).is_open(), "no implicit channels between");
}

#[test]
fn this_side_opens_no_more_channels_than_the_peer_takes() {
    let mut pair = Pair::established(small());
    let now = pair.now;
    let mut opened = 0;
    while pair.conn(Server).open_channel(now, &ChannelOptions::default()).is_ok() {
        opened += 1;
    }
    assert_eq!(opened, 2);
    pair.run(ms(100));
    assert_eq!(pair.conn(Client).state(), State::Established);
}

#[test]
fn a_clock_that_runs_backwards_stands_still() {
    let mut pair = Pair::established(small());
    let before = crate::Timestamp::ZERO;
    pair.conn(Client).channel(ChannelId::DEFAULT).send(before, Message::new("x")).expect("room");
    let mut buf = Vec::new();
    assert!(pair.conn(Client).poll_transmit(before, &mut buf).is_some());
    pair.conn(Server).handle_packet(before, Meta::default(), &buf);
    for side in [Client, Server] {
        pair.conn(side).handle_timeout(before);
        let (deadline, clock) = (pair.conn(side).poll_timeout(), pair.conn(side).clock);
        assert!(deadline.is_none_or(|at| at > clock), "{side:?}: {deadline:?} against {clock:?}");
    }
    pair.run(secs(120));
    for side in [Client, Server] {
        assert_eq!(pair.conn(side).state(), State::Established);
    }
}

#[test]
fn a_wall_of_time_fires_each_timer_once() {
    let mut pair = Pair::established(small());
    pair.send(Client, 0, Message::new("x"));
    pair.lose(|_| true);
    pair.drain();
    pair.now += Duration::from_hours(24 * 365 * 100);
    pair.sent.clear();
    pair.run(Duration::ZERO);
    assert!(pair.sent.len() <= 4, "{} packets in one instant", pair.sent.len());
    assert!(pair.timeouts <= 2);
    let probes = pair.conn(Client).stats().probes;
    assert!(probes <= 2, "{probes} for a hundred years");
}

#[test]
fn a_handshake_that_stalls_is_given_up_on_an_absolute_deadline() {
    let config: alloc::sync::Arc<Config> = small().build().expect("sound");
    let mut pair = Pair::new(alloc::sync::Arc::clone(&config), config, Link::datagram(1200));
    // ACCEPT never arrives, so CONFIRM never comes; INIT is repeated and repeated.
    pair.lose(|sent| sent.from == Server);
    pair.run(secs(11));
    assert_eq!(pair.conn(Server).state(), State::Drained);
    assert_eq!(pair.conn(Server).stats().drops.get(Drop::HandshakeExpired), 1);
    assert!(pair.take_events(Server).is_empty(), "the application never heard of it");
    let failed = pair.closed(Client).expect("the client has given up as well");
    assert_eq!(failed.reason, CloseReason::TimedOut);
}

#[test]
fn nothing_but_the_right_confirm_establishes_a_server() {
    let config = small().build().expect("sound");
    let mut pair = Pair::new(alloc::sync::Arc::clone(&config), config, Link::datagram(1200));
    pair.conn(Server).set_address_validated();
    pair.lose(|sent| sent.from == Client && super::frame_names(&sent.packet)[0] == "CONFIRM");
    pair.run(ms(100));
    assert_eq!(pair.conn(Client).state(), State::Established);
    let wrong: [&[Frame<'_>]; 3] =
        [&[Frame::Ping], &[Frame::Confirm([9; 16])], &[Frame::Msg(msg(ORDERED, 0, b"early"))]];
    for (count, frames) in (1..).zip(wrong) {
        pair.inject(Client, frames);
        assert_eq!(pair.conn(Server).state(), State::Accepting);
        assert!(pair.conn(Server).stats().drops.get(Drop::UnexpectedHandshake) >= count);
        assert!(pair.recv(Server, 0).is_none());
    }
    let confirm = pair.conn(Client).confirm_frame();
    pair.inject(Client, &[confirm]);
    assert_eq!(pair.conn(Server).state(), State::Established);
}
