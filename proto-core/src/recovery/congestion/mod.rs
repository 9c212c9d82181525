//! How much may be in flight, and how fast it goes out.

mod cubic;
mod fixed;
mod hystart;
mod model;
mod newreno;
#[cfg(test)]
mod tests;
mod undo;

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use self::cubic::Cubic;
use self::fixed::Fixed;
use self::model::Model;
use self::newreno::NewReno;
use crate::time::{mul_div, nanos};
use crate::{Congestion, Timestamp};

/// No window falls below this many packets. RFC 9002 says two; with four, a loss among them is still told by the
/// acknowledgement of the others instead of by a timeout.
const MIN_PACKETS: u64 = 4;

/// The first window (RFC 9002, section 7.2).
fn initial_window(packet: u64) -> u64 {
    (10 * packet).min((2 * packet).max(14_720))
}

/// How fast data was delivered, between two acknowledgements a round trip apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Bytes a second.
    pub(crate) bytes_per_second: u64,
    /// The sender had nothing to send for a part of the time: the path may be faster.
    pub(crate) app_limited: bool,
}

/// What one ACK says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acked {
    pub(crate) now: Timestamp,
    /// When the newest packet was sent that it newly acknowledges.
    pub(crate) sent: Timestamp,
    /// Bytes newly acknowledged that were in flight.
    pub(crate) bytes: u64,
    /// Bytes still in flight.
    pub(crate) in_flight: u64,
    /// Bytes delivered since the flight began, and how many of them when the newest packet was sent.
    pub(crate) delivered: u64,
    pub(crate) delivered_at_send: u64,
    /// The round trip time that it measures, less the peer's delay.
    pub(crate) rtt: Option<Duration>,
    pub(crate) rate: Option<Rate>,
    /// The window is not what holds the sender back.
    pub(crate) app_limited: bool,
}

/// Packets that were declared lost at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost {
    pub(crate) now: Timestamp,
    /// When the newest of them was sent.
    pub(crate) sent: Timestamp,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// A congestion controller. Arithmetic is in integers: bytes, bytes a second, nanoseconds.
pub(crate) trait Controller: fmt::Debug + Send + Sync {
    /// A packet goes out, with which `in_flight` bytes are in flight.
    fn on_sent(&mut self, _now: Timestamp, _in_flight: u64) {}

    /// Once for each ACK that acknowledges something new, after the losses that it tells.
    fn on_acked(&mut self, acked: &Acked);

    fn on_lost(&mut self, lost: &Lost);

    /// Everything was lost for longer than three probe timeouts (RFC 9002, section 7.6).
    fn on_persistent_congestion(&mut self, now: Timestamp);

    /// The network marked packets, the newest of which was sent at `sent`.
    fn on_ecn(&mut self, now: Timestamp, sent: Timestamp);

    /// `packets` that were declared lost and sent at or before `sent` had arrived after all.
    fn on_spurious(&mut self, sent: Timestamp, packets: u64);

    /// The largest packet has another size.
    fn set_packet(&mut self, packet: u64);

    /// Bytes that may be in flight.
    fn window(&self) -> u64;

    /// Bytes a second at which to send, given the smoothed round trip time; at least 1.
    fn pacing_rate(&self, rtt: Duration) -> u64 {
        spread(self.window(), rtt, 5, 4)
    }

    /// Whether there is capacity to spare for sending something twice: nothing speaks of a queue.
    fn has_spare(&self) -> bool {
        false
    }

    /// A copy with its state.
    fn clone_box(&self) -> Box<dyn Controller>;
}

impl Clone for Box<dyn Controller> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}

/// A new controller for packets of `packet` bytes. `seed` sets apart controllers that begin at the same time.
pub(crate) fn new(kind: Congestion, now: Timestamp, packet: u64, seed: u64) -> Box<dyn Controller> {
    match kind {
        Congestion::Model => Box::new(Model::new(now, packet, seed)),
        Congestion::Cubic => Box::new(Cubic::new(packet)),
        Congestion::NewReno => Box::new(NewReno::new(packet)),
        Congestion::Fixed { rate, window } => Box::new(Fixed::new(rate, window)),
    }
}

/// `bytes` in each `span`, times `num / den`, as bytes a second.
fn spread(bytes: u64, span: Duration, num: u64, den: u64) -> u64 {
    let rate = u128::from(bytes) * 1_000_000_000 * u128::from(num)
        / (u128::from(nanos(span).max(1)) * u128::from(den));
    rate.clamp(1, u64::MAX.into()) as u64
}

/// Bytes at `rate` bytes a second in `span`.
fn product(rate: u64, span: Duration) -> u64 {
    mul_div(rate, nanos(span), 1_000_000_000)
}
