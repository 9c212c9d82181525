//! A host between a client and a server, that can fail.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use simtest::{Addr, Ecn, StreamEvent, StreamId, StreamOp, Streams, Transmit};

use crate::host::Do;

/// One end of a stream that goes through it.
#[derive(Clone, Debug)]
struct End {
    other: StreamId,
    /// It can be written to.
    is_open: bool,
    /// What goes out there.
    waiting: VecDeque<u8>,
    /// Nothing comes after that.
    is_last: bool,
    /// This side has finished, and the other one: it is over when both have.
    has_finished: [bool; 2],
}

/// Carries everything until it is told not to.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    to: Addr,
    /// Where it has led to before.
    before: BTreeSet<Addr>,
    swallows: bool,
    /// Who sends datagrams through it.
    client: Option<Addr>,
    datagrams: VecDeque<(Addr, Vec<u8>)>,
    ends: BTreeMap<StreamId, End>,
    dialed: u64,
    ops: VecDeque<StreamOp>,
}

impl Relay {
    pub(crate) const fn new(to: Addr) -> Self {
        Self {
            to,
            before: BTreeSet::new(),
            swallows: false,
            client: None,
            datagrams: VecDeque::new(),
            ends: BTreeMap::new(),
            dialed: 0,
            ops: VecDeque::new(),
        }
    }

    pub(crate) fn on_cmd(&mut self, cmd: Do) {
        match cmd {
            Do::Swallow(swallows) => self.swallows = swallows,
            Do::Redirect(to) => {
                self.before.insert(self.to);
                self.before.remove(&to);
                self.to = to;
            }
            Do::Cut => {
                let streams = std::mem::take(&mut self.ends).into_keys();
                self.ops.extend(streams.map(|stream| StreamOp::Reset { stream }));
            }
            Do::Say(bytes) => {
                let far = self.ends.iter_mut().filter(|(stream, _)| !stream.is_accepted());
                far.for_each(|(_, end)| end.waiting.extend(&bytes));
            }
            other => panic!("a relay does not know {other:?}"),
        }
    }

    pub(crate) fn on_datagram(&mut self, from: Addr, bytes: &[u8]) {
        let to = if from == self.to {
            self.client
        } else if self.before.contains(&from) {
            None
        } else {
            self.client = Some(from);
            Some(self.to)
        };
        if let Some(to) = to.filter(|_| !self.swallows) {
            self.datagrams.push_back((to, bytes.to_vec()));
        }
    }

    pub(crate) fn poll_transmit(&mut self, out: &mut Vec<u8>) -> Option<Transmit> {
        let (dst, bytes) = self.datagrams.pop_front()?;
        out.extend_from_slice(&bytes);
        Some(Transmit { dst, ecn: Ecn::NotEct, len: bytes.len() })
    }

    pub(crate) fn on_stream(&mut self, stream: StreamId, event: StreamEvent<'_>) {
        match event {
            StreamEvent::Accepted { .. } if self.swallows => self.ops.push_back(StreamOp::Reset { stream }),
            StreamEvent::Accepted { .. } => {
                let far = StreamId::new(self.dialed);
                self.dialed += 1;
                let end = |other, is_open| End {
                    other,
                    is_open,
                    waiting: VecDeque::new(),
                    is_last: false,
                    has_finished: [false; 2],
                };
                self.ends.insert(stream, end(far, true));
                self.ends.insert(far, end(stream, false));
                self.ops.push_back(StreamOp::Dial { stream: far, to: self.to });
            }
            StreamEvent::Opened => {
                if let Some(end) = self.ends.get_mut(&stream) {
                    end.is_open = true;
                }
            }
            StreamEvent::Read(bytes) if !self.swallows => {
                if let Some(other) = self.other(stream) {
                    other.waiting.extend(bytes);
                }
            }
            StreamEvent::Finished if !self.swallows => {
                if let Some(other) = self.other(stream) {
                    other.is_last = true;
                }
                self.finish(stream, 1);
            }
            StreamEvent::Refused | StreamEvent::Broken => {
                let Some(end) = self.ends.remove(&stream) else { return };
                if !self.swallows && self.ends.remove(&end.other).is_some() {
                    self.ops.push_back(StreamOp::Reset { stream: end.other });
                }
            }
            StreamEvent::Read(_) | StreamEvent::Finished | StreamEvent::Writable => {}
        }
    }

    fn finish(&mut self, stream: StreamId, side: usize) {
        if let Some(end) = self.ends.get_mut(&stream) {
            end.has_finished[side] = true;
            if end.has_finished == [true; 2] {
                self.ends.remove(&stream);
            }
        }
    }

    fn other(&mut self, stream: StreamId) -> Option<&mut End> {
        let other = self.ends.get(&stream)?.other;
        self.ends.get_mut(&other)
    }

    pub(crate) fn poll_stream(&mut self, streams: Streams<'_>, out: &mut Vec<u8>) -> Option<StreamOp> {
        if let Some(op) = self.ops.pop_front() {
            return Some(op);
        }
        let mut finished = None;
        for (&stream, end) in self.ends.iter_mut().filter(|(_, end)| end.is_open) {
            let len = end.waiting.len().min(streams.room(stream));
            if len > 0 {
                out.extend(end.waiting.drain(..len));
                return Some(StreamOp::Write { stream, len });
            }
            if end.is_last && end.waiting.is_empty() {
                end.is_open = false;
                finished = Some(stream);
                break;
            }
        }
        let stream = finished?;
        self.finish(stream, 0);
        Some(StreamOp::Finish { stream })
    }
}
