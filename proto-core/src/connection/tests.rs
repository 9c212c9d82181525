//! Two connections and the wire between them, in memory and in virtual time.

mod abuse;
mod acks;
mod channels;
mod clocks;
mod close;
mod delivery;
mod given_up;
mod idle;
mod path;
mod priorities;
mod rates;
mod receipts;
mod reliable_link;
mod requests;
mod together;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::Connection;
use crate::recovery::Mark;
use crate::rng::Rng;
use crate::sleep::Pattern;
use crate::wire::{Frame, Msg, Packet, Record, RecordWriter, packet};
use crate::{
    ChannelId, Class, Close, Closed, Config, ConfigBuilder, Event, Link, Message, Meta, Received, State,
    Timestamp,
};

const DELAY: Duration = Duration::from_millis(10);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Client,
    Server,
}

use Side::{Client, Server};

impl Side {
    const fn other(self) -> Self {
        match self {
            Client => Server,
            Server => Client,
        }
    }
}

/// A packet that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    at: Timestamp,
    from: Side,
    packet: Vec<u8>,
}

type Loss = Box<dyn FnMut(&Sent) -> bool>;

/// A client and a server, [`DELAY`] apart.
struct Pair {
    now: Timestamp,
    conns: [Connection; 2],
    events: [Vec<Event>; 2],
    flying: BTreeMap<(Timestamp, u64), Sent>,
    sent: Vec<Sent>,
    /// Says which packets are lost.
    lose: Loss,
    /// Calls of `handle_timeout`.
    timeouts: usize,
    /// How often one of them was put away.
    dozed: usize,
    /// Of whoever was put away last.
    pattern: Pattern,
}

impl Pair {
    /// Two that have just been made.
    fn new(client: Arc<Config>, server: Arc<Config>, link: Link) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        Self {
            now,
            conns: [
                Connection::connect(client, link, [1; 32], now),
                Connection::accept(server, link, [2; 32], now),
            ],
            events: [Vec::new(), Vec::new()],
            flying: BTreeMap::new(),
            sent: Vec::new(),
            lose: Box::new(|_| false),
            timeouts: 0,
            dozed: 0,
            pattern: Pattern::default(),
        }
    }

    /// Two that have agreed and gone quiet.
    fn established_with(client: Arc<Config>, server: Arc<Config>, link: Link) -> Self {
        let mut pair = Self::new(client, server, link);
        pair.run(ms(500));
        for side in [Client, Server] {
            assert_eq!(pair.conn(side).state(), State::Established);
            pair.events[side as usize].clear();
        }
        pair.sent.clear();
        pair.timeouts = 0;
        pair
    }

    fn established(config: ConfigBuilder) -> Self {
        let config = config.build().expect("a sound configuration");
        Self::established_with(Arc::clone(&config), config, Link::datagram(1200))
    }

    fn conn(&mut self, side: Side) -> &mut Connection {
        &mut self.conns[side as usize]
    }

    fn lose(&mut self, lose: impl FnMut(&Sent) -> bool + 'static) {
        self.lose = Box::new(lose);
    }

    /// Polls everything until nothing comes.
    fn drain(&mut self) {
        for side in [Client, Server] {
            let mut buf = Vec::new();
            while let Some(transmit) = self.conns[side as usize].poll_transmit(self.now, &mut buf) {
                assert_eq!(transmit.len, buf.len());
                let most = usize::from(self.conns[side as usize].max_packet().max(1452));
                assert!(transmit.len <= most, "a packet of {} bytes", transmit.len);
                let sent = Sent { at: self.now, from: side, packet: core::mem::take(&mut buf) };
                if !(self.lose)(&sent) {
                    self.flying.insert((self.now + DELAY, self.sent.len() as u64), sent.clone());
                }
                self.sent.push(sent);
            }
            assert!(buf.is_empty(), "bytes without a packet");
            while let Some(event) = self.conns[side as usize].poll_event() {
                self.events[side as usize].push(event);
            }
        }
    }

    fn next(&self) -> Option<Timestamp> {
        let flying = self.flying.first_key_value().map(|(&(at, _), _)| at);
        self.conns.iter().map(Connection::poll_timeout).chain([flying]).flatten().min()
    }

    /// Lets `span` pass.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.drain();
        while let Some(at) = self.next().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            let late = self.flying.split_off(&(self.now + Duration::from_nanos(1), 0));
            for sent in core::mem::replace(&mut self.flying, late).into_values() {
                self.conns[sent.from.other() as usize].handle_packet(self.now, Meta::default(), &sent.packet);
            }
            for conn in &mut self.conns {
                if conn.poll_timeout().is_some_and(|at| at <= self.now) {
                    self.timeouts += 1;
                    conn.handle_timeout(self.now);
                    assert!(conn.poll_timeout().is_none_or(|at| at > self.now), "a timer in the past");
                }
            }
            self.drain();
        }
        self.now = end;
        self.doze();
    }

    /// Puts away whoever has nothing to do, and takes it out as it was.
    fn doze(&mut self) {
        for conn in &mut self.conns {
            let arena = conn.arena_mut().take();
            if let Some(own) = conn.pattern() {
                for pattern in [&self.pattern, &own] {
                    let saved = conn.put_away(pattern).expect("it is at rest");
                    let taken = Connection::take_out(&saved, &conn.config, pattern).expect("it was saved");
                    assert_eq!(alloc::format!("{taken:?}"), alloc::format!("{conn:?}"));
                    *conn = taken;
                }
                self.pattern = own;
                self.dozed += 1;
            }
            *conn.arena_mut() = arena;
        }
    }

    /// Whether nothing but a heartbeat goes over the wire for `span`.
    fn run_is_quiet(&mut self, span: Duration) -> bool {
        let before = self.sent.len();
        self.run(span);
        self.sent.len() - before <= 2
    }

    fn send(&mut self, side: Side, channel: u32, message: Message) -> crate::MessageId {
        let now = self.now;
        self.conn(side).channel(ChannelId(channel)).send(now, message).expect("room for a message")
    }

    fn recv(&mut self, side: Side, channel: u32) -> Option<Received> {
        let now = self.now;
        self.conn(side).channel(ChannelId(channel)).recv(now)
    }

    /// Everything that waits on `channel`.
    fn recv_all(&mut self, side: Side, channel: u32) -> Vec<Received> {
        core::iter::from_fn(|| self.recv(side, channel)).collect()
    }

    fn take_events(&mut self, side: Side) -> Vec<Event> {
        core::mem::take(&mut self.events[side as usize])
    }

    fn close(&mut self, side: Side, close: Close) {
        let now = self.now;
        self.conn(side).close(now, close);
    }

    /// How a side's connection ended, if it has.
    fn closed(&self, side: Side) -> Option<&Closed> {
        let mut ends = self.events[side as usize].iter().filter_map(|event| match event {
            Event::Closed(closed) | Event::ConnectFailed(closed) => Some(closed),
            _ => None,
        });
        let end = ends.next();
        assert!(ends.next().is_none(), "a connection ended twice");
        end
    }

    /// A packet with a valid number and tag, as `from` would send it, with whatever `frames` writes.
    fn forge(&mut self, from: Side, frames: impl FnOnce(&mut RecordWriter<'_>)) -> Vec<u8> {
        let conn = self.conn(from);
        let (number, number_len) = conn.recovery.next_number();
        let mut buf = Vec::new();
        packet::start_short(&mut buf, conn.remote_cid, number, number_len);
        frames(&mut RecordWriter::new(&mut buf));
        packet::finish_short(&mut buf, 0, conn.guard, number, conn.config.checksum);
        conn.recovery.on_sent(conn.clock, buf.len(), false, Mark::default(), &[]);
        buf
    }

    fn hand_in(&mut self, to: Side, packet: &[u8]) {
        let now = self.now;
        self.conn(to).handle_packet(now, Meta::default(), packet);
    }

    /// Hands the other side a packet with these frames, all of which come before another.
    fn inject(&mut self, from: Side, frames: &[Frame<'_>]) {
        let packet = self.forge(from, |writer| {
            for (index, frame) in frames.iter().enumerate() {
                writer.write(frame, index + 1 == frames.len());
            }
        });
        self.hand_in(from.other(), &packet);
    }

    /// The names of the frames that `from` sent, packet by packet.
    fn frames_from(&self, from: Side) -> Vec<Vec<&'static str>> {
        let sent = self.sent.iter().filter(|sent| sent.from == from);
        sent.map(|sent| frame_names(&sent.packet)).collect()
    }
}

impl Connection {
    /// A packet of this end's with nothing but `frame` in it.
    pub(crate) fn forge(&mut self, now: Timestamp, frame: &Frame<'_>) -> Vec<u8> {
        let mut packet = Vec::new();
        self.write_packet(now, &mut packet, |writer| writer.write(frame, false));
        packet
    }
}

fn frame_name(frame: &Frame<'_>) -> &'static str {
    match frame {
        Frame::Padding => "PADDING",
        Frame::Ping => "PING",
        Frame::Pong(_) => "PONG",
        Frame::Ack(_) => "ACK",
        Frame::Credit(_) => "CREDIT",
        Frame::Blocked(_) => "BLOCKED",
        Frame::Skip(_) => "SKIP",
        Frame::FragAbort(_) => "FRAG_ABORT",
        Frame::MsgAck(_) => "MSG_ACK",
        Frame::Report(_) => "REPORT",
        Frame::OpenChannel(_) => "OPEN_CHANNEL",
        Frame::Close(_) => "CLOSE",
        Frame::CloseAck => "CLOSE_ACK",
        Frame::Rate(_) => "RATE",
        Frame::Time(_) => "TIME",
        Frame::Cancel(_) => "CANCEL",
        Frame::ResumeState(_) => "RESUME_STATE",
        Frame::GoAway(_) => "GOAWAY",
        Frame::PathChallenge(_) => "PATH_CHALLENGE",
        Frame::PathResponse(_) => "PATH_RESPONSE",
        Frame::NewCid(_) => "NEW_CID",
        Frame::RetireCid(_) => "RETIRE_CID",
        Frame::Init(_) => "INIT",
        Frame::Retry(_) => "RETRY",
        Frame::Version(_) => "VERSION",
        Frame::Accept(_) => "ACCEPT",
        Frame::Confirm(_) => "CONFIRM",
        Frame::Sealed(_) => "SEALED",
        Frame::Key { .. } => "KEY",
        Frame::Msg(_) => "MSG",
        Frame::Extension { .. } => "EXTENSION",
    }
}

/// The record of a packet, which over a stream is all of it.
fn payload(packet: &[u8]) -> &[u8] {
    match Packet::decode(packet, crate::wire::checksum::crc32c) {
        Ok(Packet::Long(long)) => long.payload,
        Ok(Packet::Short(short)) => short.payload,
        Err(_) => packet,
    }
}

/// The frames of a packet, PADDING left out.
fn frame_names(packet: &[u8]) -> Vec<&'static str> {
    let frames = Record::new(payload(packet)).map(|frame| frame_name(&frame.expect("a frame of ours")));
    frames.filter(|&name| name != "PADDING").collect()
}

/// Code and reason of the CLOSE in a packet.
fn close_in(packet: &[u8]) -> Option<(u64, &str)> {
    Record::new(payload(packet)).find_map(|frame| match frame {
        Ok(Frame::Close(close)) => Some((close.code, close.reason)),
        _ => None,
    })
}

/// A one-way message of ours, to be forged.
const fn msg(class: Class, id: u16, payload: &[u8]) -> Msg<'_> {
    Msg {
        class: class as u8,
        channel: 0,
        id: crate::wire::WireId::Low16(id),
        fragment: None,
        kind: crate::wire::Kind::OneWay,
        extras: crate::wire::Extras { ttl: None, receipt: false, options: crate::wire::Options::NONE },
        payload,
    }
}

fn small() -> ConfigBuilder {
    ConfigBuilder {
        max_message: 4000,
        send_messages: 8,
        send_bytes: 8000,
        receive_messages: 8,
        receive_bytes: 8000,
        session_messages: 12,
        session_bytes: 12_000,
        max_channels: 2,
        max_requests: 3,
        max_partials: 4,
        ..ConfigBuilder::default()
    }
}

/// Reproducible noise for tests.
fn noise(seed: u64) -> Rng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    Rng::new(&bytes, "test")
}

#[test]
fn two_sides_agree_in_three_packets() {
    let config = ConfigBuilder::default().build().expect("the defaults are sound");
    let mut pair = Pair::new(Arc::clone(&config), config, Link::datagram(1200));
    pair.conn(Server).set_address_validated();
    pair.run(ms(200));
    assert_eq!(pair.frames_from(Client), [["INIT"].as_slice(), &["CONFIRM"]]);
    assert_eq!(pair.frames_from(Server), [["ACCEPT"], ["ACK"]]);
    let [client, server] = &pair.conns;
    assert_eq!((client.session(), client.session_secret()), (server.session(), server.session_secret()));
    assert_ne!(client.session().0, *client.session_secret().first_chunk().expect("32 bytes"));
    for side in [Client, Server] {
        let events = pair.take_events(side);
        let established = events.iter().filter(|event| matches!(event, Event::Established { .. }));
        assert_eq!(established.count(), 1);
    }
}

#[test]
fn every_class_and_size_arrives_unchanged() {
    let mut pair = Pair::established(ConfigBuilder::default());
    for (size, class) in [0, 1, 63, 64, 1000, 1100, 1150, 1200, 5000, 15_000]
        .into_iter()
        .flat_map(|size| Class::ALL.map(|class| (size, class)))
    {
        let body: Vec<u8> = (0..size).map(|i: u32| (i % 251) as u8).collect();
        for side in [Client, Server] {
            pair.send(side, 0, Message::new(body.clone()).class(class));
            pair.run(ms(400));
            let got = pair.recv_all(side.other(), 0);
            assert_eq!(got.len(), 1, "{size} bytes, {class:?}");
            assert_eq!((&got[0].payload[..], got[0].class), (&body[..], class));
        }
    }
}
