//! What a small message waits for behind a bulk channel at full speed, from `send` to `poll_transmit` and end to end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proto_core::wire::checksum::crc32c;
use proto_core::wire::{Frame, Packet, Record};
use proto_core::{
    ChannelId, ChannelOptions, Class, ConfigBuilder, ConnectionId, Endpoint, Event, Link, Message, Timestamp,
};
use simtest::{Addr, Boot, Dissect, Dist, FromSeed, Node, Now, RecvMeta, Sim, Time, Transmit, ms};

use crate::net::{At, meta, time, timestamp};

const RTT: Duration = Duration::from_millis(40);
/// Less than two in a round trip, which is as much as priority 0 may send beyond the window.
const EVERY: Duration = Duration::from_millis(23);
/// Since the simulation began; before that the bulk channel gets up to speed.
const FROM: Duration = Duration::from_secs(2);
const BULK: ChannelId = ChannelId(1);
const SMALL: ChannelId = ChannelId(3);

#[derive(Clone, Debug)]
enum Ev {
    /// A small message left the core this long after `send`, and behind this many packets.
    Left(Duration, u64),
    /// It arrived, this long after `send`.
    Arrived(Duration),
}

/// Sends on two channels, or receives.
#[derive(Clone)]
struct Talker {
    endpoint: Endpoint<At>,
    server: Option<Addr>,
    /// Priorities of the bulk channel and of the small messages.
    priorities: [u8; 2],
    conn: Option<ConnectionId>,
    next_small: Option<Time>,
    /// When small messages were sent that have not left, and the packets that had left then.
    waiting: BTreeMap<u64, u64>,
    packets: u64,
    events: VecDeque<Ev>,
}

impl Talker {
    fn send_bulk(&mut self, now: Timestamp) {
        let Some(mut conn) = self.conn.and_then(|id| self.endpoint.connection(id)) else { return };
        let message = || Message::new(vec![0; 1100]).class(Class::ReliableUnordered);
        while conn.channel(BULK).send(now, message()).is_ok() {}
    }

    fn send_small(&mut self, now: Now) {
        if self.next_small.is_none_or(|at| at > now.mono) {
            return;
        }
        self.next_small = Some(now.mono + EVERY);
        let Some(mut conn) = self.conn.and_then(|id| self.endpoint.connection(id)) else { return };
        let mut payload = vec![0; 100];
        payload[..8].copy_from_slice(&now.mono.as_nanos().to_be_bytes());
        let message = Message::new(payload).class(Class::ReliableUnordered);
        conn.channel(SMALL).send(timestamp(now.mono), message).expect("room for a small message");
        self.waiting.insert(now.mono.as_nanos(), self.packets);
    }

    fn drain(&mut self, now: Now) {
        let at = timestamp(now.mono);
        while let Some((id, event)) = self.endpoint.poll_event() {
            let Some(mut conn) = self.endpoint.connection(id) else { continue };
            match event {
                Event::Established { .. } if self.server.is_some() => {
                    for priority in self.priorities {
                        let options = ChannelOptions { priority, ..ChannelOptions::default() };
                        conn.open_channel(at, &options).expect("room for a channel");
                    }
                    drop(conn);
                    self.conn = Some(id);
                    self.next_small = Some(now.mono + FROM);
                    self.send_bulk(at);
                }
                Event::Writable(_) => {
                    drop(conn);
                    self.send_bulk(at);
                }
                Event::Readable(channel) => {
                    while let Some(received) = conn.channel(channel).recv(at) {
                        if channel == SMALL {
                            self.events.push_back(Ev::Arrived(now.mono.since(stamp(&received.payload))));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Notes which messages left for the first time.
    fn watch(&mut self, now: Time, packet: &[u8]) {
        let Ok(Packet::Short(short)) = Packet::decode(packet, crc32c) else { return };
        for frame in Record::new(short.payload) {
            let Ok(Frame::Msg(msg)) = frame else { continue };
            let sent = stamp(msg.payload);
            if msg.channel == SMALL.0
                && let Some(before) = self.waiting.remove(&sent.as_nanos())
            {
                self.events.push_back(Ev::Left(now.since(sent), self.packets - before));
            }
        }
        self.packets += 1;
    }
}

fn stamp(payload: &[u8]) -> Time {
    Time::from_nanos(payload.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)))
}

impl Dissect for Talker {}

impl Node for Talker {
    type Cmd = ();
    type Event = Ev;

    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], with: RecvMeta) {
        self.endpoint.handle_packet(timestamp(now.mono), meta(from, with.ecn), bytes);
        self.drain(now);
    }

    fn on_timeout(&mut self, now: Now) {
        self.endpoint.handle_timeout(timestamp(now.mono));
        self.send_small(now);
        self.drain(now);
    }

    fn on_cmd(&mut self, now: Now, (): ()) {
        if let Some(server) = self.server {
            self.endpoint.connect(timestamp(now.mono), At::Datagrams(server)).expect("room for a connection");
        }
    }

    fn poll_transmit(&mut self, now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = self.endpoint.poll_transmit(timestamp(now.mono), out)?;
        self.watch(now.mono, out);
        self.drain(now);
        Some(Transmit { dst: transmit.path.addr(), ecn: simtest::Ecn::NotEct, len: transmit.len })
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.endpoint.poll_timeout().map(time).into_iter().chain(self.next_small).min()
    }

    fn poll_event(&mut self) -> Option<Ev> {
        self.events.pop_front()
    }
}

/// What was measured, over several runs.
#[derive(Default)]
struct Waits {
    left: Vec<Duration>,
    behind: u64,
    arrived: Vec<Duration>,
    /// What a packet takes at the speed of the whole, in the slowest run.
    packet: Duration,
}

impl Waits {
    fn measure(priorities: [u8; 2], loss: u32) -> Self {
        const SPAN: Duration = Duration::from_secs(12);
        const SEEDS: u64 = 4;
        let mut waits = Self::default();
        for seed in 0..SEEDS {
            let mut sim = Sim::new("priorities");
            let s = sim.node("s", talker(priorities, None));
            let a = sim.node("a", talker(priorities, Some(s.addr())));
            sim.links(simtest::Link::new().delay(Dist::fixed(RTT / 2)).loss(loss));
            sim.workload(|w| {
                w.at(ms(0)).cmd(a, ());
            });
            sim.run_for(SPAN);
            sim.keep_events(true);
            let outcome = sim.run(FromSeed::new(seed));
            outcome.assert_pass();
            for (_, event) in outcome.events(a).chain(outcome.events(s)) {
                match *event {
                    Ev::Left(wait, behind) => {
                        waits.left.push(wait);
                        waits.behind = waits.behind.max(behind);
                    }
                    Ev::Arrived(took) => waits.arrived.push(took),
                }
            }
            let packets = outcome.node(a).map_or(1, |node| node.packets);
            waits.packet = waits.packet.max(SPAN / packets as u32);
        }
        assert!(waits.left.len() > SEEDS as usize * 400, "{} small messages", waits.left.len());
        waits.left.sort_unstable();
        waits.arrived.sort_unstable();
        println!(
            "{priorities:?}, loss {loss}: a packet takes {:?}; left p50 {:?}, p99 {:?}, max {:?} and {} packets; \
             arrived p50 {:?}, p99 {:?}, max {:?}",
            waits.packet,
            at(&waits.left, 500),
            at(&waits.left, 990),
            at(&waits.left, 1000),
            waits.behind,
            at(&waits.arrived, 500),
            at(&waits.arrived, 990),
            at(&waits.arrived, 1000),
        );
        waits
    }
}

fn at(sorted: &[Duration], per_mille: usize) -> Duration {
    sorted[(sorted.len() - 1) * per_mille / 1000]
}

fn talker(priorities: [u8; 2], server: Option<Addr>) -> impl Fn(&Boot<'_>) -> Talker + 'static {
    let config =
        ConfigBuilder { accept: server.is_none(), ..ConfigBuilder::default() }.build().expect("sound");
    move |boot| Talker {
        endpoint: Endpoint::new(
            Arc::clone(&config),
            Link::datagram(1200),
            boot.seed,
            timestamp(boot.now.mono),
        ),
        server,
        priorities,
        conn: None,
        next_small: None,
        waiting: BTreeMap::new(),
        packets: 0,
        events: VecDeque::new(),
    }
}

const TICK: Duration = Duration::from_millis(1);

#[test]
fn a_small_message_waits_for_one_packet_of_a_bulk_channel_at_most() {
    for priorities in [[7, 0], [4, 0], [1, 0], [7, 1], [4, 2]] {
        let waits = Waits::measure(priorities, 0);
        assert!(at(&waits.left, 1000) <= waits.packet + TICK, "left after {:?}", at(&waits.left, 1000));
        assert!(at(&waits.arrived, 1000) <= RTT / 2 + waits.packet + TICK);
        assert!(waits.behind <= 1, "behind {} packets", waits.behind);
    }
}

#[test]
fn priority_0_does_not_wait_for_a_window_that_losses_keep_small() {
    for bulk in [7, 4, 1] {
        let waits = Waits::measure([bulk, 0], 3000);
        assert!(at(&waits.left, 990) <= waits.packet + TICK, "left after {:?}", at(&waits.left, 990));
        // One whose predecessor is being repeated may be the third in its round trip.
        assert!(at(&waits.left, 1000) <= RTT, "left after {:?}", at(&waits.left, 1000));
        assert!(at(&waits.arrived, 980) <= RTT / 2 + waits.packet + TICK);
    }
    // Others wait for the window, and then go first.
    assert!(Waits::measure([7, 1], 3000).behind <= 1);
}
