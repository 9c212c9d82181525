//! CUBIC (RFC 9438).

use alloc::boxed::Box;

use super::hystart::{Growth, HyStart};
use super::undo::Undo;
use super::{Acked, Controller, Lost, MIN_PACKETS, initial_window};
use crate::Timestamp;

#[derive(Clone, Copy, Debug)]
struct Curve {
    window: u64,
    slow_start_threshold: u64,
    /// The window before the last reduction, to which the curve returns.
    max: u64,
    /// What Reno would have by now, and the bytes acknowledged towards its next packet.
    reno: u64,
    reno_acked: u64,
    /// The window from which Reno's estimate grows as Reno does: the one before the reduction.
    reno_full: u64,
    epoch: Option<Epoch>,
}

#[derive(Clone, Copy, Debug)]
struct Epoch {
    began: Timestamp,
    /// Milliseconds until the window is `origin`.
    reaches: u64,
    origin: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Cubic {
    packet: u64,
    curve: Curve,
    hystart: HyStart,
    recovery_start: Option<Timestamp>,
    undo: Option<Undo<Curve>>,
}

impl Cubic {
    pub(crate) fn new(packet: u64) -> Self {
        let curve = Curve {
            window: initial_window(packet),
            slow_start_threshold: u64::MAX,
            max: 0,
            reno: 0,
            reno_acked: 0,
            reno_full: 0,
            epoch: None,
        };
        Self { packet, curve, hystart: HyStart::default(), recovery_start: None, undo: None }
    }

    fn in_recovery(&self, sent: Timestamp) -> bool {
        self.recovery_start.is_some_and(|start| sent <= start)
    }

    fn reduce(&mut self, now: Timestamp) {
        self.recovery_start = Some(now);
        let curve = &mut self.curve;
        // Fast convergence: who is still below his last maximum leaves room for others.
        curve.max = if curve.window < curve.max { curve.window * 17 / 20 } else { curve.window };
        curve.reno_full = curve.window;
        curve.window = (curve.window * 7 / 10).max(MIN_PACKETS * self.packet);
        curve.slow_start_threshold = curve.window;
        curve.epoch = None;
    }

    /// Congestion avoidance.
    fn follow(&mut self, acked: &Acked) {
        let packet = self.packet;
        let curve = &mut self.curve;
        let Epoch { began, reaches, origin } = *curve.epoch.get_or_insert_with(|| {
            curve.reno = curve.window;
            curve.reno_acked = 0;
            let missing = u128::from(curve.max.saturating_sub(curve.window));
            // K = cbrt(missing / C) seconds with C = 0.4 packets.
            let reaches = cube_root(missing * 10 * 1_000_000_000 / (4 * u128::from(packet)));
            Epoch { began: acked.now, reaches, origin: curve.max.max(curve.window) }
        });
        let time = acked.now.since(began) + acked.rtt.unwrap_or_default();
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(1 << 32);
        let distance = u128::from(ms.abs_diff(reaches).min(1 << 32));
        let delta = distance * distance * distance * 4 * u128::from(packet) / 10_000_000_000;
        let delta = delta.min(1 << 62) as u64;
        let target = if ms >= reaches { origin.saturating_add(delta) } else { origin.saturating_sub(delta) };
        let target = target.clamp(curve.window, curve.window + curve.window / 2);

        // Reno's pace: 9/17 of a packet in each window below the old one, a packet from there on.
        curve.reno_acked += acked.bytes * if curve.reno < curve.reno_full { 9 } else { 17 };
        while curve.reno_acked >= curve.window * 17 {
            curve.reno_acked -= curve.window * 17;
            curve.reno += packet;
        }
        let grown = u128::from(target - curve.window) * u128::from(acked.bytes) / u128::from(curve.window);
        curve.window = (curve.window + grown as u64).max(curve.reno);
    }
}

impl Controller for Cubic {
    fn on_acked(&mut self, acked: &Acked) {
        if acked.app_limited || self.in_recovery(acked.sent) {
            // The curve does not go on while the window is not used.
            if acked.app_limited {
                self.curve.epoch = None;
            }
            return;
        }
        if self.curve.window >= self.curve.slow_start_threshold {
            return self.follow(acked);
        }
        match self.hystart.on_acked(acked) {
            Growth::By(bytes) => self.curve.window += bytes,
            Growth::Over => {
                self.curve.slow_start_threshold = self.curve.window;
                self.curve.max = self.curve.window;
            }
        }
    }

    fn on_lost(&mut self, lost: &Lost) {
        if self.in_recovery(lost.sent) {
            if let Some(undo) = &mut self.undo {
                undo.lost(lost.packets);
            }
            return;
        }
        self.undo = Some(Undo::new(self.curve, lost.now, lost.packets));
        self.reduce(lost.now);
    }

    fn on_persistent_congestion(&mut self, _: Timestamp) {
        self.curve.window = MIN_PACKETS * self.packet;
        self.curve.epoch = None;
        self.recovery_start = None;
        self.undo = None;
        self.hystart = HyStart::default();
    }

    fn on_ecn(&mut self, now: Timestamp, sent: Timestamp) {
        if !self.in_recovery(sent) {
            self.undo = None;
            self.reduce(now);
        }
    }

    fn on_spurious(&mut self, sent: Timestamp, packets: u64) {
        if let Some(before) = self.undo.as_mut().and_then(|undo| undo.spurious(sent, packets)) {
            let window = self.curve.window.max(before.window);
            self.curve = Curve { window, ..before };
            self.recovery_start = None;
            self.undo = None;
        }
    }

    fn set_packet(&mut self, packet: u64) {
        self.packet = packet;
        self.curve.window = self.curve.window.max(MIN_PACKETS * packet);
    }

    fn window(&self) -> u64 {
        self.curve.window
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// The largest integer whose cube is not over `x`.
pub(super) fn cube_root(x: u128) -> u64 {
    let (mut root, mut rest) = (0_u128, x);
    for shift in (0..43).rev().map(|digit| digit * 3) {
        root *= 2;
        let step = 3 * root * (root + 1) + 1;
        if rest >> shift >= step {
            rest -= step << shift;
            root += 1;
        }
    }
    root as u64
}
