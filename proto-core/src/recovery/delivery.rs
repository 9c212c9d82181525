//! How fast the path delivers (draft-cheng-iccrg-delivery-rate-estimation).

use core::time::Duration;

use super::congestion::Rate;
use crate::Timestamp;
use crate::time::{mul_div, nanos};

/// What had been delivered when a packet was sent; every packet in flight keeps its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) delivered: u64,
    delivered_at: Timestamp,
    first_sent: Timestamp,
    app_limited: bool,
}

/// What has been delivered since the flight began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    delivered: u64,
    delivered_at: Timestamp,
    /// When the newest packet was sent that is known to be delivered.
    first_sent: Timestamp,
    /// Packets sent until so much is delivered belong to a time without enough to send.
    app_limited_until: u64,
}

/// The newest packet that an ACK newly acknowledges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newest {
    pub(crate) number: u64,
    pub(crate) sent: Timestamp,
    pub(crate) snapshot: Snapshot,
}

impl Delivery {
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self { delivered: 0, delivered_at: now, first_sent: now, app_limited_until: 0 }
    }

    pub(crate) const fn delivered(&self) -> u64 {
        self.delivered
    }

    pub(crate) const fn on_sent(&mut self, now: Timestamp, was_idle: bool) -> Snapshot {
        if was_idle {
            self.first_sent = now;
            self.delivered_at = now;
        }
        Snapshot {
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent: self.first_sent,
            app_limited: self.delivered < self.app_limited_until,
        }
    }

    pub(crate) fn on_acked(&mut self, now: Timestamp, bytes: u64) {
        self.delivered += bytes;
        self.delivered_at = self.delivered_at.max(now);
    }

    /// The sender has nothing to send, and `in_flight` bytes in flight.
    pub(crate) const fn on_app_limited(&mut self, in_flight: u64) {
        self.app_limited_until = self.delivered + in_flight + 1;
    }

    /// The rate since `newest` was sent. Less time than `min_rtt` tells nothing: acknowledgements came in a heap.
    pub(crate) fn rate(&mut self, newest: &Newest, min_rtt: Duration) -> Option<Rate> {
        let Newest { sent, snapshot, .. } = *newest;
        let sending = sent.since(snapshot.first_sent);
        let acking = self.delivered_at.since(snapshot.delivered_at);
        self.first_sent = sent;
        let interval = sending.max(acking).max(Duration::from_micros(1));
        if interval < min_rtt {
            return None;
        }
        let bytes = self.delivered - snapshot.delivered;
        let bytes_per_second = mul_div(bytes, 1_000_000_000, nanos(interval));
        Some(Rate { bytes_per_second, app_limited: snapshot.app_limited })
    }
}
