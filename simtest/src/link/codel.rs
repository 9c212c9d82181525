//! Controlled delay (RFC 8289), with integers only.

use crate::time::Time;

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Passes,
    Marked,
    Lost,
}

/// The state of one queue.
#[derive(Clone, Debug)]
pub(super) struct CoDel {
    /// In nanoseconds.
    target: u64,
    interval: u64,
    /// When the queue will have been too long for an interval; `None` while it is not.
    above_until: Option<Time>,
    dropping: bool,
    next: Time,
    count: u64,
    last_count: u64,
}

impl CoDel {
    pub(super) const fn new(target: u64, interval: u64) -> Self {
        Self {
            target,
            interval,
            above_until: None,
            dropping: false,
            next: Time::ZERO,
            count: 0,
            last_count: 0,
        }
    }

    /// A datagram that came at `came` and would be sent at `sent`.
    pub(super) fn judge(&mut self, came: Time, sent: Time, capable: bool) -> Way {
        let too_long = self.is_too_long(came, sent);
        if !too_long {
            self.dropping = false;
            return Way::Passes;
        }
        if self.dropping {
            if sent < self.next {
                return Way::Passes;
            }
            self.count += 1;
            self.next = self.next.plus(self.pause());
        } else {
            self.dropping = true;
            // Where it has stopped lately, it goes on about as often.
            let since = self.count - self.last_count;
            let lately = sent.as_nanos() < self.next.as_nanos().saturating_add(16 * self.interval);
            self.count = if since > 1 && lately { since } else { 1 };
            self.last_count = self.count;
            self.next = sent.plus(self.pause());
        }
        if capable { Way::Marked } else { Way::Lost }
    }

    fn is_too_long(&mut self, came: Time, sent: Time) -> bool {
        if sent.as_nanos() - came.as_nanos() < self.target {
            self.above_until = None;
            return false;
        }
        match self.above_until {
            None => {
                self.above_until = Some(sent.plus(self.interval));
                false
            }
            Some(until) => sent >= until,
        }
    }

    /// The interval divided by the root of how many were lost.
    fn pause(&self) -> u64 {
        let interval = u128::from(self.interval);
        ((interval * interval / u128::from(self.count)).isqrt()) as u64
    }
}
