//! Who may do how much: the note quota of the original, and token buckets for everything else.

use core::time::Duration;

use super::limits::{QUOTA_HISTORY, QUOTA_TICK};
use crate::Timestamp;
use crate::time::nanos;

/// What a note quota is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuotaParams {
    /// What each tick gives.
    pub allowance: u32,
    /// The most that is kept.
    pub max: u32,
}

impl QuotaParams {
    /// In a lobby.
    pub const LOBBY: Self = Self { allowance: 200, max: 600 };
    /// In any other room.
    pub const NORMAL: Self = Self { allowance: 400, max: 1200 };
    /// With the crown.
    pub const HOLDER: Self = Self { allowance: 600, max: 1800 };
    /// In no room: what a client shows before it is in one.
    pub const OFFLINE: Self = Self { allowance: 8000, max: 24_000 };
    /// For who need not be limited.
    pub const UNLIMITED: Self = Self { allowance: 1_000_000, max: 3_000_000 };

    /// The same for a number of users together.
    #[must_use]
    pub const fn times(self, factor: u32) -> Self {
        Self { allowance: self.allowance.saturating_mul(factor), max: self.max.saturating_mul(factor) }
    }
}

/// `NoteQuota.js`, as all its servers and clients have it: every 2 s the points of that moment go into a history of three and
/// the allowance is added; a note costs a point, or as many as the allowance if there were none at all three ticks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NoteQuota {
    params: QuotaParams,
    points: u32,
    history: [u32; QUOTA_HISTORY],
    /// When the last tick was.
    ticked: Timestamp,
}

impl NoteQuota {
    /// A full quota, the first tick of which is 2 s after `now`.
    pub const fn new(now: Timestamp, params: QuotaParams) -> Self {
        Self { params, points: params.max, history: [params.max; QUOTA_HISTORY], ticked: now }
    }

    /// What it is made of.
    pub const fn params(&self) -> QuotaParams {
        self.params
    }

    /// What could be spent at `now`.
    pub fn points(&mut self, now: Timestamp) -> u32 {
        self.tick_until(now);
        self.points
    }

    /// Takes other parameters over. If they differ, the quota is full and its history as well.
    pub fn set_params(&mut self, now: Timestamp, params: QuotaParams) {
        self.tick_until(now);
        if self.params != params {
            *self = Self { ticked: self.ticked, ..Self::new(now, params) };
        }
    }

    fn tick(&mut self) {
        self.history.rotate_right(1);
        self.history[0] = self.points;
        self.points = self.points.saturating_add(self.params.allowance).min(self.params.max);
    }

    fn tick_until(&mut self, now: Timestamp) {
        let due = nanos(now.since(self.ticked)) / nanos(QUOTA_TICK);
        // More ticks than these change nothing: the quota and its history are full.
        let fills = u64::from(self.params.max / self.params.allowance.max(1)) + 1 + QUOTA_HISTORY as u64;
        (0..due.min(fills)).for_each(|_| self.tick());
        self.ticked += Duration::from_nanos(due.saturating_mul(nanos(QUOTA_TICK)));
    }

    fn price(&self, notes: u32) -> u32 {
        let exhausted = self.history.iter().all(|&points| points == 0);
        if exhausted { notes.saturating_mul(self.params.allowance) } else { notes }
    }

    /// Whether `spend` would succeed.
    pub fn can_spend(&mut self, now: Timestamp, notes: u32) -> bool {
        self.tick_until(now);
        self.points >= self.price(notes)
    }

    /// Pays for `notes`, or says no and takes nothing.
    pub fn spend(&mut self, now: Timestamp, notes: u32) -> bool {
        let can = self.can_spend(now, notes);
        if can {
            self.points -= self.price(notes);
        }
        can
    }
}

/// How often something may be done: `burst` times at once, and one more every `every`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Allowed {
    /// At once, after a silence; 0: never.
    pub burst: u32,
    /// The time for one more. Zero: there is no limit.
    pub every: Duration,
}

impl Allowed {
    /// No limit.
    pub const UNLIMITED: Self = Self { burst: 1, every: Duration::ZERO };

    /// `burst` at once, and as many in each `per`.
    pub const fn times(burst: u32, per: Duration) -> Self {
        let every = match per.checked_div(burst) {
            Some(every) => every,
            None => per,
        };
        Self { burst, every }
    }

    /// The same for a number of users together.
    #[must_use]
    pub fn shared(self, factor: u32) -> Self {
        Self {
            burst: self.burst.saturating_mul(factor),
            every: self.every.checked_div(factor).unwrap_or(self.every),
        }
    }
}

/// A token bucket as one point in time: when it will be full again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bucket {
    full_at: Timestamp,
}

impl Bucket {
    /// Whether `take` would succeed.
    pub fn can_take(self, now: Timestamp, allowed: Allowed) -> bool {
        let most = nanos(allowed.every).saturating_mul(allowed.burst.into());
        let owed = nanos(self.full_at.since(now)).saturating_add(nanos(allowed.every));
        allowed.burst > 0 && owed <= most
    }

    /// From when on `take` would succeed, if nothing else is taken. Only where there is a burst.
    pub fn ready_at(self, allowed: Allowed) -> Timestamp {
        let spare = allowed.every.saturating_mul(allowed.burst.saturating_sub(1));
        Timestamp::from_nanos(self.full_at.as_nanos().saturating_sub(nanos(spare)))
    }

    /// Whether all tokens are there.
    pub const fn is_full(self, now: Timestamp) -> bool {
        self.full_at.as_nanos() <= now.as_nanos()
    }

    /// Takes a token, or says no.
    pub fn take(&mut self, now: Timestamp, allowed: Allowed) -> bool {
        let can = self.can_take(now, allowed);
        if can {
            self.full_at = self.full_at.max(now) + allowed.every;
        }
        can
    }
}
