//! Numbers at the edges, and packets of others that are shown again.

use proto_core::wire::checksum::crc32c;
use proto_core::wire::packet::MAX_PACKET_NUMBER;
use proto_core::wire::{Advice, Cid, Claim, Close, Frame, Long, LongKind, Record, RecordWriter};
use proto_core::{ChannelId, Class, ConfigBuilder, Drop, Event, Link, Output, code};

use crate::peer::{Peer, answer, frames, init, init_and_record, init_by, msg, plenty, token};
use crate::world::{World, host, ms, secs};

fn joined() -> (World, Peer) {
    let mut world = World::new(ConfigBuilder::default());
    let peer = Peer::join(&mut world, host(1));
    (world, peer)
}

#[test]
pub(crate) fn row_06_nobody_gets_more_than_three_times_what_came() {
    let mut world = World::new(ConfigBuilder::default());
    let mut small = Vec::new();
    for len in [1, 100, 1167] {
        small.clear();
        let payload = &[0; 1167][..len];
        let long = Long { kind: LongKind::Init, version: 1, dcid: &[1; 8], scid: &[2; 8], payload };
        long.encode(&mut small, crc32c);
        world.stranger(host(1), &small);
    }
    let mut other = Vec::new();
    let long = Long { kind: LongKind::Init, version: 77, dcid: &[1; 8], scid: &[2; 8], payload: &[0; 1200] };
    long.encode(&mut other, crc32c);
    let (first, _) = init(Cid([3; 8]), &[], &plenty(), None);
    for packet in [&other, &first, &vec![0x40; 1200], &vec![0x40; 22]] {
        world.run(ms(20));
        world.sent.clear();
        world.stranger(host(1), packet);
        world.drain();
        let sent: usize = world.sent_to(host(1)).map(<[u8]>::len).sum();
        assert!(sent > 0 && sent < packet.len(), "{sent} bytes for {}", packet.len());
    }
    assert_eq!((world.dropped(Drop::SmallInit), world.server.is_empty()), (3, true));
}

#[test]
pub(crate) fn row_12_ranges_beyond_measure_are_refused_or_cost_nothing() {
    let (mut world, mut peer) = joined();
    world.run(secs(1));
    let last = *peer.came(&world).last().expect("the handshake was acknowledged");
    // Over and over what it has: nothing happens.
    for _ in 0..100 {
        peer.write(&mut world, |writer| writer.write_ack(u64::MAX, [last..=last].into_iter()));
    }
    peer.assert_open(&world, "an ACK");
    // As many ranges as there may be, of packets that were really sent.
    for _ in 0..150 {
        peer.say(&mut world, &[Frame::Ping]);
        world.run(ms(30));
    }
    let came = peer.came(&world);
    let ranges: Vec<_> = came.iter().rev().step_by(2).take(64).map(|&number| number..=number).collect();
    assert_eq!(ranges.len(), 64);
    peer.write(&mut world, |writer| writer.write_ack(0, ranges.iter().cloned()));
    peer.assert_open(&world, "64 ranges");
    peer.write(&mut world, |writer| writer.write_ack(0, [0..=MAX_PACKET_NUMBER].into_iter()));
    peer.assert_ended(&mut world, code::PROTOCOL_VIOLATION, "all numbers that there are");
    let (mut world, mut peer) = joined();
    let record = [&[0x03, 0x40, 0x00, 64, 0][..], &[0; 128]].concat();
    peer.raw(&mut world, &record);
    peer.assert_ended(&mut world, code::FRAME_ENCODING, "65 ranges");
}

#[test]
pub(crate) fn row_21_numbers_that_leap_by_powers_of_two_are_told_apart() {
    let (mut world, mut peer) = joined();
    let mut at = 0_u64;
    for power in 0..31 {
        at += 1 << power;
        for number in [at, at + 1, at] {
            peer.say(&mut world, &[Frame::Msg(msg(Class::Unreliable, number as u32, b"x"))]);
        }
        let now = world.now;
        let mut conn = world.server.connection(peer.id()).expect("it goes on");
        let taken: Vec<_> = std::iter::from_fn(|| conn.channel(ChannelId::DEFAULT).recv(now)).collect();
        let numbers: Vec<_> = taken.iter().map(|received| received.number).collect();
        assert!(numbers.ends_with(&[at + 1]) && numbers.len() <= 2, "{numbers:?} at {at}");
    }
    assert!(world.dropped(Drop::DuplicateMessage) >= 31);
    assert_eq!(world.dropped(Drop::StaleMessage), 0);
    peer.say(&mut world, &[Frame::Msg(msg(Class::Unreliable, at as u32 - 5000, b"x"))]);
    assert_eq!(world.dropped(Drop::StaleMessage), 1, "far back is back, and not ahead");
}

#[test]
pub(crate) fn row_24_who_knows_the_name_of_a_session_has_nothing_of_it() {
    let (mut world, peer) = joined();
    let mut wrong = peer.secret;
    wrong[31] ^= 1;
    let claims = |guess: [u8; 32]| {
        let claim = Claim { session_id: peer.session, incarnation: 2, proof: [0; 32] };
        init(Cid([9; 8]), &[], &plenty(), Some((claim, &guess))).0
    };
    for index in 0..20_u64 {
        let guess = std::array::from_fn(|at| wrong[at] ^ if at == 0 { index as u8 } else { 0 });
        let packet = claims(guess);
        world.keep("datagram", &packet);
        let answered = answer(&mut world, host(2), &packet);
        let refused =
            matches!(&frames(&answered)[0], Frame::Close(close) if close.code == code::RESUME_UNKNOWN);
        // After five failures the address must be proven.
        assert_eq!(refused, index < 5, "{index}");
        assert!(refused || matches!(frames(&answered)[0], Frame::Retry(_)));
    }
    assert_eq!((world.dropped(Drop::ResumeRefused), world.dropped(Drop::Retried)), (5, 1 + 15));
    assert_eq!(world.server.len(), 1);
    peer.assert_open(&world, "its owner has it");
    // Another prefix is not concerned.
    let answered = answer(&mut world, host(3), &claims(wrong));
    assert!(matches!(frames(&answered)[0], Frame::Close(_)));
}

/// Those of a network from which too many came, whose address is proven: by a token, or as a stream leads there.
#[test]
pub(crate) fn row_24_who_guesses_at_sessions_learns_slowly_that_a_guess_was_wrong() {
    let (mut world, peer) = joined();
    let guess = |local: u8, token: &[u8]| {
        let claim = Claim { session_id: peer.session, incarnation: 2, proof: [0; 32] };
        init_and_record([8; 32], Cid([local; 8]), token, &plenty(), Some((claim, &[local; 32])))
    };
    let mut told = Vec::new();
    for local in 0..5 {
        answer(&mut world, host(2), &guess(local, &[]).0);
    }
    let retry = answer(&mut world, host(2), &guess(10, &[]).0);
    let token = token(&retry).expect("RETRY");
    world.sent.clear();
    // However often it is asked, it is told once, and late.
    for _ in 0..9 {
        world.hand_in(host(2), &guess(10, &token).0);
        world.run(ms(100));
        assert_eq!(world.sent_to(host(2)).count(), 0);
    }
    world.run(ms(100));
    told.extend(world.sent_to(host(2)).map(<[u8]>::to_vec));
    assert!(matches!(frames(&told[0])[0], Frame::Close(Close { code: code::RESUME_UNKNOWN, .. })));
    assert_eq!(
        (told.len(), world.dropped(Drop::ResumeRefused), world.dropped(Drop::ResumeDelayed)),
        (1, 5, 9)
    );
    // Another network, by streams.
    for local in 0..8_u8 {
        let link = world.server.link_up(world.now, host(3), Link::stream(16_384));
        world.server.handle_record(world.now, link, &guess(local, &[]).1);
        // What comes behind a claim that was refused is nothing.
        world.server.handle_record(world.now, link, &guess(local, &[]).1);
        let mut record = Vec::new();
        let written = world.server.poll_record(world.now, link, &mut record);
        let is_late = local >= 5;
        assert_eq!(written == Output::Idle, is_late, "{local}");
        assert_eq!(world.server.has_link(link), is_late);
        world.run(ms(999));
        assert_eq!(world.server.poll_record(world.now, link, &mut record) == Output::Idle, is_late);
        world.run(ms(1));
        if is_late {
            assert!(matches!(world.server.poll_record(world.now, link, &mut record), Output::Record(_)));
            assert_eq!(world.server.poll_record(world.now, link, &mut record), Output::Close);
        }
        let Some(Ok(Frame::Close(close))) = Record::new(&record).next() else { panic!("{record:?}") };
        assert_eq!(close.code, code::RESUME_UNKNOWN);
    }
    assert_eq!((world.dropped(Drop::ResumeRefused), world.dropped(Drop::ResumeDelayed)), (10, 12));
    // However many of them wait, others of that network find room.
    for local in 20..60 {
        let link = world.server.link_up(world.now, host(3), Link::stream(16_384));
        assert_eq!(world.server.poll_record(world.now, link, &mut Vec::new()), Output::Idle, "{local}");
        world.server.handle_record(world.now, link, &guess(local, &[]).1);
    }
    assert_eq!((world.dropped(Drop::Busy), world.dropped(Drop::ResumeDelayed)), (0, 52));
    // Who has the secret does not wait, wherever from.
    let claim = Claim { session_id: peer.session, incarnation: 2, proof: [0; 32] };
    let (_, record) = init_and_record([8; 32], Cid([9; 8]), &[], &plenty(), Some((claim, &peer.secret)));
    let link = world.server.link_up(world.now, host(3), Link::stream(16_384));
    world.server.handle_record(world.now, link, &record);
    let mut answer = Vec::new();
    world.server.poll_record(world.now, link, &mut answer);
    assert!(matches!(Record::new(&answer).next(), Some(Ok(Frame::Accept(_)))), "{answer:?}");
}

/// Both have the secret; what the server has is not the lower number, whoever comes with it.
#[test]
pub(crate) fn row_25_the_higher_incarnation_has_the_session_and_the_other_is_told() {
    let (mut world, peer) = joined();
    let claim = |incarnation| Claim { session_id: peer.session, incarnation, proof: [0; 32] };
    let mut winner = peer.resume_as(&mut world, host(2), 3);
    for (index, incarnation) in [2, 3].into_iter().enumerate() {
        let claim = Some((claim(incarnation), &peer.secret));
        let (late, _) = init_by([9; 32], Cid([8; 8]), &[], &plenty(), claim);
        let answered = answer(&mut world, host(4), &late);
        let Frame::Close(close) = frames(&answered)[0] else { panic!("{:?}", frames(&answered)) };
        assert_eq!((close.code, close.advice), (code::SUPERSEDED, Advice::Never), "{incarnation}");
        assert_eq!(world.dropped(Drop::Superseded), 1 + index as u64);
    }
    let confirm = Frame::Confirm(winner.confirm);
    winner.say(&mut world, &[confirm]);
    winner.write(&mut world, |writer| writer.write_resume_state(0, true, &[]));
    let resumed = |(_, event): &(_, Event)| matches!(event, Event::Resumed { incarnation: 3, .. });
    assert!(world.events.iter().any(resumed), "{:?}", world.events);
    winner.assert_open(&world, "it has the session");
}

#[test]
pub(crate) fn row_26_who_was_overtaken_is_fenced_and_its_claim_is_old() {
    let (mut world, mut old) = joined();
    let mut new = old.resume(&mut world, host(2));
    let confirm = Frame::Confirm(new.confirm);
    new.say(&mut world, &[confirm]);
    new.write(&mut world, |writer| writer.write_resume_state(0, true, &[]));
    for round in 0..10 {
        old.say(&mut world, &[Frame::Msg(msg(Class::ReliableOrdered, round, b"late")), Frame::CloseAck]);
    }
    assert_eq!((world.dropped(Drop::Fenced), old.held(&world)), (10, 0));
    assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::Readable(_))));
    // The claim that was good once, from elsewhere and with the old secret: it is over.
    let claim = Claim { session_id: old.session, incarnation: 2, proof: [0; 32] };
    let (again, _) = init(Cid([8; 8]), &[], &plenty(), Some((claim, &old.secret)));
    let answered = answer(&mut world, host(4), &again);
    assert!(matches!(frames(&answered)[0], Frame::Close(_)), "{:?}", frames(&answered));
    let refused = world.dropped(Drop::ResumeRefused) + world.dropped(Drop::Superseded);
    assert_eq!((refused, world.server.len()), (1, 1));
    new.assert_open(&world, "the new one");
}

#[test]
pub(crate) fn row_27_a_packet_shown_again_from_elsewhere_moves_nobody() {
    let (mut world, mut peer) = joined();
    world.run(secs(1));
    world.sent.clear();
    peer.number += 1;
    let mut record = Vec::new();
    RecordWriter::new(&mut record).write(&Frame::Msg(msg(Class::ReliableOrdered, 0, b"x")), true);
    world.keep("record", &record);
    let packet = peer.seal_as(peer.number, &record);
    // The copy is there first, from a hundred places.
    for thief in 10..110 {
        world.hand_in(host(thief), &packet);
        world.drain();
    }
    world.hand_in(peer.at, &packet);
    peer.say(&mut world, &[Frame::Ping]);
    world.run(secs(2));
    let bytes: usize = (10..110).flat_map(|thief| world.sent_to(host(thief))).map(<[u8]>::len).sum();
    assert!(bytes > 0 && bytes <= 3 * packet.len(), "{bytes} bytes for {}", packet.len());
    let stats = world.stats();
    assert_eq!((stats.moves, stats.paths_challenged, stats.paths_given_up), (0, 1, 1));
    assert_eq!(world.server.address(peer.id()), Some(peer.at));
    assert_eq!(peer.held(&world), 1);
}

/// Questions about paths from an address that is not proven, in one packet or in several, with something to say or without.
#[test]
pub(crate) fn row_27_all_answers_to_an_unproven_address_share_what_came_from_it() {
    let victim = host(10);
    for (packets, is_probing) in [(1, false), (1, true), (3, false), (3, true)] {
        let (mut world, mut peer) = joined();
        world.run(secs(1));
        world.sent.clear();
        let mut record = Vec::new();
        let mut writer = RecordWriter::new(&mut record);
        for index in 0..3 {
            writer.write(&Frame::PathChallenge([index; 8]), false);
        }
        if !is_probing {
            writer.write(&Frame::Msg(msg(Class::ReliableOrdered, 0, b"x")), true);
        }
        world.keep("record", &record);
        let mut came = 0;
        for _ in 0..packets {
            peer.number += 1;
            let packet = peer.seal_as(peer.number, &record);
            came += packet.len();
            world.hand_in(victim, &packet);
        }
        world.run(secs(2));
        let sent: usize = world.sent_to(victim).map(<[u8]>::len).sum();
        assert!(sent > 0 && sent <= 3 * came, "{sent} bytes for {came}, {packets} packets, {is_probing}");
        assert!(world.dropped(Drop::PathAnswerDropped) > 0, "what is not answered is counted");
        assert_eq!(world.stats().moves, 0);
    }
}
