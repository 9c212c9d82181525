//! NewReno (RFC 9002, section 7).

use alloc::boxed::Box;

use super::Controller;
use crate::Timestamp;

/// The window never falls below this many packets. RFC 9002 says two; with four, a loss among them is still told by the
/// acknowledgement of the others instead of by a timeout.
const MIN_PACKETS: u64 = 4;

#[derive(Clone, Debug)]
pub(crate) struct NewReno {
    packet: u64,
    window: u64,
    slow_start_threshold: u64,
    /// Bytes acknowledged since the window last grew in congestion avoidance.
    acked: u64,
    /// Losses of packets sent before this belong to a congestion event already answered.
    recovery_start: Option<Timestamp>,
}

impl NewReno {
    /// `packet`: the largest packet in bytes.
    pub(crate) fn new(packet: u64) -> Self {
        let window = (10 * packet).min((2 * packet).max(14_720));
        Self { packet, window, slow_start_threshold: u64::MAX, acked: 0, recovery_start: None }
    }

    fn in_recovery(&self, sent: Timestamp) -> bool {
        self.recovery_start.is_some_and(|start| sent <= start)
    }
}

impl Controller for NewReno {
    fn on_acked(&mut self, sent: Timestamp, bytes: u64, app_limited: bool) {
        if app_limited || self.in_recovery(sent) {
            return;
        }
        if self.window < self.slow_start_threshold {
            self.window += bytes;
            return;
        }
        self.acked += bytes;
        if self.acked >= self.window {
            self.acked -= self.window;
            self.window += self.packet;
        }
    }

    fn on_lost(&mut self, now: Timestamp, sent: Timestamp) {
        if self.in_recovery(sent) {
            return;
        }
        self.recovery_start = Some(now);
        self.window = (self.window / 2).max(MIN_PACKETS * self.packet);
        self.slow_start_threshold = self.window;
        self.acked = 0;
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::{Controller, NewReno};
    use crate::Timestamp;

    const AT: fn(u64) -> Timestamp = Timestamp::from_millis;

    #[test]
    fn slow_start_doubles_and_avoidance_adds_a_packet_a_window() {
        let mut reno = NewReno::new(1200);
        assert_eq!(reno.window(), 12_000);
        reno.on_acked(AT(1), 12_000, false);
        assert_eq!(reno.window(), 24_000);
        reno.on_lost(AT(5), AT(2));
        assert_eq!(reno.window(), 12_000);
        reno.on_acked(AT(6), 12_000, false);
        assert_eq!(reno.window(), 13_200);
    }

    #[test]
    fn one_congestion_event_halves_once() {
        let mut reno = NewReno::new(1200);
        reno.on_lost(AT(5), AT(2));
        reno.on_lost(AT(6), AT(4));
        assert_eq!(reno.window(), 6000);
        reno.on_lost(AT(9), AT(6));
        reno.on_lost(AT(20), AT(12));
        assert_eq!(reno.window(), 4800, "never below four packets");
    }

    #[test]
    fn an_idle_sender_earns_nothing() {
        let mut reno = NewReno::new(1200);
        reno.on_acked(AT(1), 12_000, true);
        assert_eq!(reno.window(), 12_000);
    }
}
