//! What an encrypted connection shows, takes and refuses.

mod world;

use std::sync::Arc;
use std::time::Duration;

use proto_core::crypto::{Crypto, Identity, Limits, Trust};
use proto_core::{CloseReason, ConfigBuilder, Drop, Event, code};
use world::{
    Alteration, Altered, CLIENT, SERVER, World, client_config, encrypts, party, server_config, server_key,
};

const SECOND: Duration = Duration::from_secs(1);

fn is_refused_with(world: &World, expected: u64) -> bool {
    matches!(world.ended(CLIENT), Some(CloseReason::Peer { code, .. }) if code == expected)
}

#[test]
fn both_sides_know_each_other_and_nobody_else_reads_a_word() {
    let mut world = World::new(client_config(), server_config());
    let id = world.connect();
    world.run(SECOND);
    let served = world.served();
    let [client, server] = &world.nodes;
    assert_eq!(client.get(id).unwrap().peer_key(), Some(server_key()));
    assert_eq!(server.get(served).unwrap().peer_key(), Some(party(8).public_key()));
    let hash = client.get(id).unwrap().handshake_hash();
    assert!(hash.is_some() && hash == server.get(served).unwrap().handshake_hash());

    let secret = b"nobody on the way reads this, however often it is sent";
    world.send(CLIENT, id, secret);
    world.send(SERVER, served, secret);
    world.run(SECOND);
    assert_eq!(world.recv(SERVER, served), [secret]);
    assert_eq!(world.recv(CLIENT, id), [secret]);
    let is_clear = |packet: &[u8]| packet.windows(secret.len()).any(|bytes| bytes == secret);
    assert!(!world.seen.iter().any(|(_, packet)| is_clear(packet)));
    // What the session is resumed with is in ACCEPT.
    let session_secret = *world.nodes[CLIENT].get(id).unwrap().session_secret();
    assert!(!world.seen.iter().any(|(_, packet)| packet.windows(32).any(|bytes| bytes == session_secret)));
    for node in [CLIENT, SERVER] {
        assert_eq!(world.drops(node, Drop::ForgedPacket), 0);
    }
}

#[test]
fn a_client_that_knows_no_key_is_shown_one() {
    let client = ConfigBuilder { crypto: Some(encrypts(party(8), Trust::FirstUse)), ..client_config() };
    let mut world = World::new(client, server_config());
    let id = world.connect();
    world.run(SECOND);
    assert_eq!(world.nodes[CLIENT].get(id).unwrap().peer_key(), Some(server_key()));
    assert_eq!(world.nodes[SERVER].get(world.served()).unwrap().peer_key(), Some(party(8).public_key()));
}

#[test]
fn another_server_is_found_out() {
    let server = ConfigBuilder { crypto: Some(encrypts(party(9), Trust::FirstUse)), ..server_config() };
    let mut world = World::new(client_config(), server);
    world.connect();
    world.run(SECOND);
    assert!(is_refused_with(&world, code::WRONG_KEY), "{:?}", world.events);
    assert_eq!(world.drops(SERVER, Drop::WrongKey), 1);
    assert!(world.nodes[SERVER].is_empty(), "nothing is kept of it");
}

#[test]
fn plaintext_is_never_fallen_back_to() {
    let plain_server = ConfigBuilder { crypto: None, ..server_config() };
    let mut world = World::new(client_config(), plain_server);
    world.connect();
    world.run(SECOND);
    assert!(is_refused_with(&world, code::NOT_ENCRYPTED), "{:?}", world.events);

    let plain_client = ConfigBuilder { crypto: None, ..client_config() };
    let mut world = World::new(plain_client, server_config());
    world.connect();
    world.run(SECOND);
    assert!(is_refused_with(&world, code::ENCRYPTED_ONLY), "{:?}", world.events);
    assert!(world.drops(SERVER, Drop::NotEncrypted) > 0);
}

#[test]
fn a_closed_group_lets_in_who_has_its_secret() {
    let secret = b"sixteen bytes or more";
    let with = |seed, secret: &[u8], trust| Some(encrypts(party(seed).with_secret(secret).unwrap(), trust));
    let server = || ConfigBuilder { crypto: with(7, secret, Trust::FirstUse), ..server_config() };
    let pinned = Trust::Pinned(server_key());

    let member = ConfigBuilder { crypto: with(8, secret, pinned), ..client_config() };
    let mut world = World::new(member, server());
    world.connect();
    world.run(SECOND);
    assert!(world.is_established(CLIENT) && world.is_established(SERVER));

    let other = ConfigBuilder { crypto: with(8, b"some other secret....", pinned), ..client_config() };
    for outsider in [client_config(), other] {
        let mut world = World::new(outsider, server());
        world.connect();
        world.run(SECOND);
        assert!(is_refused_with(&world, code::WRONG_KEY), "{:?}", world.events);
        assert!(!world.is_established(SERVER));
    }
    assert_eq!(party(7).with_secret(b"guessable").unwrap_err(), seal::Error::ShortSecret);
}

#[test]
fn the_application_sees_a_proven_key() {
    let server = ConfigBuilder { admission: true, ..server_config() };
    let mut world = World::new(client_config(), server);
    let token = b"and a token that nobody else reads";
    world.nodes[CLIENT].connect_with(world.now, world::address(SERVER), token).unwrap();
    world.run(SECOND);
    let undecided = world.events[SERVER].iter().find_map(|(id, event)| match event {
        Event::Undecided(credentials) => Some((*id, credentials.clone())),
        _ => None,
    });
    let (id, credentials) = undecided.expect("the application is asked");
    assert_eq!(credentials.key, Some(party(8).public_key()));
    assert_eq!(credentials.token, &token[..]);
    assert!(!world.seen.iter().any(|(_, packet)| packet.windows(token.len()).any(|bytes| bytes == token)));
    assert!(world.nodes[SERVER].admit(world.now, id));
    world.run(SECOND);
    assert!(world.is_established(CLIENT));
}

#[test]
fn an_init_that_is_repeated_from_elsewhere_proves_nothing() {
    let server = ConfigBuilder { admission: true, ..server_config() };
    let mut world = World::new(client_config(), server);
    world.connect();
    world.run(SECOND);
    let asked = |world: &World| {
        world.events[SERVER].iter().filter(|(_, event)| matches!(event, Event::Undecided(_))).count()
    };
    assert_eq!(asked(&world), 1);
    let init =
        world.seen.iter().rfind(|(from, packet)| *from == CLIENT && packet[0] == 0xC0).unwrap().1.clone();
    let meta = proto_core::Meta { path: "198.51.100.9:9".parse().unwrap(), ecn: None };
    world.nodes[SERVER].handle_packet(world.now, meta, &init);
    world.run(SECOND);
    assert_eq!(asked(&world), 1, "its token is another address's");
}

#[test]
fn every_changed_bit_is_found_and_costs_nothing_else() {
    let mut world = World::new(client_config(), server_config());
    let id = world.connect();
    world.run(SECOND);
    world.send(CLIENT, id, b"first");
    world.run(SECOND);
    let served = world.served();
    assert_eq!(world.recv(SERVER, served), [b"first"]);
    let packet = world.seen.iter().rfind(|(from, _)| *from == CLIENT).unwrap().1.clone();
    world.send(CLIENT, id, b"second");
    let before = world.nodes[SERVER].stats();
    let mut changed = 0;
    for bit in 0..8 * packet.len() {
        let mut packet = packet.clone();
        packet[bit / 8] ^= 1 << (bit % 8);
        world.hand_in(SERVER, &packet);
        changed += u64::from(bit / 8 > 8 || (2..8).contains(&(7 - bit % 8)) && bit / 8 == 0);
    }
    let after = world.nodes[SERVER].stats();
    assert_eq!(after.drops.get(Drop::ForgedPacket) - before.drops.get(Drop::ForgedPacket), changed);
    assert_eq!(after.packets_received, before.packets_received);
    world.run(SECOND);
    assert_eq!(world.recv(SERVER, served), [b"second"]);
    world.hand_in(SERVER, &packet);
    assert_eq!(world.drops(SERVER, Drop::DuplicatePacket), 1, "it opens, and was here before");
}

#[test]
fn keys_are_updated_on_the_way() {
    let often = |config: ConfigBuilder| {
        let mut crypto = config.crypto.clone().unwrap();
        crypto.update_packets = 20;
        ConfigBuilder { crypto: Some(crypto), ..config }
    };
    let mut world = World::new(often(client_config()), often(server_config()));
    let id = world.connect();
    world.run(SECOND);
    let served = world.served();
    for round in 0_u32..400 {
        world.send(CLIENT, id, &round.to_be_bytes());
        world.send(SERVER, served, &round.to_be_bytes());
        world.run(Duration::from_millis(100));
        assert_eq!(world.recv(SERVER, served), [round.to_be_bytes()]);
        assert_eq!(world.recv(CLIENT, id), [round.to_be_bytes()]);
    }
    for (node, id) in [(CLIENT, id), (SERVER, served)] {
        assert_eq!(world.drops(node, Drop::ForgedPacket), 0);
        assert!(world.nodes[node].get(id).unwrap().key_updates() > 10);
    }
}

#[test]
fn a_server_that_has_forgotten_says_so() {
    let mut world = World::new(client_config(), server_config());
    let id = world.connect();
    world.run(SECOND);
    world.restart_server(server_config(), 9);
    world.send(CLIENT, id, b"are you there?");
    world.run(SECOND);
    assert!(matches!(world.ended(CLIENT), Some(CloseReason::Reset)), "{:?}", world.events[CLIENT]);
}

#[test]
fn a_session_goes_on_with_fresh_keys() {
    let mut world = World::new(client_config(), server_config());
    let id = world.connect();
    world.run(SECOND);
    let served = world.served();
    let hash = world.nodes[CLIENT].get(id).unwrap().handshake_hash();
    world.nodes[CLIENT].connection(id).unwrap().link_lost(world.now);
    world.send(CLIENT, id, b"over the next link");
    world.run(5 * SECOND);
    assert!(world.events[CLIENT].iter().any(|(_, event)| matches!(event, Event::Resumed { .. })));
    assert_eq!(world.recv(SERVER, served), [b"over the next link"]);
    let [client, server] = &world.nodes;
    let next = client.get(id).unwrap().handshake_hash();
    assert!(next.is_some() && next != hash && next == server.get(served).unwrap().handshake_hash());
}

#[test]
fn an_idle_connection_wakes_with_its_keys() {
    let mut world = World::new(client_config(), server_config());
    let id = world.connect();
    world.run(60 * SECOND);
    let served = world.served();
    world.send(SERVER, served, b"good morning");
    world.run(SECOND);
    assert_eq!(world.recv(CLIENT, id), [b"good morning"]);
    world.send(CLIENT, id, b"and to you");
    world.run(SECOND);
    assert_eq!(world.recv(SERVER, served), [b"and to you"]);
    for node in [CLIENT, SERVER] {
        assert_eq!(world.drops(node, Drop::ForgedPacket), 0);
    }
}

#[test]
fn secrets_are_in_no_debug_output() {
    let mut world = World::new(client_config(), server_config());
    let id = world.connect();
    world.run(SECOND);
    let text = format!("{:?} {:?}", world.nodes[CLIENT].get(id).unwrap(), party(8).with_secret(&[0xA7; 32]));
    let secret = *world.nodes[CLIENT].get(id).unwrap().session_secret();
    for secret in [secret, [8; 32], [0xA7; 32], [5; 32]] {
        assert!(!text.contains(&format!("{secret:?}")), "{text}");
    }
    let text = format!("{:?}", world.nodes[SERVER].config());
    assert!(!text.contains(&format!("{:?}", [5_u8; 32])), "{text}");
}

/// The usual, with keys that are good for this much.
fn limited(config: ConfigBuilder, seed: u8, limits: Limits) -> ConfigBuilder {
    let crypto = config.crypto.clone().unwrap();
    let identity =
        Arc::new(Altered(party(seed), Alteration { limits: Some(limits), ..Alteration::default() }));
    ConfigBuilder { crypto: Some(Crypto { identity, ..crypto }), reconnect: None, ..config }
}

/// The limit is 2^52, which nobody waits for: it is another number here, and `Altered` looks at the real one.
#[test]
fn as_many_forgeries_as_a_key_can_bear_end_the_connection() {
    const FORGED: u64 = 500;
    let limits = Limits { sealed: 1 << 23, forged: FORGED };
    let mut world = World::new(limited(client_config(), 8, limits), limited(server_config(), 7, limits));
    let id = world.connect();
    world.run(SECOND);
    let served = world.served();
    world.send(CLIENT, id, b"first");
    world.run(SECOND);
    let mut packet = world.seen.iter().rfind(|(from, _)| *from == CLIENT).unwrap().1.clone();
    *packet.last_mut().unwrap() ^= 1;
    let before = world.nodes[SERVER].stats();
    for _ in 1..FORGED {
        world.hand_in(SERVER, &packet);
    }
    world.send(CLIENT, id, b"second");
    world.run(SECOND);
    assert_eq!(world.recv(SERVER, served), [&b"first"[..], b"second"], "one less is one too few");
    assert_eq!(world.ended(SERVER), None);
    world.hand_in(SERVER, &packet);
    world.run(SECOND);
    assert_eq!(world.drops(SERVER, Drop::ForgedPacket) - before.drops.get(Drop::ForgedPacket), FORGED);
    let end = world.ended(SERVER);
    assert_eq!(end, Some(CloseReason::PeerMisbehaved("too many packets were forged")));
    assert!(is_refused_with(&world, code::KEYS_USED_UP), "{:?}", world.events[CLIENT]);
}
