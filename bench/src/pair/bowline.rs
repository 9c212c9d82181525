//! Bowline: two endpoints of the core.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use proto_core::wire::packet::Checksum;
use proto_core::{
    ChannelId, Class as CoreClass, ConfigBuilder, ConnectionId, Endpoint, Event, Link, Message, Meta,
    RequestId, Timestamp,
};

use super::{Class, MTU, Pair};
use crate::messages::Check;

const TIMEOUT: Duration = Duration::from_mins(1);

/// Two endpoints of the core.
pub(crate) struct Bowline {
    now: Timestamp,
    client: End,
    server: End,
    packet: Vec<u8>,
    answered: Vec<RequestId>,
}

struct End {
    endpoint: Endpoint,
    address: SocketAddr,
    id: Option<ConnectionId>,
}

/// What an adapter computes its checksums by.
pub(crate) const CRC: Checksum = crc32c::crc32c_append;

/// For the cost of everything else.
pub(crate) fn no_crc(_: u32, _: &[u8]) -> u32 {
    0
}

impl Bowline {
    pub(crate) fn new(checksum: Checksum) -> Self {
        let now = Timestamp::from_millis(1000);
        let end = |accept: bool| {
            let config = ConfigBuilder {
                accept,
                checksum,
                send_messages: 4096,
                send_bytes: 4 << 20,
                receive_messages: 4096,
                receive_bytes: 4 << 20,
                session_messages: 8192,
                session_bytes: 8 << 20,
                ..ConfigBuilder::default()
            };
            let config = config.build().expect("a sound configuration");
            let address = SocketAddr::from(([127, 0, 0, 1], 1 + u16::from(accept)));
            End {
                endpoint: Endpoint::new(config, Link::datagram(MTU), [address.port() as u8; 32], now),
                address,
                id: None,
            }
        };
        let (mut client, server) = (end(false), end(true));
        client.id = Some(client.endpoint.connect(now, server.address).expect("room for one"));
        let mut pair = Self { now, client, server, packet: Vec::with_capacity(2048), answered: Vec::new() };
        while pair.server.id.is_none() {
            pair.exchange();
        }
        pair
    }
}

impl End {
    /// Sends all that there is to `other`; whether there was anything.
    fn transmit(&mut self, now: Timestamp, packet: &mut Vec<u8>, other: &mut Self) -> bool {
        let mut moved = false;
        while self.endpoint.poll_transmit(now, packet).is_some() {
            other.endpoint.handle_packet(now, Meta { path: self.address, ecn: None }, packet);
            packet.clear();
            moved = true;
        }
        moved
    }

    fn poll_events(&mut self, answered: &mut Vec<RequestId>) {
        while let Some((id, event)) = self.endpoint.poll_event() {
            match event {
                Event::Established { .. } => self.id = Some(id),
                Event::RequestDone { request, .. } => answered.push(request),
                _ => {}
            }
        }
    }
}

impl Pair for Bowline {
    fn send(&mut self, class: Class, message: &Bytes) -> bool {
        let class = match class {
            Class::Reliable => CoreClass::ReliableOrdered,
            Class::Unreliable => CoreClass::Unreliable,
        };
        let id = self.client.id.expect("it is connected");
        let mut conn = self.client.endpoint.connection(id).expect("it lives");
        conn.channel(ChannelId::DEFAULT).send(self.now, Message::new(message.clone()).class(class)).is_ok()
    }

    fn exchange(&mut self) {
        let Self { now, client, server, packet, answered } = self;
        while client.transmit(*now, packet, server) | server.transmit(*now, packet, client) {}
        client.poll_events(answered);
        server.poll_events(answered);
        *now += Duration::from_millis(1);
        for end in [client, server] {
            if end.endpoint.poll_timeout().is_some_and(|at| at <= *now) {
                end.endpoint.handle_timeout(*now);
            }
        }
    }

    fn receive(&mut self, check: &mut Check<'_>) {
        let Some(mut conn) = self.server.id.and_then(|id| self.server.endpoint.connection(id)) else {
            return;
        };
        let mut channel = conn.channel(ChannelId::DEFAULT);
        while let Some(received) = channel.recv(self.now) {
            check.part(&received.payload, true);
        }
    }

    fn ask(&mut self, message: &Bytes) -> bool {
        let id = self.client.id.expect("it is connected");
        let mut conn = self.client.endpoint.connection(id).expect("it lives");
        conn.channel(ChannelId::DEFAULT).request(self.now, Message::new(message.clone()), TIMEOUT).is_ok()
    }

    fn answer(&mut self) {
        let Some(mut conn) = self.server.id.and_then(|id| self.server.endpoint.connection(id)) else {
            return;
        };
        while let Some(received) = conn.channel(ChannelId::DEFAULT).recv(self.now) {
            let request = received.request.expect("only requests are sent");
            conn.reply(self.now, request, received.payload).expect("room for the reply");
        }
    }

    fn receive_answers(&mut self, check: &mut Check<'_>) {
        let id = self.client.id.expect("it is connected");
        let mut conn = self.client.endpoint.connection(id).expect("it lives");
        for request in self.answered.drain(..) {
            let reply = conn.take_reply(self.now, request).expect("a reply");
            check.part(&reply, true);
        }
    }
}
