//! The end: flushing, CLOSE and its answer (docs/spec/connection.md, section 6).

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::state::{End, State};
use super::{Connection, Timer};
use crate::wire::{self, Advice, Frame, MAX_REASON, RecordWriter};
use crate::{CloseReason, Timestamp, code};

/// How this side wants a connection to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// Why, as a number: [`code::NO_ERROR`], or at least [`code::APPLICATION`].
    pub code: u64,
    /// Why, in words: at most 256 bytes, what is over is cut.
    pub reason: String,
    /// What the peer should do next.
    pub advice: Advice,
    /// How long the peer should wait before that.
    pub retry_after: Duration,
    /// How long reliable messages may still take to be delivered. 2 s.
    pub linger: Duration,
}

impl Default for Close {
    fn default() -> Self {
        Self {
            code: code::NO_ERROR,
            reason: String::new(),
            advice: Advice::Never,
            retry_after: Duration::ZERO,
            linger: Duration::from_secs(2),
        }
    }
}

/// What is left to say at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Ending {
    /// What CLOSE says; `None` when the peer closed.
    close: Option<Close>,
    /// CLOSE, or CLOSE_ACK when the peer closed, must go out.
    due: bool,
    /// CLOSE packets sent.
    sent: u32,
    /// This side's application asked for it.
    is_wanted: bool,
    /// When CLOSE was first due.
    since: Timestamp,
}

impl Ending {
    /// Nobody will read it.
    pub(super) const fn forget(&mut self) {
        self.due = false;
    }

    pub(super) const fn is_due(&self) -> bool {
        self.due
    }

    /// What this side's application asked for.
    pub(super) fn wanted(close: Close) -> Self {
        Self { close: Some(close), is_wanted: true, ..Self::default() }
    }

    /// Whether this side's application asked for it.
    pub(super) const fn is_wanted(&self) -> bool {
        self.is_wanted
    }
}

/// CLOSE packets that one connection sends at most.
const MAX_CLOSES: u32 = 8;

impl Connection {
    /// Ends the connection: reliable messages may take up to `linger` to be delivered, then the peer is told. The event follows
    /// within another three probe timeouts. Calling it again can only shorten the linger.
    pub fn close(&mut self, now: Timestamp, close: Close) {
        let now = self.advance(now);
        match self.state {
            State::Accepting if self.is_undecided() => {
                self.refuse(now, close);
            }
            State::Connecting | State::Backoff | State::Accepting | State::Suspended => {
                self.end_without_link(now, CloseReason::Local { code: close.code });
            }
            State::Established | State::Flushing if self.state == State::Established || self.is_leaving() => {
                let linger = close.linger;
                self.ending = Ending::wanted(close);
                self.enter_flushing(now, linger);
                self.check_flushed(now);
            }
            State::Established | State::Flushing => {
                let at = (now + close.linger).min(self.timers.get(Timer::Linger).unwrap_or(now));
                self.timers.set(Timer::Linger, at);
            }
            State::Closing | State::Draining | State::Drained => {}
        }
        self.update_timers();
    }

    /// It is over, and there is nobody to tell or to answer.
    pub(super) fn end_without_link(&mut self, now: Timestamp, reason: CloseReason) {
        self.enter_closed(now, End::of(reason), Duration::ZERO);
        self.timers.stop(Timer::Drain);
        self.on_drain_timer(now);
    }

    /// Sends CLOSE as soon as nothing reliable is left to deliver, and no receipt to wait for or to give.
    pub(super) fn check_flushed(&mut self, now: Timestamp) {
        if self.state != State::Flushing {
            return;
        }
        if !self.channels.are_flushed() || self.leaving.is_some() && self.requests.waits() {
            return;
        }
        if self.is_leaving() {
            self.say_finished();
        } else {
            self.enter_closing(now);
        }
    }

    /// It has taken long enough.
    pub(super) fn finish_flushing(&mut self, now: Timestamp) {
        if self.is_leaving() || self.state == State::Established {
            self.on_leaving_deadline(now);
        }
        if self.state == State::Flushing {
            self.enter_closing(now);
        }
    }

    pub(super) fn begin_closing(&mut self, now: Timestamp) {
        self.ending.due = true;
        self.ending.since = now;
        self.timers.set(Timer::Drain, now + self.recovery.pto() * 3);
        if !self.link.is_stream() {
            self.timers.set(Timer::Close, now + self.recovery.pto());
        }
    }

    /// While it closes, the path may turn out to be shorter than was thought.
    pub(super) fn hasten_closing(&mut self, now: Timestamp) {
        let pto = self.recovery.pto();
        for (timer, latest) in [(Timer::Drain, self.ending.since + pto * 3), (Timer::Close, now + pto)] {
            let earlier = self.timers.get(timer).filter(|&at| latest < at);
            if earlier.is_some() {
                self.timers.set(timer, latest);
            }
        }
    }

    pub(super) fn on_close_timer(&mut self, now: Timestamp) {
        self.ending.due = self.ending.sent < MAX_CLOSES;
        self.timers.set(Timer::Close, now + self.recovery.pto());
    }

    /// CLOSE_ACK came, or waiting for it has taken long enough.
    pub(super) fn finish_closing(&mut self, now: Timestamp) {
        let code = self.ending.close.as_ref().map_or(code::NO_ERROR, |close| close.code);
        self.enter_closed(now, End::of(CloseReason::Local { code }), Duration::ZERO);
    }

    /// The peer closed: it is answered for as long as it may repeat itself.
    pub(super) fn on_close(&mut self, now: Timestamp, close: &wire::Close<'_>) {
        self.ending = Ending { due: true, is_wanted: self.ending.is_wanted, ..Ending::default() };
        let reason = CloseReason::Peer { code: close.code, reason: close.reason.into() };
        let retry_after =
            (close.advice == Advice::After).then(|| Duration::from_millis(close.retry_after_ms));
        let answer_for = self.recovery.pto() * 3;
        self.enter_closed(now, End { reason, advice: close.advice, retry_after }, answer_for);
    }

    /// A client is not let in: it is told so, and told again if it asks again.
    pub(super) fn set_refusal(&mut self, close: Close) {
        self.ending = Ending { close: Some(close), due: true, is_wanted: true, ..Ending::default() };
    }

    /// The peer broke a rule: it is told so, and told again if it goes on.
    pub(super) fn on_violation(&mut self, now: Timestamp, code: u64, text: &'static str) {
        let close = Close { code, reason: text.into(), ..Close::default() };
        self.end_with(now, close, End::of(CloseReason::PeerMisbehaved(text)));
    }

    /// It is over here, and the peer is told so.
    pub(super) fn end_with(&mut self, now: Timestamp, close: Close, end: End) {
        self.ending =
            Ending { close: Some(close), due: true, is_wanted: self.ending.is_wanted, ..Ending::default() };
        let answer_for = self.recovery.pto() * 3;
        self.enter_closed(now, end, answer_for);
    }

    /// Ends a connection for want of memory: what it holds is thrown away, and its peer told to come back later. `false`: it had ended,
    /// and nothing was left of it that the application could still take.
    pub(crate) fn crowd_out(&mut self, now: Timestamp) -> bool {
        let now = self.advance(now);
        if self.state.is_closed() {
            let held = self.channels.held_bytes();
            self.drop_unread();
            return self.channels.held_bytes() < held;
        }
        let close = Close {
            code: code::BUSY,
            reason: "too much is held for too many".into(),
            advice: Advice::After,
            retry_after: self.rng.around(self.config.busy_retry_after),
            ..Close::default()
        };
        let end =
            End { retry_after: Some(close.retry_after), ..End::of(CloseReason::Local { code: code::BUSY }) };
        self.end_with(now, close, end);
        self.drop_unread();
        self.update_timers();
        true
    }

    /// The same for a handshake that came to nothing; `false`: the application never heard of it.
    pub(crate) fn show_out(&mut self, now: Timestamp) -> bool {
        self.was_announced() && self.crowd_out(now)
    }

    /// A packet came in after the end.
    pub(super) fn answer_late_packet(&mut self, is_close: bool) {
        self.ending.due |= (is_close || self.ending.close.is_some()) && self.ending.sent < MAX_CLOSES;
    }

    /// Writes CLOSE or CLOSE_ACK when it is due.
    pub(super) fn write_ending(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> bool {
        if !core::mem::take(&mut self.ending.due) {
            return false;
        }
        self.ending.sent += 1;
        let ending = self.ending.close.take();
        if let Some(close) = ending.as_ref().filter(|_| self.is_refusing()) {
            let written = self.write_refusal(close, buf);
            self.ending.close = ending;
            return written;
        }
        self.write_packet(now, buf, |writer| match &ending {
            None => writer.write(&Frame::CloseAck, false),
            Some(close) => write_close(close, writer),
        });
        self.ending.close = ending;
        true
    }
}

pub(super) fn write_close(close: &Close, writer: &mut RecordWriter<'_>) {
    let frame = wire::Close {
        code: close.code,
        advice: close.advice,
        retry_after_ms: u64::try_from(close.retry_after.as_millis()).unwrap_or(u64::MAX),
        reason: &close.reason[..close.reason.floor_char_boundary(MAX_REASON)],
    };
    writer.write(&Frame::Close(frame), false);
}

crate::sleep::saved!(Ending { close, due, sent, is_wanted, since });

crate::sleep::awake!(Close);
