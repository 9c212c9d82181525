//! Every transition between the states of a connection, and the events it emits: here and nowhere else.
//!
//! ```text
//! client  Connecting <-> Backoff         server  Accepting
//!              |                                     |
//!              +------------> Established <----------+
//!                              |  ^    \
//!                              |  +-> Suspended (the link is lost, the session is not)
//!                          Flushing     \   (lost, closed by the peer, misbehaved)
//!                              |         \
//!                           Closing ----> Draining ----> Drained
//! ```

use core::time::Duration;

use super::{Connection, Timer};
use crate::wire::Advice;
use crate::{CloseReason, Closed, Event, RequestOutcome, Timestamp};

/// How long messages that arrived before the end wait for the application.
const UNREAD_KEPT: Duration = Duration::from_mins(1);

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A client waits for ACCEPT.
    Connecting,
    /// A client waits to begin its next attempt.
    Backoff,
    /// A server waits for INIT or CONFIRM.
    Accepting,
    /// Both sides have agreed.
    Established,
    /// The link is lost; the session waits for another.
    Suspended,
    /// `close` was called: reliable messages are still delivered.
    Flushing,
    /// CLOSE was sent, CLOSE_ACK has not come.
    Closing,
    /// It is over; late packets are answered.
    Draining,
    /// It is over.
    Drained,
}

impl State {
    /// Whether messages flow.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Established | Self::Flushing)
    }

    /// Whether there is a session that the peer knows: messages flow, or will.
    pub const fn is_alive(self) -> bool {
        matches!(self, Self::Established | Self::Flushing | Self::Suspended)
    }

    /// Whether messages are accepted for sending, now or once it is established.
    pub const fn accepts_messages(self) -> bool {
        matches!(self, Self::Connecting | Self::Backoff | Self::Established | Self::Suspended)
    }

    /// Whether the application has been told that it is over.
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Draining | Self::Drained)
    }
}

/// Why and how a connection ends.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) reason: CloseReason,
    pub(super) advice: Advice,
    pub(super) retry_after: Option<Duration>,
}

impl End {
    pub(super) const fn of(reason: CloseReason) -> Self {
        Self { reason, advice: Advice::Now, retry_after: None }
    }
}

impl Connection {
    pub(super) fn enter_connecting(&mut self) {
        if self.state != State::Suspended {
            self.state = State::Connecting;
        }
        self.tell_attempt(Event::Connecting { attempt: self.attempts.number });
    }

    pub(super) fn enter_backoff(&mut self, at: Timestamp, reason: CloseReason) {
        if self.state == State::Suspended {
            for timer in [Timer::Handshake, Timer::HandshakeDeadline, Timer::NextWay] {
                self.timers.stop(timer);
            }
        } else {
            self.state = State::Backoff;
            self.stop_all_but_messages();
        }
        self.timers.set(Timer::Backoff, at);
        self.tell_attempt(Event::RetryAt { at, attempt: self.attempts.number, reason });
    }

    /// The clocks of messages go on.
    fn stop_all_but_messages(&mut self) {
        self.timers.stop_all();
        self.timers.set(Timer::Request, self.requests.deadline());
        self.timers.set(Timer::Expiry, self.channels.next_deadline());
    }

    pub(super) fn enter_established(&mut self, now: Timestamp, incarnation: u32) {
        self.incarnation = incarnation;
        self.enter_attached(now);
        self.begin_cids();
        self.events.push_back(Event::Established { session: self.session, incarnation });
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::EstablishedTwice) {
            self.events.push_back(Event::Established { session: self.session, incarnation });
        }
    }

    /// The session goes on over another link; the event follows once the peer has said what it has.
    pub(super) fn enter_resumed(&mut self, now: Timestamp) {
        self.enter_attached(now);
        self.begin_cids();
        self.begin_exchange(now);
    }

    pub(super) fn enter_attached(&mut self, now: Timestamp) {
        self.state = State::Established;
        for timer in [Timer::Handshake, Timer::HandshakeDeadline, Timer::NextWay, Timer::Resume] {
            self.timers.stop(timer);
        }
        self.set_leaving_deadline();
        self.attempts.on_established(now);
        self.keep_alive(now);
        self.wall.wait(now + self.heartbeat);
    }

    /// The link is lost. `tell` says that the application does not know yet.
    pub(super) fn enter_suspended(&mut self, until: Timestamp, tell: bool) {
        self.state = State::Suspended;
        self.stop_all_but_messages();
        self.timers.set(Timer::Resume, until);
        if tell {
            self.events.push_back(Event::Suspended { until });
        }
    }

    pub(super) fn enter_flushing(&mut self, now: Timestamp, linger: Duration) {
        #[cfg(planted)]
        let linger = match self.config.planted {
            Some(crate::planted::Planted::LingersOn) => linger + Duration::from_mins(1),
            _ => linger,
        };
        self.state = State::Flushing;
        self.timers.set(Timer::Linger, now + linger);
    }

    pub(super) fn enter_closing(&mut self, now: Timestamp) {
        self.state = State::Closing;
        self.timers.stop_all();
        self.begin_closing(now);
    }

    /// The end, for whatever reason. `answer_for` says how long late packets are answered.
    pub(super) fn enter_closed(&mut self, now: Timestamp, end: End, answer_for: Duration) {
        let was_established = match self.state {
            State::Connecting | State::Backoff => false,
            State::Established | State::Suspended | State::Flushing | State::Closing => true,
            State::Accepting if self.was_announced() => false,
            State::Accepting => {
                self.state = State::Drained;
                self.timers.stop_all();
                return;
            }
            State::Draining | State::Drained => return,
        };
        self.open_gate(was_established && end.reason == CloseReason::Reset);
        while let Some((request, message)) = self.requests.abandon() {
            let written = self
                .channels
                .get(message.channel)
                .is_none_or(|channel| channel.outboxes[message.class as usize].has_written(message.number));
            let outcome = RequestOutcome::Disconnected { not_processed: !written };
            self.events.push_back(Event::RequestDone { request, outcome });
        }
        if was_established {
            self.keep_unanswered(now, &end);
        }
        let (unsent, unacked) = self.abandon_messages();
        self.state = State::Draining;
        self.release_held();
        self.timers.stop_all();
        self.timers.set(Timer::Drain, now + answer_for);
        let End { reason, advice, retry_after } = end;
        let retry_after = retry_after.or_else(|| self.leaving_retry());
        let closed = Closed { reason, advice, retry_after, unsent, unacked, next: None };
        self.events.push_back(if was_established {
            Event::Closed(closed)
        } else {
            Event::ConnectFailed(closed)
        });
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::ClosedTwice) {
            self.events.extend(self.events.back().cloned());
        }
    }

    /// Late packets are no longer answered, and after a while unread messages no longer kept.
    pub(super) fn on_drain_timer(&mut self, now: Timestamp) {
        if self.state == State::Closing {
            return self.finish_closing(now);
        }
        if self.state == State::Draining && self.unread() > 0 {
            self.timers.set(Timer::Drain, now + UNREAD_KEPT);
        } else {
            self.drop_unread();
        }
        self.state = State::Drained;
    }
}

crate::sleep::rests_as!(State, Self::Established);
