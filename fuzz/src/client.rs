//! A client whose server is not to be trusted: its packets are changed on their way, what it says is replaced, and anything comes from
//! its address. Checksums are off, so that what is changed is believed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto_core::{
    ChannelId, ChannelOptions, Class, Config, ConfigBuilder, ConnectionId, Endpoint, Event, Link, Message,
    Meta, Timestamp,
};

use crate::input::Input;
use crate::tamper::Tamper;

const CLIENT: u16 = 1;
const HOSTILE: u16 = 8;
const HONEST: u16 = 9;
/// Exchanges of packets at one time.
const ROUNDS: usize = 64;
/// What a connection may hold: the session's bytes, and as much that is still to be sent in each of a few channels.
const HELD: usize = 16 << 20;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

const fn no_checksum(_: u32, _: &[u8]) -> u32 {
    0
}

fn config(accept: bool) -> Arc<Config> {
    let config = ConfigBuilder { accept, checksum: no_checksum, ..ConfigBuilder::chat() };
    config.build().expect("a sound configuration")
}

struct World {
    now: Timestamp,
    client: Endpoint,
    hostile: Endpoint,
    honest: Endpoint,
    /// What is done to the hostile server's packets.
    tamper: Tamper,
    /// The hostile server's connections.
    served: Vec<ConnectionId>,
    /// The connection with the honest server.
    with_honest: Option<ConnectionId>,
    is_served: bool,
}

impl World {
    fn new() -> Self {
        let now = Timestamp::from_millis(1000);
        let endpoint = |accept, seed| Endpoint::new(config(accept), Link::datagram(1200), [seed; 32], now);
        Self {
            now,
            client: endpoint(false, 1),
            hostile: endpoint(true, 8),
            honest: endpoint(true, 9),
            tamper: Tamper::default(),
            served: Vec::new(),
            with_honest: None,
            is_served: false,
        }
    }

    /// What goes to the client from one of the servers.
    fn tell(&mut self, port: u16, packet: &[u8]) {
        self.client.handle_packet(self.now, Meta { path: address(port), ecn: None }, packet);
    }

    fn exchange(&mut self) {
        let mut buf = Vec::new();
        for _ in 0..ROUNDS {
            let mut is_quiet = true;
            while let Some(transmit) = self.client.poll_transmit(self.now, &mut buf) {
                is_quiet = false;
                let from = Meta { path: address(CLIENT), ecn: None };
                match transmit.path.port() {
                    HOSTILE => self.hostile.handle_packet(self.now, from, &buf),
                    HONEST => self.honest.handle_packet(self.now, from, &buf),
                    // A server can make nobody else get anything.
                    port => panic!("it sends to {port}"),
                }
                buf.clear();
            }
            while self.hostile.poll_transmit(self.now, &mut buf).is_some() {
                is_quiet = false;
                self.tamper.apply(&mut buf);
                self.tell(HOSTILE, &buf);
                buf.clear();
            }
            while self.honest.poll_transmit(self.now, &mut buf).is_some() {
                is_quiet = false;
                self.tell(HONEST, &buf);
                buf.clear();
            }
            self.listen();
            if is_quiet {
                break;
            }
        }
    }

    fn listen(&mut self) {
        while let Some((id, event)) = self.client.poll_event() {
            self.is_served |= Some(id) == self.with_honest && matches!(event, Event::Established { .. });
            if let (Event::Readable(channel), Some(mut conn)) = (event, self.client.connection(id)) {
                while conn.channel(channel).recv(self.now).is_some() {}
            }
        }
        while let Some((id, event)) = self.hostile.poll_event() {
            if matches!(event, Event::Established { .. }) {
                self.served.push(id);
            }
        }
        while self.honest.poll_event().is_some() {}
    }

    fn step(&mut self, by: Duration) {
        self.now += by;
        for endpoint in [&mut self.client, &mut self.hostile, &mut self.honest] {
            endpoint.handle_timeout(self.now);
            assert!(endpoint.poll_timeout().is_none_or(|at| at > self.now), "a timer in the past");
        }
        self.exchange();
        assert!(self.client.held_bytes() <= HELD, "{} bytes are held", self.client.held_bytes());
    }

    /// The hostile server says a message, on whatever channel there is.
    fn say(&mut self, op: u8, payload: &[u8]) {
        let (channel, class) = (ChannelId(u32::from(op >> 3) % 4), Class::ALL[usize::from(op >> 6)]);
        for &id in &self.served {
            let Some(mut conn) = self.hostile.connection(id) else { continue };
            let message = Message::new(payload.to_vec()).class(class);
            // They may be refused.
            let _ = match op % 16 {
                9 => conn.channel(channel).request(self.now, message, Duration::from_secs(5)).err().map(drop),
                10 => conn.open_channel(self.now, &ChannelOptions::default()).err().map(drop),
                _ => conn.channel(channel).send(self.now, message).err().map(drop),
            };
        }
    }
}

pub(crate) fn survives(bytes: &[u8]) {
    let (mut world, mut input) = (World::new(), Input::new(bytes));
    let id = world.client.connect(world.now, address(HOSTILE)).expect("room for one");
    if input.byte().is_multiple_of(2) {
        world.step(Duration::ZERO);
    }
    while !input.is_empty() {
        let op = input.byte();
        match op % 8 {
            0 => {
                let len = usize::from(input.byte()) * 4;
                let message = Message::new(input.bytes(len).to_vec()).receipt();
                if let Some(mut conn) = world.client.connection(id) {
                    // It may be refused.
                    let _ = conn.channel(ChannelId::DEFAULT).send(world.now, message);
                }
            }
            1 | 2 => {
                let len = usize::from(input.byte()) * 4;
                let payload = input.bytes(len).to_vec();
                world.say(op, &payload);
            }
            3 | 4 => world.tamper.changes.push((input.word(), input.byte())),
            5 => {
                let len = usize::from(input.word()) % 1500;
                let packet = input.bytes(len).to_vec();
                if op & 0x40 == 0 {
                    world.tamper.record = Some(packet);
                } else {
                    world.tell(if op & 0x80 == 0 { HOSTILE } else { HONEST }, &packet);
                }
            }
            6 => world.step(Duration::from_millis(u64::from(input.byte()) * 40)),
            _ => world.step(Duration::from_millis(input.byte().into())),
        }
    }
    world.step(Duration::ZERO);
    // Another server is reached as ever.
    world.with_honest = world.client.connect(world.now, address(HONEST)).ok();
    for _ in 0..100 {
        world.step(Duration::from_millis(50));
    }
    assert!(world.is_served, "an honest server is reached");
}
