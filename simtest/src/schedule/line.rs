//! What a schedule consists of, and how its lines are found again.

use crate::choice::{Choice, ChoiceKey, Kind};
use crate::fault::Fault;
use crate::prf::{hash_bytes, mix};
use crate::time::Time;

/// Everything in a run that was not the default. [`to_text`](Self::to_text) and [`parse`](Self::parse) are
/// inverse.
///
/// The form; notes in parentheses are not part of it:
///
/// ```text
/// simtest-sched 1
/// test lease
/// nodes 42
/// weather 42                                  (or: flat)
/// without b                                   (this host takes no part)
/// without a!2                                 (this command is not given: the 2nd of the workload to a)
/// f1 drop s>a "Ack seq=0" occ=1
/// f2 delay a>s "Put seq=1" occ=2 by=13ms
/// f3 duplicate a>s #7 by=2ms                  (the 7th datagram of the flow: it has no label)
/// f4 corrupt s>a "Ack seq=0" occ=3 flip=0x1a2b3c4d reseal
/// f5 crash s at=100ms for=50ms disk=torn:0x17  (or unsynced, kept, garbled:0x..)
/// f6 pause b at=1s for=2s                     (for=ever: until the quiet phase; a crash: for good)
/// f7 partition a|s,b at=2s for=3s             (a>s,b: only that direction)
/// f8 disk s full at=3s for=1s                 (or error, slow)
/// f9 clock a step=-1500ms drift=200ppm at=7s for=3s
/// f10 rebind a at=9s
/// f11 break a>s "Put seq=1" occ=1 after=3       (the stream breaks after 3 bytes of this record; or all)
/// f12 stall a>s "Put seq=2" occ=1 by=300ms      (the record, and what is behind it, comes later)
/// f13 split a>s "Put seq=3" occ=1 at=5          (the first 5 bytes are read alone)
/// f14 replay a>s "Put seq=1" occ=1 by=12s       (it arrives once more, so much later)
/// f15 splice a>s "Put seq=4" occ=1 back=2 at=9  (from byte 9 on it is the datagram 2 before it on this flow; or reseal)
/// expect exactly-once
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// The name of the test that it belongs to.
    pub test: String,
    /// Root of the nodes' own seeds.
    pub nodes: u64,
    /// Where jitter comes from.
    pub weather: Weather,
    /// Hosts and commands of the test that are left out.
    pub without: Vec<Without>,
    /// The faults, in the order in which they happened.
    pub lines: Vec<Line>,
    /// The oracle that failed.
    pub expect: Option<String>,
}

/// Where the jitter of links and disks comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weather {
    /// Everything takes its least time.
    Flat,
    /// As this seed says.
    Seed(u64),
}

/// What is left out of a test.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Without {
    /// The node of this name takes no part: it never boots, and gets no commands.
    Host(String),
    /// The command with this number, from 1, among those that the workload has for the node of this name.
    Cmd(String, u32),
}

/// One fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The `n` of its id `fn`.
    pub id: u32,
    /// What it is.
    pub what: LineWhat,
}

/// The two sorts of fault: found by content, and set by time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LineWhat {
    /// Something happens to one datagram, or to one record of a stream.
    Datagram(DatagramFault),
    /// Something happens at one time.
    Timed {
        /// When it begins.
        at: Time,
        /// What it is.
        fault: Fault,
    },
}

/// What happens to one datagram, or to one record of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatagramFault {
    /// Name of the sender.
    pub src: String,
    /// Name of the receiver.
    pub dst: String,
    /// Which datagram.
    pub content: Content,
    /// The repetition of this content on this flow, from 1. Always 1 for [`Content::Ordinal`].
    pub occ: u32,
    /// What happens to it.
    pub effect: Effect,
}

/// How a datagram is recognised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// Kind and text of its label, with a space between.
    Label(String),
    /// Its position in its flow, from 1; for datagrams, and records of streams, without a label.
    Ordinal(u32),
}

/// What can happen to a datagram, or (`Break`, `Stall`, `Split`) to a record of a stream. Spans are in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It is lost.
    Drop,
    /// It is held back by this much.
    Delay(u64),
    /// A copy arrives this much later.
    Duplicate(u64),
    /// It is damaged: how, and 32 bits that say where.
    Corrupt(Damage, u32),
    /// The stream breaks after so many bytes of it; `u32::MAX`: after all of it.
    Break(u32),
    /// It is held back by this much, with everything behind it.
    Stall(u64),
    /// So many of its bytes are read alone, the others after them.
    Split(u32),
    /// It arrives once more, this much later.
    Replay(u64),
    /// From byte `at` on it is as the datagram that was sent `back` before it on the same flow, from 1; at most the
    /// [16th](Self::FURTHEST_BACK), or the first. Of no effect on the first of its flow.
    Splice {
        /// How many datagrams earlier the other was sent.
        back: u32,
        /// How many of its own bytes are kept.
        at: u32,
        /// Whether its checksum is mended.
        reseal: bool,
    },
}

/// Ways to damage a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// 1 to 3 bits are flipped.
    Flip,
    /// The same, and the checksum is mended.
    FlipResealed,
    /// The end is missing.
    Truncate,
}

impl Effect {
    /// A datagram is spliced with none that was sent earlier than so many before it.
    pub const FURTHEST_BACK: u32 = 16;

    /// The family that it belongs to.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Drop => Kind::Drop,
            Self::Delay(_) => Kind::Delay,
            Self::Duplicate(_) => Kind::Duplicate,
            Self::Corrupt(..) => Kind::Corrupt,
            Self::Break(_) => Kind::Break,
            Self::Stall(_) => Kind::Stall,
            Self::Split(_) => Kind::Split,
            Self::Replay(_) => Kind::Replay,
            Self::Splice { .. } => Kind::Splice,
        }
    }

    pub(crate) fn choice(self) -> Choice {
        let (alt, param) = match self {
            Self::Drop => (1, 0),
            Self::Delay(extra) | Self::Duplicate(extra) | Self::Stall(extra) | Self::Replay(extra) => {
                (1, extra)
            }
            Self::Splice { back, at, reseal } => {
                (3 + u32::from(reseal), u64::from(back) << 32 | u64::from(at))
            }
            Self::Break(bytes) | Self::Split(bytes) => (1, u64::from(bytes)),
            Self::Corrupt(damage, word) => (damage as u32 + 1, u64::from(word)),
        };
        Choice { alt, param, line: 0 }
    }
}

impl DatagramFault {
    pub(crate) fn key(&self) -> ChoiceKey {
        let flow = flow_locus(&self.src, &self.dst);
        let flow = if self.effect.kind().of_stream() { stream_locus(flow) } else { flow };
        let locus = match &self.content {
            Content::Label(label) => label_locus(flow, label),
            Content::Ordinal(n) => ordinal_locus(flow, *n),
        };
        ChoiceKey { kind: self.effect.kind(), locus, occ: self.occ }
    }
}

pub(crate) fn name_locus(name: &str) -> u64 {
    hash_bytes(0x6e61_6d65, name.as_bytes())
}

pub(crate) fn flow_locus(src: &str, dst: &str) -> u64 {
    mix(name_locus(src)).wrapping_add(name_locus(dst))
}

/// What the records of all streams from one node to another are named by.
pub(crate) const fn stream_locus(flow: u64) -> u64 {
    mix(flow ^ 0x7374_7265_616d)
}

pub(crate) fn label_locus(flow: u64, label: &str) -> u64 {
    hash_bytes(flow, label.as_bytes())
}

pub(crate) fn ordinal_locus(flow: u64, n: u32) -> u64 {
    mix(flow ^ 0x6f72_6469_6e61_6c00).wrapping_add(u64::from(n))
}
