//! What is known about streams: their ends, and what is on its way between them.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

use crate::prf::mix;
use crate::stream::StreamId;
use crate::table::Table;
use crate::time::Time;

/// What travels from one end to the other, in order.
#[derive(Clone, Debug)]
pub(super) enum Parcel {
    Dial,
    Opened,
    Refuse,
    Bytes(Vec<u8>),
    Finish,
    /// By which line of the schedule, or 0.
    Break(u32),
}

/// A record that was written and has not been read as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) n: u32,
    pub(super) len: usize,
}

/// One end, and the direction from it to the other.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(super) struct End {
    pub(super) host: u32,
    /// What its node calls it.
    pub(super) id: StreamId,
    pub(super) flow: u32,
    /// It can be written to.
    pub(super) open: bool,
    /// Its node has finished it.
    pub(super) finished: bool,
    /// Its node has read to the end.
    pub(super) done: bool,
    /// Its node does not know it any more, or not yet.
    pub(super) over: bool,
    /// What is written goes nowhere.
    pub(super) severed: bool,
    pub(super) wire: VecDeque<(Time, Parcel)>,
    /// Whether there is a job for the first parcel.
    pub(super) running: bool,
    /// Since when it stands still because nothing comes through.
    pub(super) held: Option<Time>,
    /// Bytes that were written and that the other end has not read; and how many may be.
    pub(super) unread: usize,
    pub(super) buffer: usize,
    /// Whether the node waits for more room.
    pub(super) asked: Cell<bool>,
    /// The written part of the record that is being written.
    pub(super) partial: Vec<u8>,
    pub(super) records: VecDeque<Written>,
    /// What the other end has read of the first of them.
    pub(super) reading: Vec<u8>,
    /// What has come for this end while its node stood still.
    pub(super) inbox: VecDeque<Parcel>,
}

impl End {
    pub(super) fn new(host: u32, id: StreamId, flow: u32, buffer: usize) -> Self {
        Self {
            host,
            id,
            flow,
            open: false,
            finished: false,
            done: false,
            over: false,
            severed: false,
            wire: VecDeque::new(),
            running: false,
            held: None,
            unread: 0,
            buffer,
            asked: Cell::new(false),
            partial: Vec::new(),
            records: VecDeque::new(),
            reading: Vec::new(),
            inbox: VecDeque::new(),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// First the one that dialed.
    pub(super) ends: [End; 2],
    /// The fault by which packets of it reach nobody any more, by its index in the plan.
    pub(super) dead: Option<u32>,
}

/// All streams of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wires {
    pub(super) streams: Vec<Stream>,
    /// For each host: the ends that its node knows (stream and side), and how many it has accepted.
    known: Vec<(BTreeMap<StreamId, u32>, u64)>,
    /// How many streams there have been between two hosts.
    between: Table,
}

impl Wires {
    pub(crate) fn new(hosts: u32) -> Self {
        Self { known: vec![(BTreeMap::new(), 0); hosts as usize], ..Self::default() }
    }

    /// The code of an end: twice the stream, and 1 for the end that has accepted.
    pub(super) fn code(&self, host: u32, id: StreamId) -> Option<u32> {
        self.known[host as usize].0.get(&id).copied()
    }

    pub(super) fn end(&self, code: u32) -> &End {
        &self.streams[code as usize / 2].ends[code as usize % 2]
    }

    pub(super) fn end_mut(&mut self, code: u32) -> &mut End {
        &mut self.streams[code as usize / 2].ends[code as usize % 2]
    }

    pub(super) fn know(&mut self, code: u32) {
        let (host, id) = (self.end(code).host, self.end(code).id);
        self.known[host as usize].0.insert(id, code);
    }

    pub(super) fn accept(&mut self, host: u32) -> StreamId {
        let (_, accepted) = &mut self.known[host as usize];
        *accepted += 1;
        StreamId::new(StreamId::ACCEPTED + *accepted)
    }

    /// Its node is done with this end, or gone.
    pub(super) fn forget(&mut self, code: u32) {
        let end = self.end_mut(code);
        end.over = true;
        end.inbox.clear();
        let (host, id) = (end.host, end.id);
        self.known[host as usize].0.remove(&id);
    }

    /// The number of the next stream between two hosts, from 1.
    pub(super) fn next_between(&mut self, a: u32, b: u32) -> u32 {
        let (low, high) = (a.min(b), a.max(b));
        let count = self.between.entry(mix(u64::from(low) << 32 | u64::from(high)));
        *count += 1;
        *count
    }

    /// The ends that a host's node knows, in the order of their numbers.
    pub(super) fn of_host(&self, host: u32) -> Vec<u32> {
        self.known[host as usize].0.values().copied().collect()
    }

    /// The ends that stand still.
    pub(super) fn held(&self) -> Vec<u32> {
        let ends = 0..self.streams.len() as u32 * 2;
        ends.filter(|code| self.end(*code).held.is_some()).collect()
    }

    /// A host has another address: its streams lead nowhere.
    pub(crate) fn die(&mut self, host: u32, fault: u32) {
        for code in self.of_host(host) {
            self.streams[code as usize / 2].dead.get_or_insert(fault);
        }
    }

    pub(crate) fn room(&self, host: u32, id: StreamId) -> usize {
        let Some(end) = self.code(host, id).map(|code| self.end(code)) else { return 0 };
        if !end.open || end.finished {
            return 0;
        }
        let room = end.buffer - end.unread;
        if room < end.buffer / 2 {
            end.asked.set(true);
        }
        room
    }
}

/// The other end.
pub(super) const fn other(code: u32) -> u32 {
    code ^ 1
}
