//! Endpoints that are joined by streams, alone and beside datagrams.

mod resume;

use alloc::collections::BTreeMap;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Endpoint, ZERO, ms, secs, server_config};
use crate::framing::{Deframer, Framer};
use crate::{
    Address, Class, Close, CloseReason, ConfigBuilder, ConnectionId, Dial, DialError, DialId, Distrust, Drop,
    Event, Fate, Link, LinkId, Message, Meta, Output, Reconnect, State, Timestamp,
};

const SERVER: usize = 0;
const CLIENT: usize = 1;
const DELAY: Duration = Duration::from_millis(10);

/// One of the two, reached in one manner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Datagrams(usize),
    Stream(usize),
}

const BY_DATAGRAMS: At = At::Datagrams(SERVER);
const BY_STREAM: At = At::Stream(SERVER);

impl Address for At {
    fn token_bytes(&self, out: &mut Vec<u8>) {
        let (Self::Datagrams(node) | Self::Stream(node)) = self;
        out.push(*node as u8);
    }

    fn prefix(&self) -> Option<u64> {
        let (Self::Datagrams(node) | Self::Stream(node)) = self;
        Some(*node as u64)
    }

    fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }
}

/// One direction of a stream.
#[derive(Default)]
struct Pipe {
    bytes: VecDeque<(Timestamp, u8)>,
    framer: Framer,
    deframer: Deframer,
    is_shut: bool,
}

/// A stream: its ends, and what is written by each.
struct Stream {
    ends: [Option<LinkId>; 2],
    pipes: [Pipe; 2],
}

/// A server and a client.
struct World {
    now: Timestamp,
    nodes: [Endpoint<At>; 2],
    events: [Vec<(ConnectionId, Event)>; 2],
    datagrams: BTreeMap<(Timestamp, usize), (usize, Vec<u8>)>,
    sent: usize,
    streams: Vec<Stream>,
    /// Dials under way, and how they end.
    dials: Vec<(Timestamp, DialId, Result<(), DialError>)>,
    cancelled: Vec<DialId>,
    dialed: usize,
    loses_datagrams: bool,
    /// How dialling goes.
    dial: Result<Duration, DialError>,
    /// Bytes that a stream takes before its reader has read some.
    room: usize,
    /// Streams carry nothing.
    is_stalled: bool,
}

impl World {
    fn new(server: ConfigBuilder, client: ConfigBuilder) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let node = |config: ConfigBuilder, seed| {
            Endpoint::new(config.build().expect("sound"), Link::datagram(1200), [seed; 32], now)
        };
        Self {
            now,
            nodes: [node(server, 1), node(client, 2)],
            events: Default::default(),
            datagrams: BTreeMap::new(),
            sent: 0,
            streams: Vec::new(),
            dials: Vec::new(),
            cancelled: Vec::new(),
            dialed: 0,
            loses_datagrams: false,
            dial: Ok(DELAY),
            room: 100_000,
            is_stalled: false,
        }
    }

    fn connected() -> (Self, ConnectionId, ConnectionId) {
        let mut world = Self::new(server_config(), ConfigBuilder::default());
        let id = world.connect(&[BY_STREAM]);
        world.run(ms(300));
        let peer = world.established(SERVER)[0];
        assert_eq!(world.established(CLIENT), [id]);
        world.events.iter_mut().for_each(Vec::clear);
        (world, id, peer)
    }

    fn connect(&mut self, addresses: &[At]) -> ConnectionId {
        self.nodes[CLIENT].connect_any(self.now, addresses).expect("room")
    }

    fn established(&self, node: usize) -> Vec<ConnectionId> {
        let events = self.events[node].iter();
        events
            .filter_map(|&(id, ref event)| matches!(event, Event::Established { .. }).then_some(id))
            .collect()
    }

    /// The links over which sessions went on.
    fn resumed(&self, node: usize) -> Vec<u32> {
        let events = self.events[node].iter();
        events
            .filter_map(|(_, event)| match event {
                Event::Resumed { incarnation, .. } => Some(*incarnation),
                _ => None,
            })
            .collect()
    }

    fn send(&mut self, node: usize, id: ConnectionId, message: Message) {
        let now = self.now;
        let mut conn = self.nodes[node].connection(id).expect("it is there");
        conn.channel(ZERO).send(now, message).expect("room for a message");
    }

    fn recv_all(&mut self, node: usize, id: ConnectionId) -> Vec<Vec<u8>> {
        let now = self.now;
        let mut conn = self.nodes[node].connection(id).expect("it is there");
        core::iter::from_fn(|| conn.channel(ZERO).recv(now)).map(|message| message.payload.to_vec()).collect()
    }

    fn dropped(&self, node: usize, reason: Drop) -> u64 {
        self.nodes[node].stats().drops.get(reason)
    }

    /// The streams that neither end has let go of.
    fn open_streams(&self) -> usize {
        self.streams.iter().filter(|stream| stream.ends.iter().all(Option::is_some)).count()
    }

    fn drain(&mut self) {
        for node in [SERVER, CLIENT] {
            let mut buf = Vec::new();
            while let Some(transmit) = self.nodes[node].poll_transmit(self.now, &mut buf) {
                let At::Datagrams(to) = transmit.path else { panic!("a datagram for a stream") };
                if !self.loses_datagrams {
                    self.datagrams.insert((self.now + DELAY, self.sent), (to, core::mem::take(&mut buf)));
                }
                self.sent += 1;
                buf.clear();
            }
            while let Some(dial) = self.nodes[node].poll_dial() {
                match dial {
                    Dial::Begin { id, address } => {
                        assert_eq!(address, BY_STREAM);
                        let (after, result) = match self.dial {
                            Ok(after) => (after, Ok(())),
                            Err(error) => (DELAY, Err(error)),
                        };
                        self.dialed += 1;
                        self.dials.push((self.now + after, id, result));
                    }
                    Dial::Cancel(id) => self.cancelled.push(id),
                }
            }
            while let Some(link) = self.nodes[node].poll_link() {
                self.pump(node, link);
            }
            while let Some(event) = self.nodes[node].poll_event() {
                self.events[node].push(event);
            }
        }
    }

    /// Writes what a link has, as far as its stream takes it.
    fn pump(&mut self, node: usize, link: LinkId) {
        let stream = self.streams.iter_mut().find(|stream| stream.ends[node] == Some(link));
        let Some(stream) = stream else { return };
        let pipe = &mut stream.pipes[node];
        while pipe.bytes.len() < self.room {
            let mut out = Vec::new();
            let start = pipe.framer.begin(&mut out);
            match self.nodes[node].poll_record(self.now, link, &mut out) {
                Output::Record(len) => {
                    assert!(len > 0 && len < out.len());
                    pipe.framer.finish(&mut out, start);
                    pipe.bytes.extend(out.into_iter().map(|byte| (self.now + DELAY, byte)));
                }
                Output::Idle => return,
                Output::Close => {
                    stream.ends[node] = None;
                    pipe.is_shut = true;
                    return;
                }
            }
        }
    }

    fn next(&self) -> Option<Timestamp> {
        let datagrams = self.datagrams.first_key_value().map(|(&(at, _), _)| at);
        let bytes =
            self.streams.iter().flat_map(|stream| &stream.pipes).filter_map(|pipe| pipe.bytes.front());
        let bytes = bytes.map(|&(at, _)| at).filter(|_| !self.is_stalled).min();
        let dials = self.dials.iter().map(|&(at, ..)| at).min();
        let nodes = self.nodes.iter().filter_map(Endpoint::poll_timeout).min();
        [datagrams, bytes, dials, nodes].into_iter().flatten().min()
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.drain();
        while let Some(at) = self.next().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.step();
            self.drain();
        }
        self.now = end;
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(entry) = self.datagrams.first_entry().filter(|entry| entry.key().0 <= now) {
            let (to, packet) = entry.remove();
            let meta = Meta { path: At::Datagrams(1 - to), ecn: None };
            self.nodes[to].handle_packet(now, meta, &packet);
        }
        let due;
        (due, self.dials) = core::mem::take(&mut self.dials).into_iter().partition(|&(at, ..)| at <= now);
        for (_, id, result) in due {
            match result {
                Err(error) => self.nodes[CLIENT].dial_failed(now, id, error),
                Ok(()) => {
                    if let Some(client) = self.nodes[CLIENT].dialed(now, id, Link::stream(16_000)) {
                        let server = self.nodes[SERVER].link_up(now, At::Stream(CLIENT), Link::stream(4000));
                        let ends = [Some(server), Some(client)];
                        self.streams.push(Stream { ends, pipes: Default::default() });
                    }
                }
            }
        }
        for index in 0..self.streams.len() {
            for from in [SERVER, CLIENT] {
                self.carry(index, from);
            }
        }
        for node in &mut self.nodes {
            if node.poll_timeout().is_some_and(|at| at <= now) {
                node.handle_timeout(now);
                assert!(node.poll_timeout().is_none_or(|at| at > now), "a timer in the past");
            }
        }
    }

    /// Hands over what has crossed one direction of a stream.
    fn carry(&mut self, index: usize, from: usize) {
        let (now, to) = (self.now, 1 - from);
        let stream = &mut self.streams[index];
        let pipe = &mut stream.pipes[from];
        let mut bytes = Vec::new();
        while let Some(&(_, byte)) = pipe.bytes.front().filter(|&&(at, _)| at <= now && !self.is_stalled) {
            bytes.push(byte);
            pipe.bytes.pop_front();
        }
        let Some(reader) = stream.ends[to] else { return };
        let mut rest = &bytes[..];
        while let Some(record) =
            pipe.deframer.next(&mut rest, self.nodes[to].record_limit(reader)).expect("nobody lies")
        {
            self.nodes[to].handle_record(now, reader, record);
        }
        if pipe.is_shut && pipe.bytes.is_empty() {
            stream.ends[to] = None;
            self.nodes[to].link_down(now, reader);
        } else if !bytes.is_empty()
            && let Some(writer) = stream.ends[from]
        {
            self.pump(from, writer);
        }
    }

    /// Every stream dies with what is under way.
    fn cut(&mut self) {
        for mut stream in core::mem::take(&mut self.streams) {
            for node in [SERVER, CLIENT] {
                if let Some(link) = stream.ends[node].take() {
                    self.nodes[node].link_down(self.now, link);
                }
            }
        }
    }

    fn fates(&self, node: usize) -> Vec<(u64, Fate)> {
        let events = self.events[node].iter();
        events
            .filter_map(|(_, event)| match event {
                Event::Fate { message, fate } => Some((message.number, *fate)),
                _ => None,
            })
            .collect()
    }

    fn end(&self, node: usize) -> CloseReason {
        let closed = self.events[node].iter().find_map(|(_, event)| match event {
            Event::Closed(closed) | Event::ConnectFailed(closed) => Some(closed),
            _ => None,
        });
        closed.expect("it is over").reason.clone()
    }
}

#[test]
fn everything_travels_over_a_stream() {
    let (mut world, id, peer) = World::connected();
    assert_eq!(world.sent, 0, "no datagrams");
    for class in Class::ALL {
        world.send(CLIENT, id, Message::new(vec![class as u8; 10_000]).class(class).receipt());
        world.run(ms(50));
    }
    let mut got = world.recv_all(SERVER, peer);
    got.sort_unstable();
    assert_eq!(got, Class::ALL.map(|class| vec![class as u8; 10_000]));
    world.run(ms(300));
    let mut fates: Vec<_> = world.fates(CLIENT).into_iter().map(|(_, fate)| fate).collect();
    fates.sort_unstable();
    assert_eq!(fates, [Fate::Acked, Fate::Acked, Fate::Written, Fate::Written]);
}

#[test]
fn what_sending_brings_about_is_told() {
    let (mut world, id, _) = World::connected();
    world.send(CLIENT, id, Message::new("x").class(Class::Unreliable).receipt());
    assert!(world.nodes[CLIENT].poll_event().is_none());
    let link = world.nodes[CLIENT].poll_link().expect("it has something to write");
    let output = world.nodes[CLIENT].poll_record(world.now, link, &mut Vec::new());
    assert!(matches!(output, Output::Record(_)));
    let told = world.nodes[CLIENT].poll_event();
    assert!(matches!(told, Some((_, Event::Fate { fate: Fate::Written, .. }))), "{told:?}");
}

#[test]
fn a_message_of_64_bytes_costs_4_more() {
    let (mut world, id, _) = World::connected();
    world.send(CLIENT, id, Message::new(vec![7; 64]));
    let link = world.nodes[CLIENT].poll_link().expect("it has something to write");
    let mut out = Vec::new();
    let mut framer = Framer::default();
    let start = framer.begin(&mut out);
    assert!(matches!(world.nodes[CLIENT].poll_record(world.now, link, &mut out), Output::Record(_)));
    framer.finish(&mut out, start);
    assert!(out.len() <= 68, "{} bytes", out.len());
}

#[test]
fn closing_flushes_at_once_and_closes_the_stream() {
    let (mut world, id, peer) = World::connected();
    world.send(CLIENT, id, Message::new("last words"));
    world.nodes[CLIENT].connection(id).expect("there").close(world.now, Close::default());
    world.run(ms(100));
    assert_eq!(world.recv_all(SERVER, peer), [b"last words"]);
    assert_eq!(world.end(CLIENT), CloseReason::Local { code: 0 });
    assert!(matches!(world.end(SERVER), CloseReason::Peer { code: 0, .. }));
    assert!(world.streams.iter().all(|stream| stream.ends == [None, None]));
    world.run(secs(5));
    assert!(world.nodes.iter().all(Endpoint::is_empty));
    assert!(world.nodes.iter().all(|node| node.poll_timeout().is_none()));
}

#[test]
fn a_stream_that_dies_leaves_the_fate_of_what_was_under_way_unknown() {
    let (mut world, id, _) = World::connected();
    world.send(CLIENT, id, Message::new("x").receipt());
    world.drain();
    world.cut();
    world.drain();
    assert_eq!(world.fates(CLIENT), [(0, Fate::Unknown)]);
    assert_eq!(world.end(CLIENT), CloseReason::LinkLost);
    assert_eq!(world.end(SERVER), CloseReason::LinkLost);
}

#[test]
fn an_idle_stream_carries_a_ping_and_a_pong_and_a_dead_one_is_found_out() {
    let (mut world, id, _) = World::connected();
    let before: Vec<_> = world.nodes.iter().map(|node| node.stats().packets_sent).collect();
    world.run(secs(25));
    let after: Vec<_> = world.nodes.iter().map(|node| node.stats().packets_sent).collect();
    assert_eq!([after[0] - before[0], after[1] - before[1]], [2, 2], "two intervals");
    assert_eq!(world.nodes[CLIENT].get(id).expect("there").state(), State::Established);
    world.is_stalled = true;
    world.run(secs(60));
    assert_eq!(world.end(CLIENT), CloseReason::TimedOut);
    assert!(world.nodes[SERVER].is_empty());
}

#[test]
fn what_is_idle_on_a_stream_is_put_away_until_it_is_touched() {
    let (mut world, id, peer) = World::connected();
    let are_asleep = |world: &World| {
        let entries = world.nodes.iter().flat_map(|node| &node.slots).filter_map(|slot| slot.entry.as_ref());
        entries.map(|entry| entry.conn.awake().is_none()).collect::<Vec<_>>()
    };
    for round in 0..3_u8 {
        world.send(CLIENT, id, Message::new(vec![round; 2000]));
        world.send(SERVER, peer, Message::new(vec![round]));
        world.run(ms(500));
        assert_eq!(are_asleep(&world), [false, false], "round {round}");
        assert_eq!(world.recv_all(SERVER, peer), [vec![round; 2000]]);
        assert_eq!(world.recv_all(CLIENT, id), [[round]]);
        world.run(secs(4));
        assert_eq!(are_asleep(&world), [true, true], "round {round}");
    }
    world.cut();
    world.run(ms(100));
    assert_eq!(world.end(CLIENT), CloseReason::LinkLost);
    assert_eq!(world.end(SERVER), CloseReason::LinkLost);
}

#[test]
fn a_stream_that_takes_nothing_is_felt_by_the_sender() {
    let (mut world, id, peer) = World::connected();
    world.room = 10_000;
    world.is_stalled = true;
    for i in 0..40_u8 {
        world.send(CLIENT, id, Message::new(vec![i; 2000]).class(Class::Sequenced));
        world.run(ms(1));
    }
    let held = world.streams[0].pipes[CLIENT].bytes.len();
    assert!(held < 10_000 + 16_000, "{held} bytes in the stream");
    world.is_stalled = false;
    world.run(secs(1));
    let got = world.recv_all(SERVER, peer);
    assert_eq!(got.last(), Some(&vec![39; 2000]), "the newest, as soon as there is room");
}

#[test]
fn bulk_flows_with_few_acks() {
    let (mut world, id, peer) = World::connected();
    let before = world.nodes[SERVER].stats().packets_sent;
    let mut got = 0;
    let mut left = 20_000_u32;
    for _ in 0..2000 {
        while left > 0 {
            let mut conn = world.nodes[CLIENT].connection(id).expect("there");
            if conn.channel(ZERO).send(world.now, Message::new(left.to_be_bytes().to_vec())).is_err() {
                break;
            }
            left -= 1;
        }
        world.run(ms(1));
        got += world.recv_all(SERVER, peer).len();
    }
    assert_eq!((got, left), (20_000, 0));
    let acks = world.nodes[SERVER].stats().packets_sent - before;
    assert!(acks < 200, "{acks} records came back for 20,000 messages");
}

#[test]
fn a_full_server_says_so_on_a_stream() {
    let server = ConfigBuilder { max_connections: 1, ..server_config() };
    let mut world = World::new(server, ConfigBuilder::default());
    world.connect(&[BY_STREAM]);
    world.run(ms(100));
    world.connect(&[BY_STREAM]);
    world.run(ms(100));
    assert!(matches!(world.end(CLIENT), CloseReason::Peer { code: crate::code::BUSY, .. }));
    assert_eq!(world.open_streams(), 1);
    assert_eq!(world.dropped(SERVER, Drop::Busy), 1);
}

/// Those of one network that come by streams are many at once, and none of them has said anything when the next is there; they are not
/// counted among those who come by datagrams.
#[test]
fn one_network_may_come_by_many_streams_at_once_and_not_by_any_number() {
    let server = ConfigBuilder { max_pending_per_prefix: 4, ..server_config() };
    let mut world = World::new(server, ConfigBuilder::default());
    let open =
        |world: &mut World| world.nodes[SERVER].link_up(world.now, At::Stream(CLIENT), Link::stream(4000));
    for _ in 0..31 {
        open(&mut world);
    }
    world.connect(&[BY_STREAM]);
    world.run(ms(100));
    assert_eq!((world.established(CLIENT).len(), world.dropped(SERVER, Drop::Busy)), (1, 0));
    open(&mut world);
    open(&mut world);
    assert_eq!(world.dropped(SERVER, Drop::Busy), 1);
    world.connect(&[At::Datagrams(SERVER)]);
    world.run(ms(100));
    assert_eq!((world.established(CLIENT).len(), world.dropped(SERVER, Drop::Busy)), (2, 1));
}

#[test]
fn a_client_that_says_nothing_is_shown_out() {
    let mut world = World::new(server_config(), ConfigBuilder::default());
    let link = world.nodes[SERVER].link_up(world.now, At::Stream(CLIENT), Link::stream(4000));
    assert_eq!(world.nodes[SERVER].record_limit(link), 4096);
    world.now += ms(9_999);
    world.nodes[SERVER].handle_timeout(world.now);
    assert!(world.nodes[SERVER].has_link(link));
    world.now += ms(1);
    world.nodes[SERVER].handle_timeout(world.now);
    assert!(!world.nodes[SERVER].has_link(link));
    assert_eq!(world.nodes[SERVER].poll_link(), Some(link));
    assert_eq!(world.nodes[SERVER].poll_record(world.now, link, &mut Vec::new()), Output::Close);
    assert_eq!(world.dropped(SERVER, Drop::HandshakeExpired), 1);
    assert_eq!(world.nodes[SERVER].poll_timeout(), None);
    world.nodes[SERVER].handle_record(world.now, link, &[1]);
    assert_eq!(world.dropped(SERVER, Drop::UnknownLink), 1);
}

#[test]
fn what_is_no_handshake_ends_the_link_without_a_trace() {
    let long = [vec![0x20], vec![1; 5000]].concat();
    for record in [&[][..], &[1], &[0x24; 17], &[0x20, 1], &long] {
        let mut world = World::new(server_config(), ConfigBuilder::default());
        let link = world.nodes[SERVER].link_up(world.now, At::Stream(CLIENT), Link::stream(4000));
        world.nodes[SERVER].handle_record(world.now, link, record);
        assert!(!world.nodes[SERVER].has_link(link));
        assert_eq!(world.dropped(SERVER, Drop::MalformedHandshake), 1);
        assert!(world.nodes[SERVER].poll_event().is_none() && world.nodes[SERVER].is_empty());
    }
}

#[test]
fn what_is_no_record_ends_the_connection_and_says_whose_fault_it_was() {
    let (mut world, ..) = World::connected();
    let link = world.streams[0].ends[SERVER].expect("open");
    world.nodes[SERVER].link_broken(world.now, link, "a record has no bytes");
    world.run(ms(100));
    assert_eq!(world.end(SERVER), CloseReason::PeerMisbehaved("a record has no bytes"));
    assert!(matches!(world.end(CLIENT), CloseReason::Peer { code: crate::code::FRAME_ENCODING, .. }));
    assert_eq!(world.open_streams(), 0);
    assert_eq!(world.dropped(SERVER, Drop::MalformedRecord), 1);
}

#[test]
fn a_dial_that_fails_is_tried_again_or_not() {
    for error in [
        DialError::Refused,
        DialError::Unreachable,
        DialError::NoAddress,
        DialError::TimedOut,
        DialError::HungUp,
        DialError::Untrusted(Distrust::UnknownIssuer),
        DialError::Foreign,
        DialError::Unauthenticated,
        DialError::NotAllowed,
        DialError::Unsupported,
    ] {
        let client = ConfigBuilder { reconnect: Some(Reconnect::default()), ..ConfigBuilder::default() };
        let mut world = World::new(server_config(), client);
        world.dial = Err(error);
        world.connect(&[BY_STREAM]);
        world.run(secs(3));
        if error.is_retryable() {
            assert!(world.dialed > 2, "{error:?}: {} dials", world.dialed);
            world.dial = Ok(DELAY);
            world.run(secs(10));
            assert_eq!(world.established(CLIENT).len(), 1);
        } else {
            assert_eq!(world.dialed, 1, "{error:?}");
            assert_eq!(world.end(CLIENT), CloseReason::Dial(error));
        }
    }
}

#[test]
fn who_has_been_there_tries_again_whoever_puts_himself_in_between() {
    let untrusted = DialError::Untrusted(Distrust::WrongName);
    for error in [untrusted, DialError::Foreign, DialError::Unauthenticated, DialError::NotAllowed] {
        let client = ConfigBuilder { reconnect: Some(Reconnect::default()), ..ConfigBuilder::default() };
        let mut world = World::new(server_config(), client);
        world.connect(&[BY_STREAM]);
        world.run(ms(100));
        for (silence, resumed, established) in [(secs(10), 1, 1), (secs(200), 1, 2)] {
            world.dial = Err(error);
            world.cut();
            world.run(silence);
            world.dial = Ok(DELAY);
            world.run(secs(60));
            assert_eq!(world.resumed(CLIENT).len(), resumed, "{error:?}");
            assert_eq!(world.established(CLIENT).len(), established, "{error:?}");
        }
    }
}

#[test]
fn whoever_is_not_taken_for_what_his_stream_shows_learns_why() {
    let mut world = World::new(server_config(), ConfigBuilder::default());
    world.is_stalled = true;
    world.connect(&[BY_STREAM]);
    world.run(ms(100));
    let link = world.streams.iter().find_map(|stream| stream.ends[CLIENT]).expect("it is open");
    let now = world.now;
    world.nodes[CLIENT].link_refused(now, link);
    world.run(ms(100));
    assert_eq!(world.end(CLIENT), CloseReason::Dial(DialError::Unauthenticated));

    // What has been answered is a link like any other.
    let client = ConfigBuilder { reconnect: Some(Reconnect::default()), ..ConfigBuilder::default() };
    let mut world = World::new(server_config(), client);
    world.connect(&[BY_STREAM]);
    world.run(ms(100));
    let link = world.streams.iter().find_map(|stream| stream.ends[CLIENT]).expect("it is open");
    let now = world.now;
    world.nodes[CLIENT].link_refused(now, link);
    world.cut();
    world.run(secs(10));
    assert_eq!((world.resumed(CLIENT).len(), world.established(CLIENT).len()), (1, 1));
}

#[test]
fn who_has_been_there_tries_again_whatever_nonsense_answers() {
    let client = || ConfigBuilder { reconnect: Some(Reconnect::default()), ..ConfigBuilder::default() };
    let answer_nonsense = |world: &mut World| {
        world.is_stalled = true;
        for _ in 0..200 {
            world.run(ms(50));
            if let Some(link) = world.streams.iter().find_map(|stream| stream.ends[CLIENT]) {
                let now = world.now;
                world.nodes[CLIENT].handle_record(now, link, &[5, 1, 2, 3, 4, 5]);
                break;
            }
        }
        world.cut();
    };
    let mut world = World::new(server_config(), client());
    world.connect(&[BY_STREAM]);
    answer_nonsense(&mut world);
    world.run(ms(100));
    assert_eq!(world.end(CLIENT), CloseReason::Dial(DialError::Foreign), "who has not been there is told");

    let mut world = World::new(server_config(), client());
    world.connect(&[BY_STREAM]);
    world.run(ms(100));
    world.cut();
    for _ in 0..3 {
        answer_nonsense(&mut world);
    }
    world.is_stalled = false;
    world.run(secs(30));
    assert_eq!((world.resumed(CLIENT).len(), world.established(CLIENT).len()), (1, 1));
}

#[test]
fn one_way_that_can_be_tried_again_is_enough() {
    for errors in [[DialError::Refused, DialError::Foreign], [DialError::Foreign, DialError::Refused]] {
        let client = ConfigBuilder { reconnect: Some(Reconnect::default()), ..ConfigBuilder::default() };
        let mut world = World::new(server_config(), client);
        let id = world.connect(&[BY_STREAM, BY_STREAM]);
        let now = world.now;
        for error in errors {
            let Some(Dial::Begin { id: dial, .. }) = world.nodes[CLIENT].poll_dial() else {
                panic!("the next way is tried")
            };
            world.nodes[CLIENT].dial_failed(now, dial, error);
        }
        assert_eq!(world.nodes[CLIENT].get(id).expect("it goes on").state(), State::Backoff, "{errors:?}");
    }
}

#[test]
fn a_dial_has_a_deadline_and_is_withdrawn() {
    let mut world = World::new(server_config(), ConfigBuilder::default());
    world.dial = Ok(secs(60));
    world.connect(&[BY_STREAM]);
    world.run(secs(11));
    assert_eq!(world.end(CLIENT), CloseReason::TimedOut);
    assert_eq!(world.cancelled.len(), 1);
    world.run(secs(60));
    assert!(world.streams.is_empty(), "what is opened later is not wanted");
    let id = world.connect(&[BY_STREAM]);
    let now = world.now;
    world.nodes[CLIENT].connection(id).expect("there").close(now, Close::default());
    assert_eq!(world.nodes[CLIENT].poll_dial(), None, "nobody heard of it");
}

#[test]
fn a_lost_stream_is_dialed_again() {
    let client = ConfigBuilder { reconnect: Some(Reconnect::default()), ..ConfigBuilder::default() };
    let mut world = World::new(server_config(), client);
    world.connect(&[BY_STREAM]);
    world.run(ms(100));
    world.cut();
    world.run(secs(2));
    assert_eq!(world.established(CLIENT).len(), 1);
    assert_eq!(world.resumed(CLIENT), [2]);
    assert_eq!(world.dialed, 2);
}

#[test]
fn blocked_ways_cost_at_most_300_ms() {
    for blocked in 1..=7 {
        let mut world = World::new(server_config(), ConfigBuilder::default());
        world.loses_datagrams = true;
        let mut ways = vec![BY_DATAGRAMS; blocked];
        ways.push(BY_STREAM);
        let id = world.connect(&ways);
        world.send(CLIENT, id, Message::new("from the start"));
        world.run(ms(240));
        assert!(world.established(CLIENT).is_empty() && world.dialed == 0, "{blocked}: too soon");
        world.run(ms(60));
        assert_eq!(world.established(CLIENT), [id], "{blocked}");
        assert_eq!(world.nodes[CLIENT].address(id), Some(BY_STREAM));
        let peer = world.established(SERVER)[0];
        assert_eq!(world.recv_all(SERVER, peer), [b"from the start"]);
    }
}

#[test]
fn who_is_left_without_an_answer_learns_that_somebody_was_there() {
    let mut world = World::new(server_config(), ConfigBuilder::default());
    world.is_stalled = true;
    world.connect(&[BY_STREAM]);
    world.run(ms(100));
    world.cut();
    world.run(ms(100));
    assert_eq!(world.end(CLIENT), CloseReason::Dial(DialError::HungUp));
}

#[test]
fn the_preferred_way_is_kept_and_the_other_is_not_even_tried() {
    let mut world = World::new(server_config(), ConfigBuilder::default());
    let id = world.connect(&[BY_DATAGRAMS, BY_STREAM]);
    world.run(secs(2));
    assert_eq!(world.established(CLIENT), [id]);
    assert_eq!(world.dialed, 0);
    assert_eq!(world.nodes[CLIENT].address(id), Some(BY_DATAGRAMS));
}

#[test]
fn a_way_that_fails_is_left_at_once() {
    let mut world = World::new(server_config(), ConfigBuilder::default());
    world.dial = Err(DialError::Foreign);
    let id = world.connect(&[BY_STREAM, BY_DATAGRAMS]);
    world.run(ms(100));
    assert_eq!(world.established(CLIENT), [id]);
}

#[test]
fn losers_leave_no_trace_on_the_server() {
    // Datagrams are slow to answer, and the stream wins; then the other way round.
    let mut world = World::new(server_config(), ConfigBuilder::default());
    world.loses_datagrams = true;
    let id = world.connect(&[BY_DATAGRAMS, BY_STREAM]);
    world.run(ms(240));
    world.loses_datagrams = false;
    world.run(ms(9));
    world.dial = Ok(ms(1));
    world.run(secs(3));
    assert_eq!(world.established(CLIENT), [id]);
    assert_eq!(world.established(SERVER).len(), 1);
    assert_eq!(world.nodes[SERVER].len(), 1, "nothing half open");

    let mut world = World::new(server_config(), ConfigBuilder::default());
    world.dial = Ok(ms(100));
    world.loses_datagrams = true;
    let id = world.connect(&[BY_DATAGRAMS, BY_STREAM]);
    world.run(ms(349));
    world.is_stalled = true;
    world.loses_datagrams = false;
    world.run(secs(2));
    assert_eq!(world.nodes[CLIENT].address(id), Some(BY_DATAGRAMS));
    world.is_stalled = false;
    world.run(secs(1));
    assert_eq!(world.established(SERVER).len(), 1);
    assert_eq!(world.nodes[SERVER].len(), 1, "nothing half open");
    assert_eq!(world.open_streams(), 0);
}

#[test]
fn the_way_that_worked_is_the_first_to_be_tried_again() {
    let client = ConfigBuilder { reconnect: Some(Reconnect::default()), ..ConfigBuilder::default() };
    let mut world = World::new(server_config(), client);
    world.loses_datagrams = true;
    world.connect(&[BY_DATAGRAMS, BY_STREAM]);
    world.run(ms(400));
    let sent = world.sent;
    world.cut();
    world.run(secs(2));
    assert_eq!(world.resumed(CLIENT), [2]);
    assert_eq!(world.sent, sent, "no datagram was needed");
}
