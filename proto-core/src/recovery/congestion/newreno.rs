//! NewReno (RFC 9002, section 7).

use alloc::boxed::Box;

use super::undo::Undo;
use super::{Acked, Controller, Lost, MIN_PACKETS, initial_window};
use crate::Timestamp;

#[derive(Clone, Debug)]
pub(crate) struct NewReno {
    packet: u64,
    window: u64,
    slow_start_threshold: u64,
    /// Bytes acknowledged since the window last grew in congestion avoidance.
    acked: u64,
    /// Losses of packets sent before this belong to a congestion event already answered.
    recovery_start: Option<Timestamp>,
    /// Window and threshold before that.
    undo: Option<Undo<(u64, u64)>>,
}

impl NewReno {
    /// `packet`: the largest packet in bytes.
    pub(crate) fn new(packet: u64) -> Self {
        Self {
            packet,
            window: initial_window(packet),
            slow_start_threshold: u64::MAX,
            acked: 0,
            recovery_start: None,
            undo: None,
        }
    }

    fn in_recovery(&self, sent: Timestamp) -> bool {
        self.recovery_start.is_some_and(|start| sent <= start)
    }

    fn reduce(&mut self, now: Timestamp) {
        self.recovery_start = Some(now);
        self.window = (self.window / 2).max(MIN_PACKETS * self.packet);
        self.slow_start_threshold = self.window;
        self.acked = 0;
    }
}

impl Controller for NewReno {
    fn on_acked(&mut self, acked: &Acked) {
        if acked.app_limited || self.in_recovery(acked.sent) {
            return;
        }
        if self.window < self.slow_start_threshold {
            self.window += acked.bytes;
            return;
        }
        self.acked += acked.bytes;
        if self.acked >= self.window {
            self.acked -= self.window;
            self.window += self.packet;
        }
    }

    fn on_lost(&mut self, lost: &Lost) {
        if self.in_recovery(lost.sent) {
            if let Some(undo) = &mut self.undo {
                undo.lost(lost.packets);
            }
            return;
        }
        self.undo = Some(Undo::new((self.window, self.slow_start_threshold), lost.now, lost.packets));
        self.reduce(lost.now);
    }

    fn on_persistent_congestion(&mut self, _: Timestamp) {
        self.window = MIN_PACKETS * self.packet;
        self.recovery_start = None;
        self.undo = None;
    }

    fn on_ecn(&mut self, now: Timestamp, sent: Timestamp) {
        if !self.in_recovery(sent) {
            self.undo = None;
            self.reduce(now);
        }
    }

    fn on_spurious(&mut self, sent: Timestamp, packets: u64) {
        if let Some((window, threshold)) = self.undo.as_mut().and_then(|undo| undo.spurious(sent, packets)) {
            self.window = self.window.max(window);
            self.slow_start_threshold = threshold;
            self.recovery_start = None;
            self.undo = None;
        }
    }

    fn set_packet(&mut self, packet: u64) {
        self.packet = packet;
        self.window = self.window.max(MIN_PACKETS * packet);
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
