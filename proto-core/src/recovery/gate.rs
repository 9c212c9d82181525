//! What window and pacing let go.

use core::time::Duration;

use super::Recovery;
use crate::Timestamp;

impl Recovery {
    /// Whether the window has room for another packet.
    pub(crate) fn window_has_room(&self) -> bool {
        self.has_room_for(self.packet)
    }

    /// Whether the window has room for `bytes`. One packet always may be under way.
    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        self.reliable_link
            || self.flight.as_ref().is_none_or(|flight| {
                flight.sent.is_idle() || flight.sent.bytes_in_flight() + bytes <= flight.controller.window()
            })
    }

    /// Whether window and pacing let another packet go, without a look at the rate.
    #[inline]
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        self.flight.as_ref().is_some_and(|flight| {
            flight.sent.bytes_in_flight() + self.packet <= flight.controller.window()
                && flight.pacer.is_open(now, self.packet)
        })
    }

    /// `None` when pacing lets another packet go, else when it will.
    #[inline]
    pub(crate) fn paced_until(&mut self, now: Timestamp, granularity: Duration) -> Option<Timestamp> {
        if self.flight.as_ref().is_some_and(|flight| flight.pacer.is_open(now, self.packet)) {
            return None;
        }
        self.fill_pacer(now, granularity)
    }

    #[inline(never)]
    fn fill_pacer(&mut self, now: Timestamp, granularity: Duration) -> Option<Timestamp> {
        let (packet, rtt) = (self.packet, self.rtt.smoothed());
        let flight = self.flight(now);
        flight.pacer.blocked_until(now, packet, flight.controller.pacing_rate(rtt), granularity)
    }
}
