//! Handshakes that come to nothing: what they cost, and whom.

mod world;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proto_core::crypto::{Crypto, Identity, Initiator, PublicKey, Responder, Session, Trust};
use proto_core::{ConfigBuilder, Drop, Endpoint, Event, Link};
use seal::Party;
use world::{CLIENT, SERVER, World, address, client_config, encrypts, party, server_config};

const SECOND: Duration = Duration::from_secs(1);

/// A party, and how many messages it has looked into.
#[derive(Debug)]
struct Counting(Party, Arc<AtomicU64>);

impl Identity for Counting {
    fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    fn initiate(
        &self,
        random: [u8; 32],
        server: &PublicKey,
        prologue: &[u8],
        payload: &[u8],
        message: &mut Vec<u8>,
    ) -> Box<dyn Initiator> {
        self.0.initiate(random, server, prologue, payload, message)
    }

    fn respond(&self, random: [u8; 32], prologue: &[u8], message: &[u8]) -> Option<Box<dyn Responder>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.respond(random, prologue, message)
    }

    fn load(&self, saved: &[u8]) -> Option<Box<dyn Session>> {
        self.0.load(saved)
    }
}

/// A server that counts, and how many messages it has looked into.
fn counting(config: ConfigBuilder) -> (ConfigBuilder, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let identity = Arc::new(Counting(party(7), Arc::clone(&count)));
    (ConfigBuilder { crypto: Some(Crypto::new(identity, Trust::FirstUse)), ..config }, count)
}

/// Somebody at `at` who takes another key for the server's; his INIT with a valid token.
fn init_for_another_key(world: &mut World, at: SocketAddr, seed: u8) -> Vec<u8> {
    let wrong = Trust::Pinned(party(9).public_key());
    let config = ConfigBuilder { crypto: Some(encrypts(party(6), wrong)), ..client_config() };
    let config = config.build().expect("a sound configuration");
    let mut client: Endpoint<SocketAddr> = Endpoint::new(config, Link::datagram(1200), [seed; 32], world.now);
    client.connect(world.now, address(SERVER)).expect("there is room");
    let (mut init, mut answer) = (Vec::new(), Vec::new());
    assert!(client.poll_transmit(world.now, &mut init).is_some());
    world.hand_in_from(SERVER, at, &init);
    let sent = world.nodes[SERVER].poll_transmit(world.now, &mut answer).expect("RETRY");
    assert_eq!(sent.path, at);
    let meta = proto_core::Meta { path: address(SERVER), ecn: None };
    client.handle_packet(world.now, meta, &answer);
    init.clear();
    assert!(client.poll_transmit(world.now, &mut init).is_some());
    init
}

fn flooder(network: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, network, 1], 4000))
}

#[test]
fn row_40_handshakes_for_another_key_cost_nobody_else_a_place() {
    let few = ConfigBuilder { accept_burst: 2, accept_rate: 1, max_connections: 1, ..server_config() };
    let (config, looked) = counting(few);
    let mut world = World::new(client_config(), config);
    let id = world.connect();
    world.run(SECOND);
    let served = world.served();
    world.nodes[CLIENT].connection(id).unwrap().link_lost(world.now);
    world.nodes[SERVER].connection(served).unwrap().link_lost(world.now);
    world.tamper = Box::new(|_, _| false);
    let before = (looked.load(Ordering::Relaxed), world.drops(SERVER, Drop::WrongKey));
    // Who waits without a link is not sent away for them, and nobody who comes afterwards has to wait.
    for network in 0..2 {
        let init = init_for_another_key(&mut world, flooder(network), network);
        for _ in 0..1000 {
            world.hand_in_from(SERVER, flooder(network), &init);
            let (mut buf, mut answered) = (Vec::new(), 0);
            while world.nodes[SERVER].poll_transmit(world.now, &mut buf).is_some() {
                answered += 1;
            }
            assert!(answered == 1 && buf.len() < 200, "it is told, in few bytes");
        }
    }
    assert_eq!(looked.load(Ordering::Relaxed) - before.0, 2 * 16, "of each network, 16 in a minute");
    assert_eq!(world.drops(SERVER, Drop::WrongKey) - before.1, 2000, "each is counted");
    assert_eq!((world.nodes[SERVER].stats().evictions, world.drops(SERVER, Drop::AcceptRate)), (0, 0));
    world.tamper = Box::new(|_, _| true);
    world.run(5 * SECOND);
    assert!(world.events[CLIENT].iter().any(|(_, event)| matches!(event, Event::Resumed { .. })));
}

#[test]
fn row_40_an_honest_client_of_another_network_is_let_in_beside_a_flood() {
    let few = ConfigBuilder { accept_burst: 2, accept_rate: 1, max_pending: 2, ..server_config() };
    let (config, looked) = counting(few);
    let mut world = World::new(client_config(), config);
    let init = init_for_another_key(&mut world, flooder(0), 1);
    for _ in 0..100 {
        world.hand_in_from(SERVER, flooder(0), &init);
    }
    world.connect();
    for _ in 0..100 {
        world.hand_in_from(SERVER, flooder(0), &init);
        world.run(SECOND / 100);
    }
    assert!(world.is_established(CLIENT) && world.is_established(SERVER), "within a second");
    assert_eq!(looked.load(Ordering::Relaxed), 16 + 1);
    assert_eq!(world.drops(SERVER, Drop::Busy) + world.drops(SERVER, Drop::AcceptRate), 0);
    assert_eq!(world.nodes[SERVER].get(world.served()).unwrap().peer_key(), Some(party(8).public_key()));
    // After a minute its network is heard again, as somebody with the right key may be there.
    world.run(60 * SECOND);
    let init = init_for_another_key(&mut world, flooder(0), 2);
    world.hand_in_from(SERVER, flooder(0), &init);
    assert_eq!(looked.load(Ordering::Relaxed), 16 + 2);
}

#[test]
fn a_claim_is_looked_into_once() {
    let (config, looked) = counting(server_config());
    let mut world = World::new(client_config(), config);
    let id = world.connect();
    world.run(SECOND);
    let before = looked.load(Ordering::Relaxed);
    world.nodes[CLIENT].connection(id).unwrap().link_lost(world.now);
    world.run(5 * SECOND);
    assert!(world.events[CLIENT].iter().any(|(_, event)| matches!(event, Event::Resumed { .. })));
    assert_eq!(looked.load(Ordering::Relaxed) - before, 1);
}
