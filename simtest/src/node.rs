//! What the user's protocol offers: the [`Node`] trait, and what passes through it.

use std::fmt;

use crate::disk::{Disk, OpId, StoreError, StoreOp};
use crate::stream::{StreamEvent, StreamId, StreamOp, Streams};
use crate::time::{Now, Time};

/// A node of the simulation, in the order in which nodes were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The node that was added as number `index`, from 0.
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The address that this node begins with. A restart keeps it; [`Fault::rebind`](crate::Fault::rebind) does not.
    pub const fn addr(self) -> Addr {
        Addr(self.0)
    }

    /// 0 for the first node that was added, then 1, ...
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A network address. A datagram to one that no node has is counted and lost.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Addr(u32);

impl Addr {
    /// The address with this number: a node's index, or one that nobody has.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number of this address.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// The two ECN bits of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum Ecn {
    /// Not ECN-capable.
    #[default]
    NotEct = 0,
    /// ECN-capable, codepoint ECT(1).
    Ect1 = 1,
    /// ECN-capable, codepoint ECT(0).
    Ect0 = 2,
    /// Congestion experienced.
    Ce = 3,
}

/// What is known about a received datagram besides its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct RecvMeta {
    /// The ECN bits as they arrived.
    pub ecn: Ecn,
}

/// One datagram to send; its bytes have been appended to the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Where it goes.
    pub dst: Addr,
    /// The ECN bits to send it with.
    pub ecn: Ecn,
    /// Its length: exactly the bytes that this call appended.
    pub len: usize,
}

/// One participant: a state machine without sockets, clocks, threads, globals or OS randomness inside.
///
/// After each input (`on_*`, and after the boot) the simulator drains the node in this order until a whole
/// pass brings nothing: [`poll_transmit`](Self::poll_transmit) until `None`, [`poll_stream`](Self::poll_stream)
/// until `None`, [`poll_store`](Self::poll_store) until `None`, [`poll_event`](Self::poll_event) until `None`,
/// then [`poll_timeout`](Self::poll_timeout) once. More than [`MAX_DRAIN`](crate::MAX_DRAIN) outputs after one input fail the run as "livelock".
///
/// `Clone` is what makes a running simulation a value that can be copied.
pub trait Node: Clone + Dissect {
    /// What a test tells the node.
    type Cmd: Clone + fmt::Debug;
    /// What the application on this node sees.
    type Event: Clone + fmt::Debug;

    /// A datagram has arrived. It may be anything: stale, repeated, corrupted.
    fn on_datagram(&mut self, now: Now, from: Addr, bytes: &[u8], meta: RecvMeta);

    /// The time given by [`poll_timeout`](Self::poll_timeout) has come. Directly after this call, and again
    /// after the drain, `poll_timeout` must be `None` or later than `now.mono`; else the run fails as "busy
    /// loop".
    fn on_timeout(&mut self, now: Now);

    /// The test's command.
    fn on_cmd(&mut self, now: Now, cmd: Self::Cmd);

    /// A store operation has ended. Operations of a node end in the order in which they were asked for.
    fn on_stored(&mut self, now: Now, op: OpId, result: Result<(), StoreError>) {
        let _ = (now, op, result);
    }

    /// Appends exactly one datagram to `out` and says where it goes; `None` if there is nothing to send.
    fn poll_transmit(&mut self, now: Now, out: &mut Vec<u8>) -> Option<Transmit>;

    /// Something has happened to a stream: see [`StreamEvent`]. A node that is dialed and does nothing here accepts, and
    /// ignores what is written.
    fn on_stream(&mut self, now: Now, stream: StreamId, event: StreamEvent<'_>) {
        let _ = (now, stream, event);
    }

    /// The next thing to do with a stream. What is to be written is appended to `out`; `streams` says how much there is room
    /// for.
    fn poll_stream(&mut self, now: Now, streams: Streams<'_>, out: &mut Vec<u8>) -> Option<StreamOp> {
        let _ = (now, streams, out);
        None
    }

    /// The next request to the node's disk.
    fn poll_store(&mut self) -> Option<StoreOp> {
        None
    }

    /// When [`on_timeout`](Self::on_timeout) should be called next. A time that has passed means: at once.
    fn poll_timeout(&self) -> Option<Time>;

    /// What the application sees next.
    fn poll_event(&mut self) -> Option<Self::Event>;
}

/// Names datagrams without the help of the node that sent them. `impl Dissect for X {}` is enough to start
/// with.
pub trait Dissect {
    /// Describes a datagram: the kind is returned, the rest appended to `text` (`seq=0 slot=3`).
    ///
    /// The label is shown in traces, and it is the name under which a schedule finds this datagram again. So
    /// it should hold what the datagram *means* (message and number) and leave out what changes with every
    /// edit of the code: packet numbers, acknowledgements, random ids. Labels may repeat; the simulator
    /// counts repetitions. What follows a tab in `text` is shown, but is no part of the name: a place for what
    /// a reader wants to know and what depends on everything before, such as versions.
    ///
    /// `None`, the default: unlabelled. The datagram is then known by its position in its flow, which is more
    /// brittle; [`Stats::unlabelled`](crate::Stats) counts them.
    fn dissect(bytes: &[u8], text: &mut String) -> Option<&'static str> {
        let _ = (bytes, text);
        None
    }

    /// The length of the first record of a stream, in bytes from 1, if all of it is there; `None` if it goes on. Records get
    /// names, so that a schedule can say "break off within this one".
    ///
    /// The default: whatever is written in one call is a record.
    fn record(bytes: &[u8]) -> Option<usize> {
        Some(bytes.len())
    }

    /// Describes a record of a stream, as [`dissect`](Self::dissect) does a datagram; the default takes it for one.
    fn dissect_record(record: &[u8], text: &mut String) -> Option<&'static str> {
        Self::dissect(record, text)
    }

    /// Mends the checksum of a datagram whose bits were flipped, so that the corruption gets past it.
    ///
    /// `original` has the same length and its checksum is right: a checksum that also covers a secret can be
    /// mended by what differs. The default does nothing.
    fn reseal(original: &[u8], corrupted: &mut [u8]) {
        let _ = (original, corrupted);
    }
}

/// What a node is born with, at the start and at each restart.
#[derive(Debug)]
pub struct Boot<'a> {
    /// The time of this boot.
    pub now: Now,
    /// The node's name.
    pub name: &'a str,
    /// The node's id.
    pub id: NodeId,
    /// The node's present address.
    pub addr: Addr,
    /// The node's randomness, fresh in each life.
    pub seed: [u8; 32],
    /// 0 at the start, 1 after the first restart, ...
    pub life: u32,
    /// What the last life left behind; empty at the start.
    pub disk: &'a Disk,
    pub(crate) names: &'a [String],
    pub(crate) addrs: &'a [Addr],
}

impl Boot<'_> {
    /// The present address of another node, or `None` if no node has that name.
    pub fn addr_of(&self, name: &str) -> Option<Addr> {
        let index = self.names.iter().position(|n| n == name)?;
        self.addrs.get(index).copied()
    }
}
