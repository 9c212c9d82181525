//! Loss recovery: one packet number space, from "sent" to "settled" (RFC 9002; docs/spec/connection.md, section 3).

mod congestion;
mod pacer;
mod received;
mod rtt;
mod sent;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use self::congestion::{Controller, NewReno};
use self::pacer::Pacer;
pub(crate) use self::received::Received;
pub(crate) use self::rtt::Rtt;
pub(crate) use self::sent::Carried;
use self::sent::Sent;
use crate::rng::Rng;
use crate::wire::{Ack, packet};
use crate::{Config, Link, Stats, Timestamp};

const PACKET_THRESHOLD: u64 = 3;
/// Probe timeouts in a row after which the peer is given up, when they took at least [`GIVE_UP_AFTER`].
const GIVE_UP_PROBES: u32 = 10;
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);
/// Packets that one probe timeout sends. Where three packets in ten are lost in each direction, half of all single probes go
/// unanswered, and doubling the timeout after each would outrun them; of pairs, a quarter do.
pub(crate) const PROBE_PACKETS: u8 = 2;
/// Packets before the first number is skipped.
const FIRST_SKIP: u64 = 20;

/// What happened to packets, for the owners of what they carried.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) acked: Vec<Carried>,
    pub(crate) lost: Vec<Carried>,
}

/// The peer acknowledged what it cannot have received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImpossibleAck(pub(crate) &'static str);

/// What the loss timer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// Nothing was due.
    Nothing,
    /// Packets were declared lost.
    Lost,
    /// Something must be sent to hear from the peer.
    Probe,
    /// The peer has not answered for too long.
    GiveUp,
}

/// The sending half of a packet number space, and the estimates that go with it.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    pub(crate) rtt: Rtt,
    /// What only a sender with packets in flight needs. It goes after a second without any, and comes back new.
    flight: Option<Box<Flight>>,
    reliable_link: bool,
    packet: u64,
    first: u64,
    next: u64,
    /// The number to be left out next; none while an earlier one has not been passed by an acknowledgement.
    next_skip: Option<u64>,
    last_skip: Option<u64>,
    largest_acked: Option<u64>,
    last_eliciting: Timestamp,
    pto_cap: Duration,
    pub(crate) max_ack_delay: Duration,
}

#[derive(Clone, Debug)]
struct Flight {
    sent: Sent,
    controller: Box<dyn Controller>,
    pacer: Pacer,
    loss_time: Option<Timestamp>,
    probes: u32,
    probing_since: Timestamp,
    app_limited: bool,
}

impl Flight {
    fn new(now: Timestamp, packet: u64) -> Self {
        Self {
            sent: Sent::default(),
            controller: Box::new(NewReno::new(packet)),
            pacer: Pacer::new(now, packet),
            loss_time: None,
            probes: 0,
            probing_since: now,
            app_limited: true,
        }
    }
}

impl Recovery {
    pub(crate) fn new(now: Timestamp, config: &Config, link: Link, rng: &mut Rng) -> Self {
        let packet = u64::from(link.max_packet);
        let first = rng.below(1 << 16);
        Self {
            rtt: Rtt::new(config.initial_rtt),
            flight: None,
            reliable_link: link.reliable,
            packet,
            first,
            next: first,
            next_skip: Some(first + FIRST_SKIP + rng.below(FIRST_SKIP)),
            last_skip: None,
            largest_acked: None,
            last_eliciting: now,
            pto_cap: config.pto_cap,
            max_ack_delay: config.max_ack_delay,
        }
    }

    /// The number of the packet about to be built, and in how many bytes to send it.
    pub(crate) fn next_number(&mut self) -> (u64, u8) {
        if self.next_skip == Some(self.next) {
            self.last_skip = self.next_skip.take();
            self.next += 1;
        }
        let unacked = self.largest_acked.map_or(0, |largest| largest + 1);
        (self.next, packet::number_len(self.next, unacked))
    }

    /// Whether every number has been used.
    pub(crate) const fn is_exhausted(&self) -> bool {
        self.next >= packet::MAX_PACKET_NUMBER
    }

    fn flight(&mut self, now: Timestamp) -> &mut Flight {
        self.flight.get_or_insert_with(|| Box::new(Flight::new(now, self.packet)))
    }

    /// Whether the window has room for another packet.
    pub(crate) fn window_has_room(&self) -> bool {
        self.flight
            .as_ref()
            .is_none_or(|flight| flight.sent.bytes_in_flight() + self.packet <= flight.controller.window())
    }

    /// `None` when pacing lets another packet go, else when it will.
    pub(crate) fn paced_until(&mut self, now: Timestamp, granularity: Duration) -> Option<Timestamp> {
        let (packet, rtt) = (self.packet, self.rtt.smoothed());
        let flight = self.flight(now);
        flight.pacer.blocked_until(now, packet, flight.controller.window(), rtt, granularity)
    }

    /// The sender stopped for want of something to send (`true`) or of window (`false`).
    pub(crate) fn set_app_limited(&mut self, app_limited: bool) {
        if let Some(flight) = &mut self.flight {
            flight.app_limited = app_limited;
        }
    }

    /// The packet that [`Self::next_number`] named was built. Only ack-eliciting ones are followed.
    pub(crate) fn on_sent(&mut self, now: Timestamp, size: usize, eliciting: bool, carried: &[Carried]) {
        let number = self.next;
        self.next += 1;
        if !eliciting {
            return;
        }
        let flight = self.flight(now);
        flight.sent.push(number, now, size as u32, carried);
        flight.pacer.on_sent(size as u64);
        self.last_eliciting = now;
    }

    /// Takes in an ACK, all of which is checked before any of it counts.
    pub(crate) fn on_ack(
        &mut self,
        now: Timestamp,
        ack: &Ack<'_>,
        rng: &mut Rng,
        out: &mut Outcome,
        stats: &mut Stats,
    ) -> Result<(), ImpossibleAck> {
        if ack.largest >= self.next || ack.ranges().any(|range| *range.start() < self.first) {
            return Err(ImpossibleAck("it acknowledged a packet that was never sent"));
        }
        if self.last_skip.is_some_and(|skipped| ack.ranges().any(|range| range.contains(&skipped))) {
            return Err(ImpossibleAck("it acknowledged a packet number that was skipped"));
        }
        let mut newest = None;
        let mut progress = false;
        if let Some(flight) = &mut self.flight {
            let Flight { sent, controller, app_limited, .. } = &mut **flight;
            for range in ack.ranges() {
                sent.acknowledge(&range, &mut out.acked, |packet| {
                    progress = true;
                    if packet.was_lost {
                        stats.spurious_losses += 1;
                    } else {
                        controller.on_acked(packet.sent, packet.size.into(), *app_limited);
                    }
                    if packet.number == ack.largest {
                        newest = Some(packet.sent);
                    }
                });
            }
            if progress {
                flight.probes = 0;
            }
        }
        if let Some(sent) = newest {
            let delay = Duration::from_micros(ack.delay.saturating_mul(8)).min(self.max_ack_delay);
            self.rtt.sample(now, sent, delay);
        }
        self.largest_acked = self.largest_acked.max(Some(ack.largest));
        self.arm_skip(rng);
        if progress {
            self.detect_lost(now, out, stats);
        }
        Ok(())
    }

    /// A number is skipped now and then, so that a peer that acknowledges what it has not received gives itself away.
    fn arm_skip(&mut self, rng: &mut Rng) {
        if self.next_skip.is_none() && self.last_skip < self.largest_acked {
            let window =
                self.flight.as_ref().map_or(1, |flight| (flight.controller.window() / self.packet).max(1));
            self.next_skip = Some(self.next + FIRST_SKIP + window / 2 + rng.below(window * 3 / 2 + 1));
        }
    }

    fn detect_lost(&mut self, now: Timestamp, out: &mut Outcome, stats: &mut Stats) {
        let horizon = now - self.pto() * 3;
        let delay = self.rtt.loss_delay();
        let Some(flight) = &mut self.flight else { return };
        let Flight { sent, controller, loss_time, .. } = &mut **flight;
        *loss_time = None;
        if let Some(largest) = self.largest_acked.filter(|_| !self.reliable_link) {
            let oldest = sent.lose(largest, PACKET_THRESHOLD, now - delay, &mut out.lost, |packet| {
                stats.packets_lost += 1;
                controller.on_lost(now, packet.sent);
            });
            *loss_time = oldest.map(|sent| sent + delay);
        }
        sent.forget(horizon);
    }

    /// Probe timeout before backoff.
    pub(crate) fn pto(&self) -> Duration {
        (self.rtt.pto_base() + self.max_ack_delay).min(self.pto_cap)
    }

    /// When [`Self::on_timeout`] has something to do.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Timestamp> {
        let flight = self.flight.as_ref().filter(|flight| !self.reliable_link && !flight.sent.is_idle())?;
        #[cfg(planted)]
        if config.planted == Some(crate::planted::Planted::PtoNeverFires) {
            return flight.loss_time;
        }
        flight.loss_time.or_else(|| {
            let backoff = self.pto().saturating_mul(1 << flight.probes.min(16)).min(self.pto_cap);
            Some(self.last_eliciting + backoff.max(config.timer_granularity))
        })
    }

    /// Declares lost what is due, or asks for a probe.
    pub(crate) fn on_timeout(
        &mut self,
        now: Timestamp,
        config: &Config,
        out: &mut Outcome,
        stats: &mut Stats,
    ) -> Timeout {
        if self.deadline(config).is_none_or(|deadline| deadline > now) {
            return Timeout::Nothing;
        }
        let last_eliciting = self.last_eliciting;
        let flight = self.flight(now);
        if flight.loss_time.is_some() {
            self.detect_lost(now, out, stats);
            return Timeout::Lost;
        }
        if flight.probes == 0 {
            flight.probing_since = last_eliciting;
        }
        flight.probes += 1;
        stats.probes += 1;
        if flight.probes > GIVE_UP_PROBES && now.since(flight.probing_since) >= GIVE_UP_AFTER {
            return Timeout::GiveUp;
        }
        // The probe counts from now, whether or not it can go out at once: the timer must move.
        self.last_eliciting = now;
        Timeout::Probe
    }

    /// What a probe should repeat when there is nothing new to send.
    pub(crate) fn oldest_carried(&self) -> impl Iterator<Item = Carried> + '_ {
        self.flight.iter().flat_map(|flight| flight.sent.oldest_carried())
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.flight.as_ref().is_none_or(|flight| flight.sent.is_idle())
    }

    /// When nothing will have been in flight for `span`; `None` while something is, or when there is nothing to give back.
    pub(crate) fn idle_for(&self, span: Duration) -> Option<Timestamp> {
        self.flight.as_ref().filter(|flight| flight.sent.is_idle()).map(|_| self.last_eliciting + span)
    }

    /// Gives back the memory of a busier time.
    pub(crate) fn release(&mut self) {
        if self.is_idle() {
            self.flight = None;
        }
    }
}

#[cfg(test)]
mod tests;
