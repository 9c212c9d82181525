//! Strangers: what they are asked for, how many there may be, and what they cost.

use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::{SERVER, Sent, World, address, client_config, ms, secs, server_config};
use crate::wire::checksum::crc32c;
use crate::wire::{Frame, Long, LongKind, Packet, Record};
use crate::{Advice, CloseReason, ConfigBuilder, Drop, Event, Network, Retry, code};

fn kind(sent: &Sent) -> Option<LongKind> {
    match Packet::decode(&sent.packet, crc32c) {
        Ok(Packet::Long(long)) => Some(long.kind),
        _ => None,
    }
}

fn kinds(world: &World, from: usize) -> Vec<LongKind> {
    world.sent_by(from).filter_map(kind).collect()
}

/// The INIT packets that `client` sent, decoded again and again from the log.
fn inits(world: &World, client: usize) -> Vec<Vec<u8>> {
    world
        .sent_by(client)
        .filter(|sent| kind(sent) == Some(LongKind::Init))
        .map(|sent| sent.packet.clone())
        .collect()
}

/// An INIT in version `version`, as long as a real one.
fn init_of_version(version: u32) -> Vec<u8> {
    let mut packet = Vec::new();
    let long = Long { kind: LongKind::Init, version, dcid: &[1; 8], scid: &[2; 8], payload: &[0; 1180] };
    long.encode(&mut packet, crc32c);
    packet
}

#[test]
fn a_client_proves_its_address_first() {
    let mut world = World::new(server_config(), 1, &client_config());
    world.connect(1);
    world.run(ms(15));
    assert!(world.nodes[SERVER].is_empty(), "nothing is kept of who has proven nothing");
    world.run(ms(500));
    assert_eq!(kinds(&world, 1), [LongKind::Init, LongKind::Init]);
    assert_eq!(kinds(&world, SERVER), [LongKind::Retry, LongKind::Accept]);
    let retry = world.sent_by(SERVER).next().expect("RETRY");
    assert!(retry.packet.len() <= 128);
    assert_eq!(world.established(SERVER).len(), 1);
}

#[test]
fn a_flood_of_first_inits_leaves_no_state() {
    let mut world = World::new(server_config(), 1, &client_config());
    world.connect(1);
    world.lose(|_| true);
    world.drain();
    let init = inits(&world, 1).remove(0);
    world.sent.clear();
    for from in 2..5000 {
        world.hand_in(SERVER, from, &init);
    }
    assert!(world.nodes[SERVER].is_empty());
    assert_eq!(world.nodes[SERVER].poll_timeout(), None);
    assert_eq!(world.dropped(SERVER, Drop::Retried), 4998);
    world.drain();
    let answers = world.sent_by(SERVER).count() as u64;
    assert_eq!(answers + world.dropped(SERVER, Drop::AnswerQueueFull), 4998);
    assert!(answers <= 64, "the queue of answers is bounded");
}

#[test]
fn a_token_is_worth_nothing_to_others_or_later() {
    let mut world = World::new(server_config(), 2, &client_config());
    world.connect(1);
    world.lose(|sent| sent.from == SERVER && kind(sent) == Some(LongKind::Accept));
    world.run(ms(100));
    let with_token = inits(&world, 1).remove(1);
    // Stolen: another address presents it.
    world.sent.clear();
    let before = world.nodes[SERVER].len();
    world.hand_in(SERVER, 2, &with_token);
    world.drain();
    assert_eq!(world.nodes[SERVER].len(), before);
    assert_eq!(kinds(&world, SERVER), [LongKind::Retry], "not a failure, a new token");
    // Kept for too long: the connection that it made is gone, and it makes no other.
    world.lose(|_| true);
    world.run(secs(60));
    assert!(world.nodes[SERVER].is_empty());
    world.sent.clear();
    world.hand_in(SERVER, 1, &with_token);
    world.drain();
    assert!(world.nodes[SERVER].is_empty());
    assert_eq!(kinds(&world, SERVER), [LongKind::Retry]);
}

#[cfg(planted)]
#[test]
fn a_planted_token_for_anyone_is_found() {
    let planted = Some(crate::planted::Planted::TokenForAnyone);
    let mut world = World::new(ConfigBuilder { planted, ..server_config() }, 2, &client_config());
    world.connect(1);
    world.lose(|sent| sent.from == SERVER && kind(sent) == Some(LongKind::Accept));
    world.run(ms(100));
    let with_token = inits(&world, 1).remove(1);
    let before = world.nodes[SERVER].len();
    world.hand_in(SERVER, 2, &with_token);
    assert_ne!(world.nodes[SERVER].len(), before, "what was stolen opens the door");
}

#[test]
fn a_replayed_init_makes_no_second_connection() {
    let (mut world, ..) = {
        let mut world = World::new(server_config(), 1, &client_config());
        let id = world.connect(1);
        world.run(ms(500));
        (world, id)
    };
    let init = inits(&world, 1).remove(1);
    world.sent.clear();
    for _ in 0..100 {
        world.hand_in(SERVER, 1, &init);
    }
    world.drain();
    assert_eq!(world.nodes[SERVER].len(), 1);
    assert_eq!(world.dropped(SERVER, Drop::UnexpectedHandshake), 100);
    assert!(world.sent.is_empty());
}

#[test]
fn repeated_inits_are_answered_by_one_accept_each_and_one_connection() {
    let mut world = World::new(server_config(), 1, &client_config());
    world.connect(1);
    world.run(ms(25));
    let init = inits(&world, 1).remove(1);
    world.lose(|_| true);
    world.run(ms(5));
    for _ in 0..10 {
        world.hand_in(SERVER, 1, &init);
        world.drain();
    }
    assert_eq!(world.nodes[SERVER].len(), 1);
    assert!(kinds(&world, SERVER).iter().filter(|&&kind| kind == LongKind::Accept).count() <= 11);
    assert!(world.established(SERVER).is_empty());
}

#[test]
fn an_unproven_address_gets_at_most_three_times_what_came_from_it() {
    let config =
        ConfigBuilder { retry: Retry::UnderPressure, handshake_timeout: secs(60), ..server_config() };
    let mut world = World::new(config, 1, &client_config());
    world.connect(1);
    world.lose(|sent| sent.from == SERVER);
    world.drain();
    let init = inits(&world, 1).remove(0);
    world.lose(|_| true);
    world.flying.clear();
    for repetitions in 1..=3 {
        world.hand_in(SERVER, 1, &init);
        let received = repetitions * init.len();
        world.run(secs(15));
        let sent: usize = world.sent_by(SERVER).map(|sent| sent.packet.len()).sum();
        assert!(sent > 0 && sent <= 3 * received, "{sent} bytes for {received}");
    }
    assert_eq!(world.nodes[SERVER].len(), 1);
    // Every stateless answer keeps to it as well.
    let mut world = World::new(server_config(), 0, &client_config());
    for packet in [init, init_of_version(99)] {
        world.sent.clear();
        world.hand_in(SERVER, 1, &packet);
        world.drain();
        let sent: usize = world.sent_by(SERVER).map(|sent| sent.packet.len()).sum();
        assert!(sent > 0 && sent <= packet.len() / 3, "{sent}");
    }
}

#[test]
fn a_small_init_gets_no_answer() {
    let mut world = World::new(server_config(), 1, &client_config());
    let mut packet = Vec::new();
    for payload in [1, 100, 1167] {
        packet.clear();
        let payload = &[0; 1167][..payload];
        Long { kind: LongKind::Init, version: 1, dcid: &[1; 8], scid: &[2; 8], payload }
            .encode(&mut packet, crc32c);
        world.hand_in(SERVER, 1, &packet);
    }
    world.drain();
    assert!(world.sent.is_empty());
    assert_eq!(world.dropped(SERVER, Drop::SmallInit), 3, "{} bytes", packet.len());
}

#[test]
fn another_version_is_told_which_ones_there_are() {
    let mut world = World::new(server_config(), 0, &client_config());
    world.hand_in(SERVER, 1, &init_of_version(0xFACE));
    world.drain();
    let answer = world.sent_by(SERVER).next().expect("VERSION");
    let Ok(Packet::Long(long)) = Packet::decode(&answer.packet, crc32c) else { panic!("a long packet") };
    assert_eq!((long.dcid, long.scid), (&[2; 8][..], &[1; 8][..]));
    let Some(Ok(Frame::Version(versions))) = Record::new(long.payload).next() else { panic!("VERSION") };
    assert!(versions.iter().eq([1]));
    assert!(world.nodes[SERVER].is_empty());
    assert_eq!(world.dropped(SERVER, Drop::WrongVersion), 1);
}

#[test]
fn a_forged_version_or_refusal_needs_the_clients_id() {
    let mut world = World::new(server_config(), 1, &client_config());
    world.connect(1);
    world.lose(|_| true);
    world.drain();
    let versions = [0, 0, 0, 9];
    let mut record = Vec::new();
    let list = crate::wire::Version::from_bytes(&versions).expect("one version");
    crate::wire::RecordWriter::new(&mut record).write(&Frame::Version(list), false);
    let forge = |dcid: &[u8]| {
        let mut packet = Vec::new();
        Long { kind: LongKind::Refuse, version: 1, dcid, scid: &[], payload: &record }
            .encode(&mut packet, crc32c);
        packet
    };
    world.hand_in(1, SERVER, &forge(&[3; 8]));
    world.drain();
    assert_eq!(world.dropped(1, Drop::UnknownConnection), 1);
    let init = inits(&world, 1).remove(0);
    let Ok(Packet::Long(long)) = Packet::decode(&init, crc32c) else { panic!("a long packet") };
    // Who sees the handshake can end it, but not from another address.
    world.hand_in(1, 5, &forge(long.scid));
    assert_eq!(world.dropped(1, Drop::WrongAddress), 1);
    world.hand_in(1, SERVER, &forge(long.scid));
    world.drain();
    let Some((_, Event::ConnectFailed(closed))) = world.events[1].last() else { panic!("it failed") };
    assert_eq!(closed.reason, CloseReason::VersionMismatch);
}

/// A list of other versions for the client's last INIT, as anybody who saw that can make one.
fn forged_version(world: &World, client: usize) -> Vec<u8> {
    let init = inits(world, client).pop().expect("INIT");
    let Ok(Packet::Long(long)) = Packet::decode(&init, crc32c) else { panic!("a long packet") };
    let list = crate::wire::Version::from_bytes(&[0, 0, 0, 9]).expect("one version");
    let mut record = Vec::new();
    crate::wire::RecordWriter::new(&mut record).write(&Frame::Version(list), false);
    let mut packet = Vec::new();
    Long { kind: LongKind::Refuse, version: 1, dcid: long.scid, scid: &[], payload: &record }
        .encode(&mut packet, crc32c);
    packet
}

#[test]
fn after_a_retry_and_in_a_session_a_list_of_versions_is_forged() {
    let client = super::resume::quick(client_config());
    let mut world = World::new(super::resume::quick(server_config()), 1, &client);
    let id = world.connect(1);
    world.lose(|sent| kind(sent) == Some(LongKind::Accept));
    world.run(ms(50));
    assert_eq!(kinds(&world, SERVER)[0], LongKind::Retry);
    let forged = forged_version(&world, 1);
    world.hand_in(1, SERVER, &forged);
    assert_eq!(world.dropped(1, Drop::UnexpectedHandshake), 1);
    world.lose(|_| false);
    world.run(secs(2));
    assert_eq!(world.established(1), [id]);

    // The link is lost, and the client asks for its session.
    world.sent.clear();
    world.lose(|_| true);
    while inits(&world, 1).is_empty() {
        world.run(ms(10));
    }
    let forged = forged_version(&world, 1);
    world.hand_in(1, SERVER, &forged);
    assert_eq!(world.dropped(1, Drop::UnexpectedHandshake), 2);
    world.lose(|_| false);
    world.run(secs(10));
    let is_resumed = |(_, event): &(_, Event)| matches!(event, Event::Resumed { .. });
    assert!(world.events[1].iter().any(is_resumed), "{:?}", world.events[1]);
}

/// Clients of one network, each with its own port, that get as far as ACCEPT and no further.
fn half_open(world: &mut World, client: usize, count: usize) {
    for _ in 0..count {
        world.connect(client);
    }
    world.lose(|sent| sent.from == SERVER && kind(sent) == Some(LongKind::Accept));
    world.run(ms(200));
}

#[test]
fn one_network_cannot_fill_the_waiting_room() {
    let config = ConfigBuilder { max_pending_per_prefix: 4, ..server_config() };
    let mut world = World::new(config, 2, &client_config());
    half_open(&mut world, 1, 10);
    assert_eq!(world.nodes[SERVER].len(), 4);
    assert_eq!(world.dropped(SERVER, Drop::Busy), 6);
    let mut refused = world.events[1].iter().filter(|(_, event)| matches!(event, Event::ConnectFailed(_)));
    let Some((_, Event::ConnectFailed(closed))) = refused.next() else { panic!("some were refused") };
    assert!(matches!(closed.reason, CloseReason::Peer { code: code::BUSY, .. }));
    assert_eq!(closed.advice, Advice::After);
    let wait = closed.retry_after.expect("it says when to come back");
    assert!(wait >= secs(1) && wait <= secs(3), "around 2 s: {wait:?}");
    // Another network is not concerned.
    world.lose(|_| false);
    world.connect(2);
    world.run(ms(200));
    assert_eq!(world.established(2).len(), 1);
}

#[test]
fn a_network_of_many_clients_can_be_exempt() {
    let exempt_networks = vec![Network::from(SocketAddr::ip(&address(1)))];
    let config = ConfigBuilder { max_pending_per_prefix: 4, exempt_networks, ..server_config() };
    let mut world = World::new(config, 2, &client_config());
    half_open(&mut world, 1, 10);
    assert_eq!((world.nodes[SERVER].len(), world.dropped(SERVER, Drop::Busy)), (10, 0));
    half_open(&mut world, 2, 10);
    assert_eq!((world.nodes[SERVER].len(), world.dropped(SERVER, Drop::Busy)), (14, 6));
}

#[test]
fn the_waiting_room_has_a_limit_and_empties_itself() {
    let config = ConfigBuilder { max_pending: 3, max_pending_per_prefix: 100, ..server_config() };
    let mut world = World::new(config, 1, &client_config());
    half_open(&mut world, 1, 10);
    assert_eq!(world.nodes[SERVER].len(), 3);
    world.lose(|_| true);
    world.run(secs(11));
    assert!(world.nodes[SERVER].is_empty());
    assert_eq!(world.dropped(SERVER, Drop::HandshakeExpired), 3);
    world.lose(|_| false);
    world.connect(1);
    world.run(ms(500));
    assert_eq!(world.established(SERVER).len(), 1);
}

#[test]
fn no_more_connections_than_were_configured() {
    let config = ConfigBuilder { max_connections: 2, ..server_config() };
    let mut world = World::new(config, 3, &client_config());
    for client in 1..=3 {
        world.connect(client);
        world.run(ms(100));
    }
    assert_eq!(world.nodes[SERVER].len(), 2);
    assert!(world.established(3).is_empty());
    assert!(world.dropped(SERVER, Drop::Busy) > 0);
}

#[test]
fn under_pressure_a_proof_is_wanted_again() {
    let config = ConfigBuilder {
        retry: Retry::UnderPressure,
        max_pending: 8,
        max_pending_per_prefix: 100,
        ..server_config()
    };
    let mut world = World::new(config, 2, &client_config());
    world.connect(2);
    world.run(ms(100));
    assert_eq!(kinds(&world, SERVER), [LongKind::Accept], "nobody is waiting: no RETRY");
    half_open(&mut world, 1, 3);
    world.sent.clear();
    world.lose(|_| false);
    world.connect(2);
    world.run(ms(100));
    let first = world.sent_by(SERVER).find(|sent| sent.to == 2).and_then(kind);
    assert_eq!(first, Some(LongKind::Retry));
    assert_eq!(world.established(2).len(), 2);
}

#[test]
fn an_attempt_takes_only_so_many_tokens() {
    let mut world = World::new(server_config(), 1, &client_config());
    world.connect(1);
    world.lose(|_| true);
    world.drain();
    let init = inits(&world, 1).remove(0);
    let Ok(Packet::Long(long)) = Packet::decode(&init, crc32c) else { panic!("a long packet") };
    let mut record = Vec::new();
    crate::wire::RecordWriter::new(&mut record).write(&Frame::Retry(b"a token"), false);
    let mut retry = Vec::new();
    Long { kind: LongKind::Retry, version: 1, dcid: long.scid, scid: &[], payload: &record }
        .encode(&mut retry, crc32c);
    for _ in 0..100 {
        world.hand_in(1, SERVER, &retry);
        world.run(Duration::ZERO);
    }
    assert_eq!(inits(&world, 1).len(), 4, "the first, and one for each of three tokens");
    assert_eq!(world.dropped(1, Drop::UnexpectedHandshake), 97);
}

#[test]
fn loopback_has_no_limit_of_its_own() {
    let config = ConfigBuilder { max_pending_per_prefix: 1, retry: Retry::UnderPressure, ..server_config() };
    let mut world = World::new(config, 0, &client_config());
    let mut connect = |port: u16| {
        let mut client = super::Endpoint::new(
            super::config(client_config()),
            crate::Link::datagram(1200),
            [port as u8; 32],
            world.now,
        );
        client.connect(world.now, address(SERVER)).expect("room");
        let mut init = Vec::new();
        client.poll_transmit(world.now, &mut init).expect("INIT");
        let path = SocketAddr::from(([127, 0, 0, 1], port));
        world.nodes[SERVER].handle_packet(world.now, crate::Meta { path, ecn: None }, &init);
    };
    for port in 1..=20 {
        connect(port);
    }
    assert_eq!(world.nodes[SERVER].len(), 20);
}
