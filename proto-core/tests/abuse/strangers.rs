//! Who has not shaken hands.

use std::collections::BTreeSet;

use proto_core::wire::checksum::crc32c;
use proto_core::wire::packet::VERSION;
use proto_core::wire::{
    Advice, Attach, Cid, Close, Frame, Init, Long, LongKind, Packet, Record, RecordWriter, Version,
};
use proto_core::{ChannelId, Class, ConfigBuilder, Drop, Endpoint, Event, Link, Message, Meta, code};

use crate::peer::{Peer, answer, frames, init, init_and_record, long, msg, plenty, token};
use crate::world::{World, host, ms, secs};

/// Reproducible noise.
struct Noise(u64);

impl Noise {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 56) as u8
    }
}

#[test]
pub(crate) fn row_01_random_datagrams_of_every_length_leave_a_counter_and_nothing_else() {
    let mut world = World::new(ConfigBuilder::default());
    let mut noise = Noise(1);
    let firsts = [None, Some(0x40), Some(0x58), Some(0xC0), Some(0xF0), Some(0)];
    let mut count = 0;
    for (of, first) in firsts.into_iter().enumerate() {
        for len in 0..=1452_u32 {
            let mut packet: Vec<u8> = (0..len).map(|_| noise.byte()).collect();
            if let (Some(byte), Some(first)) = (packet.first_mut(), first) {
                *byte = first;
            }
            let from = host(1 + len + 2000 * of as u32);
            world.stranger(from, &packet);
            world.drain();
            count += 1;
            // Only what may belong to a connection that was forgotten is answered, by less than it was.
            let answered = world.sent_to(from).map(<[u8]>::len).collect::<Vec<_>>();
            assert!(
                answered.len() <= 1 && answered.iter().all(|&answer| answer < packet.len()),
                "{answered:?}"
            );
            world.sent.clear();
        }
    }
    let drops = world.stats().drops;
    let suppressed = drops.get(Drop::ResetSuppressed);
    assert_eq!(drops.iter().map(|(_, count)| count).sum::<u64>() - suppressed, count, "each once: {drops:?}");
    assert!(drops.get(Drop::MalformedHeader) > 1000 && drops.get(Drop::UnknownConnection) > 1000);
    assert_eq!(world.stats().packets_received, 0);
    assert!(world.server.is_empty() && world.events.is_empty());
    assert_eq!(world.server.poll_timeout(), None);
}

#[test]
pub(crate) fn row_05_a_flood_of_spoofed_inits_keeps_nothing_and_the_waiting_room_is_full_in_time() {
    let mut world = World::new(ConfigBuilder::default());
    // 10,000 addresses that are not their senders'.
    for index in 0..10_000 {
        let (packet, _) = init(Cid([3; 8]), &[], &plenty(), None);
        world.stranger(host(index), &packet);
        world.drain();
    }
    assert!(world.server.is_empty());
    assert_eq!(world.server.poll_timeout(), None);
    assert_eq!(world.dropped(Drop::Retried), 10_000);
    assert!(world.sent.iter().all(|(_, packet)| packet.len() * 3 <= 1200));
    world.sent.clear();
    // One network that can be reached: 16 handshakes.
    let mut busy = 0;
    for port in 0..40_u16 {
        let at = (host(0).ip(), 5000 + port).into();
        let mut local = [4; 8];
        local[..2].copy_from_slice(&port.to_be_bytes());
        let (first, _) = init(Cid(local), &[], &plenty(), None);
        let retry = answer(&mut world, at, &first);
        let (second, _) = init(Cid(local), &token(&retry).expect("RETRY"), &plenty(), None);
        let answer = answer(&mut world, at, &second);
        busy += u64::from(matches!(frames(&answer)[0], Frame::Close(Close { code: code::BUSY, .. })));
    }
    assert_eq!((world.server.len(), busy, world.dropped(Drop::Busy)), (16, 24, 24));
    // Any number of networks: 4096.
    for index in 1..4200 {
        let (first, _) = init(Cid([5; 8]), &[], &plenty(), None);
        let retry = answer(&mut world, host(index), &first);
        let (second, _) = init(Cid([5; 8]), &token(&retry).expect("RETRY"), &plenty(), None);
        world.hand_in(host(index), &second);
        world.drain();
    }
    assert_eq!(world.server.len(), 4096);
    assert_eq!(world.dropped(Drop::Busy), 24 + 4199 - (4096 - 16));
    world.run(secs(10));
    assert_eq!((world.server.len(), world.dropped(Drop::HandshakeExpired)), (0, 4096));
}

#[test]
pub(crate) fn row_07_a_token_is_good_for_its_address_and_15_seconds() {
    let mut world = World::new(ConfigBuilder::default());
    let (first, _) = init(Cid([3; 8]), &[], &plenty(), None);
    let token = token(&answer(&mut world, host(1), &first)).expect("RETRY");
    let (second, _) = init(Cid([3; 8]), &token, &plenty(), None);
    let other_port = (host(1).ip(), 4101).into();
    let (of_another, _) = init(Cid([4; 8]), &token, &plenty(), None);
    let thieves = [(host(2), &second), (other_port, &second), (host(1), &of_another)];
    for (from, packet) in thieves {
        let again = answer(&mut world, from, packet);
        assert!(matches!(frames(&again)[0], Frame::Retry(_)), "not a failure: {again:?}");
        world.keep("datagram", packet);
    }
    assert_eq!((world.server.len(), world.dropped(Drop::Retried)), (0, 4));
    // Times are told in seconds.
    world.run(secs(17));
    let late = answer(&mut world, host(1), &second);
    assert!(matches!(frames(&late)[0], Frame::Retry(_)));
    assert_eq!((world.server.len(), world.dropped(Drop::Retried)), (0, 5));
    let token = self::token(&late).expect("RETRY");
    let (third, _) = init(Cid([3; 8]), &token, &plenty(), None);
    world.run(secs(14));
    assert!(matches!(frames(&answer(&mut world, host(1), &third))[0], Frame::Accept(_)));
    // Nothing is given out that is good for a later handshake.
    world.run(secs(11));
    assert!(world.server.is_empty());
}

#[test]
pub(crate) fn row_08_a_handshake_that_is_never_finished_ends_after_10_seconds_whatever_comes() {
    let mut world = World::new(ConfigBuilder::default());
    let peer = Peer::half_open(&mut world, host(1), Cid([3; 8]), &plenty());
    let begun = world.now;
    for step in 0..200_u32 {
        world.run(ms(49));
        // Anything but the CONFIRM.
        let packet = peer.seal_as(40_001 + u64::from(step), &[0x01]);
        world.keep("datagram", &packet);
        world.hand_in(host(1), &packet);
        assert_eq!(world.server.len(), 1);
        assert!(world.now < begun + secs(10));
    }
    assert_eq!(world.dropped(Drop::UnexpectedHandshake), 200);
    let sent: usize = world.sent_to(host(1)).map(<[u8]>::len).sum();
    assert!(sent < 10_000, "{sent} bytes");
    world.run((begun + secs(10)).since(world.now));
    assert_eq!((world.server.len(), world.dropped(Drop::HandshakeExpired)), (0, 1));
    assert!(world.events.is_empty(), "the application never heard of it");
}

#[test]
pub(crate) fn row_08_an_init_that_makes_no_sense_takes_no_place_and_no_turn() {
    let mut world = World::new(ConfigBuilder { accept_burst: 1, accept_rate: 1, ..ConfigBuilder::default() });
    let (first, _) = init(Cid([3; 8]), &[], &plenty(), None);
    let token = token(&answer(&mut world, host(1), &first)).expect("RETRY");
    let versions = VERSION.to_be_bytes();
    let nonsense = Init {
        versions: Version::from_bytes(&versions).expect("one version"),
        client_random: [8; 32],
        token: &token,
        attach: Attach::New,
        params: &[0x01, 0x08, 0xFF],
    };
    let (packet, _) = long(LongKind::Init, &[3; 8], |writer| writer.write(&Frame::Init(nonsense), false));
    let (trailing, _) = long(LongKind::Init, &[3; 8], |writer| {
        writer.write(&Frame::Init(Init { params: &[], ..nonsense }), false);
        writer.write(&Frame::Ping, false);
    });
    for packet in [&packet, &trailing] {
        world.stranger(host(1), packet);
        world.drain();
        assert!(world.server.is_empty(), "nothing is kept of it");
    }
    assert_eq!((world.dropped(Drop::MalformedHandshake), world.server.poll_timeout()), (2, None));
    // And the one who may come now is let in.
    Peer::join(&mut world, host(2));
    assert_eq!(world.dropped(Drop::AcceptRate), 0);
}

/// What a client is answered that comes from `from` and can be reached there.
fn newcomer(world: &mut World, from: u32) -> Option<u64> {
    let (first, _) = init(Cid([5; 8]), &[], &plenty(), None);
    let retry = answer(world, host(from), &first);
    let (second, _) = init(Cid([5; 8]), &token(&retry).expect("RETRY"), &plenty(), None);
    world.sent.clear();
    world.hand_in(host(from), &second);
    world.drain();
    world.sent_to(host(from)).next().and_then(|answered| match frames(answered)[0] {
        Frame::Close(Close { code, .. }) => Some(code),
        _ => None,
    })
}

#[test]
pub(crate) fn row_08_in_a_full_waiting_room_the_oldest_of_those_that_have_proven_nothing_gives_way() {
    let mut world = World::new(ConfigBuilder { max_pending: 3, ..ConfigBuilder::default() });
    let silent = world.server.link_up(world.now, host(2), Link::stream(16_384));
    world.run(ms(500));
    assert_eq!((newcomer(&mut world, 3), newcomer(&mut world, 4)), (None, None));
    // Whoever came lately may still go on.
    world.run(ms(2499));
    assert_eq!(newcomer(&mut world, 5), Some(code::BUSY));
    assert_eq!((world.dropped(Drop::Busy), world.dropped(Drop::HandshakeEvicted)), (1, 0));
    world.run(ms(1));
    assert_eq!(newcomer(&mut world, 5), None);
    assert!(!world.server.has_link(silent), "the stream was first");
    assert_eq!(newcomer(&mut world, 6), Some(code::BUSY));
    world.run(ms(500));
    assert_eq!((newcomer(&mut world, 6), newcomer(&mut world, 7)), (None, None), "then who did not answer");
    assert_eq!(newcomer(&mut world, 8), Some(code::BUSY));
    assert_eq!((world.dropped(Drop::Busy), world.dropped(Drop::HandshakeEvicted)), (3, 3));
    assert_eq!(world.server.len(), 3);
    world.run(secs(11));
    assert_eq!((world.server.len(), world.dropped(Drop::HandshakeExpired)), (0, 3));
}

#[test]
pub(crate) fn row_08_who_waits_for_the_application_does_not_give_way() {
    let config = ConfigBuilder { max_pending: 1, admission: true, ..ConfigBuilder::default() };
    let mut world = World::new(config);
    assert_eq!(newcomer(&mut world, 1), None);
    let asked = |(id, event): &(_, Event)| matches!(event, Event::Undecided { .. }).then_some(*id);
    let id = world.events.iter().find_map(asked).expect("the application was asked");
    world.run(ms(4900));
    assert_eq!(newcomer(&mut world, 2), Some(code::BUSY));
    assert!(world.server.admit(world.now, id));
    world.run(ms(2999));
    assert_eq!(newcomer(&mut world, 2), Some(code::BUSY), "it has had no time to answer");
    world.run(ms(1));
    assert_eq!(newcomer(&mut world, 2), None);
    assert_eq!(world.dropped(Drop::HandshakeEvicted), 1);
    let is_told = |(of, event): &(_, Event)| *of == id && matches!(event, Event::ConnectFailed(_));
    assert!(world.events.iter().any(is_told), "the application had heard of it");
    world.run(secs(4));
    assert_eq!(world.server.len(), 1);
}

/// 2 s of twenty times as many as are let in.
#[test]
pub(crate) fn row_45_clients_are_let_in_at_a_rate_and_the_others_cost_a_packet() {
    let config = ConfigBuilder { accept_rate: 100, accept_burst: 50, ..ConfigBuilder::default() };
    let mut world = World::new(config);
    let (mut accepted, mut busy) = (0, 0);
    for index in 0..4000 {
        world.run(ms(u64::from(index % 2)));
        let (first, _) = init(Cid([5; 8]), &[], &plenty(), None);
        let retry = answer(&mut world, host(index), &first);
        let (second, _) = init(Cid([5; 8]), &token(&retry).expect("RETRY"), &plenty(), None);
        let before = world.server.len();
        let answered = answer(&mut world, host(index), &second);
        match frames(&answered)[0] {
            Frame::Accept(_) => accepted += 1,
            Frame::Close(Close { code: code::BUSY, advice: Advice::After, retry_after_ms, .. }) => {
                assert!((1000..=3000).contains(&retry_after_ms), "{retry_after_ms} ms");
                assert!(answered.len() < 100 && world.server.len() == before, "no state");
                busy += 1;
            }
            ref other => panic!("{other:?}"),
        }
    }
    assert_eq!((accepted, world.dropped(Drop::AcceptRate)), (50 + 200, busy));
    // Streams share it.
    world.run(ms(10));
    for step in 0..3 {
        let link = world.server.link_up(world.now, host(5000 + step), Link::stream(16_384));
        let (_, record) = init_and_record([8; 32], Cid([5; 8]), &[], &plenty(), None);
        world.server.handle_record(world.now, link, &record);
        let mut out = Vec::new();
        world.server.poll_record(world.now, link, &mut out);
        let answer = Record::new(&out).next();
        assert_eq!(matches!(answer, Some(Ok(Frame::Accept(_)))), step == 0, "{step}: {answer:?}");
    }
    assert_eq!(world.dropped(Drop::AcceptRate), busy + 2);
}

fn refusal(dcid: &[u8], frame: &Frame<'_>) -> Vec<u8> {
    let mut record = Vec::new();
    RecordWriter::new(&mut record).write(frame, false);
    let mut packet = Vec::new();
    Long { kind: LongKind::Refuse, version: VERSION, dcid, scid: &[], payload: &record }
        .encode(&mut packet, crc32c);
    packet
}

#[test]
pub(crate) fn row_39_a_forged_list_of_versions_downgrades_nobody() {
    let mut world = World::new(ConfigBuilder::default());
    let config = ConfigBuilder::default().build().expect("sound");
    let mut client = Endpoint::new(config, Link::datagram(1200), [2; 32], world.now);
    let at = host(0);
    let id = client.connect(world.now, at).expect("room");
    let from_server = Meta { path: at, ecn: None };
    let mut dcid = None;
    let forge = |client: &mut Endpoint, dcid: &[u8], numbers: &[u32]| {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        let list = Version::from_bytes(&bytes).expect("a list");
        client.handle_packet(world.now, from_server, &refusal(dcid, &Frame::Version(list)));
    };
    let (mut buf, mut ignored) = (Vec::new(), 0);
    for _ in 0..10 {
        while client.poll_transmit(world.now, &mut buf).is_some() {
            if let Ok(Packet::Long(long)) = Packet::decode(&buf, crc32c) {
                dcid = Some(long.scid.to_vec());
                // It names the client's own version: nobody who speaks that would send it.
                forge(&mut client, long.scid, &[7, VERSION]);
                ignored += 1;
                assert_eq!(client.stats().drops.get(Drop::UnexpectedHandshake), ignored);
            }
            world.server.handle_packet(world.now, Meta { path: host(1), ecn: None }, &buf);
            buf.clear();
        }
        let mut answer = Vec::new();
        while world.server.poll_transmit(world.now, &mut answer).is_some() {
            client.handle_packet(world.now, from_server, &answer);
            answer.clear();
        }
    }
    let is_established = |(_, event): &(_, Event)| matches!(event, Event::Established { .. });
    assert!(std::iter::from_fn(|| client.poll_event()).any(|event| is_established(&event)));
    // After a valid packet any list is ignored.
    let before = client.stats().drops.get(Drop::UnexpectedHandshake);
    forge(&mut client, &dcid.expect("an INIT was sent"), &[7, 9]);
    assert_eq!(client.stats().drops.get(Drop::UnexpectedHandshake), before + 1);
    let now = world.now;
    let mut conn = client.connection(id).expect("it goes on");
    conn.channel(ChannelId::DEFAULT).send(now, Message::new("x")).expect("it is established");
}

#[test]
pub(crate) fn row_41_nothing_is_taken_before_the_handshake_is_over() {
    let mut world = World::new(ConfigBuilder::default());
    let early = msg(Class::ReliableOrdered, 0, b"early");
    let mut peer = Peer::half_open(&mut world, host(1), Cid([3; 8]), &plenty());
    for _ in 0..5 {
        peer.say(&mut world, &[Frame::Msg(early)]);
    }
    assert_eq!(world.dropped(Drop::UnexpectedHandshake), 5);
    assert!(world.events.is_empty());
    // Behind the INIT, where early data would be.
    let (alone, _) = init(Cid([5; 8]), &[], &plenty(), None);
    let token = token(&answer(&mut world, host(2), &alone)).expect("RETRY");
    let (packet, _) = init(Cid([5; 8]), &token, &plenty(), None);
    let Ok(Packet::Long(long)) = Packet::decode(&packet, crc32c) else { panic!("INIT") };
    let mut record = long.payload.to_vec();
    while record.last() == Some(&0) {
        record.pop();
    }
    RecordWriter::new(&mut record).write(&Frame::Msg(early), false);
    record.resize(1200, 0);
    let mut with_data = Vec::new();
    Long { payload: &record, ..long }.encode(&mut with_data, crc32c);
    world.stranger(host(2), &with_data);
    world.run(ms(10));
    assert!(world.events.is_empty(), "{:?}", world.events);
    assert_eq!(world.stats().messages_delivered, 0);
}

#[test]
pub(crate) fn row_23_a_close_from_off_the_path_ends_nothing() {
    let mut world = World::new(ConfigBuilder::default());
    let mut peer = Peer::join(&mut world, host(1));
    let close = Close { code: 0, advice: Advice::Never, retry_after_ms: 0, reason: "forged" };
    let mut record = Vec::new();
    RecordWriter::new(&mut record).write(&Frame::Close(close), false);
    // Who guesses the server's id does not know the client's, which the tag covers.
    let blind = Peer::half_open(&mut World::new(ConfigBuilder::default()), host(1), Cid([1; 8]), &plenty());
    let before = world.dropped(Drop::BadChecksum);
    for step in 0..1000 {
        let mut packet = blind.seal_as(40_002 + step, &record);
        packet[1..9].copy_from_slice(&peer.remote.0);
        world.stranger(host(1), &packet);
        world.drain();
    }
    assert_eq!(world.dropped(Drop::BadChecksum) - before, 1000);
    // Who guesses neither is a stranger, and gets one answer in 20 ms.
    world.sent.clear();
    for step in 0..1000 {
        let mut packet = blind.seal_as(40_002 + step, &[&record[..], &[0; 40]].concat());
        packet[1..9].copy_from_slice(&[0xEE; 8]);
        world.stranger(host(9), &packet);
        world.drain();
    }
    let resets: Vec<_> = world.sent_to(host(9)).collect();
    assert_eq!(resets.len(), 1);
    assert_eq!(world.dropped(Drop::UnknownConnection), 1000);
    assert_eq!(world.dropped(Drop::ResetSuppressed), 999);
    peer.say(&mut world, &[Frame::Msg(msg(Class::ReliableOrdered, 0, b"x"))]);
    peer.assert_open(&world, "nobody closed it");
    assert_eq!(peer.held(&world), 1);
}

#[test]
pub(crate) fn row_52_ids_tokens_and_numbers_cannot_be_guessed_and_no_map_hashes_what_peers_choose() {
    let mut seen = BTreeSet::new();
    for seed in 0..4_u8 {
        let config = ConfigBuilder { accept: true, ..ConfigBuilder::default() }.build().expect("sound");
        let mut world = World::new(ConfigBuilder::default());
        world.server = Endpoint::new(config, Link::datagram(1200), [seed; 32], world.now);
        for index in 0..100 {
            let peer = Peer::half_open(&mut world, host(index), Cid([3; 8]), &plenty());
            // Byte 0 names the shard.
            assert!(seen.insert(peer.remote.0[1..].to_vec()) && seen.insert(peer.session[1..].to_vec()));
            assert!(seen.insert(peer.secret.to_vec()));
        }
    }
    assert_eq!(seen.len(), 4 * 100 * 3);
    // Close to half of all bits are set: nothing counts up.
    let ones: u32 = seen.iter().flatten().map(|byte| byte.count_ones()).sum();
    let bits = 8 * seen.iter().map(Vec::len).sum::<usize>() as u32;
    assert!(ones.abs_diff(bits / 2) < bits / 100, "{ones} of {bits}");
    for (path, text) in crate::rows::sources("proto-core/src") {
        assert!(!text.contains("HashMap") && !text.contains("HashSet"), "{}", path.display());
    }
}

#[test]
pub(crate) fn row_54_ids_are_short_and_what_is_not_proven_gets_no_words_of_its_choice() {
    let mut world = World::new(ConfigBuilder::default());
    let mut packet = vec![0xC0, 0, 0, 0, 9];
    for len in [21_u8, 200, 255] {
        packet.truncate(5);
        packet.push(len);
        packet.extend(vec![b'x'; usize::from(len)]);
        packet.push(0);
        packet.resize(1300, 0);
        let tag = crc32c(0, &packet);
        packet.extend(tag.to_be_bytes());
        world.stranger(host(1), &packet);
        world.drain();
        assert!(world.sent.is_empty(), "an id of {len} bytes");
    }
    assert_eq!(world.dropped(Drop::MalformedHeader), 3);
    // Of what a stranger says at most two ids of 20 bytes come back.
    let mut packet = Vec::new();
    let long = Long {
        kind: LongKind::Init,
        version: 9,
        dcid: &[b'x'; 20],
        scid: &[b'y'; 20],
        payload: &[b'z'; 1200],
    };
    long.encode(&mut packet, crc32c);
    let answer = answer(&mut world, host(1), &packet);
    assert_eq!(world.dropped(Drop::WrongVersion), 1);
    assert!(answer.len() < 80 && !answer.contains(&b'z'), "{} bytes", answer.len());
    // A server tells nobody where else to go: to an address that a peer names nothing is ever sent.
    world.sent.clear();
    let peer = Peer::join(&mut world, host(1));
    world.run(secs(30));
    assert!(world.sent.iter().all(|(to, _)| *to == peer.at));
}
