//! Two ends and a network that does as it is told, against a model of what channels promise.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use proto_core::{
    ChannelId, ChannelOptions, ConfigBuilder, Connection, ConnectionId, Endpoint, Event, Link, Message, Meta,
    RequestId, RequestOutcome, Timestamp,
};

use crate::input::Input;
use crate::promises::{CHANNELS, CLASSES, Promises, REPEATING, Terms};

const CLIENT: usize = 0;
const SERVER: usize = 1;
/// What the network holds at most.
const QUEUE: usize = 256;

struct World {
    now: Timestamp,
    ends: [Endpoint; 2],
    ids: [Option<ConnectionId>; 2],
    channels: [ChannelId; CHANNELS],
    /// Whom each packet is for.
    network: VecDeque<(usize, Vec<u8>)>,
    /// What each side has said.
    said: [Promises; 2],
    /// What each side was asked and has not answered, with what was asked.
    owed: [VecDeque<(RequestId, Vec<u8>)>; 2],
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
            channels: [ChannelId::DEFAULT; CHANNELS],
            network: VecDeque::new(),
            said: Default::default(),
            owed: Default::default(),
            is_closed: false,
        };
        world.run(Duration::from_secs(1));
        assert!(world.ids[SERVER].is_some(), "they are connected");
        for (index, channel) in world.channels.iter_mut().enumerate().skip(1) {
            let options = ChannelOptions {
                reliable_sequenced: index == REPEATING,
                priority: index as u8,
                ..ChannelOptions::default()
            };
            let mut conn = world.ends[CLIENT].connection(id).expect("it is connected");
            *channel = conn.open_channel(now, &options).expect("room for a few");
        }
        world.run(Duration::from_secs(1));
        world
    }

    fn with<T>(&mut self, side: usize, act: impl FnOnce(&mut Connection, Timestamp) -> T) -> Option<T> {
        let mut conn = self.ends[side].connection(self.ids[side]?)?;
        Some(act(&mut conn, self.now))
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
                    Event::Fate { message, fate } => self.said[side].end(message, fate),
                    Event::RequestDone { request, outcome } => self.conclude(side, request, outcome),
                    _ => {}
                }
            }
        }
    }

    /// A request of this side is over.
    fn conclude(&mut self, side: usize, request: RequestId, outcome: RequestOutcome) {
        let mut reply = Vec::new();
        self.with(side, |conn, now| {
            while let Some(part) = conn.take_reply(now, request) {
                reply.extend(part);
            }
        });
        self.said[side].conclude(request, outcome, &reply);
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

    /// The message that the input describes, on one of the channels.
    fn message(&self, side: usize, input: &mut Input<'_>) -> (usize, Message) {
        let which = input.byte();
        let (class, channel) = (CLASSES[usize::from(which % 4)], usize::from(which >> 2) % CHANNELS);
        let payload = self.said[side].payload(channel, class, usize::from(input.word() % 5000));
        (channel, Message::new(payload).class(class))
    }

    fn send(&mut self, side: usize, (index, message): (usize, Message)) {
        let (channel, terms) = (self.channels[index], Terms::of(&message));
        let class = message.class;
        let sent = self.with(side, |conn, now| conn.channel(channel).send(now, message));
        if let Some(Ok(id)) = sent {
            self.said[side].sent(index, class, id, terms);
        }
    }

    fn ask(&mut self, side: usize, (index, message): (usize, Message), timeout: Duration) {
        let (channel, class, asked) = (self.channels[index], message.class, message.payload.to_vec());
        let begun = self.with(side, |conn, now| conn.channel(channel).request(now, message, timeout));
        if let Some(Ok(request)) = begun {
            self.said[side].asked(index, class, request, asked);
        }
    }

    /// Answers what has waited longest, in one piece or two, or with an error.
    fn answer(&mut self, side: usize, how: u8) {
        let Some((request, asked)) = self.owed[side].pop_front() else { return };
        self.with(side, |conn, now| {
            // What nobody waits for any more is refused.
            let _ = match how % 3 {
                0 => conn.reply(now, request, asked),
                1 => conn
                    .reply_part(now, request, asked[..2].to_vec())
                    .and_then(|()| conn.reply(now, request, asked[2..].to_vec())),
                _ => conn.reply_error(now, request, 0x100, asked),
            };
        });
    }

    fn receive(&mut self, side: usize) {
        for index in 0..CHANNELS {
            let channel = self.channels[index];
            while let Some(Some(received)) = self.with(side, |conn, now| conn.channel(channel).recv(now)) {
                if let Some(receipt) = received.receipt {
                    let verdict = Promises::verdict(&received);
                    self.with(side, |conn, now| match verdict {
                        None => conn.ack(now, receipt),
                        Some(reason) => conn.reject(now, receipt, reason),
                    });
                }
                self.said[1 - side].received(index, &received);
                if let Some(request) = received.request {
                    self.owed[side].push_back((request, received.payload.to_vec()));
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
        match op % 16 {
            0..3 => {
                let message = world.message(side, &mut input);
                world.send(side, message);
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
            9 => world.advance(Duration::from_millis(input.byte().into())),
            10..12 => {
                let (index, message) = world.message(side, &mut input);
                let message = Terms::put(message, input.byte(), input.byte());
                world.send(side, (index, message));
            }
            12 => {
                let message = world.message(side, &mut input);
                world.ask(side, message, Duration::from_millis(16 * u64::from(input.byte())));
            }
            13 => world.answer(side, op >> 4),
            14 => {
                if let Some(request) = world.said[side].oldest_request() {
                    world.with(side, |conn, now| conn.cancel_request(now, request));
                }
            }
            _ => {
                if let Some(message) = world.said[side].newest_followed() {
                    world.with(side, |conn, now| conn.channel(message.channel).cancel(now, message));
                    world.said[side].cancelled(message);
                }
            }
        }
        world.poll();
    }
    world.run(Duration::from_secs(20));
    world.said.iter().for_each(|said| said.check(world.is_closed));
}
