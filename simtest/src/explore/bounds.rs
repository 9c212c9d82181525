//! Which schedules are enumerated.

use std::ops::Range;
use std::time::Duration;

use crate::choice::{Choice, Kind};
use crate::disk::DiskLoss;
use crate::fault::Fault;
use crate::node::Node;
use crate::schedule::{Damage, Effect, Weather};
use crate::sim::Sim;
use crate::time::nanos;

/// The space that [`certify`](crate::certify) searches: all schedules with at most so many faults, in so many
/// weathers.
///
/// A fault is one of: a datagram is dropped; a copy of it comes later; it is held back; some of its bits are
/// flipped; a node crashes at the begin of a time slot and is back after one of a few spans, without what it
/// had not synced; a stream breaks after the first byte of a record, or after the last; it stands still before a record; the
/// first byte of a record is read alone. If asked for, also: a datagram comes once more long after; from its second byte on it is the
/// one before it. Faults that the test itself sets ([`Sim::fault`](crate::Sim::fault)) happen in every
/// schedule and do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub(super) faults: u32,
    pub(super) weathers: u32,
    pub(super) kinds: Vec<Kind>,
    pub(super) held: u64,
    pub(super) copied: u64,
    pub(super) replayed: u64,
    pub(super) soon: bool,
    pub(super) stalled: u64,
    /// `None`: just before each event.
    pub(super) slot: Option<u64>,
    pub(super) timed: Vec<Fault>,
    pub(super) downs: Vec<u64>,
    pub(super) disk: DiskLoss,
    pub(super) victims: Option<Vec<String>>,
    pub(super) span: Range<u64>,
    /// Only faults that the links, or the campaign, make likely.
    pub(super) likely: bool,
    pub(super) most: u64,
}

impl Bounds {
    /// At most so many faults, of the kinds drop, duplicate (30 ms later), delay (by 30 ms), corrupt, crash (of any node, each
    /// 100 ms, for 50 ms), and of streams break, stall (for 300 ms) and split; in 8 weathers.
    pub fn faults(most: u32) -> Self {
        Self {
            faults: most,
            weathers: 8,
            kinds: vec![
                Kind::Drop,
                Kind::Duplicate,
                Kind::Delay,
                Kind::Corrupt,
                Kind::Crash,
                Kind::Break,
                Kind::Stall,
                Kind::Split,
            ],
            held: 30_000_000,
            copied: 30_000_000,
            replayed: 10_000_000_000,
            soon: false,
            stalled: 300_000_000,
            slot: Some(100_000_000),
            timed: Vec::new(),
            downs: vec![50_000_000],
            disk: DiskLoss::Unsynced,
            victims: None,
            span: 0..u64::MAX,
            likely: false,
            most: u64::MAX,
        }
    }

    /// Of the kinds of [`faults`](Self::faults), those that the campaign of `sim` and its links have, each on those links that
    /// have it; crashes only of the campaign's victims. All kinds if there is no campaign.
    #[must_use]
    pub fn like<N: Node>(mut self, sim: &Sim<N>) -> Self {
        if let Some(chaos) = &sim.campaign {
            let links = sim.links.values().chain([&sim.default_link]);
            self.kinds = chaos.enumerable(links.map(|link| &link.rates));
            self.likely = true;
            self.victims = chaos.crashing().map(<[String]>::to_vec);
        }
        self
    }

    /// The number of weathers: the first is flat (everything takes its least time), the others are those of
    /// the seeds 1, 2, ...
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    pub fn weathers(self, count: u32) -> Self {
        assert!(count > 0, "there is always some weather");
        Self { weathers: count, ..self }
    }

    /// Only faults of these kinds.
    ///
    /// # Panics
    /// If one of them is not drop, duplicate, delay, corrupt, crash, break, stall, split, replay or splice.
    #[must_use]
    pub fn kinds(self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        let kinds: Vec<Kind> = kinds.into_iter().collect();
        let able = |kind: &Kind| *kind == Kind::Crash || kind.of_stream() || kind.of_datagram();
        let not = kinds.iter().find(|kind| !able(kind));
        assert!(not.is_none(), "faults of this kind are not enumerated: {not:?}");
        Self { kinds, ..self }
    }

    /// How long a delayed datagram is held back, besides its usual delay.
    #[must_use]
    pub fn held_for(self, span: Duration) -> Self {
        Self { held: nanos(span), ..self }
    }

    /// How much later the copy of a duplicated datagram arrives.
    #[must_use]
    pub fn copied_after(self, span: Duration) -> Self {
        Self { copied: nanos(span), ..self }
    }

    /// How much later a replayed datagram arrives once more (default 10 s).
    #[must_use]
    pub fn replayed_after(self, span: Duration) -> Self {
        Self { replayed: nanos(span), ..self }
    }

    /// Also copies that arrive together with the original.
    #[must_use]
    pub fn also_copied_at_once(self) -> Self {
        Self { soon: true, ..self }
    }

    /// How long a stream stands still.
    #[must_use]
    pub fn stalled_for(self, span: Duration) -> Self {
        Self { stalled: nanos(span), ..self }
    }

    /// A crash may begin each `slot`, and lasts for one of `downs`.
    ///
    /// # Panics
    /// If `slot` is zero.
    #[must_use]
    pub fn crashes(self, slot: Duration, downs: impl IntoIterator<Item = Duration>) -> Self {
        assert!(!slot.is_zero(), "a slot has a length");
        Self { slot: Some(nanos(slot)), downs: downs.into_iter().map(nanos).collect(), ..self }
    }

    /// A crash may begin just before each event (of those of one instant, the first), and lasts for one of
    /// `downs`: that is every moment that a node can tell from others.
    #[must_use]
    pub fn crashes_before_events(self, downs: impl IntoIterator<Item = Duration>) -> Self {
        Self { slot: None, downs: downs.into_iter().map(nanos).collect(), ..self }
    }

    /// This fault too may begin whenever a crash may.
    #[must_use]
    pub fn also(mut self, fault: Fault) -> Self {
        self.timed.push(fault);
        self
    }

    /// What a crash does to unsynced bytes.
    #[must_use]
    pub fn disk(self, disk: DiskLoss) -> Self {
        Self { disk, ..self }
    }

    /// Only these nodes crash (default: all).
    #[must_use]
    pub fn victims<'a>(self, nodes: impl IntoIterator<Item = &'a str>) -> Self {
        Self { victims: Some(nodes.into_iter().map(String::from).collect()), ..self }
    }

    /// Faults happen only within this span of the run (default: always).
    #[must_use]
    pub fn within(self, span: Range<Duration>) -> Self {
        Self { span: nanos(span.start)..nanos(span.end), ..self }
    }

    /// Gives up, as undecided, where there are more schedules than this.
    #[must_use]
    pub fn at_most(self, schedules: u64) -> Self {
        Self { most: schedules, ..self }
    }

    /// What may happen to a datagram, or to a record of a stream, in the family `kind`.
    pub(super) fn choices(&self, kind: Kind) -> impl Iterator<Item = Choice> + use<> {
        let (effect, other) = match kind {
            Kind::Drop => (Some(Effect::Drop), None),
            Kind::Delay => (Some(Effect::Delay(self.held)), None),
            Kind::Duplicate => {
                (Some(Effect::Duplicate(self.copied)), self.soon.then_some(Effect::Duplicate(0)))
            }
            Kind::Corrupt => (Some(Effect::Corrupt(Damage::Flip, 1)), None),
            Kind::Break => (Some(Effect::Break(1)), Some(Effect::Break(u32::MAX))),
            Kind::Stall => (Some(Effect::Stall(self.stalled)), None),
            Kind::Split => (Some(Effect::Split(1)), None),
            Kind::Replay => (Some(Effect::Replay(self.replayed)), None),
            Kind::Splice => (Some(Effect::Splice { back: 1, at: 1, reseal: false }), None),
            _ => (None, None),
        };
        let all = effect.into_iter().chain(other).filter(|_| self.kinds.contains(&kind));
        all.map(Effect::choice).collect::<Vec<_>>().into_iter()
    }

    pub(super) fn weather(number: u32) -> Weather {
        if number == 0 { Weather::Flat } else { Weather::Seed(number.into()) }
    }
}

impl Default for Bounds {
    /// At most 2 faults.
    fn default() -> Self {
        Self::faults(2)
    }
}
