//! Two ends that encrypt, and a network that does as it is told and changes what it carries: nothing that was changed is believed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto_core::crypto::{Crypto, Identity as _, Trust};
use proto_core::{
    ChannelId, ConfigBuilder, ConnectionId, Endpoint, Event, Link, Message, Meta, Reconnect, Timestamp,
};
use seal::Party;

use crate::input::Input;

const CLIENT: usize = 0;
const SERVER: usize = 1;
/// What the network holds at most.
const QUEUE: usize = 64;
/// Bytes of each message: its number, and as many others.
const LEN: usize = 300;

struct World {
    now: Timestamp,
    ends: [Endpoint; 2],
    id: ConnectionId,
    served: Option<ConnectionId>,
    /// Whom each packet is for.
    network: VecDeque<(usize, Vec<u8>)>,
    sent: u32,
    received: u32,
    is_over: bool,
}

fn address(side: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + side as u8], 4100))
}

fn party(side: usize) -> Party {
    Party::from_private(&[0x51 + side as u8; 32]).repeatable()
}

fn end(side: usize, is_known: bool, now: Timestamp) -> Endpoint {
    let trust = if is_known { Trust::Pinned(party(SERVER).public_key()) } else { Trust::FirstUse };
    let crypto = Crypto { update_packets: 12, ..Crypto::new(Arc::new(party(side)), trust) };
    let config = ConfigBuilder {
        accept: side == SERVER,
        reconnect: (side == CLIENT).then(Reconnect::default),
        crypto: Some(crypto),
        ..ConfigBuilder::default()
    };
    Endpoint::new(config.build().expect("a sound configuration"), Link::datagram(1200), [side as u8; 32], now)
}

impl World {
    fn new(is_known: bool) -> Self {
        let now = Timestamp::from_millis(1000);
        let mut ends = [end(CLIENT, is_known, now), end(SERVER, is_known, now)];
        let id = ends[CLIENT].connect(now, address(SERVER)).expect("room for one");
        let network = VecDeque::new();
        Self { now, ends, id, served: None, network, sent: 0, received: 0, is_over: false }
    }

    fn poll(&mut self) {
        for side in [CLIENT, SERVER] {
            let mut packet = Vec::new();
            while self.ends[side].poll_transmit(self.now, &mut packet).is_some() {
                if self.network.len() < QUEUE {
                    self.network.push_back((1 - side, packet.clone()));
                }
                packet.clear();
            }
            while let Some((id, event)) = self.ends[side].poll_event() {
                match event {
                    Event::Established { .. } if side == SERVER => self.served = Some(id),
                    Event::Closed(_) | Event::ConnectFailed(_) => self.is_over = true,
                    _ => {}
                }
            }
        }
        let served = self.served.filter(|_| !self.is_over);
        let Some(mut conn) = served.and_then(|id| self.ends[SERVER].connection(id)) else { return };
        while let Some(message) = conn.channel(ChannelId::DEFAULT).recv(self.now) {
            let mut expected = self.received.to_be_bytes().to_vec();
            expected.resize(LEN, 7);
            assert!(message.payload == expected, "what arrives is what was sent, once and in order");
            self.received += 1;
        }
    }

    fn send(&mut self) {
        let mut payload = self.sent.to_be_bytes().to_vec();
        payload.resize(LEN, 7);
        let Some(mut conn) = self.ends[CLIENT].connection(self.id) else { return };
        if conn.channel(ChannelId::DEFAULT).send(self.now, Message::new(payload)).is_ok() {
            self.sent += 1;
        }
    }

    fn deliver(&mut self) {
        if let Some((side, packet)) = self.network.pop_front() {
            let meta = Meta { path: address(1 - side), ecn: None };
            self.ends[side].handle_packet(self.now, meta, &packet);
        }
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        for end in &mut self.ends {
            end.handle_timeout(self.now);
            assert!(end.poll_timeout().is_none_or(|at| at >= self.now), "a timer in the past");
        }
    }

    /// The network is well.
    fn end_well(&mut self) {
        let until = self.now + Duration::from_secs(200);
        while self.now < until && !self.is_over && self.received < self.sent {
            self.poll();
            while !self.network.is_empty() {
                self.deliver();
                self.poll();
            }
            let next = self.ends.iter().filter_map(Endpoint::poll_timeout).min().unwrap_or(until);
            self.advance(next.since(self.now).max(Duration::from_micros(1)));
        }
    }
}

pub(crate) fn believes_nothing(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let how = input.byte();
    let mut world = World::new(how & 1 == 0);
    world.send();
    world.poll();
    if how & 2 == 0 {
        world.end_well();
    }
    while !input.is_empty() {
        let op = input.byte();
        match op % 8 {
            0 => world.send(),
            1 | 2 => world.deliver(),
            3 => drop(world.network.pop_front()),
            4 => {
                let (at, change) = (usize::from(input.word()), input.byte());
                if let Some((_, packet)) = world.network.front_mut() {
                    let at = at % packet.len();
                    packet[at] ^= change;
                }
            }
            5 => {
                // Another packet, or a part of one, with anything behind it.
                let (at, len) = (usize::from(input.byte()), usize::from(input.byte()));
                let part = input.bytes(len).to_vec();
                if let Some((side, packet)) = world.network.front().filter(|_| world.network.len() < QUEUE) {
                    let (side, mut forged) = (*side, packet[..at.min(packet.len())].to_vec());
                    forged.extend(part);
                    world.network.push_front((side, forged));
                }
            }
            6 => {
                if let Some(first) = world.network.front().filter(|_| world.network.len() < QUEUE) {
                    let first = first.clone();
                    world.network.push_back(first);
                }
            }
            _ => world.advance(Duration::from_millis(u64::from(input.byte()) * 10)),
        }
        world.poll();
    }
    world.end_well();
    assert!(
        world.is_over || world.received == world.sent,
        "all that was sent arrives, or it is told that it does not"
    );
}
