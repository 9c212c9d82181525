//! Campaigns: random faults for a while, then a quiet phase in which everything must converge.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use crate::choice::{Alt, ChoiceKey, Chooser, Kind};
use crate::disk::DiskLoss;
use crate::fault::{Fault, Timed, Trouble, What};
use crate::link::{Bursts, Rates};
use crate::prf::{mix, scale};
use crate::schedule::name_locus;
use crate::time::{Time, ms, nanos, secs};

/// Random faults until a time, then quiet.
///
/// Each run draws a policy: in half of the runs all families of faults are on; in a quarter each family is on
/// or off by the toss of a coin; in a quarter likewise, and those that are on are 0.5 to 3 times as frequent.
/// Faults of the links themselves follow the policy too.
///
/// In the quiet phase every fault has ended: crashed nodes are back, partitions healed, disks well, and links
/// only delay. A node crashed by an explicit [`Fault::crash`] without a restart stays dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chaos {
    pub(crate) until: Time,
    pub(crate) quiet_for: Duration,
    rates: Rates,
    timed: BTreeMap<Kind, Frequency>,
    victims: BTreeMap<Kind, Vec<String>>,
    /// Mean time between, and span, in nanoseconds.
    swizzle: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frequency {
    every: u64,
    shortest: u64,
    longest: u64,
}

/// Faults that begin at a set time are decided once per slot of this length.
const SLOT: u64 = 250_000_000;

impl Default for Chaos {
    /// 5 s of chaos, 30 s of quiet. On top of what the links do: 5 % of datagrams lost, 3 % repeated within
    /// 50 ms, 5 % held back by up to 100 ms, 1 % damaged. Each node crashes every 3 s on average for 10 ms to
    /// 1 s, stands still every 4 s for 10 ms to 2 s, has disk trouble every 4 s for 10 ms to 1 s; some
    /// partition arises every 3 s for 50 ms to 2 s. Of the records on streams, 1 % break them, 3 % stall them for up to 1 s (and
    /// so do lost packets), 10 % are read in two parts.
    fn default() -> Self {
        let rates = Rates {
            loss: 50_000,
            duplicate: 30_000,
            duplicate_extra: (0, 50_000_000),
            reorder: 50_000,
            reorder_extra: (1_000_000, 100_000_000),
            corrupt: 10_000,
            resealed: 0,
            replay: 0,
            replay_extra: (0, 0),
            splice: 0,
            splice_resealed: 0,
            bursts: None,
            breaks: 10_000,
            splits: 100_000,
            stalls: 30_000,
            stall_extra: (1_000_000, 1_000_000_000),
        };
        let quiet = Self {
            until: Time::from_millis(5_000),
            quiet_for: secs(30),
            rates,
            timed: BTreeMap::new(),
            victims: BTreeMap::new(),
            swizzle: None,
        };
        quiet
            .crash(secs(3), ms(10)..secs(1))
            .pause(secs(4), ms(10)..secs(2))
            .disk(secs(4), ms(10)..secs(1))
            .partition(secs(3), ms(50)..secs(2))
    }
}

impl Chaos {
    /// No random faults of its own; the methods below add them.
    pub fn none() -> Self {
        Self { rates: Rates::default(), timed: BTreeMap::new(), ..Self::default() }
    }

    /// When chaos ends and the quiet phase begins.
    #[must_use]
    pub fn until(mut self, end: Duration) -> Self {
        self.until = end.into();
        self
    }

    /// How long the quiet phase lasts at most.
    #[must_use]
    pub fn quiet_for(mut self, span: Duration) -> Self {
        self.quiet_for = span;
        self
    }

    /// Datagrams lost, in parts per million, on top of what the links lose.
    #[must_use]
    pub fn loss(mut self, ppm: u32) -> Self {
        self.rates.loss = ppm;
        self
    }

    /// Datagrams repeated, in parts per million; the copy comes later by a span from `extra`.
    #[must_use]
    pub fn duplicate(mut self, ppm: u32, extra: Range<Duration>) -> Self {
        self.rates.duplicate = ppm;
        self.rates.duplicate_extra = (nanos(extra.start), nanos(extra.end));
        self
    }

    /// Datagrams held back, in parts per million, by a span from `extra`.
    #[must_use]
    pub fn reorder(mut self, ppm: u32, extra: Range<Duration>) -> Self {
        self.rates.reorder = ppm;
        self.rates.reorder_extra = (nanos(extra.start), nanos(extra.end));
        self
    }

    /// Datagrams damaged, in parts per million.
    #[must_use]
    pub fn corrupt(mut self, ppm: u32) -> Self {
        self.rates.corrupt = ppm;
        self
    }

    /// Datagrams damaged with their checksum mended, in parts per million. See
    /// [`Link::corrupt_resealed`](crate::Link::corrupt_resealed).
    #[must_use]
    pub fn corrupt_resealed(mut self, ppm: u32) -> Self {
        self.rates.resealed = ppm;
        self
    }

    /// Datagrams delivered once more, in parts per million, later by a span from `after`. See [`Link::replay`](crate::Link::replay).
    #[must_use]
    pub fn replay(mut self, ppm: u32, after: Range<Duration>) -> Self {
        self.rates.replay = ppm;
        self.rates.replay_extra = (nanos(after.start), nanos(after.end));
        self
    }

    /// Datagrams with the end of another, in parts per million. See [`Link::splice`](crate::Link::splice).
    #[must_use]
    pub fn splice(mut self, ppm: u32) -> Self {
        self.rates.splice = ppm;
        self
    }

    /// The same with their checksum mended. See [`Link::splice_resealed`](crate::Link::splice_resealed).
    #[must_use]
    pub fn splice_resealed(mut self, ppm: u32) -> Self {
        self.rates.splice_resealed = ppm;
        self
    }

    /// Breaks streams within this many of a million records. See [`Link::breaks`](crate::Link::breaks).
    #[must_use]
    pub fn breaks(mut self, ppm: u32) -> Self {
        self.rates.breaks = ppm;
        self
    }

    /// Makes streams stand still before this many of a million records, for a span from `extra`.
    #[must_use]
    pub fn stalls(mut self, ppm: u32, extra: Range<Duration>) -> Self {
        self.rates.stalls = ppm;
        self.rates.stall_extra = (nanos(extra.start), nanos(extra.end));
        self
    }

    /// Has this many of a million records of streams read in two parts.
    #[must_use]
    pub fn splits(mut self, ppm: u32) -> Self {
        self.rates.splits = ppm;
        self
    }

    /// Each victim crashes once per `every` on average and is back after a span from `down`; short spans are
    /// likelier.
    #[must_use]
    pub fn crash(self, every: Duration, down: Range<Duration>) -> Self {
        self.timed(Kind::Crash, every, &down)
    }

    /// Each victim stands still once per `every` on average, for a span from `lasts`.
    #[must_use]
    pub fn pause(self, every: Duration, lasts: Range<Duration>) -> Self {
        self.timed(Kind::Pause, every, &lasts)
    }

    /// Each victim's disk is full, failing or slow once per `every` on average, for a span from `lasts`.
    #[must_use]
    pub fn disk(self, every: Duration, lasts: Range<Duration>) -> Self {
        self.timed(Kind::Disk, every, &lasts)
    }

    /// One victim is cut off, in one or both directions, or the victims split in two, once per `every` on
    /// average.
    #[must_use]
    pub fn partition(self, every: Duration, lasts: Range<Duration>) -> Self {
        self.timed(Kind::Partition, every, &lasts)
    }

    /// Each victim's wall clock is wrong once per `every` on average, for a span from `lasts`: by up to 10 s either way, or
    /// it goes up to 0.1 % too fast or slow.
    #[must_use]
    pub fn clock(self, every: Duration, lasts: Range<Duration>) -> Self {
        self.timed(Kind::Clock, every, &lasts)
    }

    /// Each victim gets a new address once per `every` on average.
    #[must_use]
    pub fn rebind(self, every: Duration) -> Self {
        self.timed(Kind::Rebind, every, &(ms(1)..ms(1)))
    }

    /// Once per `every` on average all victims are cut off from all others one after the other, within `span`, and
    /// connected again in another order, within `span` too. Those are partitions in the schedule.
    #[must_use]
    pub fn swizzle(mut self, every: Duration, span: Duration) -> Self {
        self.swizzle = Some((nanos(every).max(1), nanos(span).max(1_000_000)));
        self
    }

    fn timed(mut self, kind: Kind, every: Duration, lasts: &Range<Duration>) -> Self {
        let frequency =
            Frequency { every: nanos(every).max(1), shortest: nanos(lasts.start), longest: nanos(lasts.end) };
        self.timed.insert(kind, frequency);
        self
    }

    /// Leaves out one family.
    #[must_use]
    pub fn without(mut self, kind: Kind) -> Self {
        match kind {
            Kind::Drop => self.rates.loss = 0,
            Kind::Corrupt => (self.rates.corrupt, self.rates.resealed) = (0, 0),
            Kind::Delay => self.rates.reorder = 0,
            Kind::Duplicate => self.rates.duplicate = 0,
            Kind::Break => self.rates.breaks = 0,
            Kind::Stall => self.rates.stalls = 0,
            Kind::Split => self.rates.splits = 0,
            Kind::Replay => self.rates.replay = 0,
            Kind::Splice => (self.rates.splice, self.rates.splice_resealed) = (0, 0),
            _ => {
                if kind == Kind::Partition {
                    self.swizzle = None;
                }
                self.timed.remove(&kind);
            }
        }
        self
    }

    /// Restricts a family of timed faults to these nodes (default: all).
    #[must_use]
    pub fn victims<'a>(mut self, kind: Kind, nodes: impl IntoIterator<Item = &'a str>) -> Self {
        self.victims.insert(kind, nodes.into_iter().map(String::from).collect());
        self
    }

    /// The kinds of fault that it makes likely itself.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let swizzles = self.swizzle.map(|_| Kind::Partition);
        self.rates.kinds().chain(self.timed.keys().copied()).chain(swizzles).collect()
    }

    /// The kinds of fault that can be enumerated and that can happen here, on any of these links.
    pub(crate) fn enumerable<'a>(&'a self, links: impl Iterator<Item = &'a Rates>) -> Vec<Kind> {
        let rates: Vec<&Rates> = links.chain([&self.rates]).collect();
        let any = |rate: fn(&Rates) -> u32| rates.iter().any(|rates| rate(rates) > 0);
        let can = [
            (Kind::Drop, any(Rates::most_loss)),
            (Kind::Duplicate, any(|rates| rates.duplicate)),
            (Kind::Delay, any(|rates| rates.reorder)),
            (Kind::Corrupt, any(|rates| rates.corrupt)),
            (Kind::Crash, self.timed.contains_key(&Kind::Crash)),
            (Kind::Break, any(|rates| rates.breaks)),
            (Kind::Stall, any(|rates| rates.stalls)),
            (Kind::Split, any(|rates| rates.splits)),
            (Kind::Replay, any(|rates| rates.replay)),
            (Kind::Splice, any(|rates| rates.splice)),
        ];
        can.into_iter().filter_map(|(kind, can)| can.then_some(kind)).collect()
    }

    /// The nodes that crash, if not all do.
    pub(crate) fn crashing(&self) -> Option<&[String]> {
        self.victims.get(&Kind::Crash).map(|victims| &victims[..])
    }

    pub(crate) fn end(&self) -> Time {
        self.until + self.quiet_for
    }

    pub(crate) fn victim_names(&self) -> impl Iterator<Item = &String> {
        self.victims.values().flatten()
    }

    /// The effective rates of a link under this campaign and the policy of the run.
    pub(crate) fn rates(&self, link: &Rates, policy: &Policy) -> Rates {
        let own = &self.rates;
        let either = |link: (u64, u64), own: (u64, u64)| if link == (0, 0) { own } else { link };
        Rates {
            loss: policy.scale(Kind::Drop, link.loss.saturating_add(own.loss)),
            duplicate: policy.scale(Kind::Duplicate, link.duplicate.saturating_add(own.duplicate)),
            duplicate_extra: either(link.duplicate_extra, own.duplicate_extra),
            reorder: policy.scale(Kind::Delay, link.reorder.saturating_add(own.reorder)),
            reorder_extra: either(link.reorder_extra, own.reorder_extra),
            corrupt: policy.scale(Kind::Corrupt, link.corrupt.saturating_add(own.corrupt)),
            bursts: link
                .bursts
                .map(|bursts| Bursts { loss: policy.scale(Kind::Drop, bursts.loss), ..bursts }),
            resealed: policy.scale(Kind::Corrupt, link.resealed.saturating_add(own.resealed)),
            replay: policy.scale(Kind::Replay, link.replay.saturating_add(own.replay)),
            replay_extra: either(link.replay_extra, own.replay_extra),
            splice: policy.scale(Kind::Splice, link.splice.saturating_add(own.splice)),
            splice_resealed: policy
                .scale(Kind::Splice, link.splice_resealed.saturating_add(own.splice_resealed)),
            breaks: policy.scale(Kind::Break, link.breaks.saturating_add(own.breaks)),
            splits: policy.scale(Kind::Split, link.splits.saturating_add(own.splits)),
            stalls: policy.scale(Kind::Stall, link.stalls.saturating_add(own.stalls)),
            stall_extra: either(link.stall_extra, own.stall_extra),
        }
    }

    /// All timed faults of the run.
    pub(crate) fn plan(&self, chooser: &mut dyn Chooser, policy: &Policy, names: &[String]) -> Vec<Timed> {
        let mut plan = Vec::new();
        for (kind, frequency) in &self.timed {
            let victims = self.victims.get(kind).map_or(names, |victims| victims);
            let ppm = (u128::from(SLOT) * 1_000_000 / u128::from(frequency.every)).min(900_000) as u32;
            let ppm = policy.scale(*kind, ppm);
            if *kind == Kind::Partition {
                self.plan_kind(*kind, *frequency, ppm, "", chooser, &mut plan, |alt, word| {
                    partition(alt, word, victims)
                });
                continue;
            }
            for name in victims {
                self.plan_kind(*kind, *frequency, ppm, name, chooser, &mut plan, |alt, word| {
                    Some(single(*kind, alt, word, name))
                });
            }
        }
        if let Some((every, span)) = self.swizzle {
            let victims = self.victims.get(&Kind::Partition).map_or(names, |victims| victims);
            let ppm = (u128::from(SLOT) * 1_000_000 / u128::from(every)).min(900_000) as u32;
            let alts = [Alt { ppm: policy.scale(Kind::Partition, ppm), min: 0, max: u64::MAX }];
            for slot in 0..self.until.as_nanos() / SLOT {
                let key = ChoiceKey { kind: Kind::Partition, locus: name_locus("swizzle"), occ: slot as u32 };
                let choice = chooser.choose(key, &alts);
                if choice.alt > 0 {
                    plan.extend(swizzled(slot * SLOT, span, choice.param, victims));
                }
            }
        }
        plan
    }

    #[expect(clippy::too_many_arguments, reason = "one call site per sort of victim")]
    fn plan_kind(
        &self,
        kind: Kind,
        frequency: Frequency,
        ppm: u32,
        victim: &str,
        chooser: &mut dyn Chooser,
        plan: &mut Vec<Timed>,
        make: impl Fn(u32, u64) -> Option<What>,
    ) {
        let shares: &[u32] = match kind {
            Kind::Crash => &[40, 10, 30, 20],
            Kind::Partition => &[35, 20, 20, 25],
            Kind::Disk => &[40, 40, 20],
            Kind::Clock => &[50, 50],
            _ => &[100],
        };
        let alts: Vec<Alt> =
            shares.iter().map(|share| Alt { ppm: ppm / 100 * share, min: 0, max: u64::MAX }).collect();
        let locus = name_locus(victim);
        let slots = self.until.as_nanos() / SLOT;
        for slot in 0..slots {
            let choice = chooser.choose(ChoiceKey { kind, locus, occ: slot as u32 }, &alts);
            if choice.alt == 0 {
                continue;
            }
            let word = |purpose: u64| mix(choice.param ^ purpose);
            let at = Time::from_nanos((slot * SLOT + scale(word(1), SLOT)) / 1_000_000 * 1_000_000);
            let share = scale(word(2), 1 << 16) * scale(word(3), 1 << 16);
            let longest = frequency.longest.saturating_sub(frequency.shortest);
            let span = (u128::from(longest) * u128::from(share)) >> 32;
            let lasts = (frequency.shortest + span as u64) / 1_000_000 * 1_000_000;
            if let Some(what) = make(choice.alt, word(4)) {
                let lasts = (kind != Kind::Rebind).then(|| Duration::from_nanos(lasts.max(1_000_000)));
                plan.push(Timed { at, fault: Fault { what, lasts }, line: 0 });
            }
        }
    }
}

fn single(kind: Kind, alt: u32, word: u64, name: &str) -> What {
    let node = name.to_owned();
    match kind {
        Kind::Pause => What::Pause { node },
        Kind::Disk => {
            let trouble = [Trouble::Full, Trouble::Error, Trouble::Slow][alt as usize - 1];
            What::Disk { node, trouble }
        }
        Kind::Clock => {
            let span = scale(mix(word), 20_001).cast_signed() - 10_000;
            if alt == 1 {
                What::Clock { node, step_ms: span, drift_ppm: 0 }
            } else {
                What::Clock { node, step_ms: 0, drift_ppm: (span / 10) as i32 }
            }
        }
        Kind::Rebind => What::Rebind { node },
        _ => {
            let seed = word as u32;
            let all = [DiskLoss::Unsynced, DiskLoss::Kept, DiskLoss::Torn(seed), DiskLoss::Garbled(seed)];
            What::Crash { node, disk: all[alt as usize - 1] }
        }
    }
}

fn swizzled(from: u64, span: u64, word: u64, victims: &[String]) -> Vec<Timed> {
    let part = |purpose: u64, i: usize| {
        let word = mix(mix(word ^ purpose).wrapping_add(i as u64));
        from + scale(word, span) / 1_000_000 * 1_000_000
    };
    let cut = |(i, name): (usize, &String)| {
        let others: Vec<String> = victims.iter().filter(|other| *other != name).cloned().collect();
        if others.is_empty() {
            return None;
        }
        let (at, healed) = (part(5, i), part(6, i) + span);
        let what = What::Partition { from: vec![name.clone()], to: others, both: true };
        let lasts = Some(Duration::from_nanos((healed - at).max(1_000_000)));
        Some(Timed { at: Time::from_nanos(at), fault: Fault { what, lasts }, line: 0 })
    };
    victims.iter().enumerate().filter_map(cut).collect()
}

fn partition(alt: u32, word: u64, victims: &[String]) -> Option<What> {
    let side = |chosen: &dyn Fn(usize) -> bool| -> Vec<String> {
        victims.iter().enumerate().filter(|(i, _)| chosen(*i)).map(|(_, name)| name.clone()).collect()
    };
    let lone = scale(word, victims.len() as u64) as usize;
    let (from, to) = if alt == 4 {
        let half = |i: usize| mix(word ^ i as u64) & 1 == 0;
        (side(&half), side(&|i| !half(i)))
    } else {
        (side(&|i| i == lone), side(&|i| i != lone))
    };
    if from.is_empty() || to.is_empty() {
        return None;
    }
    Some(match alt {
        2 => What::Partition { from, to, both: false },
        3 => What::Partition { from: to, to: from, both: false },
        _ => What::Partition { from, to, both: true },
    })
}

/// How much of each family a run uses, in thousandths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy([u32; 17]);

impl Policy {
    pub(crate) fn draw(chooser: &mut dyn Chooser) -> Self {
        let mut ask =
            |locus, alts: &[Alt]| chooser.choose(ChoiceKey { kind: Kind::Policy, locus, occ: 0 }, alts);
        let quarter = Alt { ppm: 250_000, min: 0, max: 0 };
        let mode = ask(0, &[quarter, quarter]).alt;
        let mut policy = Self([1_000; 17]);
        if mode == 0 {
            return policy;
        }
        for kind in Kind::FAULTS {
            let off = ask(kind as u64, &[Alt { ppm: 500_000, min: 0, max: 0 }]).alt == 1;
            let often = ask(100 + kind as u64, &[Alt { ppm: 1_000_000, min: 500, max: 3_000 }]).param;
            policy.0[kind as usize] = match mode {
                _ if off => 0,
                2 => often as u32,
                _ => 1_000,
            };
        }
        policy
    }

    fn scale(&self, kind: Kind, ppm: u32) -> u32 {
        let scaled = u64::from(ppm) * u64::from(self.0[kind as usize]) / 1_000;
        scaled.min(1_000_000) as u32
    }
}

#[cfg(test)]
mod tests;
