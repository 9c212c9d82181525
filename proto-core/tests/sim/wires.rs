//! What an adapter does for the streams of an endpoint, for the simulator's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proto_core::framing::{Deframer, Framer};
use proto_core::{Dial, DialError, DialId, Link, LinkId, Output, Timestamp};
use simtest::{Addr, StreamEvent, StreamId, StreamOp};

const LINK: Link = Link::stream(2000);
/// What one record and its length need at most.
const ROOM: usize = 2003;

/// The verbs about streams, of an endpoint or of whatever is around one.
pub(crate) trait Linked {
    fn link_up(&mut self, now: Timestamp, from: Addr, link: Link) -> Option<LinkId>;
    fn link_down(&mut self, now: Timestamp, id: LinkId);
    fn link_broken(&mut self, now: Timestamp, id: LinkId, why: &'static str);
    fn handle_record(&mut self, now: Timestamp, id: LinkId, record: &[u8]);
    fn record_limit(&self, id: LinkId) -> usize;
    fn poll_link(&mut self) -> Option<LinkId>;
    fn poll_record(&mut self, now: Timestamp, id: LinkId, out: &mut Vec<u8>) -> Output;
    fn has_link(&self, id: LinkId) -> bool;
    fn poll_dial(&mut self) -> Option<Dial<Addr>>;
    fn dialed(&mut self, now: Timestamp, id: DialId, link: Link) -> Option<LinkId>;
    fn dial_failed(&mut self, now: Timestamp, id: DialId, error: DialError);
}

#[derive(Clone, Debug, Default)]
struct Wire {
    link: Option<LinkId>,
    framer: Framer,
    deframer: Deframer,
    /// This side writes no more.
    is_finished: bool,
}

/// What an adapter does for the streams of an endpoint.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wires {
    dialed: u64,
    dials: BTreeMap<StreamId, DialId>,
    open: BTreeMap<StreamId, Wire>,
    streams: BTreeMap<LinkId, StreamId>,
    ready: BTreeSet<StreamId>,
    ops: VecDeque<StreamOp>,
}

impl Wires {
    pub(crate) fn on_stream(
        &mut self,
        now: Timestamp,
        endpoint: &mut impl Linked,
        stream: StreamId,
        event: StreamEvent<'_>,
    ) {
        match event {
            StreamEvent::Opened => {
                let link = self.dials.remove(&stream).and_then(|id| endpoint.dialed(now, id, LINK));
                match link {
                    Some(link) => self.open(stream, link),
                    None => self.ops.push_back(StreamOp::Reset { stream }),
                }
            }
            StreamEvent::Accepted { from } => match endpoint.link_up(now, from, LINK) {
                Some(link) => self.open(stream, link),
                None => self.ops.push_back(StreamOp::Reset { stream }),
            },
            StreamEvent::Read(mut bytes) => {
                let Some(wire) = self.open.get_mut(&stream) else { return };
                let Some(link) = wire.link else { return };
                loop {
                    match wire.deframer.next(&mut bytes, endpoint.record_limit(link)) {
                        Ok(Some(record)) => endpoint.handle_record(now, link, record),
                        Ok(None) => break,
                        Err(_) => {
                            endpoint.link_broken(now, link, "what came is no record");
                            break;
                        }
                    }
                }
            }
            StreamEvent::Writable => {
                self.ready.insert(stream);
            }
            StreamEvent::Finished => {
                if let Some(wire) = self.open.remove(&stream) {
                    self.ready.remove(&stream);
                    if !wire.is_finished {
                        self.ops.push_back(StreamOp::Finish { stream });
                    }
                    self.lose(now, endpoint, wire.link);
                }
            }
            StreamEvent::Refused => {
                if let Some(id) = self.dials.remove(&stream) {
                    endpoint.dial_failed(now, id, DialError::Refused);
                }
            }
            StreamEvent::Broken => {
                self.ops.retain(|op| !matches!(op, StreamOp::Reset { stream: of } | StreamOp::Finish { stream: of } if *of == stream));
                self.ready.remove(&stream);
                if let Some(id) = self.dials.remove(&stream) {
                    endpoint.dial_failed(now, id, DialError::Unreachable);
                }
                if let Some(wire) = self.open.remove(&stream) {
                    self.lose(now, endpoint, wire.link);
                }
            }
        }
    }

    fn open(&mut self, stream: StreamId, link: LinkId) {
        self.open.insert(stream, Wire { link: Some(link), ..Wire::default() });
        self.streams.insert(link, stream);
        self.ready.insert(stream);
    }

    fn lose(&mut self, now: Timestamp, endpoint: &mut impl Linked, link: Option<LinkId>) {
        if let Some(link) = link {
            self.streams.remove(&link);
            endpoint.link_down(now, link);
        }
    }

    /// Nobody is there any more.
    pub(crate) fn reset_all(&mut self) {
        let Self { ops, dials, .. } = self;
        ops.retain(|op| match op {
            StreamOp::Dial { stream, .. } => dials.remove(stream).is_none(),
            _ => true,
        });
        let open = std::mem::take(&mut self.open).into_keys();
        let streams = open.chain(std::mem::take(&mut self.dials).into_keys());
        self.ops.extend(streams.map(|stream| StreamOp::Reset { stream }));
        self.streams.clear();
        self.ready.clear();
    }

    /// What happens to a stream when nobody is there any more.
    pub(crate) fn refuse(&mut self, stream: StreamId, event: StreamEvent<'_>) {
        match event {
            StreamEvent::Opened | StreamEvent::Accepted { .. } => {
                self.dials.remove(&stream);
                self.ops.push_back(StreamOp::Reset { stream });
            }
            StreamEvent::Finished => {
                if self.open.remove(&stream).is_some_and(|wire| !wire.is_finished) {
                    self.ops.push_back(StreamOp::Finish { stream });
                }
            }
            StreamEvent::Refused | StreamEvent::Broken => self.forget(stream),
            StreamEvent::Read(_) | StreamEvent::Writable => {}
        }
    }

    /// A stream is gone, and nothing is to be done with it any more.
    fn forget(&mut self, stream: StreamId) {
        self.ops.retain(|op| match op {
            StreamOp::Reset { stream: of } | StreamOp::Finish { stream: of } => *of != stream,
            _ => true,
        });
        self.dials.remove(&stream);
        self.open.remove(&stream);
        self.ready.remove(&stream);
    }

    /// What is to be done with a stream, whatever the endpoint says.
    pub(crate) fn poll_op(&mut self) -> Option<StreamOp> {
        self.ops.pop_front()
    }

    /// Whether everything that was to go out is on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.ops.is_empty() && self.open.values().all(|wire| wire.link.is_none())
    }

    pub(crate) fn poll_stream(
        &mut self,
        now: Timestamp,
        endpoint: &mut impl Linked,
        streams: simtest::Streams<'_>,
        out: &mut Vec<u8>,
    ) -> Option<StreamOp> {
        while let Some(dial) = endpoint.poll_dial() {
            match dial {
                Dial::Begin { id, address } => {
                    let stream = StreamId::new(self.dialed);
                    self.dialed += 1;
                    self.dials.insert(stream, id);
                    self.ops.push_back(StreamOp::Dial { stream, to: address });
                }
                Dial::Cancel(id) => {
                    let stream =
                        self.dials.iter().find(|&(_, known)| *known == id).map(|(&stream, _)| stream);
                    if let Some(stream) = stream {
                        self.dials.remove(&stream);
                        self.ops.push_back(StreamOp::Reset { stream });
                    }
                }
            }
        }
        while let Some(link) = endpoint.poll_link() {
            let Some(&stream) = self.streams.get(&link) else { continue };
            if !endpoint.has_link(link) && streams.room(stream) < ROOM {
                self.streams.remove(&link);
                self.open.remove(&stream);
                self.ready.remove(&stream);
                self.ops.push_back(StreamOp::Reset { stream });
            } else {
                self.ready.insert(stream);
            }
        }
        if let Some(op) = self.ops.pop_front() {
            return Some(op);
        }
        while let Some(&stream) = self.ready.first() {
            let wire = self.open.get_mut(&stream);
            let Some(wire) = wire.filter(|wire| wire.link.is_some() && streams.room(stream) >= ROOM) else {
                self.ready.remove(&stream);
                continue;
            };
            let Some(link) = wire.link else { continue };
            let before = out.len();
            let start = wire.framer.begin(out);
            match endpoint.poll_record(now, link, out) {
                Output::Record(_) => {
                    wire.framer.finish(out, start);
                    return Some(StreamOp::Write { stream, len: out.len() - before });
                }
                Output::Idle => {
                    wire.framer.cancel(out, start);
                    self.ready.remove(&stream);
                }
                Output::Close => {
                    wire.framer.cancel(out, start);
                    wire.is_finished = true;
                    wire.link = None;
                    self.streams.remove(&link);
                    self.ready.remove(&stream);
                    return Some(StreamOp::Finish { stream });
                }
            }
        }
        None
    }
}
