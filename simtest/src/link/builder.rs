//! A link and its builder.

use std::ops::Range;
use std::time::Duration;

use super::{Bottleneck, Bursts, Dist};
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
    pub(crate) bursts: Option<Bursts>,
}

impl Rates {
    pub(crate) const fn any(&self) -> bool {
        self.bursts.is_some() || self.loss | self.duplicate | self.reorder | self.corrupt | self.resealed != 0
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

    /// Loses every datagram of more than `bytes`.
    #[must_use]
    pub fn mtu(mut self, bytes: usize) -> Self {
        self.mtu = bytes;
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
