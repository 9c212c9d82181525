//! What a message asks for beside its class, and what it says of it on the wire.

use alloc::boxed::Box;
use core::time::Duration;

use crate::wire::{Batch, MAX_TTL_MS, varint};
use crate::{Class, Fate, Timestamp};

/// What a message asks for beside its class, when it asks for anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// When its lifetime ends.
    pub(crate) deadline: Option<Timestamp>,
    /// A newer message with the same key on its channel takes its place.
    pub(crate) key: Option<u64>,
    /// How often a piece of it may be sent again.
    pub(crate) max_retransmits: Option<u32>,
    pub(crate) batch: Option<Batch>,
    /// The older one with the same key that goes on, unless a piece of it is lost.
    pub(super) overtook: Option<(Class, u64)>,
    /// Its fate when a piece of it is lost.
    pub(super) doom: Option<Fate>,
}

impl Terms {
    /// Less than this much of a lifetime counts as nothing: what travels are whole milliseconds.
    pub(crate) const LEAST_LIFETIME: Duration = Duration::from_millis(1);

    /// `None` when nothing is asked for.
    pub(crate) fn new(
        deadline: Option<Timestamp>,
        key: Option<u64>,
        max_retransmits: Option<u32>,
        batch: Option<Batch>,
    ) -> Option<Box<Self>> {
        let asks = deadline.is_some() || key.is_some() || max_retransmits.is_some() || batch.is_some();
        asks.then(|| Box::new(Self { deadline, key, max_retransmits, batch, overtook: None, doom: None }))
    }

    /// Whole milliseconds that are left at `now`; `None` when it has no lifetime.
    pub(super) fn ttl(&self, now: Timestamp) -> Option<u32> {
        let left = self.deadline?.since(now).as_millis();
        Some(u32::try_from(left).unwrap_or(MAX_TTL_MS).min(MAX_TTL_MS))
    }

    /// From when on it must not be written.
    pub(crate) fn lapses(&self) -> Option<Timestamp> {
        let deadline = self.deadline?.as_nanos();
        Some(Timestamp::from_nanos(deadline.saturating_sub(Self::LEAST_LIFETIME.as_nanos() as u64 - 1)))
    }

    pub(super) fn has_lapsed(&self, now: Timestamp) -> bool {
        self.lapses().is_some_and(|at| at <= now)
    }
}

/// What a message says beside its payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Says {
    pub(crate) ttl: Option<u32>,
    pub(crate) receipt: bool,
    pub(crate) batch: Option<Batch>,
}

impl Says {
    /// Bytes that it adds to a MSG, the extension byte not counted.
    pub(crate) fn encoded_len(self) -> usize {
        let ttl = self.ttl.map_or(0, |ttl| varint::len(ttl.into()));
        ttl + self.batch.map_or(0, |batch| 1 + batch.encoded_len())
    }
}
