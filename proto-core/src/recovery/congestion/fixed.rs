//! A rate and a window that the operator chose, for a network of his own.

use alloc::boxed::Box;
use core::time::Duration;

use super::{Acked, Controller, Lost};
use crate::Timestamp;

#[derive(Clone, Debug)]
pub(crate) struct Fixed {
    rate: u64,
    window: u64,
}

impl Fixed {
    pub(crate) const fn new(rate: u64, window: u64) -> Self {
        Self { rate, window }
    }
}

impl Controller for Fixed {
    fn on_acked(&mut self, _: &Acked) {}

    fn on_lost(&mut self, _: &Lost) {}

    fn on_persistent_congestion(&mut self, _: Timestamp) {}

    fn on_ecn(&mut self, _: Timestamp, _: Timestamp) {}

    fn on_spurious(&mut self, _: Timestamp, _: u64) {}

    fn set_packet(&mut self, _: u64) {}

    fn window(&self) -> u64 {
        self.window
    }

    fn pacing_rate(&self, _: Duration) -> u64 {
        self.rate
    }

    fn has_spare(&self) -> bool {
        true
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}
