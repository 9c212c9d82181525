//! Signs of life: whoever has been silent longest pings, and a peer that stays silent is lost.

use core::time::Duration;

use super::state::End;
use super::{Connection, Timer};
use crate::{CloseReason, Timestamp};

impl Connection {
    /// The peer's parameters are known: the lesser of both sides' intervals counts, and at most a third of the silence that
    /// the peer endures.
    pub(super) fn agree_on_heartbeat(&mut self) {
        let interval =
            self.config.heartbeat.min(self.channels.peer.heartbeat).min(self.channels.peer.dead / 3);
        let interval = interval.max(Duration::from_millis(100));
        // The server holds back a little, or both would ping at the same instant.
        self.heartbeat = if self.is_client { interval } else { interval + interval / 8 };
    }

    /// Something ack-eliciting went out or came in: the interval begins anew.
    pub(super) fn restart_heartbeat(&mut self, now: Timestamp) {
        self.timers.set(Timer::Heartbeat, now + self.heartbeat);
    }

    /// A valid packet came in. One that is being closed has a deadline of its own.
    pub(super) fn keep_alive(&mut self, now: Timestamp) {
        if !self.state.is_open() {
            return;
        }
        self.timers.set(Timer::Dead, now + self.config.dead);
        if self.timers.get(Timer::Heartbeat).is_none() {
            self.restart_heartbeat(now);
        }
    }

    pub(super) fn on_heartbeat_timer(&mut self, now: Timestamp) {
        self.ping_due = true;
        self.restart_heartbeat(now);
    }

    /// A timer that fires late tells of a stalled clock on this side, not of a dead peer: the peer gets another chance.
    pub(super) fn on_dead_timer(&mut self, now: Timestamp, deadline: Timestamp) {
        if now.since(deadline) > self.heartbeat {
            self.ping_due = true;
            if self.is_client {
                self.renew_cid();
            }
            self.timers.set(Timer::Dead, now + self.recovery.pto().max(self.config.pto_cap / 3) * 3);
        } else {
            self.lose_link(now, End::of(CloseReason::TimedOut));
        }
    }

    /// Nothing has been in flight for a while: the memory of a busier time is given back.
    pub(super) fn release_memory(&mut self) {
        self.rested = self.clock;
        self.batches.take_if(|batches| batches.is_empty());
        self.recovery.release();
        self.received.shrink();
        self.channels.shrink();
        self.scratch.clear();
        self.timers.set(Timer::Expiry, self.channels.next_deadline());
    }
}
