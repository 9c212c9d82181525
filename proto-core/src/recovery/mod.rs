//! Loss recovery: one packet number space, from "sent" to "settled" (RFC 9002; docs/spec/connection.md, section 3).

mod congestion;
mod delivery;
mod ecn;
mod gate;
mod mtu;
mod pacer;
mod received;
mod reordering;
mod repair;
mod resume;
mod rtt;
mod sent;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use self::congestion::{Acked, Controller, Lost};
use self::delivery::{Delivery, Newest, Snapshot};
use self::ecn::{Marked, Marks};
pub(crate) use self::mtu::Mtu;
use self::pacer::Pacer;
pub(crate) use self::received::Received;
use self::reordering::Reordering;
use self::repair::Repairs;
pub(crate) use self::rtt::Rtt;
pub(crate) use self::sent::{Carried, Mark};
use self::sent::{Packet, Sent};
use crate::rng::Rng;
use crate::wire::{Ack, packet};
use crate::{Config, Congestion, Link, Stats, Timestamp};

/// Probe timeouts in a row after which the peer is given up, when they took at least [`GIVE_UP_AFTER`].
const GIVE_UP_PROBES: u32 = 10;
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);
/// Times in a row that a peer which was given up and heard again is waited for, while it acknowledges nothing.
const MAX_FORGIVEN: u8 = 3;
/// Packets that one probe timeout sends. Where three packets in ten are lost in each direction, half of all single probes go
/// unanswered, and doubling the timeout after each would outrun them; of pairs, a quarter do.
pub(crate) const PROBE_PACKETS: u8 = 2;
/// Packets before the first number is skipped.
const FIRST_SKIP: u64 = 20;
/// Stands in where the link itself says how much may be in flight.
const UNCONTROLLED: Congestion = Congestion::Fixed { rate: 1 << 40, window: 1 << 32 };

/// What happened to packets, for the owners of what they carried.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) acked: Vec<Carried>,
    pub(crate) lost: Vec<Carried>,
    /// Whether a packet larger than the base size arrived, and how many were lost.
    pub(crate) large_acked: bool,
    pub(crate) large_lost: u32,
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
    /// [`Recovery::pop_repair`] has something.
    Repair,
    /// Something must be sent to hear from the peer.
    Probe,
    /// The peer has not answered for too long.
    GiveUp,
    /// Likewise, and it was heard all the while: it does not want to.
    Refused,
}

/// The sending half of a packet number space, and the estimates that go with it.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    pub(crate) rtt: Rtt,
    /// What only a sender with packets in flight needs. It goes after some probe timeouts without any, and comes back new.
    flight: Option<Box<Flight>>,
    congestion: Congestion,
    reordering: Reordering,
    reliable_link: bool,
    /// The largest packet now, and what it was at first.
    packet: u64,
    base: u64,
    marks: Marks,
    first: u64,
    next: u64,
    /// The number to be left out next; none while an earlier one has not been passed by an acknowledgement.
    next_skip: Option<u64>,
    last_skip: Option<u64>,
    largest_acked: Option<u64>,
    /// Packets below this one went another way, and say nothing about the present path.
    path_from: u64,
    last_eliciting: Timestamp,
    pto_cap: Duration,
    pub(crate) max_ack_delay: Duration,
}

#[derive(Clone, Debug)]
struct Flight {
    sent: Sent,
    controller: Box<dyn Controller>,
    pacer: Pacer,
    delivery: Delivery,
    repairs: Repairs,
    loss_time: Option<Timestamp>,
    probes: u32,
    probing_since: Timestamp,
    app_limited: bool,
    /// How often the peer was heard again after it was given up, since it acknowledged anything.
    forgiven: u8,
}

impl Flight {
    #[inline(never)]
    fn boxed(now: Timestamp, packet: u64, congestion: Congestion, seed: u64) -> Box<Self> {
        Box::new(Self::new(now, packet, congestion, seed))
    }

    fn new(now: Timestamp, packet: u64, congestion: Congestion, seed: u64) -> Self {
        Self {
            sent: Sent::default(),
            controller: congestion::new(congestion, now, packet, seed),
            pacer: Pacer::new(now, packet),
            delivery: Delivery::new(now),
            repairs: Repairs::default(),
            loss_time: None,
            probes: 0,
            probing_since: now,
            app_limited: true,
            forgiven: 0,
        }
    }
}

impl Recovery {
    pub(crate) fn new(now: Timestamp, config: &Config, link: Link, rng: &mut Rng) -> Self {
        let packet = u64::from(link.max_packet);
        let is_stream = link.is_stream();
        let first = if is_stream { 0 } else { rng.below(1 << 16) };
        Self {
            rtt: Rtt::new(config.initial_rtt),
            flight: None,
            congestion: if is_stream { UNCONTROLLED } else { config.congestion },
            reordering: Reordering::new(now),
            reliable_link: link.reliable,
            packet,
            base: packet,
            marks: Marks::new(config.ecn && !link.reliable),
            first,
            next: first,
            next_skip: (!is_stream).then(|| first + FIRST_SKIP + rng.below(FIRST_SKIP)),
            last_skip: None,
            largest_acked: None,
            path_from: 0,
            last_eliciting: now,
            pto_cap: config.pto_cap,
            max_ack_delay: config.max_ack_delay,
        }
    }

    /// Packets go another way from now on, about which nothing is known.
    pub(crate) fn reset_path(&mut self, now: Timestamp, config: &Config) {
        self.rtt = Rtt::new(config.initial_rtt);
        self.reordering = Reordering::new(now);
        self.packet = self.base;
        self.path_from = self.next;
        if let Some(flight) = &mut self.flight {
            flight.controller = congestion::new(self.congestion, now, self.packet, self.next);
            flight.pacer = Pacer::new(now, self.packet);
            flight.probes = 0;
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

    /// The largest number that is known to have arrived.
    pub(crate) const fn largest_acked(&self) -> Option<u64> {
        self.largest_acked
    }

    /// Whether every number has been used.
    pub(crate) const fn is_exhausted(&self) -> bool {
        self.next >= packet::MAX_PACKET_NUMBER
    }

    /// Whether few numbers are left, if any.
    pub(crate) const fn is_nearly_exhausted(&self) -> bool {
        self.next >= packet::MAX_PACKET_NUMBER - (1 << 16)
    }

    #[inline]
    fn flight(&mut self, now: Timestamp) -> &mut Flight {
        let (packet, congestion, next) = (self.packet, self.congestion, self.next);
        self.flight.get_or_insert_with(|| Flight::boxed(now, packet, congestion, next))
    }

    /// The largest packet has another size from now on.
    pub(crate) fn set_packet(&mut self, packet: u16) {
        self.packet = packet.into();
        if let Some(flight) = &mut self.flight {
            flight.controller.set_packet(packet.into());
        }
    }

    /// Whether the next packet that asks for an ACK is to be marked as ECN-capable.
    pub(crate) const fn wants_mark(&self) -> bool {
        self.marks.wanted()
    }

    /// How many probe timeouts fired since something was heard.
    pub(crate) fn probes(&self) -> u32 {
        self.flight.as_ref().map_or(0, |flight| flight.probes)
    }

    /// The sender stopped for want of something to send (`true`) or of window (`false`).
    pub(crate) fn set_app_limited(&mut self, app_limited: bool) {
        if let Some(flight) = &mut self.flight {
            flight.app_limited = app_limited;
            if app_limited {
                flight.delivery.on_app_limited(flight.sent.bytes_in_flight());
            }
        }
    }

    /// The packet that [`Self::next_number`] named was built. Only ack-eliciting ones are followed.
    #[inline]
    pub(crate) fn on_sent(
        &mut self,
        now: Timestamp,
        size: usize,
        eliciting: bool,
        mark: Mark,
        carried: &[Carried],
    ) {
        let number = self.next;
        self.next += 1;
        if !eliciting {
            return;
        }
        if self.reliable_link {
            self.last_eliciting = now;
            if !carried.is_empty() {
                let sent = &mut self.flight(now).sent;
                sent.push(number, now, size as u32, mark, Snapshot::default(), carried);
            }
            return;
        }
        if mark.ecn {
            self.marks.on_sent();
        }
        let flight = self.flight(now);
        let snapshot = flight.delivery.on_sent(now, flight.sent.is_idle());
        flight.sent.push(number, now, size as u32, mark, snapshot, carried);
        flight.controller.on_sent(now, flight.sent.bytes_in_flight());
        flight.pacer.on_sent(size as u64);
        self.last_eliciting = now;
    }

    /// Takes in an ACK, all of which is checked before any of it counts. What arrived is appended to `out`.
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
        let delay = Duration::from_micros(ack.delay.saturating_mul(8)).min(self.max_ack_delay);
        if self.reliable_link {
            self.settle_records(now, ack, out);
            return Ok(());
        }
        let arrived = self.settle(now, ack, out, stats);
        let rtt = arrived
            .newest
            .filter(|newest| newest.number == ack.largest && newest.number >= self.path_from)
            .map(|newest| self.rtt.sample(now, newest.sent, delay));
        let is_newer = self.largest_acked < Some(ack.largest);
        self.largest_acked = self.largest_acked.max(Some(ack.largest));
        self.arm_skip(rng);
        if is_newer {
            self.take_marks(now, ack, &arrived, stats);
        }
        let Some(newest) = arrived.newest else { return Ok(()) };
        self.detect_lost(now, out, stats);
        let min_rtt = self.rtt.min();
        if let Some(flight) = &mut self.flight {
            let acked = Acked {
                now,
                sent: newest.sent,
                bytes: arrived.bytes,
                in_flight: flight.sent.bytes_in_flight(),
                delivered: flight.delivery.delivered(),
                delivered_at_send: newest.snapshot.delivered,
                rtt,
                rate: flight.delivery.rate(&newest, min_rtt),
                app_limited: flight.app_limited,
            };
            flight.controller.on_acked(&acked);
        }
        Ok(())
    }

    fn take_marks(&mut self, now: Timestamp, ack: &Ack<'_>, arrived: &Arrived, stats: &mut Stats) {
        match self.marks.on_ack(arrived.marked, ack.ecn) {
            Marked::No => {}
            Marked::Failed => stats.ecn_failed += 1,
            Marked::Congestion => {
                stats.congestion_marks += 1;
                if let (Some(flight), Some(newest)) = (&mut self.flight, arrived.newest) {
                    flight.controller.on_ecn(now, newest.sent);
                }
            }
        }
    }

    /// The same where nothing is ever lost: nothing is to be learned from it but that it arrived.
    fn settle_records(&mut self, now: Timestamp, ack: &Ack<'_>, out: &mut Outcome) {
        let Some(flight) = &mut self.flight else { return };
        for range in ack.ranges() {
            flight.sent.acknowledge(&range, &mut out.acked, |_, _| {});
        }
        flight.sent.forget(now);
    }

    /// The number of the next packet.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// The newest packet whose arrival is waited for.
    pub(crate) fn newest_in_flight(&self) -> Option<u64> {
        self.flight.as_ref().and_then(|flight| flight.sent.newest())
    }

    /// Settles what an ACK acknowledges.
    fn settle(&mut self, now: Timestamp, ack: &Ack<'_>, out: &mut Outcome, stats: &mut Stats) -> Arrived {
        let mut arrived = Arrived::default();
        let base = self.base;
        let Some(flight) = &mut self.flight else { return arrived };
        let (reordering, largest) = (&mut self.reordering, self.largest_acked.unwrap_or(0));
        let Flight { sent, controller, delivery, .. } = &mut **flight;
        let (mut newest, mut delivered) = (None, 0);
        for range in ack.ranges() {
            let each = |packet: &Packet, was_lost: bool| {
                delivered += u64::from(packet.size);
                out.large_acked |= u64::from(packet.size) > base;
                arrived.marked += u64::from(packet.mark.ecn);
                if was_lost {
                    stats.spurious_losses += 1;
                    reordering.on_spurious(now, largest.saturating_sub(packet.number));
                    controller.on_spurious(packet.sent, 1);
                } else {
                    arrived.bytes += u64::from(packet.size);
                }
                newest = newest.max(Some(packet.number));
            };
            sent.acknowledge(&range, &mut out.acked, each);
        }
        if let Some(packet) = newest.and_then(|newest| sent.get(newest)) {
            delivery.on_acked(now, delivered);
            let Packet { number, sent, snapshot, .. } = *packet;
            arrived.newest = Some(Newest { number, sent, snapshot });
            flight.probes = 0;
            flight.forgiven = 0;
        }
        arrived
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
        let longest = self.rtt.longest();
        self.reordering.decay(now, longest);
        let (delay, threshold) =
            (self.reordering.delay(longest).max(rtt::GRANULARITY), self.reordering.packets());
        let persistent = self.rtt.is_measured().then(|| (self.rtt.pto_base() + self.max_ack_delay) * 3);
        let (base, path_from) = (self.base, self.path_from);
        let Some(flight) = &mut self.flight else { return };
        let Flight { sent, controller, loss_time, .. } = &mut **flight;
        *loss_time = None;
        sent.forget(horizon);
        if let Some(largest) = self.largest_acked.filter(|_| !self.reliable_link) {
            let mut lost = Lost { now, sent: now, packets: 0, bytes: 0 };
            let mut large_lost = 0;
            let losses = sent.lose(largest, threshold, now - delay, &mut out.lost, |packet| {
                stats.packets_lost += 1;
                if !packet.mark.mtu_probe && packet.number >= path_from {
                    large_lost += u32::from(u64::from(packet.size) > base);
                    lost.sent = packet.sent;
                    lost.packets += 1;
                    lost.bytes += u64::from(packet.size);
                }
            });
            out.large_lost += large_lost;
            *loss_time = losses.oldest.map(|sent| sent + delay);
            if lost.packets > 0 {
                controller.on_lost(&lost);
            }
            if persistent.is_some_and(|span| losses.longest > span) {
                stats.persistent_congestion += 1;
                controller.on_persistent_congestion(now);
            }
        }
        sent.forget(horizon);
    }

    /// Probe timeout before backoff.
    pub(crate) fn pto(&self) -> Duration {
        (self.rtt.pto_base() + self.max_ack_delay).min(self.pto_cap)
    }

    /// When [`Self::on_timeout`] has something to do.
    pub(crate) fn deadline(&self, config: &Config) -> Option<Timestamp> {
        let repair = self.flight.as_ref().and_then(|flight| flight.repairs.deadline());
        repair.into_iter().chain(self.loss_deadline(config)).min()
    }

    fn loss_deadline(&self, config: &Config) -> Option<Timestamp> {
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
        if self.loss_deadline(config).is_none_or(|deadline| deadline > now) {
            return Timeout::Repair;
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
            return if flight.forgiven < MAX_FORGIVEN { Timeout::GiveUp } else { Timeout::Refused };
        }
        // The probe counts from now, whether or not it can go out at once: the timer must move.
        self.last_eliciting = now;
        Timeout::Probe
    }

    /// What a probe should repeat when there is nothing new to send.
    pub(crate) fn oldest_carried(&self) -> impl Iterator<Item = Carried> + '_ {
        self.flight.iter().flat_map(|flight| flight.sent.oldest_carried())
    }

    /// Whether the sender has nothing to send and the path has capacity to spare.
    fn has_spare(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| {
            flight.app_limited
                && flight.controller.has_spare()
                && flight.sent.bytes_in_flight() * 4 <= flight.controller.window() * 3
        })
    }

    /// `carried` was lost and goes out again. When nothing else wants to, it will do so once more a little later.
    pub(crate) fn plan_repair(&mut self, now: Timestamp, carried: Carried) {
        if let Some(delay) = Repairs::delay(self.rtt.smoothed())
            && self.has_spare()
            && let Some(flight) = &mut self.flight
        {
            flight.repairs.push(now + delay, carried);
        }
    }

    /// The next second copy that is due; none when the capacity is wanted for something else by now.
    pub(crate) fn pop_repair(&mut self, now: Timestamp) -> Option<Carried> {
        let has_spare = self.has_spare();
        let flight = self.flight.as_mut()?;
        if !has_spare {
            flight.repairs.clear();
        }
        flight.repairs.pop(now)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.flight.as_ref().is_none_or(|flight| flight.sent.is_idle())
    }

    /// When something that asks for an ACK went out last.
    pub(crate) const fn last_eliciting(&self) -> Timestamp {
        self.last_eliciting
    }

    /// Whether [`Self::release`] has something to give back.
    pub(crate) const fn holds_memory(&self) -> bool {
        self.flight.is_some()
    }

    /// Gives back the memory of a busier time.
    pub(crate) fn release(&mut self) {
        if self.is_idle() {
            self.flight = None;
        }
    }
}

/// What an ACK newly acknowledges.
#[derive(Clone, Copy, Debug, Default)]
struct Arrived {
    /// Bytes that were in flight.
    bytes: u64,
    /// Packets that went out ECN-capable.
    marked: u64,
    newest: Option<Newest>,
}

crate::sleep::saved!(Recovery {
    rtt,
    flight,
    congestion,
    reordering,
    reliable_link,
    packet,
    base,
    marks,
    first,
    next,
    next_skip,
    last_skip,
    largest_acked,
    last_eliciting,
    pto_cap,
    max_ack_delay,
    path_from,
});

crate::sleep::awake!(Flight);

#[cfg(test)]
mod tests;
