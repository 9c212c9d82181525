//! Two ends and a network that does as it is told, against a model of what channels promise.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use proto_core::{
    ChannelId, Class, ConfigBuilder, ConnectionId, Endpoint, Event, Link, Message, Meta, Timestamp,
};

use crate::input::Input;

const CLIENT: usize = 0;
const SERVER: usize = 1;
/// What the network holds at most.
const QUEUE: usize = 256;

/// What one side has sent in one class and the other has received, by number.
#[derive(Default)]
struct Said {
    sent: u32,
    received: Vec<u32>,
}

struct World {
    now: Timestamp,
    ends: [Endpoint; 2],
    ids: [Option<ConnectionId>; 2],
    /// Whom each packet is for.
    network: VecDeque<(usize, Vec<u8>)>,
    /// By sender and class.
    said: [[Said; 4]; 2],
    is_closed: bool,
}

fn address(side: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1 + side as u16))
}

impl World {
    fn new() -> Self {
        let now = Timestamp::from_millis(1000);
        let end = |side: usize| {
            let config = ConfigBuilder { accept: side == SERVER, ..ConfigBuilder::default() };
            let config = config.build().expect("a sound configuration");
            Endpoint::new(config, Link::datagram(1200), [side as u8; 32], now)
        };
        let mut ends = [end(CLIENT), end(SERVER)];
        let id = ends[CLIENT].connect(now, address(SERVER)).expect("room for one");
        let mut world = Self {
            now,
            ends,
            ids: [Some(id), None],
            network: VecDeque::new(),
            said: Default::default(),
            is_closed: false,
        };
        world.run(Duration::from_secs(1));
        assert!(world.ids[SERVER].is_some(), "they are connected");
        world
    }

    /// Takes out what the ends have to say.
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
                    Event::Established { .. } => self.ids[side] = Some(id),
                    Event::Closed(_) => self.is_closed = true,
                    _ => {}
                }
            }
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

    /// Everything arrives at once.
    fn run(&mut self, span: Duration) {
        let until = self.now + span;
        while self.now < until {
            self.poll();
            while !self.network.is_empty() {
                self.deliver();
                self.poll();
            }
            let next = self.ends.iter().filter_map(Endpoint::poll_timeout).min().unwrap_or(until);
            let step = next.since(self.now).clamp(Duration::from_micros(1), until.since(self.now));
            self.advance(step);
            self.receive(CLIENT);
            self.receive(SERVER);
        }
    }

    fn send(&mut self, side: usize, class: Class, len: usize) {
        let said = &mut self.said[side][class as usize];
        let mut payload = vec![class as u8];
        payload.extend(said.sent.to_be_bytes());
        payload.resize(payload.len() + len, 7);
        let Some(mut conn) = self.ids[side].and_then(|id| self.ends[side].connection(id)) else { return };
        let message = Message::new(payload).class(class);
        if conn.channel(ChannelId::DEFAULT).send(self.now, message).is_ok() {
            said.sent += 1;
        }
    }

    fn receive(&mut self, side: usize) {
        let Some(mut conn) = self.ids[side].and_then(|id| self.ends[side].connection(id)) else { return };
        while let Some(received) = conn.channel(ChannelId::DEFAULT).recv(self.now) {
            let (class, rest) = received.payload.split_first().expect("a class");
            let number = rest.first_chunk().map(|number| u32::from_be_bytes(*number)).expect("a number");
            assert!(rest[4..].iter().all(|&byte| byte == 7), "the payload is what was sent");
            self.said[1 - side][usize::from(*class)].received.push(number);
        }
    }

    fn check(&self) {
        for said in self.said.iter().flatten() {
            let mut distinct = said.received.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), said.received.len(), "nothing twice");
            assert!(distinct.last().is_none_or(|&last| last < said.sent), "nothing that was not sent");
        }
        for said in &self.said {
            let [ordered, sequenced] =
                [Class::ReliableOrdered, Class::Sequenced].map(|class| &said[class as usize]);
            assert!(ordered.received.iter().copied().eq(0..ordered.received.len() as u32), "a gap");
            assert!(sequenced.received.is_sorted(), "an older one after a newer one");
            if !self.is_closed {
                for class in [Class::ReliableOrdered, Class::ReliableUnordered] {
                    let Said { sent, received } = &said[class as usize];
                    assert_eq!(received.len() as u32, *sent, "all of {class:?} arrive");
                }
            }
        }
    }
}

pub(crate) fn keeps_its_promise(bytes: &[u8]) {
    let (mut world, mut input) = (World::new(), Input::new(bytes));
    while !input.is_empty() {
        let op = input.byte();
        let side = usize::from(op >> 7);
        match op % 10 {
            0..3 => {
                let class = Class::ALL[usize::from(input.byte() % 4)];
                world.send(side, class, usize::from(input.word() % 5000));
            }
            3 => world.deliver(),
            4 => (0..input.byte()).for_each(|_| world.deliver()),
            5 => drop(world.network.pop_front()),
            6 => {
                if let Some(first) = world.network.front().filter(|_| world.network.len() < QUEUE) {
                    let first = first.clone();
                    world.network.push_back(first);
                }
            }
            7 => world.network.rotate_left(usize::from(op >> 4) % world.network.len().max(1)),
            8 => world.receive(side),
            _ => world.advance(Duration::from_millis(input.byte().into())),
        }
        world.poll();
    }
    world.run(Duration::from_secs(20));
    world.check();
}
