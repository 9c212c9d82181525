//! Rate limits: token buckets in whole numbers (docs/spec/channels.md, section 7).

mod shared;

use alloc::boxed::Box;
use core::time::Duration;

pub(crate) use self::shared::{Buckets, Shared};
use crate::Timestamp;
use crate::time::nanos;
use crate::wire::Rate;

/// Tokens are counted in parts of this size, so that a rate times nanoseconds needs no rounding.
const PARTS: i128 = 1_000_000_000;

/// One quantity of a [`Bucket`].
#[derive(Clone, Copy, Debug)]
struct Meter {
    /// Tokens a second; 0 stands for no limit.
    rate: u64,
    burst: u64,
    /// Tokens there are, in parts; below 0 after something larger than the burst.
    level: i128,
}

impl Meter {
    fn new(rate: u64, burst: u64) -> Self {
        let burst = burst.max(1);
        Self { rate, burst, level: i128::from(burst) * PARTS }
    }

    fn fill(&mut self, elapsed: u64) {
        let more = i128::from(self.rate).saturating_mul(elapsed.into());
        self.level = self.level.saturating_add(more).min(i128::from(self.burst) * PARTS);
    }

    /// Time until `tokens`, or a full burst where that is less, are there.
    fn wait(&self, tokens: u64) -> Duration {
        let missing = i128::from(tokens.min(self.burst)) * PARTS - self.level;
        if self.rate == 0 || missing <= 0 {
            return Duration::ZERO;
        }
        let rate = i128::from(self.rate);
        Duration::from_nanos(u64::try_from((missing - 1) / rate + 1).unwrap_or(u64::MAX))
    }

    fn charge(&mut self, tokens: u64) {
        if self.rate > 0 {
            self.level = self.level.saturating_sub(i128::from(tokens) * PARTS);
        }
    }

    /// Whole tokens that are there.
    fn available(&self) -> u64 {
        if self.rate == 0 { u64::MAX } else { u64::try_from(self.level.max(0) / PARTS).unwrap_or(u64::MAX) }
    }

    const fn burst(&self) -> u64 {
        if self.rate == 0 { u64::MAX } else { self.burst }
    }

    /// Keeps what there is, within another rate and burst.
    fn change(&mut self, rate: u64, burst: u64) {
        let old = *self;
        *self = Self::new(rate, burst);
        if old.rate > 0 {
            self.level = self.level.min(old.level);
        }
    }
}

/// Messages and bytes that may pass now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    filled: Timestamp,
    messages: Meter,
    bytes: Meter,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(now: Timestamp, rate: Rate) -> Self {
        Self {
            filled: now,
            messages: Meter::new(rate.messages, rate.message_burst),
            bytes: Meter::new(rate.bytes, rate.byte_burst),
        }
    }

    /// An empty one: how much of a burst was used before is not known.
    fn empty(now: Timestamp, rate: Rate) -> Self {
        let mut bucket = Self::new(now, rate);
        bucket.charge(bucket.messages.burst, bucket.bytes.burst);
        bucket
    }

    /// Goes on with another rate; what was used stays used.
    pub(crate) fn change(&mut self, now: Timestamp, rate: Rate) {
        self.fill(now);
        self.messages.change(rate.messages, rate.message_burst);
        self.bytes.change(rate.bytes, rate.byte_burst);
    }

    pub(crate) fn fill(&mut self, now: Timestamp) {
        let elapsed = nanos(now.since(self.filled));
        self.filled = self.filled.max(now);
        self.messages.fill(elapsed);
        self.bytes.fill(elapsed);
    }

    /// When these may pass, as of the last [`Self::fill`].
    pub(crate) fn ready_at(&self, messages: u64, bytes: u64) -> Timestamp {
        self.filled + self.messages.wait(messages).max(self.bytes.wait(bytes))
    }

    pub(crate) fn charge(&mut self, messages: u64, bytes: u64) {
        self.messages.charge(messages);
        self.bytes.charge(bytes);
    }

    /// Whether nothing more goes in.
    pub(crate) fn is_full(&self) -> bool {
        self.available() == self.burst()
    }

    /// Messages and bytes that are there.
    pub(super) fn available(&self) -> (u64, u64) {
        (self.messages.available(), self.bytes.available())
    }

    /// The most that can be there.
    pub(super) const fn burst(&self) -> (u64, u64) {
        (self.messages.burst(), self.bytes.burst())
    }
}

/// What the peer asked for last, and the packet that said so: an earlier one that comes late means nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    packet: u64,
    rate: Option<Rate>,
}

impl Told {
    fn hear(&mut self, packet: u64, rate: Rate) {
        if packet >= self.packet {
            *self = Self { packet, rate: Some(rate) };
        }
    }
}

/// The lesser of what this side wants and what the peer asked for.
fn lesser(own: Option<Rate>, told: Option<Rate>) -> Option<Rate> {
    let (Some(own), Some(told)) = (own, told) else { return own.or(told) };
    let meter = |a: (u64, u64), b: (u64, u64)| match (a.0, b.0) {
        (_, 0) => a,
        (0, _) => b,
        _ => (a.0.min(b.0), a.1.min(b.1)),
    };
    let messages = meter((own.messages, own.message_burst), (told.messages, told.message_burst));
    let bytes = meter((own.bytes, own.byte_burst), (told.bytes, told.byte_burst));
    Some(Rate { messages: messages.0, message_burst: messages.1, bytes: bytes.0, byte_burst: bytes.1 })
}

/// The sending limits of one channel.
#[derive(Clone, Debug, Default)]
pub(super) struct Throttle {
    own: Option<Rate>,
    told: Told,
    /// Of [`SendRates`], when `bucket` was made.
    epoch: u64,
    bucket: Option<Bucket>,
}

/// The sending limits of a connection. There is none while nobody has set any.
#[derive(Clone, Debug)]
pub(super) struct SendRates {
    own: Option<Rate>,
    own_each: Option<Rate>,
    told: Told,
    told_each: Told,
    session: Option<Bucket>,
    /// Something was sent before there was a limit.
    has_sent: bool,
    /// Counts the changes that concern every channel.
    epoch: u64,
}

impl SendRates {
    pub(super) fn new(own: Option<Rate>, own_each: Option<Rate>, has_sent: bool) -> Self {
        Self {
            own,
            own_each,
            told: Told::default(),
            told_each: Told::default(),
            session: None,
            has_sent,
            epoch: 1,
        }
    }

    pub(super) fn limit(&mut self, now: Timestamp, rate: Option<Rate>) {
        self.own = rate;
        self.change(now);
    }

    pub(super) fn hear(&mut self, now: Timestamp, packet: u64, rate: Rate) {
        self.told.hear(packet, rate);
        self.change(now);
    }

    pub(super) fn hear_each(&mut self, packet: u64, rate: Rate) {
        self.told_each.hear(packet, rate);
        self.epoch += 1;
    }

    fn change(&mut self, now: Timestamp) {
        change(&mut self.session, now, lesser(self.own, self.told.rate), self.has_sent);
    }

    /// When a message that costs `cost` bytes may begin on a channel; not in the future when it may now.
    pub(super) fn ready_at(
        &mut self,
        now: Timestamp,
        throttle: &mut Option<Box<Throttle>>,
        has_sent: bool,
        cost: u64,
    ) -> Timestamp {
        if self.session.is_none() && self.own.is_some() {
            self.change(now);
        }
        let has_each = self.own_each.is_some() || self.told_each.rate.is_some();
        if throttle.is_none() && has_each {
            *throttle = Some(Box::default());
        }
        let mut ready = now;
        if let Some(bucket) = &mut self.session {
            bucket.fill(now);
            ready = ready.max(bucket.ready_at(1, cost));
        }
        if let Some(throttle) = throttle {
            self.refresh(now, throttle, has_sent);
            if let Some(bucket) = &mut throttle.bucket {
                bucket.fill(now);
                ready = ready.max(bucket.ready_at(1, cost));
            }
        }
        ready
    }

    fn refresh(&self, now: Timestamp, throttle: &mut Throttle, has_sent: bool) {
        if throttle.epoch != self.epoch {
            throttle.epoch = self.epoch;
            let rate = lesser(throttle.own.or(self.own_each), throttle.told.rate.or(self.told_each.rate));
            change(&mut throttle.bucket, now, rate, has_sent);
        }
    }

    pub(super) fn charge(&mut self, throttle: Option<&mut Throttle>, cost: u64) {
        let of_channel = throttle.and_then(|throttle| throttle.bucket.as_mut());
        for bucket in self.session.iter_mut().chain(of_channel) {
            bucket.charge(1, cost);
        }
    }
}

impl Throttle {
    pub(super) fn limit(&mut self, rate: Option<Rate>) {
        self.own = rate;
        self.epoch = 0;
    }

    pub(super) fn hear(&mut self, packet: u64, rate: Rate) {
        self.told.hear(packet, rate);
        self.epoch = 0;
    }
}

fn change(bucket: &mut Option<Bucket>, now: Timestamp, rate: Option<Rate>, has_sent: bool) {
    match (rate, bucket.as_mut()) {
        (Some(rate), Some(bucket)) => bucket.change(now, rate),
        (Some(rate), None) if has_sent => *bucket = Some(Bucket::empty(now, rate)),
        (Some(rate), None) => *bucket = Some(Bucket::new(now, rate)),
        (None, _) => *bucket = None,
    }
}

crate::sleep::awake!(Bucket, Throttle);

#[cfg(test)]
mod tests;
