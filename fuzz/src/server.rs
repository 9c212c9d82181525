//! A server of chat and rooms, a client whose packets are changed on their way, and strangers that send anything. Checksums are
//! off, so that what is changed is believed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto_core::chat::ChatConfig;
use proto_core::room::RoomConfig;
use proto_core::{
    ChannelId, ChannelOptions, Class, Config, ConfigBuilder, ConnectionId, Endpoint, Event, Link, Message,
    Meta, Now, Server, Timestamp,
};

use crate::input::Input;
use crate::tamper::Tamper;

const CLIENT: u16 = 1;
const STRANGER: u16 = 2;
const HONEST: u16 = 3;
const SERVER: u16 = 9;
/// Exchanges of packets at one time.
const ROUNDS: usize = 64;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

const fn no_checksum(_: u32, _: &[u8]) -> u32 {
    0
}

fn config(accept: bool) -> Arc<Config> {
    ConfigBuilder { accept, checksum: no_checksum, ..ConfigBuilder::chat() }
        .build()
        .expect("a sound configuration")
}

struct World {
    now: Now,
    server: Server,
    /// What is done to the client's packets.
    tamper: Tamper,
}

fn new_client(port: u16, now: Timestamp) -> (Endpoint, ConnectionId) {
    let mut client = Endpoint::new(config(false), Link::datagram(1200), [port as u8; 32], now);
    let id = client.connect(now, address(SERVER)).expect("room for one");
    (client, id)
}

impl World {
    fn new() -> Self {
        let now = Now { mono: Timestamp::from_millis(1000), unix_ms: 1_700_000_000_000 };
        let server = Server::new(config(true), Link::datagram(1200), ChatConfig::default(), [9; 32], now);
        Self { now, server: server.with_rooms(now, RoomConfig::default()), tamper: Tamper::default() }
    }

    /// The disk takes everything at once; nothing is read back.
    fn serve(&mut self) {
        while let Some(batch) = self.server.poll_persist(self.now) {
            self.server.handle_persisted(self.now, batch.number);
        }
        while let Some(read) = self.server.poll_read() {
            self.server.handle_read(self.now, read.id, &[]);
        }
        while self.server.poll_event().is_some() {}
    }

    /// Carries packets between a client and the server; whether the client's connection was established by that.
    fn exchange(&mut self, port: u16, client: &mut Endpoint) -> bool {
        let mut buf = Vec::new();
        let mut is_established = false;
        for _ in 0..ROUNDS {
            let mut is_quiet = true;
            while client.poll_transmit(self.now.mono, &mut buf).is_some() {
                is_quiet = false;
                if port == CLIENT {
                    self.tamper.apply(&mut buf);
                }
                self.server.handle_packet(self.now, Meta { path: address(port), ecn: None }, &buf);
                buf.clear();
            }
            self.serve();
            while let Some(transmit) = self.server.poll_transmit(self.now, &mut buf) {
                is_quiet = false;
                if transmit.path == address(port) {
                    client.handle_packet(self.now.mono, Meta { path: address(SERVER), ecn: None }, &buf);
                }
                buf.clear();
            }
            while let Some((id, event)) = client.poll_event() {
                is_established |= matches!(event, Event::Established { .. });
                if let (Event::Readable(channel), Some(mut conn)) = (event, client.connection(id)) {
                    while conn.channel(channel).recv(self.now.mono).is_some() {}
                }
            }
            if is_quiet {
                break;
            }
        }
        is_established
    }

    fn step(&mut self, client: &mut Endpoint, by: Duration) {
        self.now.mono += by;
        self.now.unix_ms += by.as_millis() as u64;
        self.server.handle_timeout(self.now);
        client.handle_timeout(self.now.mono);
        assert!(self.server.poll_timeout().is_none_or(|at| at >= self.now.mono), "a timer in the past");
        self.exchange(CLIENT, client);
    }
}

pub(crate) fn survives(bytes: &[u8]) {
    let (mut world, mut input) = (World::new(), Input::new(bytes));
    let (mut client, id) = new_client(CLIENT, world.now.mono);
    if input.byte() % 2 == 0 {
        world.step(&mut client, Duration::ZERO);
    }
    while !input.is_empty() {
        let op = input.byte();
        match op % 8 {
            0 | 1 => {
                let (channel, len) = (u32::from(op >> 3) % 4, usize::from(input.byte()) * 4);
                let class = Class::ALL[usize::from(op >> 6)];
                let message = Message::new(input.bytes(len).to_vec()).class(class);
                let now = world.now.mono;
                if let Some(mut conn) = client.connection(id) {
                    // It may be refused.
                    let _ = match op % 16 {
                        9 => conn
                            .channel(ChannelId(channel))
                            .request(now, message, Duration::from_secs(5))
                            .err()
                            .map(drop),
                        _ => conn.channel(ChannelId(channel)).send(now, message).err().map(drop),
                    };
                }
            }
            2 => {
                let now = world.now.mono;
                if let Some(mut conn) = client.connection(id) {
                    // There may be no room.
                    let _ = conn.open_channel(now, &ChannelOptions::default());
                }
            }
            3 | 4 => world.tamper.changes.push((input.word(), input.byte())),
            5 => {
                let len = usize::from(input.word()) % 1500;
                let packet = input.bytes(len);
                if op & 0xC0 == 0x40 {
                    world.tamper.record = Some(packet.to_vec());
                    continue;
                }
                let port = if op > 0x80 { STRANGER } else { CLIENT };
                world.server.handle_packet(world.now, Meta { path: address(port), ecn: None }, packet);
            }
            6 => world.step(&mut client, Duration::from_millis(u64::from(input.byte()) * 40)),
            _ => world.step(&mut client, Duration::from_millis(input.byte().into())),
        }
    }
    world.step(&mut client, Duration::ZERO);
    // Whoever means no harm is served as ever.
    let (mut honest, _) = new_client(HONEST, world.now.mono);
    let mut is_served = false;
    for _ in 0..100 {
        honest.handle_timeout(world.now.mono);
        is_served |= world.exchange(HONEST, &mut honest);
        world.step(&mut client, Duration::from_millis(50));
    }
    assert!(is_served, "an honest client is let in");
    assert!(world.server.connections() <= 3, "{} connections of three clients", world.server.connections());
}
