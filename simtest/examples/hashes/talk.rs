//! Two hosts that write small records to each other over streams, and dial again when a stream breaks.

use std::collections::VecDeque;

use simtest::{
    Addr, Chaos, Dissect, Link, Node, Now, RecvMeta, Sim, StreamEvent, StreamId, StreamOp, Streams, Time,
    Transmit, ms, secs,
};

const AGAIN: std::time::Duration = ms(300);

#[derive(Clone, Default)]
pub(crate) struct Talker {
    /// Whom to dial, and when.
    peer: Option<Addr>,
    due: Option<Time>,
    dials: u64,
    stream: Option<StreamId>,
    unsent: VecDeque<u8>,
    said: Vec<u8>,
}

impl Node for Talker {
    type Cmd = (Addr, u8);
    type Event = Vec<u8>;

    fn on_cmd(&mut self, now: Now, (peer, text): (Addr, u8)) {
        if self.peer.is_none() {
            self.peer = Some(peer);
            self.due = Some(now.mono + ms(1));
        }
        self.unsent.extend([3, text, text, text]);
    }
    fn on_stream(&mut self, now: Now, stream: StreamId, event: StreamEvent<'_>) {
        match event {
            StreamEvent::Opened | StreamEvent::Accepted { .. } => self.stream = Some(stream),
            StreamEvent::Read(bytes) => {
                self.said.extend_from_slice(bytes);
                if self.peer.is_none() {
                    self.unsent.extend(bytes);
                }
            }
            StreamEvent::Writable => {}
            StreamEvent::Finished | StreamEvent::Refused | StreamEvent::Broken => {
                self.stream = self.stream.filter(|known| *known != stream);
                self.unsent.clear();
                self.due = self.peer.map(|_| now.mono + AGAIN);
            }
        }
    }
    fn poll_stream(&mut self, _now: Now, streams: Streams<'_>, out: &mut Vec<u8>) -> Option<StreamOp> {
        if let (None, Some(to), Some(_)) = (self.stream, self.peer, self.due)
            && self.dials % 2 == 1
        {
            self.dials += 1;
            self.due = None;
            return Some(StreamOp::Dial { stream: StreamId::new(self.dials), to });
        }
        let stream = self.stream?;
        let len = self.unsent.len().min(streams.room(stream));
        out.extend(self.unsent.drain(..len));
        (len > 0).then_some(StreamOp::Write { stream, len })
    }
    fn on_datagram(&mut self, _now: Now, _from: Addr, _bytes: &[u8], _meta: RecvMeta) {}
    fn on_timeout(&mut self, now: Now) {
        self.dials += 1;
        self.due = Some(now.mono + AGAIN);
    }
    fn poll_transmit(&mut self, _now: Now, _out: &mut Vec<u8>) -> Option<Transmit> {
        None
    }
    fn poll_timeout(&self) -> Option<Time> {
        self.due
    }
    fn poll_event(&mut self) -> Option<Vec<u8>> {
        (!self.said.is_empty()).then(|| std::mem::take(&mut self.said))
    }
}

impl Dissect for Talker {
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        text.push_str(&bytes.get(1)?.to_string());
        Some("Say")
    }
    fn record(bytes: &[u8]) -> Option<usize> {
        let len = 1 + usize::from(*bytes.first()?);
        (bytes.len() >= len).then_some(len)
    }
}

pub(crate) fn talk() -> Sim<Talker> {
    let mut sim = Sim::new("talk");
    let listener = sim.node("listener", |_| Talker::default());
    let dialer = sim.node("dialer", |_| Talker::default());
    sim.links(Link::wifi());
    sim.campaign(Chaos::default().until(secs(3)).quiet_for(secs(1)));
    sim.workload(|w| {
        for text in 0..30 {
            w.at(ms(90 * u64::from(text))).cmd(dialer, (listener.addr(), text));
        }
    });
    sim
}
