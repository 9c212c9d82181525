//! Endpoints and the wire between them, in memory and in virtual time.

mod admission;
mod drain;
mod handshake;
mod idle;
mod reborn;
mod reconnect;
mod reset;
mod resume;
mod roaming;
mod smaller;
mod streams;
mod ways;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::Endpoint;
use crate::{
    ChannelId, Config, ConfigBuilder, ConnectionId, Drop, Event, Link, Message, Meta, SendError, Shard,
    State, Timestamp,
};

const DELAY: Duration = Duration::from_millis(10);
const SERVER: usize = 0;
/// The second way to the server: what goes to this port of it comes from this port of the client, and so do the answers.
const BACK_DOOR: u16 = 4200;
const ZERO: ChannelId = ChannelId::DEFAULT;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Node `index` as the others see it: all but the server in networks of their own.
fn address(index: usize) -> SocketAddr {
    let [high, low] = (index as u16).to_be_bytes();
    SocketAddr::from(([10, high, low, 1], 4100))
}

fn index(address: SocketAddr) -> usize {
    match address {
        SocketAddr::V4(v4) => usize::from(u16::from_be_bytes([v4.ip().octets()[1], v4.ip().octets()[2]])),
        SocketAddr::V6(_) => panic!("all test addresses are IPv4"),
    }
}

/// A packet that was sent.
#[derive(Clone, Debug)]
struct Sent {
    from: usize,
    to: usize,
    /// The address it was sent to.
    at: SocketAddr,
    packet: Vec<u8>,
}

/// A server, node 0, and clients.
struct World {
    now: Timestamp,
    nodes: Vec<Endpoint>,
    events: Vec<Vec<(ConnectionId, Event)>>,
    flying: BTreeMap<(Timestamp, usize), Sent>,
    sent: Vec<Sent>,
    lose: Box<dyn FnMut(&Sent) -> bool>,
    delay: Duration,
    /// Nodes that are elsewhere now.
    moved: BTreeMap<usize, SocketAddr>,
}

fn server_config() -> ConfigBuilder {
    ConfigBuilder { accept: true, server_key: Some([5; 32].into()), ..ConfigBuilder::default() }
}

impl World {
    fn new(server: ConfigBuilder, clients: usize, client: &ConfigBuilder) -> Self {
        let link = Link::datagram(1200);
        let now = Timestamp::from_millis(1_000_000);
        let server = server.build().expect("a sound configuration");
        let client = client.clone().build().expect("a sound configuration");
        let seed = |node: usize| {
            let mut seed = [9; 32];
            seed[..8].copy_from_slice(&node.to_be_bytes());
            seed
        };
        let mut nodes = Vec::from([Endpoint::new(server, link, seed(SERVER), now)]);
        nodes.extend((1..=clients).map(|node| Endpoint::new(client.clone(), link, seed(node), now)));
        Self {
            now,
            events: nodes.iter().map(|_| Vec::new()).collect(),
            nodes,
            flying: BTreeMap::new(),
            sent: Vec::new(),
            lose: Box::new(|_| false),
            delay: DELAY,
            moved: BTreeMap::new(),
        }
    }

    /// One server and one client, connected: their two ends.
    fn connected(server: ConfigBuilder, client: &ConfigBuilder) -> (Self, ConnectionId, ConnectionId) {
        let mut world = Self::new(server, 1, client);
        let id = world.connect(1);
        world.run(ms(500));
        let peer = world.established(SERVER)[0];
        assert_eq!(world.established(1), [id]);
        world.sent.clear();
        world.events.iter_mut().for_each(Vec::clear);
        (world, id, peer)
    }

    fn connect(&mut self, client: usize) -> ConnectionId {
        self.nodes[client].connect(self.now, address(SERVER)).expect("room for a connection")
    }

    fn lose(&mut self, lose: impl FnMut(&Sent) -> bool + 'static) {
        self.lose = Box::new(lose);
    }

    fn restart_server(&mut self) {
        let config = self.nodes[SERVER].config().clone();
        self.restart_server_as(config);
    }

    fn restart_server_as(&mut self, config: Arc<Config>) {
        self.nodes[SERVER] = Endpoint::new(config, Link::datagram(1200), [77; 32], self.now);
    }

    fn hand_in(&mut self, to: usize, from: usize, packet: &[u8]) {
        self.hand_in_at(to, address(to), from, packet);
    }

    /// Hands in what `from` sent to the address `at` of `to`.
    fn hand_in_at(&mut self, to: usize, at: SocketAddr, from: usize, packet: &[u8]) {
        let mut from = self.moved.get(&from).copied().unwrap_or_else(|| address(from));
        if at.port() == BACK_DOOR {
            from.set_port(BACK_DOOR);
        }
        let meta = Meta { path: from, ecn: None };
        self.nodes[to].handle_packet(self.now, meta, packet);
    }

    fn drain(&mut self) {
        for node in 0..self.nodes.len() {
            let mut buf = Vec::new();
            while let Some(transmit) = self.nodes[node].poll_transmit(self.now, &mut buf) {
                let packet = core::mem::take(&mut buf);
                assert_eq!(transmit.len, packet.len());
                let sent = Sent { from: node, to: self.who_is_at(transmit.path), at: transmit.path, packet };
                if !(self.lose)(&sent) && sent.to < self.nodes.len() {
                    self.flying.insert((self.now + self.delay, self.sent.len()), sent.clone());
                }
                self.sent.push(sent);
            }
            while let Some(event) = self.nodes[node].poll_event() {
                self.events[node].push(event);
            }
        }
    }

    /// The node at an address; one that does not exist when it has moved away from there.
    fn who_is_at(&self, at: SocketAddr) -> usize {
        let moved = self.moved.iter().find(|(_, address)| **address == at);
        let stays = |node: &usize| !self.moved.contains_key(node);
        moved.map(|(&node, _)| node).or_else(|| Some(index(at)).filter(stays)).unwrap_or(usize::MAX)
    }

    fn next(&self) -> Option<Timestamp> {
        let flying = self.flying.first_key_value().map(|(&(at, _), _)| at);
        self.nodes.iter().map(Endpoint::poll_timeout).chain([flying]).flatten().min()
    }

    /// Lets `span` pass.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.drain();
        while let Some(at) = self.next().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            let late = self.flying.split_off(&(self.now + Duration::from_nanos(1), 0));
            for sent in core::mem::replace(&mut self.flying, late).into_values() {
                self.hand_in_at(sent.to, sent.at, sent.from, &sent.packet);
            }
            for node in &mut self.nodes {
                if node.poll_timeout().is_some_and(|at| at <= self.now) {
                    node.handle_timeout(self.now);
                    assert!(node.poll_timeout().is_none_or(|at| at > self.now), "a timer in the past");
                }
            }
            self.drain();
        }
        self.now = end;
    }

    fn established(&self, node: usize) -> Vec<ConnectionId> {
        let events = self.events[node].iter();
        events
            .filter_map(|&(id, ref event)| matches!(event, Event::Established { .. }).then_some(id))
            .collect()
    }

    fn send(&mut self, node: usize, id: ConnectionId, message: Message) {
        let now = self.now;
        let mut conn = self.nodes[node].connection(id).expect("it is there");
        conn.channel(ZERO).send(now, message).expect("room for a message");
    }

    fn dropped(&self, node: usize, reason: Drop) -> u64 {
        self.nodes[node].stats().drops.get(reason)
    }

    fn sent_by(&self, node: usize) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(move |sent| sent.from == node)
    }
}

fn client_config() -> ConfigBuilder {
    ConfigBuilder::default()
}

#[test]
fn byte_0_of_what_a_server_hands_out_names_its_shard() {
    let (mut world, id, _) =
        World::connected(ConfigBuilder { shard: 7, ..server_config() }, &client_config());
    assert_eq!(world.nodes[1].get(id).expect("it is there").session().0[0], 7);
    world.send(1, id, Message::new("x"));
    world.drain();
    let packet = &world.sent_by(1).next().expect("the message").packet;
    assert_eq!(Endpoint::<SocketAddr>::route(packet), Some(Shard(7)));
    let init = [0xC0, 0, 0, 0, 1, 0];
    assert_eq!(Endpoint::<SocketAddr>::route(&init), None, "any shard may take a new client");
    for short in [&[][..], &[0x40], &[0]] {
        assert_eq!(Endpoint::<SocketAddr>::route(short), None);
    }
}

#[test]
fn no_connection_starves_behind_another() {
    let congestion = crate::Congestion::Fixed { rate: 1_000_000_000_000, window: 1 << 32 };
    let server = ConfigBuilder { congestion, ..server_config() };
    let mut world = World::new(server, 2, &client_config());
    for client in [1, 2] {
        world.connect(client);
    }
    world.run(ms(500));
    let ids = world.established(SERVER);
    for _ in 0..300 {
        world.send(SERVER, ids[0], Message::new([7; 1100].to_vec()));
    }
    world.send(SERVER, ids[1], Message::new("me too"));
    world.sent.clear();
    world.drain();
    let to = |index: usize| world.sent_by(SERVER).position(move |sent| sent.to == index);
    let (first, second) = (to(1).expect("sent"), to(2).expect("sent"));
    assert!(first.abs_diff(second) <= 64, "after {first} and {second} packets");
    let turns: Vec<_> = world.sent_by(SERVER).map(|sent| sent.to).collect();
    assert!(
        turns.chunk_by(|a, b| a == b).all(|chunk| chunk.len() <= 64 || world.sent_by(SERVER).count() > 64)
    );
}

#[test]
fn a_broadcast_names_those_who_refused_it() {
    let mut world = World::new(server_config(), 3, &client_config());
    for client in 1..=3 {
        world.connect(client);
    }
    world.run(ms(500));
    let ids = world.established(SERVER);
    let now = world.now;
    world.nodes[SERVER].forget(ids[1]);
    world.nodes[SERVER].connection(ids[2]).expect("it is there").close(now, crate::Close::default());
    let refused = world.nodes[SERVER].broadcast(now, &ids, ZERO, &Message::new("all"));
    assert_eq!(refused, [(ids[1], SendError::Closed), (ids[2], SendError::Closed)]);
}

#[test]
fn a_stale_id_never_meets_a_stranger() {
    let (mut world, id, peer) = World::connected(server_config(), &client_config());
    world.nodes[SERVER].forget(peer);
    world.nodes[1].forget(id);
    world.connect(1);
    world.run(ms(500));
    let successor = world.established(SERVER)[0];
    assert_eq!(successor.slot, peer.slot, "the slot is used again");
    assert!(world.nodes[SERVER].connection(peer).is_none());
    assert!(world.nodes[SERVER].get(successor).is_some());
    world.nodes[SERVER].forget(peer);
    assert_eq!(world.nodes[SERVER].len(), 1);
}

#[test]
fn an_endpoint_that_is_full_says_so() {
    let config = ConfigBuilder { max_connections: 2, ..client_config() };
    let mut world = World::new(server_config(), 1, &config);
    for _ in 0..2 {
        world.connect(1);
    }
    let now = world.now;
    let refused = world.nodes[1].connect(now, address(SERVER));
    assert_eq!(refused, Err(crate::ConnectError::TooMany { max: 2 }));
}

#[test]
fn close_all_leaves_nothing() {
    let mut world = World::new(server_config(), 5, &client_config());
    for client in 1..=5 {
        world.connect(client);
    }
    world.run(ms(500));
    let now = world.now;
    world.nodes[SERVER].stop_accepting();
    world.nodes[SERVER].close_all(now, &crate::Close::default());
    world.connect(1);
    world.run(secs(2));
    assert!(world.nodes[SERVER].is_empty());
    assert!(world.dropped(SERVER, Drop::NotAccepting) > 0);
    assert_eq!(world.nodes[SERVER].poll_timeout(), None);
    for client in 2..=5 {
        assert!(world.nodes[client].is_empty(), "every end was polled and forgotten");
        assert!(matches!(world.events[client].last(), Some((_, Event::Closed(_)))));
    }
}

#[test]
fn a_guard_files_whatever_was_done_through_it() {
    let (mut world, id, _) = World::connected(server_config(), &client_config());
    let now = world.now;
    let mut conn = world.nodes[1].connection(id).expect("it is there");
    conn.channel(ZERO).request(now, Message::new("?"), ms(30)).expect("room");
    drop(conn);
    assert!(world.nodes[1].poll_timeout().is_some_and(|at| at <= now + ms(30)), "its deadline");
    assert!(world.nodes[1].poll_transmit(now, &mut Vec::new()).is_some(), "its packet");
    let state = world.nodes[1].get(id).expect("it is there").state();
    assert_eq!(state, State::Established);
}

fn config(builder: ConfigBuilder) -> Arc<Config> {
    builder.build().expect("a sound configuration")
}
