//! The scenarios in the simulator, over datagrams and over streams: the applications see there what they see on every adapter.

#[path = "../../proto-core/tests/sim/net.rs"]
#[expect(dead_code, reason = "shared with the core's simulations")]
mod net;
#[path = "../../proto-core/tests/sim/wires.rs"]
mod wires;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use conformance::outcomes::{Answer, CASES, Side, Stage, Taken, compare, play};
use proto_core::{
    ChannelId, ChannelOptions, Close, CloseReason, ConfigBuilder, ConnectionId, Endpoint, Event, Fate, Link,
    Message, MessageId, ReceiptId, ReceiptKind, RequestId, RequestOutcome, SendError, Timestamp,
};
use simtest::{
    Addr, Boot, Dissect, FromSeed, Node, NodeId, Now, RecvMeta, Run, Sim, StreamEvent, StreamId, StreamOp,
    Streams, Time, Transmit,
};

use net::{At, ecn_to, meta, time, timestamp};
use wires::Wires;

const SERVER: NodeId = NodeId::new(0);
const CLIENT: NodeId = NodeId::new(1);

/// What an application does.
#[derive(Clone, Debug)]
enum Do {
    Connect(At),
    Send(usize, Message),
    Take(usize),
    Judge(Option<u64>),
    Ask(Message),
    Reply(Answer),
    Open(String),
    Close(Close),
}

/// What an application has seen.
#[derive(Clone, Default)]
struct Seen {
    is_established: bool,
    opened: Option<String>,
    sent: Option<Result<(), SendError>>,
    receipts: Vec<MessageId>,
    fates: BTreeMap<MessageId, Fate>,
    taken: Option<Taken>,
    answer: Option<Answer>,
    closed: Option<CloseReason>,
}

/// An endpoint and its application.
#[derive(Clone)]
struct Host {
    endpoint: Endpoint<At>,
    wires: Wires,
    conn: Option<ConnectionId>,
    channels: Vec<ChannelId>,
    /// The messages of batches whose fates are not told.
    batches: BTreeMap<(ChannelId, u64), Vec<MessageId>>,
    to_judge: Option<ReceiptId>,
    to_reply: Option<RequestId>,
    seen: Seen,
}

impl Host {
    fn new(boot: &Boot<'_>) -> Self {
        let config = ConfigBuilder { accept: boot.id == SERVER, ..ConfigBuilder::default() };
        let (config, now) = (config.build().expect("sound"), timestamp(boot.now.mono));
        Self {
            endpoint: Endpoint::new(config, Link::datagram(1200), boot.seed, now),
            wires: Wires::default(),
            conn: None,
            channels: vec![ChannelId::DEFAULT],
            batches: BTreeMap::new(),
            to_judge: None,
            to_reply: None,
            seen: Seen::default(),
        }
    }

    fn send(&mut self, at: Timestamp, channel: usize, message: Message) -> Result<(), SendError> {
        let (wants_receipt, batch) = (message.receipt != ReceiptKind::None, message.batch);
        let channel = self.channels[channel];
        let mut conn = self.conn.and_then(|id| self.endpoint.connection(id)).ok_or(SendError::Closed)?;
        let sent = conn.channel(channel).send(at, message)?;
        drop(conn);
        if wants_receipt {
            self.seen.receipts.push(sent);
        }
        if let Some(batch) = batch {
            self.batches.entry((channel, batch.number)).or_default().push(sent);
        }
        Ok(())
    }

    fn look(&mut self, at: Timestamp) {
        while let Some((id, event)) = self.endpoint.poll_event() {
            match event {
                Event::Established { .. } => {
                    self.conn = Some(id);
                    self.seen.is_established = true;
                }
                Event::Opened(channel) => {
                    self.channels.push(channel);
                    let mut conn = self.endpoint.connection(id).expect("it is there");
                    self.seen.opened = conn.channel(channel).name().map(str::to_owned);
                }
                Event::Fate { message, fate } => {
                    self.seen.fates.insert(message, fate);
                }
                Event::Batch { channel, batch, fate } => {
                    let messages = self.batches.remove(&(channel, batch)).unwrap_or_default();
                    self.seen.fates.extend(messages.into_iter().map(|message| (message, fate)));
                }
                Event::RequestDone { request, outcome } => {
                    let mut conn = self.endpoint.connection(id).expect("it is there");
                    self.seen.answer = Some(match outcome {
                        RequestOutcome::Replied => {
                            Ok(conn.take_reply(at, request).expect("it is there").to_vec())
                        }
                        RequestOutcome::Failed { code, .. } => Err(code),
                        other => panic!("{other:?}"),
                    });
                }
                Event::Closed(closed) | Event::ConnectFailed(closed) => {
                    self.seen.closed = Some(closed.reason);
                }
                _ => {}
            }
        }
    }
}

impl Dissect for Host {}

impl Node for Host {
    type Cmd = Do;
    type Event = ();

    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], with: RecvMeta) {
        self.endpoint.handle_packet(timestamp(now.mono), meta(from, with.ecn), bytes);
        self.look(timestamp(now.mono));
    }

    fn on_stream(&mut self, now: Now, stream: StreamId, event: StreamEvent<'_>) {
        self.wires.on_stream(timestamp(now.mono), &mut self.endpoint, stream, event);
        self.look(timestamp(now.mono));
    }

    fn poll_stream(&mut self, now: Now, streams: Streams<'_>, out: &mut Vec<u8>) -> Option<StreamOp> {
        let op = self.wires.poll_stream(timestamp(now.mono), &mut self.endpoint, streams, out);
        self.look(timestamp(now.mono));
        op
    }

    fn on_timeout(&mut self, now: Now) {
        self.endpoint.handle_timeout(timestamp(now.mono));
        self.look(timestamp(now.mono));
    }

    fn on_cmd(&mut self, now: Now, cmd: Do) {
        let at = timestamp(now.mono);
        match cmd {
            Do::Connect(to) => {
                self.conn = self.endpoint.connect(at, to).ok();
                return;
            }
            Do::Send(channel, message) => {
                self.seen.sent = Some(self.send(at, channel, message));
                return self.look(at);
            }
            _ => {}
        }
        let mut conn = self.conn.and_then(|id| self.endpoint.connection(id)).expect("it is connected");
        match cmd {
            Do::Connect(_) | Do::Send(..) => {}
            Do::Take(channel) => {
                let received = conn.channel(self.channels[channel]).recv(at);
                self.seen.taken = received.map(|received| {
                    (self.to_judge, self.to_reply) = (received.receipt, received.request);
                    let (class, payload) = (received.class, received.payload.to_vec());
                    Taken { class, payload, is_request: received.request.is_some() }
                });
            }
            Do::Judge(rejected) => {
                let receipt = self.to_judge.take().expect("it asks");
                let is_owed = match rejected {
                    None => conn.ack(at, receipt),
                    Some(reason) => conn.reject(at, receipt, reason),
                };
                assert!(is_owed);
            }
            Do::Ask(message) => {
                self.seen.answer = None;
                let asked = conn.channel(ChannelId::DEFAULT).request(at, message, Duration::from_secs(30));
                asked.expect("there is room");
            }
            Do::Reply(answer) => {
                let request = self.to_reply.take().expect("it is one");
                let replied = match answer {
                    Ok(payload) => conn.reply(at, request, Bytes::from(payload)),
                    Err(code) => conn.reply_error(at, request, code, Bytes::new()),
                };
                replied.expect("there is room");
            }
            Do::Open(name) => {
                let options = ChannelOptions { name: name.into(), ..ChannelOptions::default() };
                self.channels.push(conn.open_channel(at, &options).expect("there is room"));
            }
            Do::Close(close) => conn.close(at, close),
        }
        drop(conn);
        self.look(at);
    }

    fn poll_transmit(&mut self, now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = self.endpoint.poll_transmit(timestamp(now.mono), out)?;
        self.look(timestamp(now.mono));
        Some(Transmit { dst: transmit.path.addr(), ecn: ecn_to(transmit.ecn), len: transmit.len })
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.endpoint.poll_timeout().map(time)
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }
}

/// A simulation as a stage.
struct Simulated {
    run: Run<Host>,
    /// The fates that were asked for.
    told: [usize; 2],
}

const fn id(side: Side) -> NodeId {
    match side {
        Side::Client => CLIENT,
        Side::Server => SERVER,
    }
}

impl Simulated {
    fn new(by: fn(Addr) -> At) -> Self {
        let mut sim = Sim::new("outcomes");
        for name in ["server", "client"] {
            sim.node(name, Host::new);
        }
        sim.run_for(Duration::from_mins(10));
        let mut stage = Self { run: sim.start(FromSeed::new(1)), told: [0; 2] };
        stage.tell(Side::Client, Do::Connect(by(SERVER.addr())));
        for side in [Side::Client, Side::Server] {
            stage.until(side, |seen| seen.is_established.then_some(()));
        }
        stage
    }

    fn tell(&mut self, side: Side, what: Do) {
        self.run.command(id(side), what);
    }

    fn seen(&self, side: Side) -> &Seen {
        &self.run.view().node(id(side)).expect("it lives").seen
    }

    fn step(&mut self) {
        assert!(self.run.step(), "it never happens");
    }

    fn until<T>(&mut self, side: Side, found: impl Fn(&Seen) -> Option<T>) -> T {
        loop {
            if let Some(found) = found(self.seen(side)) {
                return found;
            }
            self.step();
        }
    }
}

impl Stage for Simulated {
    fn send(&mut self, by: Side, channel: usize, message: Message) -> Result<(), SendError> {
        loop {
            self.tell(by, Do::Send(channel, message.clone()));
            let sent = self.seen(by).sent.expect("it was told");
            if sent != Err(SendError::Full) {
                return sent;
            }
            self.step();
        }
    }

    fn fate(&mut self, by: Side) -> Fate {
        let message = self.seen(by).receipts[self.told[by as usize]];
        self.told[by as usize] += 1;
        self.until(by, |seen| seen.fates.get(&message).copied())
    }

    fn take(&mut self, by: Side, channel: usize) -> Taken {
        loop {
            self.tell(by, Do::Take(channel));
            if let Some(taken) = self.seen(by).taken.clone() {
                return taken;
            }
            self.step();
        }
    }

    fn judge(&mut self, by: Side, rejected: Option<u64>) {
        self.tell(by, Do::Judge(rejected));
    }

    fn ask(&mut self, by: Side, message: Message) {
        self.tell(by, Do::Ask(message));
    }

    fn reply(&mut self, by: Side, answer: Answer) {
        self.tell(by, Do::Reply(answer));
    }

    fn answer(&mut self, by: Side) -> Answer {
        self.until(by, |seen| seen.answer.clone())
    }

    fn open(&mut self, by: Side, name: &str) {
        self.tell(by, Do::Open(name.to_owned()));
    }

    fn opened(&mut self, by: Side) -> String {
        self.until(by, |seen| seen.opened.clone())
    }

    fn close(&mut self, by: Side, close: Close) {
        self.tell(by, Do::Close(close));
    }

    fn closed(&mut self, by: Side) -> CloseReason {
        self.until(by, |seen| seen.closed.clone())
    }
}

#[test]
fn every_scenario_has_the_outcome_that_adapters_have() {
    for name in CASES {
        compare(name, &play(name, &mut Simulated::new(At::Datagrams)));
        compare(name, &play(name, &mut Simulated::new(At::Stream)));
    }
}
