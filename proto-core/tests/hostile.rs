//! A client made by hand that says whatever it likes, in packets that are valid: nothing panics, nothing grows, and the others
//! on the endpoint do not notice.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_core::wire::checksum::crc32c;
use proto_core::wire::packet::{self, MAX_PACKET_NUMBER, MIN_INIT, VERSION};
use proto_core::wire::params::Params;
use proto_core::wire::{
    Advice, Cid, Close, Credit, Extras, FragAbort, Fragment, Frame, GoAway, Init, Kind, Long, LongKind, Msg,
    NewCid, OpenChannel, Options, Packet, Rate, RateLimit, RateScope, Record, RecordWriter, Reported,
    Skipped, StateLine, Status, TimeSample, Version, WireId,
};
use proto_core::{
    ChannelId, ChannelOptions, Class, Config, ConfigBuilder, ConnectionId, Drop, Endpoint, Event, Link,
    Message, Meta, State, Timestamp,
};

const ZERO: ChannelId = ChannelId::DEFAULT;
const HONEST: u16 = 1;
const HOSTILE: u16 = 2;
const SERVER: u16 = 3;

/// A small generator.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }

    /// A number of any size.
    fn any(&mut self) -> u64 {
        let shift = self.below(64);
        self.next() >> shift
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn meta(from: u16) -> Meta<SocketAddr> {
    Meta { path: address(from), ecn: None }
}

const MAX_MESSAGE: usize = 4000;
const QUEUE: usize = 20_000;
const SESSION: usize = 32_000;
const CHANNELS: usize = 3;
const PARTIALS: usize = 4;

fn settings() -> ConfigBuilder {
    ConfigBuilder {
        max_message: MAX_MESSAGE,
        send_messages: 16,
        send_bytes: QUEUE,
        receive_messages: 12,
        receive_bytes: QUEUE,
        session_messages: 16,
        session_bytes: SESSION,
        max_channels: 1,
        max_requests: 4,
        max_partials: PARTIALS,
        server_key: Some([4; 32].into()),
        ..ConfigBuilder::default()
    }
}

fn config(accept: bool) -> Arc<Config> {
    ConfigBuilder { accept, ..settings() }.build().expect("a sound configuration")
}

/// Payload that a connection may hold at most: what it sends and what it takes, on each of its channels.
const HELD: usize = SESSION + CHANNELS * (QUEUE + QUEUE + PARTIALS * MAX_MESSAGE);

fn half(hash: blake3::Hash) -> [u8; 16] {
    std::array::from_fn(|i| hash.as_bytes()[i])
}

/// A client by hand, connected.
struct Forger {
    remote: Cid,
    guard: u32,
    number: u64,
    confirm: [u8; 16],
    /// Smallest and largest packet number of the server that have come.
    came: Option<(u64, u64)>,
}

impl Forger {
    fn init(local: Cid, token: &[u8]) -> (Vec<u8>, [u8; 16]) {
        let plenty = 1 << 40;
        let offer = Params {
            max_message: plenty,
            session_bytes: plenty,
            session_messages: plenty,
            channel_bytes: plenty,
            channel_messages: plenty,
            max_channels: plenty,
            ..Params::default()
        };
        let mut params = Vec::new();
        offer.encode(&mut params);
        let versions = VERSION.to_be_bytes();
        let versions = Version::from_bytes(&versions).expect("one version");
        let mut record = Vec::new();
        let attach = proto_core::wire::Attach::New;
        let init = Init { versions, client_random: [8; 32], token, attach, params: &params };
        RecordWriter::new(&mut record).write(&Frame::Init(init), false);
        let transcript = half(blake3::hash(&record));
        record.resize(MIN_INIT, 0);
        let mut packet = Vec::new();
        let long =
            Long { kind: LongKind::Init, version: VERSION, dcid: &[7; 8], scid: &local.0, payload: &record };
        long.encode(&mut packet, crc32c);
        (packet, transcript)
    }

    /// Goes through the handshake as the specification tells it.
    fn connect(server: &mut Endpoint, now: Timestamp, local: Cid) -> Self {
        let mut answer = |packet: &[u8]| {
            server.handle_packet(now, meta(HOSTILE), packet);
            let mut buf = Vec::new();
            loop {
                buf.clear();
                let transmit = server.poll_transmit(now, &mut buf).expect("an answer");
                if transmit.path == address(HOSTILE) {
                    return buf;
                }
            }
        };
        let (init, _) = Self::init(local, &[]);
        let retry = answer(&init);
        let Ok(Packet::Long(long)) = Packet::decode(&retry, crc32c) else { panic!("RETRY is a long packet") };
        let Some(Ok(Frame::Retry(token))) = Record::new(long.payload).next() else { panic!("RETRY") };
        let (init, transcript) = Self::init(local, token);
        let accept = answer(&init);
        let Ok(Packet::Long(long)) = Packet::decode(&accept, crc32c) else {
            panic!("ACCEPT is a long packet")
        };
        let Some(Ok(Frame::Accept(accept))) = Record::new(long.payload).next() else { panic!("ACCEPT") };
        assert_eq!(accept.transcript, transcript);
        let remote = Cid::from_slice(long.scid).expect("8 bytes");
        let mut hashed = transcript.to_vec();
        hashed.extend(long.payload);
        let confirm = half(blake3::hash(&hashed));
        Self { remote, guard: packet::guard(local, remote, crc32c), number: 40_000, confirm, came: None }
    }

    /// A packet with a valid number and tag.
    fn seal(&mut self, record: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        self.number += 1;
        let mut buf = Vec::new();
        packet::start_short(&mut buf, self.remote, self.number, 4);
        record(&mut buf);
        packet::finish_short(&mut buf, 0, self.guard, self.number, crc32c);
        buf
    }

    fn first(&mut self) -> Vec<u8> {
        let confirm = Frame::Confirm(self.confirm);
        self.seal(|buf| RecordWriter::new(buf).write(&confirm, false))
    }

    /// Reads the number off a packet of the server.
    fn take_in(&mut self, packet: &[u8]) {
        if let Ok(Packet::Short(short)) = Packet::decode(packet, crc32c) {
            let expected = self.came.map_or(0, |(_, largest)| largest + 1);
            let number = packet::expand_number(expected, short.number, short.number_len);
            assert!(short.verify(self.guard, number, crc32c), "the server's own numbers make sense");
            let (smallest, largest) = self.came.unwrap_or((number, number));
            self.came = Some((smallest, largest.max(number)));
        }
    }
}

/// The channel that it opens first of all.
const OPEN: Frame<'_> = Frame::OpenChannel(OpenChannel {
    channel: 1,
    classes: 15,
    priority: 4,
    reliable_sequenced: true,
    bytes: 3000,
    messages: 5,
    name: "x",
});

const BATCH: &[u8] = &[1, 2, 7, 0];
const LAST_OF_BATCH: &[u8] = &[1, 2, 7, 1];

/// What a fuzzed connection has said, so that what it says next is likely to be taken.
#[derive(Default)]
struct Said {
    has_opened: bool,
    next: [u64; 4],
    requests: u64,
}

/// Mostly of what came, which is what may be acknowledged.
fn random_ranges(draw: &mut Draw, (smallest, largest): (u64, u64)) -> Vec<RangeInclusive<u64>> {
    let (mut high, floor) = match draw.below(80) {
        0 => (draw.any().min(MAX_PACKET_NUMBER), 0),
        1 => (largest + draw.below(3), smallest),
        _ => (largest, smallest),
    };
    let mut ranges = Vec::new();
    for _ in 0..=draw.below(4) {
        let low = high.saturating_sub(draw.below(5)).max(floor.min(high));
        ranges.push(low..=high);
        let next = low.checked_sub(2 + draw.below(3));
        let Some(next) = next.filter(|&next| next >= floor) else { break };
        high = next;
    }
    ranges
}

fn random_msg<'a>(draw: &mut Draw, said: &mut Said, payload: &'a [u8]) -> Msg<'a> {
    let class = draw.below(4) as u8;
    let next = &mut said.next[usize::from(class)];
    let ahead = match draw.below(60) {
        0 if draw.below(10) == 0 => draw.any() >> 8,
        1..10 => draw.below(4),
        _ => 0,
    };
    let id = if draw.below(10) == 0 { next.saturating_sub(draw.below(4)) } else { *next + ahead };
    *next += 1;
    // Every number has its length, so that pieces mostly agree.
    let whole = 50 + id % 64 * 37;
    let is_piece = draw.below(3) == 0;
    let most = if is_piece { payload.len().min(whole as usize) } else { payload.len() };
    let payload = &payload[..draw.below(most as u64 + 1) as usize];
    let len = payload.len() as u64;
    let fragment = (is_piece && len > 0).then(|| {
        let total = if draw.below(300) == 0 { len + draw.any() / 2 } else { whole };
        Fragment { total, offset: draw.below(total - len + 1) }
    });
    let kind = match draw.below(12) {
        0 => {
            said.requests += 1;
            Kind::Request(said.requests)
        }
        1 => Kind::Request(draw.any()),
        2 if draw.below(10) == 0 => Kind::Reply(draw.below(6)),
        3 if draw.below(10) == 0 => Kind::ReplyError {
            request: draw.below(6),
            code: draw.any(),
            index: std::num::NonZeroU32::new(draw.below(4) as u32),
        },
        _ => Kind::OneWay,
    };
    let channel = if draw.below(400) == 0 { 2 } else { draw.one(&[0, 0, 1]) };
    let id = if draw.below(2) == 0 { WireId::Low16(id as u16) } else { WireId::Low32(id as u32) };
    let extras = Extras {
        ttl: (draw.below(4) == 0).then(|| draw.below(300) as u32),
        receipt: draw.below(3) == 0,
        options: if draw.below(6) == 0 {
            Options::new(draw.one(&[BATCH, LAST_OF_BATCH])).expect("sound options")
        } else {
            Options::NONE
        },
    };
    Msg { class, channel, id, fragment, kind, extras, payload }
}

/// What a sender gives up, mostly of what it may.
fn random_skips(draw: &mut Draw, next: &mut u64) -> Vec<Skipped> {
    let mut number = next.saturating_sub(draw.below(4));
    let mut skips = Vec::new();
    for _ in 0..=draw.below(4) {
        let total = if draw.below(500) == 0 { draw.any() } else { 50 + number % 64 * 37 };
        skips.push(Skipped { number, total });
        number += 1 + if draw.below(100) == 0 { draw.any() >> 8 } else { draw.below(2) };
    }
    *next = (*next).max(number.min(*next + 8));
    skips
}

fn random_record(draw: &mut Draw, said: &mut Said, came: Option<(u64, u64)>, buf: &mut Vec<u8>) {
    let body: Vec<u8> = (0..draw.below(600)).map(|i| i as u8).collect();
    let mut writer = RecordWriter::new(buf);
    if !std::mem::replace(&mut said.has_opened, true) {
        writer.write(&OPEN, false);
    }
    let count = 1 + draw.below(8);
    for index in 0..count {
        let last = index + 1 == count;
        let frame = match draw.below(44) {
            0..20 => Frame::Msg(random_msg(draw, said, &body[..body.len() / count as usize])),
            20..26 if came.is_some() && !last => {
                let ranges = random_ranges(draw, came.unwrap_or_default());
                writer.write_ack(draw.any(), ranges.into_iter());
                continue;
            }
            26 if draw.below(3) == 0 => Frame::Ping,
            26 if draw.below(9) == 0 => Frame::PathChallenge(draw.any().to_be_bytes()),
            26 if draw.below(9) == 0 => Frame::PathResponse(draw.any().to_be_bytes()),
            26 if draw.below(9) == 0 => Frame::RetireCid(draw.below(9)),
            26 if draw.below(9) == 0 => {
                let (cid, number) = (Cid(draw.any().to_be_bytes()), 1 + draw.below(9));
                Frame::NewCid(NewCid { number, cid, token: [number as u8; 16] })
            }
            26 if draw.below(9) == 0 => {
                let lines =
                    [StateLine { sent: draw.any() >> 2, next: draw.any() >> 2, ..StateLine::default() }];
                writer.write_resume_state(draw.below(3), draw.below(2) == 0, &lines);
                continue;
            }
            26 if draw.below(9) == 0 => Frame::GoAway(GoAway {
                timeout_ms: draw.any(),
                advice: draw.one(&[Advice::Never, Advice::Now, Advice::After, Advice::Elsewhere]),
                retry_after_ms: draw.any(),
                uri: "udp://elsewhere",
            }),
            26 => Frame::Time(TimeSample {
                ask: draw.below(2) == 0,
                sent: draw.any(),
                origin: draw.any(),
                held: draw.any(),
            }),
            27 => Frame::Cancel(draw.below(20)),
            28 => {
                let scope = draw.one(&[RateScope::Connection, RateScope::EachChannel, RateScope::Channel(0)]);
                let rate = Rate {
                    messages: draw.any(),
                    message_burst: draw.any(),
                    bytes: draw.any(),
                    byte_burst: draw.any(),
                };
                Frame::Rate(RateLimit { scope, rate })
            }
            29..32 => {
                let channel = draw.one(&[None, Some(0), Some(1)]);
                Frame::Credit(Credit { channel, bytes: draw.any(), messages: draw.any() })
            }
            32..36 => {
                if draw.below(30) > 0 {
                    OPEN
                } else {
                    Frame::OpenChannel(OpenChannel {
                        channel: draw.any() as u32,
                        classes: 7,
                        priority: 4,
                        reliable_sequenced: draw.below(2) == 0,
                        bytes: draw.any(),
                        messages: draw.any(),
                        name: "another",
                    })
                }
            }
            36 if draw.below(20) == 0 => Frame::Close(Close {
                code: draw.any(),
                advice: Advice::Now,
                retry_after_ms: draw.any(),
                reason: "x",
            }),
            37 if draw.below(20) == 0 => Frame::Confirm([draw.any() as u8; 16]),
            38 => Frame::Extension { code: 0x7F, id: draw.any(), body: &body },
            39 => Frame::CloseAck,
            40 if !last => {
                let class = draw.below(2) as u8;
                let skips = random_skips(draw, &mut said.next[usize::from(class)]);
                writer.write_skip(draw.one(&[0, 0, 1]), class, &skips);
                continue;
            }
            41 => {
                let class = 2 + draw.below(2) as u8;
                let next = said.next[usize::from(class)];
                let number =
                    if draw.below(9) == 0 { draw.any() >> 2 } else { next.saturating_sub(draw.below(9)) };
                Frame::FragAbort(FragAbort { channel: draw.one(&[0, 0, 1]), class, number })
            }
            42 if !last => {
                let status = match draw.below(3) {
                    0 => Status::Processed,
                    1 => Status::Rejected(draw.any()),
                    _ => Status::Refused(draw.below(12)),
                };
                let high = if draw.below(100) == 0 { draw.any() >> 2 } else { draw.below(2) };
                let low = high.saturating_sub(draw.below(3));
                writer.write_msg_ack(draw.one(&[0, 0, 1]), draw.below(4) as u8, status, &[low..=high]);
                continue;
            }
            43 if !last => {
                let line = |draw: &mut Draw| Reported {
                    channel: draw.any() as u32,
                    reason: draw.any() as u8,
                    count: draw.any().max(1),
                    first: draw.any() >> 2,
                    last: draw.any() >> 2,
                };
                let lines: Vec<_> = (0..=draw.below(32)).map(|_| line(draw)).take(32).collect();
                writer.write_report(&lines);
                continue;
            }
            _ => Frame::Padding,
        };
        writer.write(&frame, last);
    }
    if draw.below(40) == 0 {
        // Damage that the tag does not show.
        let at = draw.below(buf.len() as u64) as usize;
        buf[at.max(13)..].iter_mut().take(1).for_each(|byte| *byte ^= 1 << draw.below(8));
    }
}

/// The server, an honest client, and their clock.
struct World {
    now: Timestamp,
    server: Endpoint,
    honest: Endpoint,
    honest_id: ConnectionId,
    server_ids: Vec<ConnectionId>,
    forger: Option<Forger>,
    received: u64,
    draw: Draw,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Timestamp::from_millis(1000);
        let link = Link::datagram(1200);
        let server = Endpoint::new(config(true), link, [1; 32], now);
        let mut honest = Endpoint::new(config(false), link, [2; 32], now);
        let honest_id = honest.connect(now, address(SERVER)).expect("room");
        let draw = Draw(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut world =
            Self { now, server, honest, honest_id, server_ids: Vec::new(), forger: None, received: 0, draw };
        for _ in 0..5 {
            world.pass();
        }
        assert_eq!(world.server_ids.len(), 1);
        world
    }

    /// Carries packets, polls events, and lets the server's application do something with whatever it has.
    fn pump(&mut self) {
        loop {
            let mut quiet = true;
            let mut buf = Vec::new();
            while let Some(transmit) = self.server.poll_transmit(self.now, &mut buf) {
                if transmit.path == address(HONEST) {
                    self.honest.handle_packet(self.now, meta(SERVER), &buf);
                } else if let Some(forger) = &mut self.forger {
                    forger.take_in(&buf);
                }
                buf.clear();
                quiet = false;
            }
            while self.honest.poll_transmit(self.now, &mut buf).is_some() {
                self.server.handle_packet(self.now, meta(HONEST), &buf);
                buf.clear();
                quiet = false;
            }
            while let Some((id, event)) = self.server.poll_event() {
                match event {
                    Event::Established { .. } => self.server_ids.push(id),
                    Event::Closed(_) => {
                        self.server_ids.retain(|&known| known != id);
                        self.server.forget(id);
                    }
                    _ => {}
                }
                quiet = false;
            }
            while self.honest.poll_event().is_some() {}
            if quiet {
                return;
            }
        }
    }

    fn act(&mut self) {
        for &id in &self.server_ids.clone() {
            let Some(mut conn) = self.server.connection(id) else { continue };
            let is_honest = self.server_ids[0] == id;
            for channel in (0..3).map(ChannelId) {
                while is_honest || self.draw.below(3) > 0 {
                    let Some(received) = conn.channel(channel).recv(self.now) else { break };
                    self.received += u64::from(is_honest);
                    if let Some(receipt) = received.receipt
                        && self.draw.below(3) > 0
                    {
                        conn.ack(self.now, receipt);
                    }
                    if let Some(request) = received.request
                        && self.draw.below(2) == 0
                    {
                        // Refused when the peer reads nothing; it finds its request unanswered.
                        let _ = conn.reply(self.now, request, received.payload);
                    }
                }
            }
            if !is_honest {
                let class = self.draw.one(&Class::ALL);
                let size = self.draw.below(MAX_MESSAGE as u64) as usize;
                let mut message = Message::new(vec![1; size]).class(class).receipt();
                if self.draw.below(3) == 0 {
                    message = message.receipt_of_processing();
                }
                if self.draw.below(3) == 0 {
                    message = message.lifetime(Duration::from_millis(self.draw.below(500)));
                }
                if self.draw.below(3) == 0 {
                    message = message.key(self.draw.below(3)).max_retransmits(self.draw.below(3) as u32);
                }
                let channel = ChannelId(self.draw.below(3) as u32);
                // Whatever is refused is refused: the hostile peer is to find every state of the queues.
                let _ = match self.draw.below(8) {
                    0 => conn
                        .channel(channel)
                        .request(self.now, message, Duration::from_millis(50))
                        .map(|_| ()),
                    1 => {
                        let _ = conn.open_channel(self.now, &ChannelOptions::default());
                        Ok(())
                    }
                    _ => conn.channel(channel).send(self.now, message).map(|_| ()),
                };
            }
            assert!(conn.held_bytes() <= HELD, "{} bytes held", conn.held_bytes());
            assert!(conn.unsettled() <= CHANNELS * 16);
        }
    }

    fn pass(&mut self) {
        self.pump();
        self.act();
        self.pump();
        self.now += Duration::from_millis(self.draw.below(20));
        self.server.handle_timeout(self.now);
        assert!(self.server.poll_timeout().is_none_or(|at| at > self.now), "a timer in the past");
        self.honest.handle_timeout(self.now);
    }

    /// The honest client still gets its messages through.
    fn check_honest(&mut self) {
        let before = self.received;
        for i in 0..10_u8 {
            let mut conn = self.honest.connection(self.honest_id).expect("untouched");
            assert_eq!(conn.state(), State::Established);
            let message = Message::new(Bytes::from(vec![i; 100]));
            conn.channel(ZERO).send(self.now, message).expect("room");
        }
        for _ in 0..20 {
            self.pass();
        }
        assert_eq!(self.received - before, 10);
    }
}

#[test]
fn whatever_a_peer_says_the_others_go_on() {
    let (mut lives, mut packets) = (0, 0);
    for seed in 0..200 {
        let mut world = World::new(seed);
        let mut said = Said::default();
        for step in 0..250_u64 {
            let gone = world.server_ids.len() < 2
                && world.forger.as_ref().is_none_or(|forger| forger.number > 40_001);
            if gone {
                // Thrown out, or never in: it comes again.
                let mut cid = [6; 8];
                cid[..4].copy_from_slice(&(step as u32).to_be_bytes());
                world.pump();
                let mut forger = Forger::connect(&mut world.server, world.now, Cid(cid));
                let first = forger.first();
                world.forger = Some(forger);
                world.server.handle_packet(world.now, meta(HOSTILE), &first);
                world.pump();
                assert_eq!(world.server_ids.len(), 2, "the handshake is as it is written");
                said = Said::default();
                lives += 1;
            }
            let World { server, draw, forger: Some(forger), now, .. } = &mut world else { continue };
            let came = forger.came;
            let packet = forger.seal(|buf| random_record(draw, &mut said, came, buf));
            server.handle_packet(*now, meta(HOSTILE), &packet);
            packets += 1;
            world.pass();
        }
        world.check_honest();
        assert!(world.server.len() <= 250 && world.server.stats().drops.get(Drop::BadChecksum) == 0);
    }
    assert!(packets == 50_000 && lives > 200 && lives < 10_000, "{lives} lives in {packets} packets");
}

#[test]
fn a_forest_of_slow_peers_is_bounded_by_its_waiting_room() {
    // Handshakes that are never finished, one after another: what is kept is what is still allowed to finish.
    let mut world = World::new(1);
    for step in 0..200_u32 {
        let mut cid = [9; 8];
        cid[..4].copy_from_slice(&step.to_be_bytes());
        world.pump();
        Forger::connect(&mut world.server, world.now, Cid(cid));
        for _ in 0..10 {
            world.pass();
        }
        world.now += Duration::from_millis(200);
        assert!(world.server.len() <= 1 + 10_000 / 200 + 1, "{} connections", world.server.len());
    }
    assert!(world.server.stats().drops.get(Drop::HandshakeExpired) > 100);
    world.check_honest();
}
