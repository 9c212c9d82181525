//! One record per thing that happens. All of them enter the hash; they are kept only on demand.

use super::export::parts;
use crate::choice::Kind;
use crate::prf::Rolling;
use crate::time::Time;

/// The node number of records that belong to no node.
pub(crate) const NO_NODE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) at: Time,
    pub(crate) node: u32,
    pub(crate) what: What,
    /// A hash of what it is about.
    pub(crate) content: u64,
    /// Where its text lies in the trace.
    pub(crate) text: (u32, u32),
    /// Where the datagram's bytes lie, as they were sent or damaged; empty for everything else.
    pub(crate) bytes: (u32, u32),
}

/// Why a datagram did not arrive, other than by its own fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    Drop,
    Cut,
    Mtu,
    Down,
    Queue,
    NoSuchAddress,
    Narrow,
    Moved,
    Broken,
}

/// Which of the deliveries of a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Which {
    #[default]
    Original,
    Copy,
    Replay,
}

impl Which {
    /// What is put before its fate.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Original => "",
            Self::Copy => "copy ",
            Self::Replay => "replay ",
        }
    }

    /// What is put behind its name.
    pub(super) const fn primes(self) -> &'static str {
        match self {
            Self::Original => "",
            Self::Copy => "'",
            Self::Replay => "''",
        }
    }
}

/// What happens to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wire {
    Dial,
    Opened,
    Accepted,
    Refused,
    Read,
    Finish,
    Finished,
    Reset,
    Broken,
    Held,
}

impl Wire {
    /// The word for it in traces.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Dial => "dial",
            Self::Opened => "opened",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Read => "read",
            Self::Finish => "finish",
            Self::Finished => "finished",
            Self::Reset => "reset",
            Self::Broken => "broken",
            Self::Held => "held",
        }
    }
}

/// `fault` is the number of a schedule line and not part of the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Cmd {
        n: u32,
    },
    CmdLost {
        n: u32,
    },
    Event,
    Send {
        flow: u32,
        n: u32,
    },
    Lost {
        flow: u32,
        n: u32,
        which: Which,
        why: Loss,
        fault: u32,
    },
    Damaged {
        flow: u32,
        n: u32,
        fault: u32,
    },
    Delayed {
        flow: u32,
        n: u32,
        fault: u32,
    },
    Doubled {
        flow: u32,
        n: u32,
        fault: u32,
    },
    Replayed {
        flow: u32,
        n: u32,
        fault: u32,
    },
    /// It goes on, from byte `at`, as the one `back` before it.
    Spliced {
        flow: u32,
        n: u32,
        back: u32,
        at: u32,
        reseal: bool,
        fault: u32,
    },
    Arrive {
        flow: u32,
        n: u32,
        which: Which,
    },
    Timer {
        n: u32,
    },
    Store {
        op: u64,
    },
    Stored {
        op: u64,
        ok: bool,
    },
    Start,
    Crash {
        fault: u32,
    },
    Restart {
        fault: u32,
    },
    Pause {
        fault: u32,
    },
    Resume {
        fault: u32,
    },
    Cut {
        fault: u32,
    },
    Heal {
        fault: u32,
    },
    Trouble {
        fault: u32,
    },
    Mended {
        fault: u32,
    },
    Quiet,
    Clock {
        fault: u32,
    },
    ClockRight {
        fault: u32,
    },
    Rebind {
        fault: u32,
    },
    /// `flow` is the direction that it is about, else that of the node that dialed.
    Stream {
        flow: u32,
        what: Wire,
        fault: u32,
    },
    /// A fault of a record on a stream.
    Hurt {
        flow: u32,
        n: u32,
        kind: Kind,
        fault: u32,
    },
}

impl Record {
    /// The line of the schedule that it tells of, or 0.
    pub(crate) fn fault(&self) -> u32 {
        parts(self).fault
    }
}

impl What {
    const fn words(self) -> (u64, u64) {
        const fn datagram(code: u64, flow: u32, n: u32) -> (u64, u64) {
            (code | (flow as u64) << 32, n as u64)
        }
        match self {
            Self::Cmd { n } => (1, n as u64),
            Self::CmdLost { n } => (2, n as u64),
            Self::Event => (3, 0),
            Self::Send { flow, n } => datagram(4, flow, n),
            Self::Lost { flow, n, which, why, .. } => {
                datagram(5 | (which as u64) << 8 | (why as u64) << 16, flow, n)
            }
            Self::Damaged { flow, n, .. } => datagram(6, flow, n),
            Self::Delayed { flow, n, .. } => datagram(7, flow, n),
            Self::Doubled { flow, n, .. } => datagram(8, flow, n),
            Self::Arrive { flow, n, which } => datagram(9 | (which as u64) << 8, flow, n),
            Self::Replayed { flow, n, .. } => datagram(0x1c, flow, n),
            Self::Spliced { flow, n, back, at, .. } => {
                let (code, number) = datagram(0x1d | (back as u64) << 8, flow, n);
                (code, number | (at as u64) << 32)
            }
            Self::Timer { n } => (10, n as u64),
            Self::Store { op } => (11, op),
            Self::Stored { op, ok } => (0x0c | (ok as u64) << 8, op),
            Self::Start => (13, 0),
            Self::Crash { .. } => (14, 0),
            Self::Restart { .. } => (15, 0),
            Self::Pause { .. } => (16, 0),
            Self::Resume { .. } => (17, 0),
            Self::Cut { .. } => (18, 0),
            Self::Heal { .. } => (19, 0),
            Self::Trouble { .. } => (20, 0),
            Self::Mended { .. } => (21, 0),
            Self::Quiet => (22, 0),
            Self::Clock { .. } => (23, 0),
            Self::ClockRight { .. } => (24, 0),
            Self::Rebind { .. } => (25, 0),
            Self::Stream { flow, what, .. } => (0x1a | (what as u64) << 8, flow as u64),
            Self::Hurt { flow, n, kind, .. } => datagram(0x1b | (kind as u64) << 8, flow, n),
        }
    }
}

/// Hashes all records, keeps them if asked to.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    hash: Rolling,
    pub(crate) on: bool,
    /// As soon as this many records, or 64 times as many bytes, are kept, no more are.
    most: usize,
    pub(crate) is_cut: bool,
    pub(crate) records: Vec<Record>,
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
}

impl Recorder {
    pub(crate) const fn new(on: bool, most: usize) -> Self {
        Self {
            hash: Rolling::new(),
            on,
            most,
            is_cut: false,
            records: Vec::new(),
            text: String::new(),
            bytes: Vec::new(),
        }
    }

    /// `content` is a hash of what the record is about (bytes, debug text); `text` writes what a reader
    /// should see.
    pub(crate) fn put(
        &mut self,
        at: Time,
        node: u32,
        what: What,
        content: u64,
        text: impl FnOnce(&mut String),
    ) {
        let (code, number) = what.words();
        self.hash.absorb(code);
        self.hash.absorb(number ^ u64::from(node) << 40);
        self.hash.absorb(at.as_nanos());
        self.hash.absorb(content);
        if self.on
            && (self.records.len() >= self.most
                || self.text.len() + self.bytes.len() >= self.most.saturating_mul(64))
        {
            (self.on, self.is_cut) = (false, true);
        }
        if self.on {
            let start = self.text.len() as u32;
            text(&mut self.text);
            let text = (start, self.text.len() as u32);
            self.records.push(Record { at, node, what, content, text, bytes: (0, 0) });
        }
    }

    /// Keeps the bytes that the last record is about, and their hash. Neither enters the hash of the run.
    pub(crate) fn keep(&mut self, bytes: &[u8], content: impl FnOnce() -> u64) {
        if self.on
            && let Some(record) = self.records.last_mut()
        {
            let start = self.bytes.len() as u32;
            self.bytes.extend_from_slice(bytes);
            record.bytes = (start, self.bytes.len() as u32);
            record.content = content();
        }
    }

    pub(crate) const fn hash(&self) -> u128 {
        self.hash.value()
    }
}
