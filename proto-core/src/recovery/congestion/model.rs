//! A model of the path instead of a reaction to loss, in the manner of BBR: how fast it delivers, how long an empty one takes,
//! and how many packets it loses by itself (docs/decisions/0012-congestion.md).

use alloc::boxed::Box;
use core::time::Duration;

use super::{Acked, Controller, Lost, MIN_PACKETS, initial_window, product, spread};
use crate::Timestamp;

/// Rounds over which the greatest delivery rate counts.
const RATE_ROUNDS: usize = 10;
/// Rounds without a queue that say what the path loses by itself.
const LOSS_ROUNDS: usize = 8;
/// So many long round trips in a row end startup.
const STARTUP_SAMPLES: u32 = 8;
/// An empty path is looked for when none was seen for this long.
const MIN_RTT_LIFE: Duration = Duration::from_secs(10);
/// Stands for a round trip time that was not measured: as long as the longest.
const UNKNOWN_RTT: Duration = Duration::from_mins(1);
const PROBE_RTT_TIME: Duration = Duration::from_millis(200);
/// Round trips that are longer than the shortest by a quarter, and at least this, speak of a queue.
const QUEUE_MIN: Duration = Duration::from_millis(4);
const SLACK: Duration = Duration::from_millis(4);
const MAX_SLACK: Duration = Duration::from_millis(25);
/// The cap grows by a packet a round, and by twice as much after so many rounds without congestion.
const CALM_ROUNDS: u32 = 8;
/// So many times longer it waits before it asks for more again, after that met congestion.
const REFUSED_PATIENCE: u32 = 3;
/// More than this is not taken for the path's own loss.
const MAX_OWN_LOSS: u64 = 350_000;
/// In a queue, so much loss more than the path's own is congestion, in ppm.
const CONGESTION_LOSS: u64 = 20_000;
/// Without a queue, so much loss more than three halves of the path's own: a policer, or a very short queue.
const POLICER_LOSS: u64 = 50_000;
/// Rounds with less are too short to tell loss from chance.
const MIN_ROUND_PACKETS: u64 = 24;

const MILLION: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Doubles until the rate stops growing or a queue begins.
    Startup,
    /// Empties the queue that startup made.
    Drain,
    /// Sends as fast as the path delivers.
    Cruise,
    /// Asks for more.
    Up,
    /// Empties the queue that this made.
    Down,
    /// Sends little, to see the path empty.
    ProbeRtt,
}

impl Phase {
    /// How fast to send, as percent of the rate at which the path delivers.
    const fn gain(self) -> u64 {
        match self {
            Self::Startup => 277,
            Self::Drain => 50,
            Self::Cruise | Self::ProbeRtt => 100,
            Self::Up => 125,
            Self::Down => 75,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    packet: u64,
    phase: Phase,
    phase_began: Timestamp,
    window: u64,
    /// In-flight bytes over which congestion was met.
    cap: u64,
    /// Greatest delivery rate of each of the last rounds, bytes a second, and of all.
    rates: [u64; RATE_ROUNDS],
    rate: u64,
    min_rtt: Duration,
    min_rtt_at: Timestamp,
    /// Loss of each of the last rounds in ppm.
    losses: [u32; LOSS_ROUNDS],
    round: Round,
    rounds: u64,
    /// The rate when it last grew by a quarter, and rounds since.
    full_rate: u64,
    full_rounds: u32,
    /// The last round saw a queue.
    queue: bool,
    /// Samples in a row that speak of one.
    long_rtts: u32,
    /// Rounds without congestion.
    calm_rounds: u32,
    /// Asking for more met congestion the last time.
    refused: bool,
    /// How much longer than the shortest the round trips of a round are on average: smoothed.
    jitter: Duration,
    seed: u64,
}

/// What is counted over a round trip.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    /// It ends when this much has been delivered.
    end: u64,
    acked: u64,
    lost: u64,
    min_rtt: Option<Duration>,
    rtts: Duration,
    samples: u32,
    most_in_flight: u64,
    marked: bool,
    /// A sample of this round is among the rates.
    measured: bool,
}

impl Model {
    pub(crate) fn new(now: Timestamp, packet: u64, seed: u64) -> Self {
        Self {
            packet,
            phase: Phase::Startup,
            phase_began: now,
            window: initial_window(packet),
            cap: u64::MAX,
            rates: [0; RATE_ROUNDS],
            rate: 0,
            min_rtt: UNKNOWN_RTT,
            min_rtt_at: now,
            losses: [0; LOSS_ROUNDS],
            round: Round::default(),
            rounds: 0,
            full_rate: 0,
            full_rounds: 0,
            queue: false,
            long_rtts: 0,
            refused: false,
            calm_rounds: 0,
            jitter: Duration::ZERO,
            seed,
        }
    }

    /// Bytes that fill the path and no queue.
    fn bdp(&self) -> u64 {
        if self.min_rtt == UNKNOWN_RTT { 0 } else { product(self.rate, self.min_rtt) }
    }

    /// What the path loses by itself at the least, in ppm. Were it not the least, who sends too fast would take what that costs
    /// for the path's own and send faster still.
    fn own_loss(&self) -> u64 {
        u64::from(self.losses.iter().copied().min().unwrap_or(0)).min(MAX_OWN_LOSS)
    }

    /// What it usually loses.
    fn usual_loss(&self) -> u64 {
        let mut losses = self.losses;
        losses.sort_unstable();
        u64::from(losses[LOSS_ROUNDS / 2])
    }

    /// `bytes` and as much more as the path will lose of them, when nothing speaks of a queue.
    fn with_loss(&self, bytes: u64) -> u64 {
        if self.queue { bytes } else { scaled(bytes, MILLION, MILLION - self.own_loss()) }
    }

    /// For how long the window has room beyond the path itself: for what gathers while timers, acknowledgements and a link of
    /// changing speed wait.
    fn slack(&self) -> Duration {
        (self.jitter * 2).clamp(SLACK, MAX_SLACK)
    }

    fn min_window(&self) -> u64 {
        MIN_PACKETS * self.packet
    }

    fn enter(&mut self, phase: Phase, now: Timestamp) {
        self.phase = phase;
        self.phase_began = now;
    }

    fn speaks_of_queue(&self, rtt: Duration) -> bool {
        rtt > self.min_rtt + (self.min_rtt / 4).max(QUEUE_MIN).max(self.jitter * 2)
    }

    fn on_rtt(&mut self, now: Timestamp, rtt: Duration) {
        self.round.rtts += rtt;
        self.round.samples += 1;
        self.round.min_rtt = Some(self.round.min_rtt.map_or(rtt, |min| min.min(rtt)));
        if rtt < self.min_rtt {
            self.min_rtt = rtt;
        }
        self.long_rtts = if self.speaks_of_queue(rtt) { self.long_rtts + 1 } else { 0 };
        if rtt <= self.min_rtt + self.min_rtt / 16 {
            self.min_rtt_at = now;
        }
    }

    fn on_rate(&mut self, acked: &Acked) {
        let Some(rate) = acked.rate else { return };
        let sample = rate.bytes_per_second;
        if rate.app_limited && sample < self.rate {
            return;
        }
        let index = (self.rounds % RATE_ROUNDS as u64) as usize;
        self.rates[index] = self.rates[index].max(sample);
        self.rate = self.rate.max(sample);
        self.round.measured = true;
    }

    /// A round trip is over: what it says about queue and loss.
    fn end_round(&mut self, acked: &Acked) {
        let round = core::mem::take(&mut self.round);
        self.round.end = acked.delivered;
        self.round.most_in_flight = acked.in_flight;
        self.queue = round.marked || round.min_rtt.is_some_and(|rtt| self.speaks_of_queue(rtt));
        if let Some(min) = round.min_rtt {
            let jitter = (round.rtts / round.samples).saturating_sub(min);
            self.jitter = if jitter > self.jitter {
                (self.jitter + jitter) / 2
            } else {
                (self.jitter * 7 + jitter) / 8
            };
        }
        let total = round.acked + round.lost;
        let loss = round.lost * MILLION / total.max(1);
        let usual = self.usual_loss();
        let tells = total >= MIN_ROUND_PACKETS * self.packet;
        let congested = round.marked
            || self.queue && loss > usual + CONGESTION_LOSS
            || tells && loss > usual + usual / 2 + POLICER_LOSS && self.phase != Phase::Startup;
        if tells && !self.queue {
            self.losses.rotate_right(1);
            self.losses[0] = loss as u32;
        }
        if congested {
            let met = round.most_in_flight.min(self.cap);
            self.cap = scaled(met, 70, 100).max(self.bdp()).max(self.min_window());
            self.refused = true;
            self.calm_rounds = 0;
        } else {
            self.calm_rounds = self.calm_rounds.saturating_add(1);
            let step = self.packet << (self.calm_rounds / CALM_ROUNDS).min(16);
            self.cap = self.cap.saturating_add(step);
        }
        self.advance(acked, congested, tells);
        if round.measured {
            self.rounds += 1;
            self.rates[(self.rounds % RATE_ROUNDS as u64) as usize] = 0;
            self.rate = self.rates.iter().copied().max().unwrap_or(0);
        }
    }

    /// The phases whose end is seen once a round.
    fn advance(&mut self, acked: &Acked, congested: bool, tells: bool) {
        let app_limited = acked.rate.is_none_or(|rate| rate.app_limited);
        match self.phase {
            Phase::Startup => {
                if self.rate >= self.full_rate + self.full_rate / 4 {
                    (self.full_rate, self.full_rounds) = (self.rate, 0);
                } else if !app_limited {
                    self.full_rounds += 1;
                }
                let queue = self.queue && tells && !app_limited;
                if self.full_rounds >= 3 || queue || congested {
                    self.enter(Phase::Drain, acked.now);
                }
            }
            Phase::Up if self.queue || congested => self.enter(Phase::Down, acked.now),
            _ => {}
        }
    }

    /// The phases whose end is a matter of time, or of what is in flight.
    fn update_phase(&mut self, acked: &Acked) {
        let (now, elapsed) = (acked.now, acked.now.since(self.phase_began));
        let full = self.with_loss(self.bdp());
        match self.phase {
            Phase::Drain | Phase::Down => {
                if acked.in_flight <= full || elapsed >= self.min_rtt * 2 {
                    self.enter(Phase::Cruise, now);
                }
            }
            Phase::Cruise => {
                // Not all at the same time: those that share a path take turns.
                let draw = (self.seed ^ self.rounds).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61;
                // Once more at once while it is worth it.
                let grown = self.rate >= self.full_rate + self.full_rate / 8 && !self.queue;
                let patience = if self.refused { REFUSED_PATIENCE } else { 1 };
                let wait = self.min_rtt * (3 + draw as u32 / 2) * patience;
                if grown && elapsed >= self.min_rtt || elapsed >= wait {
                    self.full_rate = self.rate;
                    self.refused = false;
                    self.enter(Phase::Up, now);
                }
            }
            Phase::ProbeRtt => {
                if elapsed >= PROBE_RTT_TIME.max(self.min_rtt) {
                    self.min_rtt_at = now;
                    self.enter(Phase::Cruise, now);
                }
            }
            Phase::Up => {
                let is_full = acked.in_flight >= full + full / 4;
                if elapsed >= self.min_rtt && is_full || elapsed >= self.min_rtt * 3 {
                    self.enter(Phase::Down, now);
                }
            }
            Phase::Startup => {
                // Not at the end of the round: by then twice as much is under way.
                if self.long_rtts >= STARTUP_SAMPLES && !acked.app_limited {
                    self.enter(Phase::Drain, now);
                }
            }
        }
        if self.phase != Phase::ProbeRtt && now.since(self.min_rtt_at) >= MIN_RTT_LIFE {
            self.min_rtt = acked.rtt.unwrap_or(self.min_rtt);
            self.min_rtt_at = now;
            self.enter(Phase::ProbeRtt, now);
        }
    }

    fn update_window(&mut self, acked: &Acked) {
        let bdp = self.bdp();
        let target = match self.phase {
            Phase::Startup => (self.with_loss(scaled(bdp, self.phase.gain(), 100))
                + product(self.rate, self.slack()))
            .max(initial_window(self.packet)),
            Phase::ProbeRtt => bdp / 2,
            _ => self.with_loss(2 * bdp) + product(self.rate, self.slack()).max(3 * self.packet),
        };
        let target = target.min(self.cap).max(self.min_window());
        let grown = if acked.app_limited && self.phase == Phase::Startup { 0 } else { acked.bytes };
        self.window = (self.window + grown).min(target);
    }
}

impl Controller for Model {
    fn on_sent(&mut self, _: Timestamp, in_flight: u64) {
        self.round.most_in_flight = self.round.most_in_flight.max(in_flight);
    }

    fn on_acked(&mut self, acked: &Acked) {
        if let Some(rtt) = acked.rtt {
            self.on_rtt(acked.now, rtt);
        }
        self.round.acked += acked.bytes;
        self.on_rate(acked);
        if acked.delivered_at_send >= self.round.end {
            self.end_round(acked);
        }
        self.update_phase(acked);
        self.update_window(acked);
    }

    fn on_lost(&mut self, lost: &Lost) {
        self.round.lost += lost.bytes;
    }

    fn on_persistent_congestion(&mut self, now: Timestamp) {
        self.window = self.min_window();
        self.rates = [0; RATE_ROUNDS];
        self.rate = 0;
        (self.full_rate, self.full_rounds) = (0, 0);
        self.enter(Phase::Startup, now);
    }

    fn on_ecn(&mut self, _: Timestamp, _: Timestamp) {
        self.round.marked = true;
    }

    fn on_spurious(&mut self, _: Timestamp, packets: u64) {
        self.round.lost = self.round.lost.saturating_sub(packets * self.packet);
    }

    fn set_packet(&mut self, packet: u64) {
        self.packet = packet;
        self.window = self.window.max(self.min_window());
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn pacing_rate(&self, rtt: Duration) -> u64 {
        let gain = self.phase.gain();
        if self.rate == 0 {
            return spread(self.window, rtt, gain, 100);
        }
        // What was measured over a silence says nothing about the path, and so slow a pace would never measure anything else.
        let least = spread(self.min_window(), rtt, 100, 100);
        scaled(self.with_loss(self.rate), gain, 100).max(least)
    }

    fn has_spare(&self) -> bool {
        !self.queue
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

/// `value * num / den`, saturating.
fn scaled(value: u64, num: u64, den: u64) -> u64 {
    crate::time::mul_div(value, num, den)
}
