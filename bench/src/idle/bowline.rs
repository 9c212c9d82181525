//! One endpoint of the core holds all connections.

use std::net::SocketAddr;
use std::time::Duration;

use proto_core::{ChannelId, ConfigBuilder, Endpoint, Event, Link, Message, Meta, Timestamp};

use super::Server;
use crate::pair::{MTU, crypto, no_crc};

const WAVE: usize = 16;
const SERVER: u16 = 1;
const CLIENT: u16 = 2;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Each connection has carried a message each way, then nothing for two seconds.
pub(super) fn establish(connections: usize) -> Server {
    establish_with(connections, false)
}

/// The same, encrypted.
pub(super) fn establish_encrypted(connections: usize) -> Server {
    establish_with(connections, true)
}

fn establish_with(connections: usize, encrypts: bool) -> Server {
    let mut now = Timestamp::from_millis(1000);
    let config = ConfigBuilder {
        accept: true,
        max_connections: connections,
        max_pending: connections,
        max_pending_per_prefix: connections,
        checksum: no_crc,
        ..ConfigBuilder::default()
    };
    let [mut server, mut client] = [2, 1].map(|seed| {
        let crypto = encrypts.then(|| crypto(seed));
        let config = ConfigBuilder { crypto, ..config.clone() }.build().expect("a sound configuration");
        Endpoint::new(config, Link::datagram(MTU), [seed; 32], now)
    });
    let mut established = 0;
    let mut packet = Vec::new();
    let mut step = |now: Timestamp, server: &mut Endpoint, client: &mut Endpoint| {
        let mut moved = true;
        while moved {
            moved = transmit(now, &mut packet, client, (server, CLIENT));
            moved |= transmit(now, &mut packet, server, (client, SERVER));
            for end in [&mut *client, &mut *server] {
                while let Some((id, event)) = end.poll_event() {
                    moved = true;
                    let mut conn = end.connection(id).expect("it lives");
                    match event {
                        Event::Established { .. } => {
                            established += 1;
                            say_hello(now, &mut conn);
                        }
                        Event::Readable(channel) => while conn.channel(channel).recv(now).is_some() {},
                        _ => {}
                    }
                }
            }
        }
    };
    // Few at a time: an endpoint queues only so many answers to strangers.
    for _ in 0..connections.div_ceil(WAVE) {
        for _ in 0..WAVE.min(connections - client.len()) {
            client.connect(now, address(SERVER)).expect("room for it");
        }
        step(now, &mut server, &mut client);
    }
    for _ in 0..120 {
        now += Duration::from_millis(20);
        server.handle_timeout(now);
        client.handle_timeout(now);
        step(now, &mut server, &mut client);
    }
    assert_eq!(established, 2 * connections, "all are established");
    assert_eq!(server.len(), connections);
    Box::new(server)
}

/// Sends all that there is; whether there was anything.
fn transmit(
    now: Timestamp,
    packet: &mut Vec<u8>,
    from: &mut Endpoint,
    (to, port): (&mut Endpoint, u16),
) -> bool {
    let mut moved = false;
    while from.poll_transmit(now, packet).is_some() {
        to.handle_packet(now, Meta { path: address(port), ecn: None }, packet);
        packet.clear();
        moved = true;
    }
    moved
}

fn say_hello(now: Timestamp, conn: &mut proto_core::ConnectionMut<'_, SocketAddr>) {
    conn.channel(ChannelId::DEFAULT).send(now, Message::new("hello")).expect("room for a message");
}
