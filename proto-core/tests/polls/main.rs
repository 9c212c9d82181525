//! Polls come in any order, any number of times: the same inputs give the same events, bytes and deadlines, and where polls are
//! left out, every promise is kept all the same. Tried on all three machines: a connection, an endpoint, a chat server.

mod chat;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_core::{
    ChannelId, ChannelOptions, Class, Config, ConfigBuilder, Connection, ConnectionId, Endpoint, Event, Link,
    Message, Meta, Reconnect, RequestId, Timestamp,
};

const TICK: Duration = Duration::from_millis(7);
const DELAY: Duration = Duration::from_millis(15);
const LINK: Link = Link::datagram(1200);
const START: Timestamp = Timestamp::from_millis(50_000);

/// A small generator.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What comes out of one poll.
enum Out {
    Nothing,
    Packet(usize, Vec<u8>),
    Event(String),
    /// Something for the machine's own store.
    Stored,
}

/// A machine with its polls numbered.
trait Machine {
    const POLLS: u64;
    /// Whether some of its packets are lost.
    const LOSES: bool = true;
    fn handle_packet(&mut self, now: Timestamp, from: usize, packet: &[u8]);
    fn handle_timeout(&mut self, now: Timestamp);
    fn poll(&mut self, now: Timestamp, which: u64) -> Out;
    fn poll_timeout(&self) -> Option<Timestamp>;
    /// What its application does at one tick.
    fn command(&mut self, now: Timestamp, tick: u64);
    /// What its application has seen.
    fn seen(&self) -> &[String];
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Polls {
    /// All of them after each input, in an order drawn from the seed.
    Shuffled,
    /// A few of them after each input.
    LeftOut,
}

/// Everything that came out, in order: machine by machine.
#[derive(Debug, Default, PartialEq, Eq)]
struct Transcript {
    events: BTreeMap<usize, Vec<String>>,
    packets: BTreeMap<usize, Vec<(Timestamp, usize, Vec<u8>)>>,
    deadlines: BTreeMap<usize, Vec<Option<Timestamp>>>,
}

struct World<M> {
    now: Timestamp,
    machines: Vec<M>,
    flying: BTreeMap<(Timestamp, usize, usize), (usize, Vec<u8>)>,
    transcript: Transcript,
    draw: Draw,
    polls: Polls,
}

impl<M: Machine> World<M> {
    fn new(machines: Vec<M>, polls: Polls, seed: u64) -> Self {
        Self {
            now: START,
            machines,
            flying: BTreeMap::new(),
            transcript: Transcript::default(),
            draw: Draw(seed),
            polls,
        }
    }

    fn take(&mut self, index: usize, out: Out) -> bool {
        match out {
            Out::Nothing => return false,
            Out::Stored => {}
            Out::Event(event) => self.transcript.events.entry(index).or_default().push(event),
            Out::Packet(to, packet) => {
                let sent = self.transcript.packets.entry(index).or_default();
                // One in nine is lost, the same ones in every order of polls.
                if !M::LOSES || sent.len() % 9 != 5 {
                    self.flying.insert((self.now + DELAY, index, sent.len()), (to, packet.clone()));
                }
                sent.push((self.now, to, packet));
            }
        }
        true
    }

    fn poll(&mut self, index: usize) {
        let mut dry = 0_u64;
        let mut left = if self.polls == Polls::LeftOut { self.draw.below(4) } else { u64::MAX };
        while dry != (1 << M::POLLS) - 1 && left > 0 {
            let which = self.draw.below(M::POLLS);
            let out = self.machines[index].poll(self.now, which);
            // What one poll gives may be what another one waited for.
            dry = if self.take(index, out) { 0 } else { dry | 1 << which };
            left -= 1;
        }
        let deadline = self.machines[index].poll_timeout();
        self.transcript.deadlines.entry(index).or_default().push(deadline);
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        for tick in 0.. {
            let at = START + TICK * tick;
            if at > end {
                break;
            }
            self.run_until(at);
            for index in 0..self.machines.len() {
                self.machines[index].command(self.now, u64::from(tick));
                self.poll(index);
            }
        }
    }

    fn run_until(&mut self, end: Timestamp) {
        loop {
            let flying = self.flying.first_key_value().map(|(&(at, ..), _)| at);
            let deadlines = self.machines.iter().map(Machine::poll_timeout);
            let Some(at) = deadlines.chain([flying]).flatten().min().filter(|&at| at <= end) else { break };
            self.now = self.now.max(at);
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let ((_, from, _), (to, packet)) = entry.remove_entry();
                self.machines[to].handle_packet(self.now, from, &packet);
                self.poll(to);
            }
            for index in 0..self.machines.len() {
                if self.machines[index].poll_timeout().is_some_and(|at| at <= self.now) {
                    self.machines[index].handle_timeout(self.now);
                    let deadline = self.machines[index].poll_timeout();
                    assert!(deadline.is_none_or(|at| at > self.now), "a timer in the past");
                    self.poll(index);
                }
            }
        }
        self.now = end;
    }
}

/// Runs the same inputs with polls in different orders, and again with some left out; `check` judges the ends.
fn try_all<M: Machine>(make: impl Fn() -> Vec<M>, span: Duration, check: impl Fn(&[M])) {
    let run = |polls, seed| {
        let mut world = World::new(make(), polls, seed);
        world.run(span);
        check(&world.machines);
        (world.transcript, world.machines.iter().map(|machine| machine.seen().to_vec()).collect::<Vec<_>>())
    };
    let expected = run(Polls::Shuffled, 0);
    assert!(expected.0.packets.values().all(|packets| packets.len() > 20));
    for seed in 1..12 {
        let (transcript, seen) = run(Polls::Shuffled, seed);
        for (index, events) in &expected.0.events {
            assert_eq!(transcript.events.get(index), Some(events), "events of {index}, order {seed}");
        }
        assert_eq!(seen, expected.1, "what the applications see, order {seed}");
        assert!(transcript == expected.0, "bytes or deadlines differ, order {seed}");
    }
    for seed in 0..20 {
        run(Polls::LeftOut, seed);
    }
}

const ZERO: ChannelId = ChannelId::DEFAULT;

/// An application that uses everything, at ticks only: it acts on no event.
#[derive(Default)]
struct App {
    seen: Vec<String>,
    made: u64,
    accepted: u64,
    asked: Vec<RequestId>,
    owed: VecDeque<RequestId>,
    has_opened: bool,
}

/// Ticks with something to say; those after are for what is still under way.
const BUSY: u64 = 150;
const WHOLE: Duration = Duration::from_secs(12);

impl App {
    fn act(&mut self, conn: &mut Connection, now: Timestamp, tick: u64) {
        for channel in 0..4 {
            for received in conn.channel(ChannelId(channel)).recv_all(now) {
                let (class, number) = (received.class, received.number);
                self.seen.push(format!("{channel} {class:?} {number} {}", received.payload.len()));
                self.owed.extend(received.request);
            }
        }
        while let Some(&request) = self.owed.front() {
            if conn.reply(now, request, Bytes::from(request.0.to_string())).is_err() {
                break;
            }
            self.owed.pop_front();
        }
        for &request in &self.asked {
            if let Some(reply) = conn.take_reply(now, request) {
                self.seen.push(format!("{request:?} {reply:?}"));
            }
        }
        if tick < BUSY {
            self.speak(conn, now, tick);
        }
    }

    fn speak(&mut self, conn: &mut Connection, now: Timestamp, tick: u64) {
        if tick > 40 && !self.has_opened {
            self.has_opened = conn.open_channel(now, &ChannelOptions::default()).is_ok();
        }
        self.made += 1;
        let size = (self.made * 997 % 3000) as usize;
        let message = |size| Message::new(vec![self.made as u8; size]);
        let channel = if tick.is_multiple_of(6) { ChannelId(1) } else { ZERO };
        let sent = match tick % 5 {
            0 => conn.channel(channel).send(now, message(size).receipt()),
            1 => conn.channel(channel).send(now, message(size / 4).class(Class::ReliableUnordered).receipt()),
            2 => conn.channel(channel).send(now, message(size).class(Class::Unreliable).receipt()),
            3 if tick.is_multiple_of(3) => {
                let request = conn.channel(ZERO).request(now, message(20), Duration::from_secs(2));
                self.asked.extend(request);
                self.seen.push(format!("{request:?}"));
                return;
            }
            _ => return,
        };
        self.accepted += u64::from(sent.is_ok_and(|message| message.class.is_reliable()));
        self.seen.push(format!("{sent:?}"));
    }

    /// Reliable messages that came in.
    fn received(&self) -> u64 {
        let is_reliable = |seen: &&String| seen.contains(" Reliable") && !seen.starts_with("Ok");
        self.seen.iter().filter(is_reliable).count() as u64
    }
}

fn config(accept: bool) -> Arc<Config> {
    builder(accept).build().expect("a sound configuration")
}

fn builder(accept: bool) -> ConfigBuilder {
    ConfigBuilder {
        accept,
        send_messages: 32,
        send_bytes: 40_000,
        max_message: 10_000,
        receive_messages: 16,
        receive_bytes: 20_000,
        heartbeat: Duration::from_secs(1),
        dead: Duration::from_secs(5),
        server_key: Some([3; 32].into()),
        ..ConfigBuilder::default()
    }
}

struct OneConnection {
    conn: Connection,
    app: App,
    other: usize,
}

impl Machine for OneConnection {
    const POLLS: u64 = 2;

    fn handle_packet(&mut self, now: Timestamp, _: usize, packet: &[u8]) {
        self.conn.handle_packet(now, Meta::default(), packet);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.conn.handle_timeout(now);
    }

    fn poll(&mut self, now: Timestamp, which: u64) -> Out {
        let mut buf = Vec::new();
        match which {
            0 if self.conn.poll_transmit(now, &mut buf).is_some() => Out::Packet(self.other, buf),
            1 => self.conn.poll_event().map_or(Out::Nothing, |event| Out::Event(format!("{event:?}"))),
            _ => Out::Nothing,
        }
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.conn.poll_timeout()
    }

    fn command(&mut self, now: Timestamp, tick: u64) {
        self.app.act(&mut self.conn, now, tick);
    }

    fn seen(&self) -> &[String] {
        &self.app.seen
    }
}

#[test]
fn a_connection_does_not_care_in_which_order_it_is_polled() {
    let make = || {
        let client = Connection::connect(config(false), LINK, [1; 32], START);
        let server = Connection::accept(config(true), LINK, [2; 32], START);
        let machine = |conn, other| OneConnection { conn, app: App::default(), other };
        vec![machine(client, 1), machine(server, 0)]
    };
    try_all(make, WHOLE, |machines| {
        assert!(machines.iter().all(|machine| machine.app.accepted > 30));
        assert_eq!(machines[0].app.received(), machines[1].app.accepted + machines[1].app.asked.len() as u64);
        assert_eq!(machines[1].app.received(), machines[0].app.accepted + machines[0].app.asked.len() as u64);
    });
}

/// The same over a stream.
struct OnStream(OneConnection);

impl Machine for OnStream {
    const POLLS: u64 = OneConnection::POLLS;
    const LOSES: bool = false;

    fn handle_packet(&mut self, now: Timestamp, from: usize, packet: &[u8]) {
        self.0.handle_packet(now, from, packet);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.0.handle_timeout(now);
    }

    fn poll(&mut self, now: Timestamp, which: u64) -> Out {
        self.0.poll(now, which)
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.0.poll_timeout()
    }

    fn command(&mut self, now: Timestamp, tick: u64) {
        self.0.command(now, tick);
    }

    fn seen(&self) -> &[String] {
        self.0.seen()
    }
}

#[test]
fn a_connection_on_a_stream_does_not_care_in_which_order_it_is_polled() {
    let link = Link::stream(4000);
    let make = || {
        let client = Connection::connect(config(false), link, [1; 32], START);
        let server = Connection::accept(config(true), link, [2; 32], START);
        let machine = |conn, other| OnStream(OneConnection { conn, app: App::default(), other });
        vec![machine(client, 1), machine(server, 0)]
    };
    try_all(make, WHOLE, |machines| {
        let [client, server] = [&machines[0].0.app, &machines[1].0.app];
        assert!(client.accepted > 30 && server.accepted > 30);
        assert_eq!(client.received(), server.accepted + server.asked.len() as u64);
        assert_eq!(server.received(), client.accepted + client.asked.len() as u64);
    });
}

/// One whose client loses its link again and again, once with all that was on its way to it.
struct Cut(OneConnection);

const CUTS: [u64; 3] = [50, 90, 91];

impl Machine for Cut {
    const POLLS: u64 = OneConnection::POLLS;

    fn handle_packet(&mut self, now: Timestamp, from: usize, packet: &[u8]) {
        let is_silent = (40..55).contains(&(now.since(START).as_millis() as u64 / TICK.as_millis() as u64));
        if self.0.other == 0 || !is_silent {
            self.0.handle_packet(now, from, packet);
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.0.handle_timeout(now);
    }

    fn poll(&mut self, now: Timestamp, which: u64) -> Out {
        self.0.poll(now, which)
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.0.poll_timeout()
    }

    fn command(&mut self, now: Timestamp, tick: u64) {
        self.0.command(now, tick);
        if self.0.other == 1 && CUTS.contains(&tick) {
            self.0.conn.link_lost(now);
        }
    }

    fn seen(&self) -> &[String] {
        self.0.seen()
    }
}

#[test]
fn a_session_that_goes_on_does_not_care_in_which_order_it_is_polled() {
    let make = || {
        let config = |accept| -> Arc<Config> {
            let reconnect = Reconnect { spread: Duration::from_millis(100), ..Reconnect::default() };
            let config = ConfigBuilder { reconnect: Some(reconnect), ..builder(accept) };
            config.build().expect("a sound configuration")
        };
        let client = Connection::connect(config(false), LINK, [1; 32], START);
        let server = Connection::accept(config(true), LINK, [2; 32], START);
        let machine = |conn, other| Cut(OneConnection { conn, app: App::default(), other });
        vec![machine(client, 1), machine(server, 0)]
    };
    try_all(make, WHOLE, |machines| {
        let [client, server] = [&machines[0].0, &machines[1].0];
        assert_eq!(client.conn.incarnation(), server.conn.incarnation());
        assert!(client.conn.incarnation() > 2, "{}", client.conn.incarnation());
        let [client, server] = [&client.app, &server.app];
        assert!(client.accepted > 30 && server.accepted > 30);
        assert_eq!(client.received(), server.accepted + server.asked.len() as u64);
        assert_eq!(server.received(), client.accepted + client.asked.len() as u64);
    });
}

fn address(index: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], index as u16 + 1))
}

fn index(address: SocketAddr) -> usize {
    usize::from(address.port()) - 1
}

fn meta(from: usize) -> Meta<SocketAddr> {
    Meta { path: address(from), ecn: None }
}

/// An endpoint whose application knows a connection once an event has named it.
struct Many {
    endpoint: Endpoint,
    /// How many packets it gives at once at most; those that wait. As it is for orders of polls, this must not matter.
    burst: usize,
    waiting: VecDeque<(usize, Vec<u8>)>,
    apps: BTreeMap<ConnectionId, App>,
    seen: Vec<String>,
}

impl Machine for Many {
    const POLLS: u64 = 2;

    fn handle_packet(&mut self, now: Timestamp, from: usize, packet: &[u8]) {
        self.endpoint.handle_packet(now, meta(from), packet);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.endpoint.handle_timeout(now);
    }

    fn poll(&mut self, now: Timestamp, which: u64) -> Out {
        let mut buf = Vec::new();
        if which == 0 {
            if self.burst > 0 && self.waiting.is_empty() {
                let mut packets = Vec::new();
                let count = self.endpoint.poll_packets(now, self.burst, &mut buf, &mut packets);
                assert_eq!(count, packets.len());
                let mut rest = &buf[..];
                self.waiting.extend(packets.iter().map(|transmit| {
                    let (packet, behind) = rest.split_at(transmit.len);
                    rest = behind;
                    (index(transmit.path), packet.to_vec())
                }));
                assert!(rest.is_empty(), "they are all that was written");
            }
            if let Some((to, packet)) = self.waiting.pop_front() {
                return Out::Packet(to, packet);
            }
            let transmit = self.endpoint.poll_transmit(now, &mut buf);
            return transmit.map_or(Out::Nothing, |transmit| Out::Packet(index(transmit.path), buf));
        }
        let Some((id, event)) = self.endpoint.poll_event() else { return Out::Nothing };
        if matches!(event, Event::Established { .. }) {
            self.apps.entry(id).or_default();
        }
        Out::Event(format!("{id:?} {event:?}"))
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.endpoint.poll_timeout()
    }

    fn command(&mut self, now: Timestamp, tick: u64) {
        for (&id, app) in &mut self.apps {
            let before = app.seen.len();
            if let Some(mut conn) = self.endpoint.connection(id) {
                app.act(&mut conn, now, tick);
            }
            self.seen.extend(app.seen[before..].iter().map(|seen| format!("{id:?} {seen}")));
        }
    }

    fn seen(&self) -> &[String] {
        &self.seen
    }
}

#[test]
fn an_endpoint_does_not_care_in_which_order_it_is_polled() {
    let runs = std::cell::Cell::new(0);
    let make = || {
        let run = runs.replace(runs.get() + 1);
        let machine = |seed: usize, accept| {
            let endpoint = Endpoint::new(config(accept), LINK, [seed as u8; 32], START);
            let burst = [0, 64, 2, 7][run % 4];
            let (waiting, apps) = (VecDeque::new(), BTreeMap::new());
            Many { endpoint, burst, waiting, apps, seen: Vec::new() }
        };
        let mut machines: Vec<_> = (0..4).map(|seed| machine(seed, seed == 0)).collect();
        for machine in &mut machines[1..] {
            machine.endpoint.connect(START, address(0)).expect("room");
        }
        machines
    };
    try_all(make, WHOLE, |machines| {
        let sum = |of: fn(&App) -> u64, which: std::ops::Range<usize>| -> u64 {
            machines[which].iter().flat_map(|machine| machine.apps.values()).map(of).sum()
        };
        let said = |app: &App| app.accepted + app.asked.len() as u64;
        assert!(sum(said, 0..1) > 100 && sum(said, 1..4) > 100);
        assert_eq!(sum(App::received, 0..1), sum(said, 1..4));
        assert_eq!(sum(App::received, 1..4), sum(said, 0..1));
    });
}
