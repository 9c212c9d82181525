//! Faults that begin at a set time: crash, pause, partition, disk trouble.

use std::fmt;
use std::time::Duration;

use crate::disk::DiskLoss;
use crate::schedule::Effect;
use crate::time::{Time, nanos};

/// What goes wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// A node dies at once; its disk keeps what `disk` says.
    Crash {
        /// The node's name.
        node: String,
        /// What becomes of unsynced bytes.
        disk: DiskLoss,
    },
    /// A node stands still: timers, datagrams, commands and finished store operations wait until it goes on.
    /// At most [`MAX_PAUSED`](crate::MAX_PAUSED) datagrams wait, further ones are lost.
    Pause {
        /// The node's name.
        node: String,
    },
    /// Datagrams from `from` to `to` are lost, and the other way too if `both`.
    Partition {
        /// Names on one side.
        from: Vec<String>,
        /// Names on the other side.
        to: Vec<String>,
        /// Whether both directions are cut.
        both: bool,
    },
    /// The disk of a node is in trouble.
    Disk {
        /// The node's name.
        node: String,
        /// What kind of trouble.
        trouble: Trouble,
    },
    /// The wall clock of a node is wrong; the monotonic one never is.
    Clock {
        /// The node's name.
        node: String,
        /// By how many milliseconds it is put forward, or back.
        step_ms: i64,
        /// How much too fast it goes from then on, in parts per million, or too slow.
        drift_ppm: i32,
    },
    /// What a node sends comes from a new address from now on; what is sent to the old one is lost. As a NAT does that has
    /// forgotten a mapping.
    Rebind {
        /// The node's name.
        node: String,
    },
}

/// What can be wrong with a disk for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Appends fail with [`NoSpace`](crate::StoreError::NoSpace).
    Full,
    /// Appends and syncs fail with [`Io`](crate::StoreError::Io).
    Error,
    /// Everything takes 100 times as long.
    Slow,
}

impl Trouble {
    /// The word for it in schedules.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Error => "error",
            Self::Slow => "slow",
        }
    }
}

/// A fault and how long it lasts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What goes wrong.
    pub what: What,
    /// For how long; `None`: for ever (a crashed node then stays dead even in the quiet phase).
    pub lasts: Option<Duration>,
}

impl Fault {
    fn new(what: What) -> Self {
        Self { what, lasts: None }
    }

    /// `node` dies; without [`restart_after`](Self::restart_after) for good. Unsynced bytes are lost unless
    /// [`disk`](Self::disk) says otherwise.
    pub fn crash(node: &str) -> Self {
        Self::new(What::Crash { node: node.into(), disk: DiskLoss::Unsynced })
    }

    /// `node` stands still.
    pub fn pause(node: &str) -> Self {
        Self::new(What::Pause { node: node.into() })
    }

    /// No datagram passes between the two sides, in either direction.
    pub fn partition<'a>(
        one: impl IntoIterator<Item = &'a str>,
        other: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self::new(What::Partition { from: own(one), to: own(other), both: true })
    }

    /// Datagrams from `from` to `to` are lost; the other direction works.
    pub fn one_way(from: &str, to: &str) -> Self {
        Self::new(What::Partition { from: vec![from.into()], to: vec![to.into()], both: false })
    }

    /// The disk of `node` has no space left.
    pub fn disk_full(node: &str) -> Self {
        Self::new(What::Disk { node: node.into(), trouble: Trouble::Full })
    }

    /// The disk of `node` fails with input/output errors.
    pub fn disk_error(node: &str) -> Self {
        Self::new(What::Disk { node: node.into(), trouble: Trouble::Error })
    }

    /// The disk of `node` is very slow.
    pub fn disk_slow(node: &str) -> Self {
        Self::new(What::Disk { node: node.into(), trouble: Trouble::Slow })
    }

    /// The wall clock of `node` is put forward by so many milliseconds (or back) and then goes too fast by so many parts per
    /// million (or too slow). It is right again when the fault ends.
    pub fn clock(node: &str, step_ms: i64, drift_ppm: i32) -> Self {
        Self::new(What::Clock { node: node.into(), step_ms, drift_ppm })
    }

    /// `node` gets a new address, for good.
    pub fn rebind(node: &str) -> Self {
        Self::new(What::Rebind { node: node.into() })
    }

    /// Ends after `span`.
    #[must_use]
    pub fn for_(self, span: Duration) -> Self {
        Self { lasts: Some(span), ..self }
    }

    /// The crashed node is back after `span`: another word for [`for_`](Self::for_).
    #[must_use]
    pub fn restart_after(self, span: Duration) -> Self {
        self.for_(span)
    }

    /// What a crash does to unsynced bytes. No effect on other faults.
    #[must_use]
    pub fn disk(mut self, loss: DiskLoss) -> Self {
        if let What::Crash { disk, .. } = &mut self.what {
            *disk = loss;
        }
        self
    }

    /// The names of all nodes that this fault speaks of.
    pub fn nodes(&self) -> Vec<&str> {
        match &self.what {
            What::Crash { node, .. }
            | What::Pause { node }
            | What::Disk { node, .. }
            | What::Clock { node, .. }
            | What::Rebind { node } => vec![node],
            What::Partition { from, to, .. } => from.iter().chain(to).map(String::as_str).collect(),
        }
    }
}

fn own<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    names.into_iter().map(String::from).collect()
}

/// When a fault begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct When(pub(crate) Time);

/// `span` after the start of the run.
pub fn at(span: Duration) -> When {
    When(Time::from_nanos(nanos(span)))
}

/// Which datagrams a trigger counts: those whose label begins with these whole words, on some flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct On {
    label: String,
    src: Option<String>,
    dst: Option<String>,
    pub(crate) nth: u32,
}

/// The first datagram whose label begins with `label`, whole words of it: `Add` is not in `Added`. See [`Sim::on`](crate::Sim::on).
pub fn on(label: &str) -> On {
    On { label: label.into(), src: None, dst: None, nth: 1 }
}

impl On {
    /// Only those that this node sends.
    #[must_use]
    pub fn from(self, node: &str) -> Self {
        Self { src: Some(node.into()), ..self }
    }

    /// Only those to this node.
    #[must_use]
    pub fn to(self, node: &str) -> Self {
        Self { dst: Some(node.into()), ..self }
    }

    /// The `n`-th of them, from 1.
    #[must_use]
    pub fn nth(self, n: u32) -> Self {
        Self { nth: n, ..self }
    }

    pub(crate) fn matches(&self, src: &str, dst: &str, label: &str) -> bool {
        let is = |wanted: &Option<String>, name| wanted.as_ref().is_none_or(|wanted| wanted == name);
        let goes_on = |rest: &str| rest.starts_with(is_word) && self.label.ends_with(is_word);
        let is_kind = label.strip_prefix(&self.label).is_some_and(|rest| !goes_on(rest));
        is_kind && is(&self.src, src) && is(&self.dst, dst)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.src.iter().chain(&self.dst)
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, src, dst, nth } = self;
        write!(f, "{label:?}")?;
        src.iter().try_for_each(|src| write!(f, " from {src}"))?;
        dst.iter().try_for_each(|dst| write!(f, " to {dst}"))?;
        write!(f, ", number {nth}")
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What a trigger sets off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Then {
    /// This happens to the datagram itself.
    Datagram(Effect),
    /// This begins at once.
    Fault(Fault),
}

impl Then {
    /// Whether earlier datagrams have to be kept for it.
    pub(crate) const fn splices(&self) -> bool {
        matches!(self, Self::Datagram(Effect::Splice { .. }))
    }
}

impl From<Effect> for Then {
    fn from(effect: Effect) -> Self {
        Self::Datagram(effect)
    }
}

impl From<Fault> for Then {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A fault with its time and the number of its schedule line (0: not numbered yet).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timed {
    /// When it begins.
    pub at: Time,
    /// What it is.
    pub fault: Fault,
    /// The `n` of its id `fn`, or 0.
    pub line: u32,
}
