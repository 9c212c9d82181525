//! Bowline: two endpoints of the core.

use std::iter;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_core::crypto::{Crypto, Identity, Trust};
use proto_core::wire::packet::Checksum;
use proto_core::{
    ChannelId, Class as CoreClass, ConfigBuilder, ConnectionId, Endpoint, Event, Link, Message, Meta,
    RequestId, Timestamp, Transmit,
};
use seal::Party;

use super::{Class, MTU, Pair};
use crate::messages::Check;

const TIMEOUT: Duration = Duration::from_mins(1);
/// Packets that are built before any is sent, as in the adapters.
const BATCH: usize = 64;

/// Two endpoints of the core.
pub(crate) struct Bowline {
    now: Timestamp,
    client: End,
    server: End,
    outbound: Outbound,
    answered: Vec<RequestId>,
}

/// What an adapter keeps of packets that were built and not sent.
#[derive(Default)]
struct Outbound {
    bytes: Vec<u8>,
    packets: Vec<Transmit<SocketAddr>>,
}

struct End {
    endpoint: Endpoint,
    address: SocketAddr,
    id: Option<ConnectionId>,
}

/// Windows that no link within one machine fills.
pub(crate) fn wide_windows() -> ConfigBuilder {
    ConfigBuilder {
        send_messages: 4096,
        send_bytes: 8 << 20,
        receive_messages: 4096,
        receive_bytes: 8 << 20,
        session_messages: 8192,
        session_bytes: 16 << 20,
        ..ConfigBuilder::default()
    }
}

/// What an adapter computes its checksums by.
pub(crate) const CRC: Checksum = crc32c::crc32c_append;

/// What an adapter encrypts datagrams by.
pub(crate) fn crypto(seed: u8) -> Crypto {
    let server = Party::from_private(&[2; 32]).public_key();
    Crypto::new(Arc::new(Party::from_private(&[seed; 32])), Trust::Pinned(server))
}

/// For the cost of everything else.
pub(crate) fn no_crc(_: u32, _: &[u8]) -> u32 {
    0
}

impl Bowline {
    pub(crate) fn new(checksum: Checksum, encrypts: bool) -> Self {
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
                crypto: encrypts.then(|| crypto(1 + u8::from(accept))),
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
        let mut pair = Self { now, client, server, outbound: Outbound::default(), answered: Vec::new() };
        while pair.server.id.is_none() {
            pair.exchange();
        }
        pair
    }
}

impl End {
    /// Sends all that there is to `other`; whether there was anything. As an adapter does: up to 64 packets are built at once, and
    /// those of equal length go, and come in, as one train (GSO, GRO).
    fn transmit(&mut self, now: Timestamp, outbound: &mut Outbound, other: &mut Self) -> bool {
        let Outbound { bytes, packets } = outbound;
        let mut moved = false;
        loop {
            let polled = self.endpoint.poll_packets(now, BATCH, bytes, packets);
            let (mut waiting, mut rest) = (&packets[..], &bytes[..]);
            while let [first, behind @ ..] = waiting {
                let same = behind.iter().take_while(|packet| packet.len == first.len).count();
                let has_shorter = behind.get(same).is_some_and(|packet| packet.len < first.len);
                let more = &behind[..same + usize::from(has_shorter)];
                let len = first.len + more.iter().map(|packet| packet.len).sum::<usize>();
                let (train, left) = rest.split_at(len);
                let meta = Meta { path: self.address, ecn: None };
                other.endpoint.handle_packets(now, meta, train, first.len);
                (waiting, rest) = (&behind[more.len()..], left);
            }
            bytes.clear();
            packets.clear();
            moved |= polled > 0;
            if polled < BATCH {
                return moved;
            }
        }
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
        self.send_all(class, iter::once(message)) == 1
    }

    fn send_all<'m>(&mut self, class: Class, messages: impl Iterator<Item = &'m Bytes>) -> u64 {
        let class = match class {
            Class::Reliable => CoreClass::ReliableOrdered,
            Class::Unreliable => CoreClass::Unreliable,
        };
        let id = self.client.id.expect("it is connected");
        let mut conn = self.client.endpoint.connection(id).expect("it lives");
        let mut channel = conn.channel(ChannelId::DEFAULT);
        let mut sent = 0;
        for message in messages {
            if channel.send(self.now, Message::new(message.clone()).class(class)).is_err() {
                break;
            }
            sent += 1;
        }
        sent
    }

    fn exchange(&mut self) {
        let Self { now, client, server, outbound, answered } = self;
        while client.transmit(*now, outbound, server) | server.transmit(*now, outbound, client) {}
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
        for received in conn.channel(ChannelId::DEFAULT).recv_all(self.now) {
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
