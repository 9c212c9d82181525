//! What priority 0 may do beyond window and pacing: a little, so that it does not wait behind a full pipe.

use core::time::Duration;

use crate::Timestamp;

/// Packets of priority 0 that may go out in a round trip although window or pacing hold back everything else.
const PACKETS: u8 = 2;

/// How much of the right is used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Overdraft {
    since: Timestamp,
    used: u8,
}

impl Overdraft {
    /// `None` when another packet may go, else when it may.
    pub(super) fn blocked_until(&self, now: Timestamp, rtt: Duration) -> Option<Timestamp> {
        (self.used >= PACKETS).then(|| self.since + rtt).filter(|&at| at > now)
    }

    /// A packet went out that nothing else allowed.
    pub(super) fn on_sent(&mut self, now: Timestamp, rtt: Duration) {
        if self.used == 0 || now.since(self.since) >= rtt {
            *self = Self { since: now, used: 0 };
        }
        self.used += 1;
    }
}

crate::sleep::saved!(Overdraft { since, used });

#[cfg(test)]
mod tests {
    use super::Overdraft;
    use crate::Timestamp;
    use core::time::Duration;

    #[test]
    fn two_packets_a_round_trip() {
        let (mut overdraft, rtt) = (Overdraft::default(), Duration::from_millis(20));
        let mut sent = 0;
        for ms in 0..100 {
            let now = Timestamp::from_millis(1000 + ms);
            if let Some(at) = overdraft.blocked_until(now, rtt) {
                assert!(at > now && at <= now + rtt);
            } else {
                overdraft.on_sent(now, rtt);
                sent += 1;
            }
        }
        assert_eq!(sent, 10);
    }
}
