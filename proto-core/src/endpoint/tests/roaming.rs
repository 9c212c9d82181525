//! Clients that move, and strangers who pretend that they did (docs/spec/connection.md, section 5.1).

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{SERVER, Sent, World, ZERO, address, client_config, ms, secs, server_config};
use crate::wire::checksum::crc32c;
use crate::wire::packet::MIN_INIT;
use crate::wire::{Frame, Packet, Record};
use crate::{Address, CloseReason, ConfigBuilder, ConnectionId, Drop, Event, Message, code};

const ELSEWHERE: usize = 9;

fn port(port: u16) -> SocketAddr {
    SocketAddr::new(address(1).ip(), port)
}

fn connected() -> (World, ConnectionId, ConnectionId) {
    World::connected(server_config(), &client_config())
}

fn asks(sent: &Sent) -> bool {
    has(sent, |frame| matches!(frame, Frame::PathChallenge(_)))
}

fn has(sent: &Sent, is: impl Fn(&Frame<'_>) -> bool) -> bool {
    match Packet::decode(&sent.packet, crc32c) {
        Ok(Packet::Short(short)) => Record::new(short.payload).flatten().any(|frame| is(&frame)),
        _ => false,
    }
}

/// What was sent from the server to `at`.
fn sent_to(world: &World, at: SocketAddr) -> Vec<&Sent> {
    world.sent_by(SERVER).filter(|sent| sent.at == at).collect()
}

fn got(world: &World, node: usize) -> bool {
    world.events[node].iter().any(|(_, event)| *event == Event::Readable(ZERO))
}

#[test]
fn a_client_goes_on_from_another_address() {
    for (to, keeps) in [(address(ELSEWHERE), false), (port(9999), true)] {
        let (mut world, id, peer) = connected();
        world.moved.insert(1, to);
        world.send(1, id, Message::new("from elsewhere"));
        world.run(ms(12));
        assert!(got(&world, SERVER), "its packets are taken in at once");
        assert_eq!(world.nodes[SERVER].address(peer), Some(address(1)), "nothing is proven yet");
        let asked = sent_to(&world, to);
        assert_eq!((asked.len(), asks(asked[0])), (1, true));
        world.run(ms(20));
        assert_eq!(world.nodes[SERVER].address(peer), Some(to));
        let rtt = world.nodes[SERVER].get(peer).expect("it is there").rtt();
        assert_eq!(rtt < ms(100), keeps, "{rtt:?}");
        for number in 0..20 {
            world.send(SERVER, peer, Message::new([number; 500].to_vec()));
        }
        world.run(secs(40));
        assert!(got(&world, 1));
        let stats = world.nodes[SERVER].stats();
        assert_eq!((stats.moves, stats.paths_challenged, stats.paths_given_up), (1, 1, 0));
        assert!(!world.events.iter().flatten().any(|(_, event)| matches!(event, Event::Closed(_))));
        assert_eq!(world.nodes[SERVER].unsettled(), 0);
    }
}

#[test]
fn what_was_on_its_way_to_the_old_address_follows() {
    let (mut world, id, peer) = connected();
    for number in 0..20 {
        world.send(SERVER, peer, Message::new([number; 500].to_vec()));
    }
    world.moved.insert(1, address(ELSEWHERE));
    world.send(1, id, Message::new("I am here"));
    world.run(secs(3));
    assert_eq!(world.nodes[SERVER].unsettled(), 0);
    let now = world.now;
    let mut conn = world.nodes[1].connection(id).expect("it is there");
    assert_eq!(core::iter::from_fn(|| conn.channel(ZERO).recv(now)).count(), 20);
}

/// A packet comes from elsewhere before it comes from its client, who has not moved.
fn repeated_from_elsewhere(server: ConfigBuilder) -> (World, ConnectionId, usize) {
    let (mut world, id, peer) = World::connected(server, &client_config());
    world.send(1, id, Message::new("x"));
    world.lose(|sent| sent.from == 1);
    world.drain();
    let packet = world.sent_by(1).next().expect("the message").packet.clone();
    world.lose(|_| false);
    // The copy is there first. The original is a repetition then.
    world.hand_in(SERVER, ELSEWHERE, &packet);
    world.hand_in(SERVER, 1, &packet);
    world.run(ms(100));
    (world, peer, packet.len())
}

#[test]
fn a_packet_repeated_from_elsewhere_moves_nobody() {
    let (world, peer, len) = repeated_from_elsewhere(server_config());
    let bytes: usize = sent_to(&world, address(ELSEWHERE)).iter().map(|sent| sent.packet.len()).sum();
    assert!(bytes > 0 && bytes <= 3 * len, "{bytes} bytes for {len}");
    assert_eq!(world.nodes[SERVER].address(peer), Some(address(1)));
    let stats = world.nodes[SERVER].stats();
    assert_eq!(
        (stats.moves, stats.paths_challenged, stats.paths_given_up),
        (0, 1, 1),
        "it answered where it was"
    );
    assert_eq!(world.dropped(SERVER, Drop::DuplicatePacket), 1);
}

#[test]
fn an_address_that_does_not_answer_gets_little_and_is_given_up() {
    let (mut world, id, peer) = connected();
    world.send(1, id, Message::new([7; 700].to_vec()));
    world.lose(|_| true);
    world.drain();
    let packet = world.sent_by(1).next().expect("the message").packet.clone();
    // The client itself is silent for good.
    world.lose(|_| true);
    for victim in 100..160 {
        world.hand_in(SERVER, victim, &packet);
    }
    world.run(secs(5));
    let victims = (100..160).map(|victim| sent_to(&world, address(victim)));
    let bytes: usize = victims.flatten().map(|sent| sent.packet.len()).sum();
    assert!(bytes <= 3 * packet.len(), "{bytes}: copies are repetitions, and only the first counts");
    assert_eq!(world.nodes[SERVER].address(peer), Some(address(1)));
    assert_eq!(world.nodes[SERVER].stats().paths_given_up, 1);
}

/// Probing packets of a client come from two other addresses.
fn probed_from_elsewhere(server: ConfigBuilder) -> (World, ConnectionId, ConnectionId) {
    let (mut world, id, peer) = World::connected(server, &client_config());
    let now = world.now;
    for from in [ELSEWHERE, 10] {
        let mut conn = world.nodes[1].connection(id).expect("it is there");
        let probe = conn.forge(now, &Frame::PathChallenge([from as u8; 8]));
        drop(conn);
        world.hand_in(SERVER, from, &probe);
        world.drain();
        let answers = sent_to(&world, address(from));
        assert!(answers.iter().map(|sent| sent.packet.len()).sum::<usize>() <= 3 * probe.len());
    }
    world.run(secs(1));
    (world, id, peer)
}

#[test]
fn probing_packets_never_move_a_client() {
    let (mut world, id, peer) = probed_from_elsewhere(server_config());
    for from in [ELSEWHERE, 10] {
        let answer = Frame::PathResponse([from as u8; 8]);
        assert!(sent_to(&world, address(from)).iter().any(|sent| has(sent, |frame| *frame == answer)));
    }
    let stats = world.nodes[SERVER].stats();
    assert_eq!((stats.moves, stats.paths_challenged), (0, 0));
    assert_eq!(world.nodes[SERVER].address(peer), Some(address(1)));
    let now = world.now;
    let other = world.nodes[1].connection(id).expect("it is there").forge(now, &Frame::PathResponse([1; 8]));
    world.hand_in(SERVER, 1, &other);
    assert_eq!(world.dropped(SERVER, Drop::PathAnswerUnexpected), 1);
}

/// What one address has paid for is not another's, whatever both are called here.
#[test]
fn no_address_inherits_the_budget_of_another() {
    let (mut world, id, _) = connected();
    // For a while after a move other addresses are kept in mind.
    world.moved.insert(1, address(ELSEWHERE));
    world.send(1, id, Message::new("gone"));
    world.run(ms(50));
    let probe = |world: &mut World, from: usize, number: u8| {
        let now = world.now;
        let mut conn = world.nodes[1].connection(id).expect("it is there");
        let probe = conn.forge(now, &Frame::PathChallenge([number; 8]));
        drop(conn);
        world.hand_in(SERVER, from, &probe);
        probe.len()
    };
    for number in 0..20 {
        probe(&mut world, 20, number);
    }
    world.drain();
    let paid = probe(&mut world, 30, 99);
    world.drain();
    let got: usize = sent_to(&world, address(30)).iter().map(|sent| sent.packet.len()).sum();
    assert!(got > 0 && got <= 3 * paid, "{got} bytes for {paid}");
}

#[test]
fn a_client_may_return_without_proof_for_a_while() {
    let (mut world, id, peer) = connected();
    world.moved.insert(1, address(ELSEWHERE));
    world.send(1, id, Message::new("gone"));
    world.run(ms(50));
    assert_eq!(world.nodes[SERVER].address(peer), Some(address(ELSEWHERE)));
    world.moved.remove(&1);
    world.sent.clear();
    world.send(1, id, Message::new("and back"));
    world.run(ms(11));
    assert_eq!(world.nodes[SERVER].address(peer), Some(address(1)));
    assert!(!world.sent_by(SERVER).any(asks));
    world.run(secs(10));
    world.moved.insert(1, address(ELSEWHERE));
    world.send(1, id, Message::new("gone again"));
    world.run(ms(11));
    assert_eq!(world.nodes[SERVER].address(peer), Some(address(1)), "that was long ago");
    world.run(ms(50));
    assert_eq!(world.nodes[SERVER].address(peer), Some(address(ELSEWHERE)));
}

#[test]
fn a_server_never_moves_for_its_client() {
    let (mut world, id, peer) = connected();
    world.send(SERVER, peer, Message::new("x"));
    world.lose(|_| true);
    world.drain();
    let packet = world.sent_by(SERVER).next().expect("the message").packet.clone();
    world.hand_in(1, ELSEWHERE, &packet);
    assert_eq!((world.dropped(1, Drop::WrongAddress), got(&world, 1)), (1, false));
    assert_eq!(world.nodes[1].address(id), Some(address(SERVER)));
}

#[test]
fn answers_are_padded_bounded_and_counted() {
    let (mut world, id, _) = connected();
    let now = world.now;
    let forge = |world: &mut World, number: u64| {
        let mut conn = world.nodes[1].connection(id).expect("it is there");
        conn.forge(now, &Frame::PathChallenge(number.to_be_bytes()))
    };
    for number in 0..5 {
        let probe = forge(&mut world, number);
        world.hand_in(SERVER, 1, &probe);
    }
    assert_eq!(world.dropped(SERVER, Drop::PathAnswerDropped), 2);
    world.drain();
    let answers: Vec<_> = world
        .sent_by(SERVER)
        .filter(|sent| has(sent, |frame| matches!(frame, Frame::PathResponse(_))))
        .collect();
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|sent| sent.packet.len() == MIN_INIT), "the whole packet size is tried");
    assert!(has(answers[2], |frame| *frame == Frame::PathResponse(4_u64.to_be_bytes())), "the newest win");
    for number in 5..=101 {
        let probe = forge(&mut world, number);
        world.hand_in(SERVER, 1, &probe);
    }
    world.run(secs(1));
    let closed = world.events[1].iter().any(|(_, event)| {
        matches!(event, Event::Closed(closed)
            if matches!(closed.reason, CloseReason::Peer { code: code::EXCESSIVE, .. }))
    });
    assert!(closed, "{:?}", world.events[1]);
}

#[test]
fn some_addresses_nobody_moves_to() {
    let from = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let far = from("192.0.2.1:4000");
    for to in
        ["0.0.0.0:1", "127.0.0.1:1", "169.254.1.1:1", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[::1]:1"]
    {
        assert!(!far.may_become(&from(to)), "{to}");
    }
    for to in ["[fe80::1]:1", "[ff02::1]:1", "198.51.100.1:0", "[::ffff:127.0.0.1]:1"] {
        assert!(!far.may_become(&from(to)), "{to}");
    }
    assert!(far.may_become(&from("198.51.100.1:1")) && far.may_become(&from("[2001:db8::1]:1")));
    assert!(from("127.0.0.1:1").may_become(&from("127.0.0.2:9")));
}

#[cfg(planted)]
#[test]
fn a_planted_move_without_proof_is_found() {
    let planted = Some(crate::planted::Planted::MovesUnproven);
    let (world, ..) = repeated_from_elsewhere(ConfigBuilder { planted, ..server_config() });
    assert_ne!(world.nodes[SERVER].stats().moves, 0);
}

#[cfg(planted)]
#[test]
fn planted_probes_that_move_a_client_are_found() {
    let planted = Some(crate::planted::Planted::ProbesMove);
    let (world, ..) = probed_from_elsewhere(ConfigBuilder { planted, ..server_config() });
    assert_ne!(world.nodes[SERVER].stats().paths_challenged, 0);
}
