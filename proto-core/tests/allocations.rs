//! Counts what warm traffic allocates: nothing.

#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_core::framing::{Deframer, Framer};
use proto_core::{
    Address, ChannelId, Class, Config, ConfigBuilder, ConnectionId, Dial, Endpoint, Event, Link, LinkId,
    Message, Meta, Output, Timestamp,
};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting the calls of each thread.
struct Counting;

fn count() {
    // A thread that is being torn down is not one that counts.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` allocates.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

const SERVER: u16 = 4100;
const ZERO: ChannelId = ChannelId::DEFAULT;
static PAYLOAD: [u8; 1024] = [7; 1024];

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn meta(from: u16) -> Meta<SocketAddr> {
    Meta { path: address(from), ecn: None }
}

fn config(accept: bool) -> Arc<Config> {
    ConfigBuilder { accept, ..ConfigBuilder::default() }.build().expect("a sound configuration")
}

fn small() -> Bytes {
    Bytes::from_static(&PAYLOAD[..64])
}

fn large() -> Bytes {
    Bytes::from_static(&PAYLOAD)
}

/// A server and its clients, on ports 0, 1, 2 ...
struct World {
    now: Timestamp,
    server: Endpoint,
    clients: Vec<(Endpoint, ConnectionId)>,
    /// The server's ends.
    accepted: Vec<ConnectionId>,
    buf: Vec<u8>,
    packets: u64,
    received: u64,
}

impl World {
    fn new(clients: u16) -> Self {
        let now = Timestamp::from_millis(1000);
        let link = Link::datagram(1200);
        let begin = |port: u16| {
            let mut seed = [1; 32];
            seed[..2].copy_from_slice(&port.to_be_bytes());
            let mut endpoint = Endpoint::new(config(false), link, seed, now);
            let id = endpoint.connect(now, address(SERVER)).expect("room for one");
            (endpoint, id)
        };
        let mut world = Self {
            now,
            server: Endpoint::new(config(true), link, [2; 32], now),
            clients: (0..clients).map(begin).collect(),
            accepted: Vec::new(),
            buf: Vec::with_capacity(1500),
            packets: 0,
            received: 0,
        };
        for _ in 0..300 {
            world.round();
        }
        assert_eq!(world.accepted.len(), usize::from(clients));
        world
    }

    /// Carries everything to where it belongs, until nothing moves; then 20 ms pass.
    fn round(&mut self) {
        loop {
            let before = self.packets;
            for (port, (client, _)) in (0..).zip(&mut self.clients) {
                while client.poll_transmit(self.now, &mut self.buf).is_some() {
                    self.server.handle_packet(self.now, meta(port), &self.buf);
                    self.buf.clear();
                    self.packets += 1;
                }
            }
            while let Some(transmit) = self.server.poll_transmit(self.now, &mut self.buf) {
                let (client, _) = &mut self.clients[usize::from(transmit.path.port())];
                client.handle_packet(self.now, meta(SERVER), &self.buf);
                self.buf.clear();
                self.packets += 1;
            }
            while let Some((id, event)) = self.server.poll_event() {
                if let Event::Established { .. } = event {
                    self.accepted.push(id);
                }
            }
            for (client, id) in &mut self.clients {
                while client.poll_event().is_some() {}
                if let Some(mut conn) = client.connection(*id) {
                    while conn.channel(ZERO).recv(self.now).is_some() {
                        self.received += 1;
                    }
                }
            }
            for &id in &self.accepted {
                if let Some(mut conn) = self.server.connection(id) {
                    self.received += conn.channel(ZERO).recv_all(self.now).count() as u64;
                }
            }
            if self.packets == before {
                break;
            }
        }
        self.now += Duration::from_millis(20);
        for (client, _) in &mut self.clients {
            client.handle_timeout(self.now);
        }
        self.server.handle_timeout(self.now);
    }

    /// Some of everything in both directions.
    fn chatter(&mut self) {
        for class in Class::ALL {
            for payload in [small(), large(), small()] {
                let message = Message::new(payload).class(class);
                for (client, id) in &mut self.clients {
                    let mut conn = client.connection(*id).expect("it is established");
                    conn.channel(ZERO).send(self.now, message.clone()).expect("room");
                }
                let refused = self.server.broadcast(self.now, &self.accepted, ZERO, &message);
                assert!(refused.is_empty());
            }
        }
        self.round();
    }
}

#[test]
fn warm_traffic_allocates_nothing() {
    let mut world = World::new(1);
    for _ in 0..500 {
        world.chatter();
    }
    let (packets, received) = (world.packets, world.received);
    let count = allocations(|| {
        for _ in 0..1000 {
            world.chatter();
        }
    });
    // Of three sequenced messages at once the newest goes out.
    assert_eq!(world.received - received, 20_000, "everything arrived");
    assert!(world.packets - packets > 5000, "{} packets", world.packets - packets);
    assert_eq!(count, 0, "in {} packets", world.packets - packets);
}

#[test]
fn a_warm_broadcast_allocates_nothing_for_any_receiver() {
    let mut world = World::new(100);
    for _ in 0..50 {
        world.chatter();
    }
    let message = Message::new(small());
    let mut total = 0;
    for _ in 0..50 {
        let World { now, server, accepted, .. } = &mut world;
        total += allocations(|| {
            let refused = server.broadcast(*now, accepted, ZERO, &message);
            assert!(refused.is_empty());
        });
        world.round();
    }
    assert_eq!(total, 0, "in 5000 messages queued");
    // The clients were silent and are warm no more.
    for _ in 0..200 {
        world.chatter();
    }
    let received = world.received;
    let count = allocations(|| {
        for _ in 0..20 {
            world.chatter();
        }
    });
    assert_eq!(world.received - received, 20 * 10 * 200);
    assert_eq!(count, 0);
}

#[test]
fn a_large_message_allocates_for_itself_and_not_for_its_packets() {
    let mut world = World::new(1);
    let body = Bytes::from(vec![7; 200_000]);
    let send = |world: &mut World| {
        let id = world.clients[0].1;
        let mut conn = world.clients[0].0.connection(id).expect("it is established");
        conn.channel(ZERO).send(world.now, Message::new(body.clone())).expect("room");
        drop(conn);
        // 0.2 s: after a quarter of a second of silence a connection gives its memory back.
        for _ in 0..10 {
            world.round();
        }
    };
    for _ in 0..20 {
        send(&mut world);
    }
    let (packets, received) = (world.packets, world.received);
    let count = allocations(|| {
        for _ in 0..20 {
            send(&mut world);
        }
    });
    assert_eq!(world.received - received, 20);
    let packets = world.packets - packets;
    assert!(packets > 20 * 138, "{packets} packets");
    assert!(count <= 20 * 24, "{count} allocations for 20 messages in {packets} packets");
}

#[test]
fn junk_allocates_nothing() {
    let mut world = World::new(1);
    let mut noise = 1_u64;
    let mut junk = [0; 1200];
    let mut throw = |world: &mut World, first: Option<u8>, count: usize| {
        for round in 0..count {
            for byte in &mut junk {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (noise >> 56) as u8;
            }
            junk[0] = first.unwrap_or(junk[0]);
            let len = round * 97 % 1200;
            world.server.handle_packet(world.now, meta(9), &junk[..len]);
        }
    };
    // Any bytes; short packets of nobody; a stranger's handshake.
    for first in [None, Some(0x40), Some(0xC0)] {
        throw(&mut world, first, 100);
        world.buf.clear();
        while world.server.poll_transmit(world.now, &mut world.buf).is_some() {}
        world.buf.clear();
        // The one answer that each address gets in 20 ms has been given.
        assert_eq!(allocations(|| throw(&mut world, first, 3000)), 0);
    }
}

/// An address that a stream leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ByStream;

impl Address for ByStream {
    fn token_bytes(&self, _: &mut Vec<u8>) {}

    fn prefix(&self) -> Option<u64> {
        None
    }

    fn is_stream(&self) -> bool {
        true
    }
}

/// A server and a client on one stream of bytes, which comes in pieces.
struct OnStream {
    now: Timestamp,
    ends: [Endpoint<ByStream>; 2],
    links: [LinkId; 2],
    ids: [Option<ConnectionId>; 2],
    framer: Framer,
    deframers: [Deframer; 2],
    buf: Vec<u8>,
    records: u64,
    received: u64,
}

impl OnStream {
    fn new() -> Self {
        let now = Timestamp::from_millis(1000);
        let link = Link::stream(16_000);
        let mut server = Endpoint::new(config(true), link, [2; 32], now);
        let mut client = Endpoint::new(config(false), link, [1; 32], now);
        client.connect(now, ByStream).expect("room for one");
        let Some(Dial::Begin { id, .. }) = client.poll_dial() else { panic!("a stream is wanted") };
        let dialed = client.dialed(now, id, link).expect("it is waited for");
        let links = [server.link_up(now, ByStream, link), dialed];
        let mut world = Self {
            now,
            ends: [server, client],
            links,
            ids: [None; 2],
            framer: Framer::default(),
            deframers: [Deframer::default(), Deframer::default()],
            buf: Vec::with_capacity(40_000),
            records: 0,
            received: 0,
        };
        for _ in 0..10 {
            world.round();
        }
        assert!(world.ids.iter().all(Option::is_some));
        world
    }

    fn round(&mut self) {
        loop {
            let before = self.records;
            for from in [0, 1] {
                self.carry(from);
            }
            for (end, id) in self.ends.iter_mut().zip(&mut self.ids) {
                while let Some((conn, event)) = end.poll_event() {
                    if let Event::Established { .. } = event {
                        *id = Some(conn);
                    }
                }
                if let Some(mut conn) = id.and_then(|id| end.connection(id)) {
                    while conn.channel(ZERO).recv(self.now).is_some() {
                        self.received += 1;
                    }
                }
            }
            if self.records == before {
                break;
            }
        }
        self.now += Duration::from_millis(20);
        for end in &mut self.ends {
            end.handle_timeout(self.now);
        }
    }

    /// Carries all that one end has to write.
    fn carry(&mut self, from: usize) {
        while let Some(link) = self.ends[from].poll_link() {
            loop {
                let start = self.framer.begin(&mut self.buf);
                let output = self.ends[from].poll_record(self.now, link, &mut self.buf);
                if !matches!(output, Output::Record(_)) {
                    self.framer.cancel(&mut self.buf, start);
                    break;
                }
                self.framer.finish(&mut self.buf, start);
                self.records += 1;
            }
        }
        let (to, link) = (1 - from, self.links[1 - from]);
        for mut piece in self.buf.chunks(700) {
            let limit = self.ends[to].record_limit(link);
            while let Some(record) = self.deframers[to].next(&mut piece, limit).expect("nobody lies") {
                self.ends[to].handle_record(self.now, link, record);
            }
        }
        self.buf.clear();
    }

    fn chatter(&mut self) {
        for class in Class::ALL {
            for payload in [small(), large(), small()] {
                for (end, id) in self.ends.iter_mut().zip(self.ids) {
                    let mut conn = id.and_then(|id| end.connection(id)).expect("it is established");
                    let message = Message::new(payload.clone()).class(class);
                    conn.channel(ZERO).send(self.now, message).expect("room");
                }
            }
        }
        self.round();
    }
}

#[test]
fn warm_traffic_on_a_stream_allocates_nothing() {
    let mut world = OnStream::new();
    for _ in 0..500 {
        world.chatter();
    }
    let (records, received) = (world.records, world.received);
    let count = allocations(|| {
        for _ in 0..1000 {
            world.chatter();
        }
    });
    assert_eq!(world.received - received, 20_000, "everything arrived");
    assert_eq!(count, 0, "in {} records", world.records - records);
}
