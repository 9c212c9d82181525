//! A link and its builder.

use std::ops::Range;
use std::time::Duration;

use super::{Bottleneck, Bursts, Dist};
use crate::choice::Kind;
use crate::time::nanos;

/// One direction of a link. Probabilities are in parts per million (ppm).
///
/// The delay is *weather*: it varies by its own seed, never makes datagrams overtake each other, and is in no
/// schedule. Everything else is a fault: a named choice that becomes a line of the run's schedule. Faults
/// stop in the quiet phase of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub(crate) delay: Dist,
    pub(crate) rates: Rates,
    pub(crate) mtu: usize,
    pub(crate) bottleneck: Option<Bottleneck>,
    pub(crate) stream_buffer: usize,
    pub(crate) patience: u64,
}

/// How often a datagram is tampered with, and how badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Rates {
    pub(crate) loss: u32,
    pub(crate) duplicate: u32,
    pub(crate) duplicate_extra: (u64, u64),
    pub(crate) reorder: u32,
    pub(crate) reorder_extra: (u64, u64),
    pub(crate) corrupt: u32,
    pub(crate) resealed: u32,
    pub(crate) replay: u32,
    pub(crate) replay_extra: (u64, u64),
    pub(crate) splice: u32,
    pub(crate) splice_resealed: u32,
    pub(crate) bursts: Option<Bursts>,
    pub(crate) breaks: u32,
    pub(crate) splits: u32,
    pub(crate) stalls: u32,
    pub(crate) stall_extra: (u64, u64),
}

impl Rates {
    pub(crate) const fn any(&self) -> bool {
        let faults = self.loss | self.duplicate | self.reorder | self.corrupt | self.resealed | self.replay;
        self.bursts.is_some() || faults != 0 || self.splices()
    }

    /// How likely a loss is at worst.
    pub(crate) fn most_loss(&self) -> u32 {
        self.bursts.map_or(0, |bursts| bursts.loss).max(self.loss)
    }

    /// The kinds of fault that happen.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = Kind> + use<> {
        let lossy = self.loss > 0 || self.bursts.is_some();
        let can = [
            (Kind::Drop, lossy),
            (Kind::Corrupt, self.corrupt | self.resealed > 0),
            (Kind::Delay, self.reorder > 0),
            (Kind::Duplicate, self.duplicate > 0),
            (Kind::Break, self.breaks > 0),
            (Kind::Stall, lossy || self.stalls > 0),
            (Kind::Split, self.splits > 0),
            (Kind::Replay, self.replay > 0),
            (Kind::Splice, self.splices()),
        ];
        can.into_iter().filter_map(|(kind, can)| can.then_some(kind))
    }

    /// Whether earlier datagrams have to be kept.
    pub(crate) const fn splices(&self) -> bool {
        self.splice | self.splice_resealed != 0
    }

    /// Whether anything can happen to a stream.
    pub(crate) const fn any_of_stream(&self) -> bool {
        self.bursts.is_some() || self.loss | self.breaks | self.splits | self.stalls != 0
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    /// A perfect link: 1 ms, no faults, datagrams of any size.
    pub fn new() -> Self {
        Self {
            delay: Dist::fixed(Duration::from_millis(1)),
            rates: Rates::default(),
            mtu: usize::MAX,
            bottleneck: None,
            stream_buffer: 65_536,
            patience: 15_000_000_000,
        }
    }

    /// How long a datagram takes.
    #[must_use]
    pub fn delay(mut self, dist: Dist) -> Self {
        self.delay = dist;
        self
    }

    /// Lengthens each delay by up to `span`, uniformly, on top of the least delay.
    #[must_use]
    pub fn jitter(mut self, span: Duration) -> Self {
        let min = self.delay.min();
        self.delay = Dist::uniform(min..min + span);
        self
    }

    /// Loses this many datagrams in a million.
    #[must_use]
    pub fn loss(mut self, ppm: u32) -> Self {
        self.rates.loss = ppm;
        self
    }

    /// Loses in bursts: the link is good for `good` on average and then bad for `bad` (the model of Gilbert and Elliott). While
    /// it is bad, `ppm` of a million datagrams are lost; while it is good, as many as [`loss`](Self::loss) says.
    ///
    /// The state changes with time, in steps of 10 ms, however much is sent. It is weather; each loss is a fault of its own.
    ///
    /// # Panics
    /// If one of the spans is less than 10 ms.
    #[must_use]
    pub fn bursts(mut self, good: Duration, bad: Duration, ppm: u32) -> Self {
        self.rates.bursts = Some(Bursts::new(good, bad, ppm));
        self
    }

    /// Repeats this many datagrams in a million; the copy comes later by a span from `extra`.
    #[must_use]
    pub fn duplicate(mut self, ppm: u32, extra: Range<Duration>) -> Self {
        self.rates.duplicate = ppm;
        self.rates.duplicate_extra = (nanos(extra.start), nanos(extra.end));
        self
    }

    /// Holds this many datagrams in a million back by a span from `extra`, so that later ones overtake them.
    #[must_use]
    pub fn reorder(mut self, ppm: u32, extra: Range<Duration>) -> Self {
        self.rates.reorder = ppm;
        self.rates.reorder_extra = (nanos(extra.start), nanos(extra.end));
        self
    }

    /// Damages this many datagrams in a million: in three of four 1 to 3 bits are flipped, the fourth is cut
    /// short.
    #[must_use]
    pub fn corrupt(mut self, ppm: u32) -> Self {
        self.rates.corrupt = ppm;
        self
    }

    /// Flips bits in this many datagrams in a million and mends the checksum with
    /// [`Dissect::reseal`](crate::Dissect::reseal): what a forger or a bad router could do. No checksum
    /// guards the content then, so judge such runs by what must hold regardless.
    #[must_use]
    pub fn corrupt_resealed(mut self, ppm: u32) -> Self {
        self.rates.resealed = ppm;
        self
    }

    /// Delivers this many datagrams in a million once more, later by a span from `after`: when the connection that it belonged to is
    /// long over, or the receiver another one at the same address. Be generous with `after`; it may reach into the quiet phase.
    #[must_use]
    pub fn replay(mut self, ppm: u32, after: Range<Duration>) -> Self {
        self.rates.replay = ppm;
        self.rates.replay_extra = (nanos(after.start), nanos(after.end));
        self
    }

    /// Gives this many datagrams in a million the end of one that was sent up to 16 before it on the same flow, from any byte on: what
    /// a buffer does that is used again too early.
    #[must_use]
    pub fn splice(mut self, ppm: u32) -> Self {
        self.rates.splice = ppm;
        self
    }

    /// The same, and the checksum is mended with [`Dissect::reseal`](crate::Dissect::reseal). What was said of
    /// [`corrupt_resealed`](Self::corrupt_resealed) holds here too.
    #[must_use]
    pub fn splice_resealed(mut self, ppm: u32) -> Self {
        self.rates.splice_resealed = ppm;
        self
    }

    /// Loses every datagram of more than `bytes`.
    #[must_use]
    pub fn mtu(mut self, bytes: usize) -> Self {
        self.mtu = bytes;
        self
    }

    /// Breaks streams within this many of a million records, after any number of their bytes. Both ends find out; what else
    /// was on its way is lost.
    #[must_use]
    pub fn breaks(mut self, ppm: u32) -> Self {
        self.rates.breaks = ppm;
        self
    }

    /// Makes streams stand still before this many of a million records, for a span from `extra`, on top of what the
    /// [losses](Self::loss) of the link cost: a record that meets one is sent again, and comes 200 ms to 1 s later unless
    /// `extra` says otherwise.
    #[must_use]
    pub fn stalls(mut self, ppm: u32, extra: Range<Duration>) -> Self {
        self.rates.stalls = ppm;
        self.rates.stall_extra = (nanos(extra.start), nanos(extra.end));
        self
    }

    /// Has this many of a million records of streams read in two parts, split anywhere.
    #[must_use]
    pub fn splits(mut self, ppm: u32) -> Self {
        self.rates.splits = ppm;
        self
    }

    /// How many bytes may be written to a stream and not read by the other end yet, in each direction (default 65,536).
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    pub fn stream_buffer(mut self, bytes: usize) -> Self {
        assert!(bytes > 0, "nothing could be written");
        self.stream_buffer = bytes;
        self
    }

    /// How long a stream waits for a cut link before the end that writes finds it broken (default 15 s).
    #[must_use]
    pub fn stream_patience(mut self, span: Duration) -> Self {
        self.patience = nanos(span);
        self
    }

    /// Sends every datagram through a narrow place, before its delay. The two directions of a link have one each, unless it
    /// is [shared](Bottleneck::shared).
    #[must_use]
    pub fn bottleneck(mut self, bottleneck: Bottleneck) -> Self {
        self.bottleneck = Some(bottleneck);
        self
    }
}
