//! Two endpoints, and a network between them that does what it is told.
#![allow(dead_code, reason = "each test uses a part of it")]

mod altered;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[allow(unused_imports, reason = "each test uses a part of it")]
pub(crate) use altered::{Alteration, Altered};
use bytes::Bytes;
use proto_core::crypto::{Crypto, Identity, PublicKey, Trust};
use proto_core::{
    ChannelId, CloseReason, ConfigBuilder, ConnectionId, Drop, Endpoint, Event, Link, Message, Meta,
    Reconnect, Timestamp,
};
use seal::Party;

/// Who is where.
pub(crate) const CLIENT: usize = 0;
pub(crate) const SERVER: usize = 1;

pub(crate) fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, node as u8 + 1], 4000))
}

pub(crate) fn party(seed: u8) -> Party {
    Party::from_private(&[seed; 32]).repeatable()
}

pub(crate) fn encrypts(party: Party, trust: Trust) -> Crypto {
    Crypto::new(Arc::new(party), trust)
}

pub(crate) fn server_key() -> PublicKey {
    party(7).public_key()
}

pub(crate) fn server_config() -> ConfigBuilder {
    ConfigBuilder {
        accept: true,
        server_key: Some([5; 32].into()),
        crypto: Some(encrypts(party(7), Trust::FirstUse)),
        ..ConfigBuilder::default()
    }
}

pub(crate) fn client_config() -> ConfigBuilder {
    ConfigBuilder {
        crypto: Some(encrypts(party(8), Trust::Pinned(server_key()))),
        reconnect: Some(Reconnect::default()),
        ..ConfigBuilder::default()
    }
}

/// Looks at each packet of a node, may change it, and says whether it goes on.
pub(crate) type Tamper = Box<dyn FnMut(usize, &mut Vec<u8>) -> bool>;

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) nodes: [Endpoint<SocketAddr>; 2],
    pub(crate) events: [Vec<(ConnectionId, Event)>; 2],
    /// Packets as they were sent, by sender.
    pub(crate) seen: Vec<(usize, Vec<u8>)>,
    pub(crate) tamper: Tamper,
    /// Where the client is. What is sent elsewhere is lost.
    pub(crate) client_at: SocketAddr,
    under_way: VecDeque<(usize, Vec<u8>)>,
}

fn endpoint(config: ConfigBuilder, seed: u8, now: Timestamp) -> Endpoint<SocketAddr> {
    let config = config.build().expect("a sound configuration");
    Endpoint::new(config, Link::datagram(1200), [seed; 32], now)
}

impl World {
    pub(crate) fn new(client: ConfigBuilder, server: ConfigBuilder) -> Self {
        let now = Timestamp::from_nanos(1_000_000_000);
        Self {
            now,
            nodes: [endpoint(client, 1, now), endpoint(server, 2, now)],
            events: [Vec::new(), Vec::new()],
            seen: Vec::new(),
            tamper: Box::new(|_, _| true),
            client_at: address(CLIENT),
            under_way: VecDeque::new(),
        }
    }

    pub(crate) fn restart_server(&mut self, config: ConfigBuilder, seed: u8) {
        self.nodes[SERVER] = endpoint(config, seed, self.now);
    }

    pub(crate) fn connect(&mut self) -> ConnectionId {
        self.nodes[CLIENT].connect(self.now, address(SERVER)).expect("there is room")
    }

    /// Carries packets for `time`, each of which takes 5 ms.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            for (from, packet) in std::mem::take(&mut self.under_way) {
                self.hand_in(1 - from, &packet);
            }
            for from in [CLIENT, SERVER] {
                self.nodes[from].handle_timeout(self.now);
                let mut packet = Vec::new();
                while let Some(transmit) = self.nodes[from].poll_transmit(self.now, &mut packet) {
                    self.seen.push((from, packet.clone()));
                    let arrives = from == CLIENT || transmit.path == self.client_at;
                    if (self.tamper)(from, &mut packet) && arrives {
                        self.under_way.push_back((from, packet.clone()));
                    }
                    packet.clear();
                }
                while let Some(event) = self.nodes[from].poll_event() {
                    self.events[from].push(event);
                }
            }
            self.now += Duration::from_millis(5);
        }
    }

    pub(crate) fn hand_in(&mut self, to: usize, packet: &[u8]) {
        let from = if to == SERVER { self.client_at } else { address(SERVER) };
        self.hand_in_from(to, from, packet);
    }

    pub(crate) fn hand_in_from(&mut self, to: usize, from: SocketAddr, packet: &[u8]) {
        self.nodes[to].handle_packet(self.now, Meta { path: from, ecn: None }, packet);
    }

    pub(crate) fn send(&mut self, from: usize, id: ConnectionId, payload: &[u8]) {
        let mut connection = self.nodes[from].connection(id).expect("it is there");
        let message = Message::new(Bytes::copy_from_slice(payload));
        connection.channel(ChannelId::DEFAULT).send(self.now, message).expect("there is room");
    }

    pub(crate) fn recv(&mut self, to: usize, id: ConnectionId) -> Vec<Vec<u8>> {
        let now = self.now;
        let Some(mut connection) = self.nodes[to].connection(id) else { return Vec::new() };
        let mut channel = connection.channel(ChannelId::DEFAULT);
        std::iter::from_fn(|| channel.recv(now)).map(|received| received.payload.to_vec()).collect()
    }

    /// The server's connection.
    pub(crate) fn served(&self) -> ConnectionId {
        let mut established =
            self.events[SERVER].iter().filter(|(_, event)| matches!(event, Event::Established { .. }));
        established.next_back().expect("a client was let in").0
    }

    /// How a node's connection ended, if it has.
    pub(crate) fn ended(&self, node: usize) -> Option<CloseReason> {
        self.events[node].iter().find_map(|(_, event)| match event {
            Event::ConnectFailed(closed) | Event::Closed(closed) => Some(closed.reason.clone()),
            _ => None,
        })
    }

    pub(crate) fn is_established(&self, node: usize) -> bool {
        self.events[node].iter().any(|(_, event)| matches!(event, Event::Established { .. }))
    }

    pub(crate) fn drops(&self, node: usize, drop: Drop) -> u64 {
        self.nodes[node].stats().drops.get(drop)
    }
}
