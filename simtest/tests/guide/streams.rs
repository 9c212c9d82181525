use crate::counter;

use simtest::{
    Addr, Chaos, Dissect, Kind, Link, Node, Now, RecvMeta, Sim, StreamEvent, StreamId, StreamOp, Streams,
    Time, Transmit, ms, secs,
};

/// A counter at one end of a stream: each message is two bytes of it.
#[derive(Clone, Default)]
struct End {
    counter: counter::Counter,
    /// Whom the client dials, and how often it has.
    server: Option<Addr>,
    dialed: u64,
    stream: Option<StreamId>,
    is_open: bool,
    /// The beginning of a message.
    unread: Vec<u8>,
}

impl Node for End {
    type Cmd = Addr;
    type Event = ();

    fn on_cmd(&mut self, now: Now, server: Addr) {
        self.server = Some(server);
        self.counter.add(server.number(), now.mono.as_nanos());
    }
    fn on_stream(&mut self, now: Now, stream: StreamId, event: StreamEvent<'_>) {
        let now = now.mono.as_nanos();
        match event {
            StreamEvent::Opened | StreamEvent::Accepted { .. } => {
                (self.stream, self.is_open) = (Some(stream), true);
                self.unread.clear();
                self.counter.repeat(now); // what the stream before has lost
            }
            StreamEvent::Read(bytes) if self.stream == Some(stream) => {
                self.unread.extend_from_slice(bytes);
                while let [kind, n, ..] = self.unread[..] {
                    self.unread.drain(..2);
                    self.counter.receive(0, &[kind, n], now);
                }
            }
            StreamEvent::Refused | StreamEvent::Broken if self.stream == Some(stream) => {
                (self.stream, self.is_open) = (None, false);
            }
            _ => {}
        }
    }
    fn poll_stream(&mut self, _now: Now, streams: Streams<'_>, out: &mut Vec<u8>) -> Option<StreamOp> {
        match (self.stream, self.server) {
            (None, Some(to)) => {
                self.dialed += 1;
                let stream = StreamId::new(self.dialed);
                self.stream = Some(stream);
                Some(StreamOp::Dial { stream, to })
            }
            (Some(stream), _) if self.is_open && streams.room(stream) >= 2 => {
                let (_, message) = self.counter.send()?;
                out.extend_from_slice(&message);
                Some(StreamOp::Write { stream, len: 2 })
            }
            _ => None,
        }
    }
    fn poll_timeout(&self) -> Option<Time> {
        None // nothing is repeated: a stream loses nothing as long as it is there
    }
    fn on_timeout(&mut self, _now: Now) {}
    fn on_datagram(&mut self, _now: Now, _from: Addr, _bytes: &[u8], _meta: RecvMeta) {}
    fn poll_transmit(&mut self, _now: Now, _out: &mut Vec<u8>) -> Option<Transmit> {
        None
    }
    fn poll_event(&mut self) -> Option<()> {
        None
    }
}

impl Dissect for End {
    fn record(bytes: &[u8]) -> Option<usize> {
        (bytes.len() >= 2).then_some(2)
    }
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        let [kind, n] = bytes else { return None };
        text.push_str(&n.to_string());
        Some(if *kind == 1 { "Add" } else { "Added" })
    }
}

#[simtest::test(seeds = 0..500, exhaustive = 2)]
fn every_request_on_a_stream_counts_once(sim: &mut Sim<End>) {
    let server = sim.node("server", |_| End::default());
    let client = sim.node("client", |_| End::default());
    sim.links(Link::wifi());
    sim.campaign(Chaos::default().without(Kind::Crash).without(Kind::Disk).until(secs(5)));
    sim.workload(|w| {
        for i in 0..3 {
            w.at(ms(500 * i)).cmd(client, server.addr());
        }
    });
    let count = move |v: &simtest::View<'_, End>| v.node(server).map_or(0, |s| s.counter.count);
    sim.eventually("counted", move |v| count(v) == 3);
    sim.invariant("once", move |v| count(v) <= 3);
}
