//! How much may be in flight.

mod newreno;

use alloc::boxed::Box;
use core::fmt;

use crate::Timestamp;

pub(crate) use newreno::NewReno;

/// A congestion controller.
pub(crate) trait Controller: fmt::Debug + Send + Sync {
    /// `bytes` sent at `sent` were acknowledged. `app_limited`: the window was not what held the sender back.
    fn on_acked(&mut self, sent: Timestamp, bytes: u64, app_limited: bool);

    /// A packet sent at `sent` was lost.
    fn on_lost(&mut self, now: Timestamp, sent: Timestamp);

    /// Bytes that may be in flight.
    fn window(&self) -> u64;

    /// A copy with its state.
    fn clone_box(&self) -> Box<dyn Controller>;
}

impl Clone for Box<dyn Controller> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}
