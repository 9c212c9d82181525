//! Spreads packets over time: a token bucket filled at the rate that the congestion controller says.

use core::time::Duration;

use crate::Timestamp;
use crate::time::{mul_div, nanos};

const BURST: Duration = Duration::from_millis(2);
const BURST_MIN_PACKETS: u64 = 10;
const BURST_MAX_PACKETS: u64 = 256;

/// The bucket, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacer {
    tokens: u64,
    filled: Timestamp,
}

impl Pacer {
    pub(crate) fn new(now: Timestamp, packet: u64) -> Self {
        Self { tokens: BURST_MIN_PACKETS * packet, filled: now }
    }

    pub(crate) fn on_sent(&mut self, bytes: u64) {
        self.tokens = self.tokens.saturating_sub(bytes);
    }

    /// Whether `packet` bytes may go out without a look at the rate: no time has passed since the bucket was filled.
    pub(crate) fn is_open(&self, now: Timestamp, packet: u64) -> bool {
        self.filled == now && self.tokens >= packet
    }

    /// Fills the bucket at `rate` bytes a second for the time passed; `None` when `packet` bytes may go out, else when to try again.
    pub(crate) fn blocked_until(
        &mut self,
        now: Timestamp,
        packet: u64,
        rate: u64,
        granularity: Duration,
    ) -> Option<Timestamp> {
        let rate = rate.max(1);
        let bytes = |time: Duration| mul_div(rate, nanos(time), 1_000_000_000);
        let least = (BURST_MIN_PACKETS * packet).min((2 * packet).max(14_720));
        let capacity = bytes(BURST).clamp(least, BURST_MAX_PACKETS * packet);
        let filled = bytes(now.since(self.filled));
        if filled > 0 || self.tokens >= capacity {
            self.tokens = self.tokens.saturating_add(filled).min(capacity);
            self.filled = now;
        }
        if self.tokens >= packet {
            return None;
        }
        let missing = u128::from(packet - self.tokens);
        let wait = (missing * 1_000_000_000).div_ceil(rate.into()).min(u64::MAX.into()) as u64;
        Some(now + Duration::from_nanos(wait).max(granularity))
    }
}
