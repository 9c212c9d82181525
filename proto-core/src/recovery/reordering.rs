//! How late a packet may be before it is taken for lost: more where packets overtake each other (RFC 8985, section 6.2).

use core::time::Duration;

use crate::Timestamp;

/// RFC 9002, section 6.1.1.
const PACKETS: u64 = 3;
const MAX_PACKETS: u64 = 32;
/// A round trip and so many eighths of it: RFC 9002, section 6.1.2.
const EIGHTHS: u32 = 1;
const MAX_EIGHTHS: u32 = 8;
/// So many round trips without a spurious loss halve what was added.
const FORGET_AFTER: u32 = 32;

/// Both thresholds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reordering {
    packets: u64,
    eighths: u32,
    since: Timestamp,
}

impl Reordering {
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self { packets: PACKETS, eighths: EIGHTHS, since: now }
    }

    /// A packet this many numbers behind the largest acknowledged one is lost.
    pub(crate) const fn packets(&self) -> u64 {
        self.packets
    }

    /// A packet sent before one that was acknowledged is lost this long after it was sent; `rtt`: the larger of the smoothed
    /// and the latest round trip time.
    pub(crate) fn delay(&self, rtt: Duration) -> Duration {
        rtt * (8 + self.eighths) / 8
    }

    /// A packet that was declared lost had arrived, `behind` numbers behind the largest acknowledged before.
    pub(crate) fn on_spurious(&mut self, now: Timestamp, behind: u64) {
        self.since = now;
        if behind >= self.packets {
            self.packets = (behind + 1).min(MAX_PACKETS);
        } else {
            self.eighths = (self.eighths * 2).min(MAX_EIGHTHS);
        }
    }

    /// Time heals.
    pub(crate) fn decay(&mut self, now: Timestamp, rtt: Duration) {
        if now.since(self.since) >= rtt * FORGET_AFTER {
            self.since = now;
            self.packets = PACKETS + (self.packets - PACKETS) / 2;
            self.eighths = EIGHTHS + (self.eighths - EIGHTHS) / 2;
        }
    }
}

crate::sleep::saved!(Reordering { packets, eighths, since });

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::Reordering;
    use crate::Timestamp;

    const AT: fn(u64) -> Timestamp = Timestamp::from_millis;
    const RTT: Duration = Duration::from_millis(80);

    #[test]
    fn thresholds_grow_with_what_was_seen_and_shrink_again() {
        let mut reordering = Reordering::new(AT(0));
        assert_eq!((reordering.packets(), reordering.delay(RTT)), (3, RTT * 9 / 8));
        reordering.on_spurious(AT(1), 7);
        assert_eq!((reordering.packets(), reordering.delay(RTT)), (8, RTT * 9 / 8));
        reordering.on_spurious(AT(2), 2);
        assert_eq!((reordering.packets(), reordering.delay(RTT)), (8, RTT * 10 / 8), "it was the time");
        for _ in 0..10 {
            reordering.on_spurious(AT(3), 1_000_000);
            reordering.on_spurious(AT(3), 0);
        }
        assert_eq!((reordering.packets(), reordering.delay(RTT)), (32, RTT * 2), "bounded");
        reordering.decay(AT(4), RTT);
        assert_eq!(reordering.packets(), 32);
        for step in 1..=6 {
            reordering.decay(AT(4 + 32 * 80 * step), RTT);
        }
        assert_eq!((reordering.packets(), reordering.delay(RTT)), (3, RTT * 9 / 8));
    }
}
