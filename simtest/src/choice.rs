//! Choices: every random thing that the simulator does has a name and a default.
//!
//! A choice is named by *content*, not by count: "the second time that `Ack slot=3` goes from s to a". So
//! taking one fault away leaves all others where they were, and a stored schedule survives changes of the
//! code around it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::fault::{Timed, What};
use crate::prf::{mix, prf, scale};
use crate::schedule::{Line, LineWhat, Schedule, Weather, Without};

/// The family of a choice. One datagram has one choice in each of the first four, and in `Replay` and `Splice`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// A datagram is lost.
    Drop = 1,
    /// A datagram's bytes are changed on the way.
    Corrupt = 2,
    /// A datagram is held back, so that later ones overtake it.
    Delay = 3,
    /// A datagram arrives twice.
    Duplicate = 4,
    /// A node crashes.
    Crash = 5,
    /// A node stands still.
    Pause = 6,
    /// Nodes cannot reach each other.
    Partition = 7,
    /// A disk fails, is full or slow.
    Disk = 8,
    /// Which families a run uses, and how much. Never a line in a schedule.
    Policy = 9,
    /// A wall clock is wrong.
    Clock = 10,
    /// A node gets another address.
    Rebind = 11,
    /// A stream breaks within a record.
    Break = 12,
    /// A stream stands still before a record.
    Stall = 13,
    /// A record is read in two parts.
    Split = 14,
    /// A datagram arrives once more, long after.
    Replay = 15,
    /// A datagram arrives with the end of another one.
    Splice = 16,
}

impl Kind {
    /// All kinds of fault, in the order of their numbers.
    pub const FAULTS: [Self; 15] = [
        Self::Drop,
        Self::Corrupt,
        Self::Delay,
        Self::Duplicate,
        Self::Crash,
        Self::Pause,
        Self::Partition,
        Self::Disk,
        Self::Clock,
        Self::Rebind,
        Self::Break,
        Self::Stall,
        Self::Split,
        Self::Replay,
        Self::Splice,
    ];

    /// Whether it happens to everything that networks and disks are used for. The other kinds are of no concern to a test
    /// that has none of them.
    pub(crate) const fn is_usual(self) -> bool {
        (self as u8) < Self::Policy as u8
    }

    /// Whether it happens to a datagram.
    pub(crate) const fn of_datagram(self) -> bool {
        matches!(
            self,
            Self::Drop | Self::Corrupt | Self::Delay | Self::Duplicate | Self::Replay | Self::Splice
        )
    }

    /// Whether it happens to a record of a stream.
    pub(crate) const fn of_stream(self) -> bool {
        matches!(self, Self::Break | Self::Stall | Self::Split)
    }

    /// The word for it in schedules and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Corrupt => "corrupt",
            Self::Delay => "delay",
            Self::Duplicate => "duplicate",
            Self::Crash => "crash",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::Disk => "disk",
            Self::Policy => "policy",
            Self::Clock => "clock",
            Self::Rebind => "rebind",
            Self::Break => "break",
            Self::Stall => "stall",
            Self::Split => "split",
            Self::Replay => "replay",
            Self::Splice => "splice",
        }
    }
}

/// The name of one choice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChoiceKey {
    /// Its family.
    pub kind: Kind,
    /// What it is about: a hash of flow and label, or of a node's name.
    pub locus: u64,
    /// Which time: the repetition of the same content (from 1), or the time slot.
    pub occ: u32,
}

/// One alternative to "nothing happens".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alt {
    /// How likely, in parts per million.
    pub ppm: u32,
    /// The least parameter.
    pub min: u64,
    /// The greatest parameter; `max >= min`.
    pub max: u64,
}

/// What was chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Choice {
    /// 0: nothing happens. Else the alternative, from 1.
    pub alt: u32,
    /// The parameter, between the alternative's `min` and `max`.
    pub param: u64,
    /// The number of the schedule line that asks for it; 0 if a new line is to be written.
    pub line: u32,
}

impl Choice {
    /// Nothing happens.
    pub const DEFAULT: Self = Self { alt: 0, param: 0, line: 0 };
}

/// What a run starts from, apart from its faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Root of the nodes' own seeds.
    pub nodes: u64,
    /// The jitter of links and disks.
    pub weather: Weather,
}

/// Who decides. One interface for random runs, replays, and whatever else can answer the question.
pub trait Chooser: CloneChooser {
    /// Chooses between doing nothing and the alternatives; their ppm add up to at most a million.
    fn choose(&mut self, key: ChoiceKey, alts: &[Alt]) -> Choice;

    /// What the run starts from.
    fn origin(&self) -> Origin;

    /// All faults of the run that begin at a set time. `None`: those of the test and of its campaign, for which
    /// [`choose`](Self::choose) is asked.
    fn timed(&self) -> Option<Vec<Timed>> {
        None
    }

    /// Whether it may choose a fault of this kind where none is likely. If [`timed`](Self::timed) is `Some`, it is asked for
    /// [`Kind::Replay`] and [`Kind::Splice`] only then.
    fn lists(&self, _kind: Kind) -> bool {
        true
    }

    /// Hosts and commands of the test that are left out.
    fn without(&self) -> Vec<Without> {
        Vec::new()
    }

    /// Whether the triggers of the test ([`Sim::on`](crate::Sim::on)) are to be heeded: not if their faults are listed.
    fn triggers(&self) -> bool {
        true
    }

    /// Numbers of the schedule lines among the datagram faults that nothing in the run has matched.
    fn unmatched(&self) -> Vec<u32> {
        Vec::new()
    }
}

/// A chooser in a box can be cloned, so that a running simulation can.
pub trait CloneChooser {
    /// A copy in a new box.
    fn clone_box(&self) -> Box<dyn Chooser>;
}

impl<C: Chooser + Clone + 'static> CloneChooser for C {
    fn clone_box(&self) -> Box<dyn Chooser> {
        Box::new(self.clone())
    }
}

/// Every choice is a function of the seed and the key: nothing depends on the order of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromSeed {
    seed: u64,
    keep: Vec<(u32, u32)>,
}

impl FromSeed {
    /// All choices of this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, keep: vec![(0, u32::MAX)] }
    }

    /// Only the choices whose [`position`](Self::position) lies in one of the ranges (both ends included);
    /// all others take their default. A way to leave out half of the faults without knowing them.
    #[must_use]
    pub fn keep(self, ranges: &[(u32, u32)]) -> Self {
        Self { keep: ranges.to_vec(), ..self }
    }

    /// Where a key lies among all keys: a hash that does not depend on the seed.
    pub fn position(key: ChoiceKey) -> u32 {
        (prf(0, key.kind as u8, key.locus, key.occ) >> 32) as u32
    }

    fn kept(&self, key: ChoiceKey) -> bool {
        let position = Self::position(key);
        self.keep.iter().any(|(low, high)| (*low..=*high).contains(&position))
    }
}

impl Chooser for FromSeed {
    fn choose(&mut self, key: ChoiceKey, alts: &[Alt]) -> Choice {
        let word = prf(self.seed, key.kind as u8, key.locus, key.occ);
        let mut dice = scale(word, 1_000_000) as u32;
        for (number, alt) in (1..).zip(alts) {
            if dice < alt.ppm {
                if key.kind != Kind::Policy && !self.kept(key) {
                    return Choice::DEFAULT;
                }
                let span = (alt.max - alt.min).saturating_add(1);
                return Choice { alt: number, param: alt.min + scale(mix(word), span), line: 0 };
            }
            dice -= alt.ppm;
        }
        Choice::DEFAULT
    }

    fn origin(&self) -> Origin {
        Origin { nodes: self.seed, weather: Weather::Seed(self.seed) }
    }
}

/// The lines of a schedule happen, and nothing else.
#[derive(Clone, Debug)]
pub struct FromSchedule {
    origin: Origin,
    listed: BTreeMap<ChoiceKey, (Choice, bool)>,
    /// Lines about what an earlier line is about.
    second: Vec<u32>,
    timed: Vec<Timed>,
    without: Vec<Without>,
}

impl FromSchedule {
    /// Replays `schedule`.
    pub fn new(schedule: &Schedule) -> Self {
        let mut listed = BTreeMap::new();
        let mut second = Vec::new();
        let mut timed = Vec::new();
        for Line { id, what } in &schedule.lines {
            match what {
                LineWhat::Datagram(fault) => {
                    let choice = Choice { line: *id, ..fault.effect.choice() };
                    match listed.entry(fault.key()) {
                        Entry::Vacant(entry) => _ = entry.insert((choice, false)),
                        Entry::Occupied(_) => second.push(*id),
                    }
                }
                LineWhat::Timed { at, fault } => {
                    timed.push(Timed { at: *at, fault: fault.clone(), line: *id });
                }
            }
        }
        Self {
            origin: Origin { nodes: schedule.nodes, weather: schedule.weather },
            listed,
            second,
            timed,
            without: schedule.without.clone(),
        }
    }
}

impl Chooser for FromSchedule {
    fn choose(&mut self, key: ChoiceKey, alts: &[Alt]) -> Choice {
        match self.listed.get_mut(&key) {
            Some((choice, used)) if choice.alt as usize <= alts.len() => {
                *used = true;
                *choice
            }
            _ => Choice::DEFAULT,
        }
    }

    fn origin(&self) -> Origin {
        self.origin
    }

    fn timed(&self) -> Option<Vec<Timed>> {
        Some(self.timed.clone())
    }

    fn lists(&self, kind: Kind) -> bool {
        self.listed.keys().any(|key| key.kind == kind)
    }

    fn without(&self) -> Vec<Without> {
        self.without.clone()
    }

    fn triggers(&self) -> bool {
        false
    }

    fn unmatched(&self) -> Vec<u32> {
        let mut lines: Vec<u32> =
            self.listed.values().filter(|(_, used)| !used).map(|(c, _)| c.line).collect();
        lines.extend(&self.second);
        lines.sort_unstable();
        lines
    }
}

impl What {
    /// The family that this fault belongs to.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Crash { .. } => Kind::Crash,
            Self::Pause { .. } => Kind::Pause,
            Self::Partition { .. } => Kind::Partition,
            Self::Disk { .. } => Kind::Disk,
            Self::Clock { .. } => Kind::Clock,
            Self::Rebind { .. } => Kind::Rebind,
        }
    }
}

#[cfg(test)]
mod tests;
