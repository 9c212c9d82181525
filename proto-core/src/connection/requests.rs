//! Requests of both sides: asking, giving up, answering, and what becomes of a question (docs/spec/channels.md, section 5).

use core::mem;
use core::num::NonZeroU32;
use core::time::Duration;

use bytes::Bytes;

use super::{Channel, Connection, Message, Timer};
use crate::channel::{Channel as ChannelState, Delivery, Gone};
use crate::request::{Asked, Reply};
use crate::wire::Kind;
use crate::{
    ChannelId, Class, Drop, Event, Fate, MessageId, Refusal, RequestId, RequestOutcome, SendError, Timestamp,
    code,
};

/// The peer answered what it was never asked, or in a way that it may not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Impossible(pub(super) &'static str);

impl Connection {
    /// Answers the peer's request, or sends the last part of an answer. One that was cancelled is refused with
    /// [`SendError::NoRequest`], and makes room for another.
    pub fn reply(
        &mut self,
        now: Timestamp,
        request: RequestId,
        payload: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        let kind = |index| match index {
            0 => Kind::Reply(request.0),
            _ => Kind::ReplyPart { request: request.0, index, last: true },
        };
        self.answer_last(now, request, kind, payload.into())
    }

    /// Sends a part of the answer to the peer's request: any number of them, which arrive in their order, before the `reply` or
    /// `reply_error` that ends it. Each gives another `reply_timeout` for the next.
    pub fn reply_part(
        &mut self,
        now: Timestamp,
        request: RequestId,
        payload: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        let kind = |index| Kind::ReplyPart { request: request.0, index, last: false };
        self.answer(now, request, kind, payload.into())?;
        self.requests.part_sent(request, self.clock + self.config.reply_timeout);
        self.timers.set(Timer::Request, self.requests.deadline());
        Ok(())
    }

    /// Answers the peer's request with an error; `code` is the application's: 0x100 or more. One that was cancelled is as in
    /// [`reply`](Self::reply).
    pub fn reply_error(
        &mut self,
        now: Timestamp,
        request: RequestId,
        code: u64,
        payload: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        let code = code.max(code::APPLICATION);
        let kind = |index| Kind::ReplyError { request: request.0, code, index: NonZeroU32::new(index) };
        self.answer_last(now, request, kind, payload.into())
    }

    fn answer_last(
        &mut self,
        now: Timestamp,
        request: RequestId,
        kind: impl FnOnce(u32) -> Kind,
        payload: Bytes,
    ) -> Result<(), SendError> {
        let answered = self.answer(now, request, kind, payload);
        match answered {
            Ok(()) => drop(self.requests.settle_owed(request)),
            Err(_) => self.requests.end_cancelled(request),
        }
        self.timers.set(Timer::Request, self.requests.deadline());
        answered
    }

    fn answer(
        &mut self,
        now: Timestamp,
        request: RequestId,
        kind: impl FnOnce(u32) -> Kind,
        payload: Bytes,
    ) -> Result<(), SendError> {
        let now = self.advance(now);
        let (channel, parts) = self.requests.owed(request).ok_or(SendError::NoRequest)?;
        let class = self.channels.get(channel).map_or(Class::ReliableOrdered, ChannelState::reply_class);
        self.queue(now, channel, kind(parts), Message::new(payload).class(class)).map(|_| ())
    }

    /// Whether the peer waits for the reply to this request of its: not any more once that was given, or `Event::RequestCancelled`
    /// has come.
    pub fn owes_reply(&self, request: RequestId) -> bool {
        self.requests.owed(request).is_some()
    }

    /// A part of the reply to a request, after `Event::PartialReply`, or the reply or the error's payload, after
    /// `Event::RequestDone`: the oldest that has not been taken. Taking it makes room for more.
    pub fn take_reply(&mut self, now: Timestamp, request: RequestId) -> Option<Bytes> {
        self.advance(now);
        let Reply { channel, payload } = self.requests.take_reply(request)?;
        self.release_credit(channel, Class::ReliableUnordered, payload.len());
        self.update_timers();
        Some(payload)
    }

    /// Gives a request up: `Event::RequestDone` follows with `RequestOutcome::Cancelled`, and the peer is told so that it can stop.
    /// `false` when the request was over already; then its outcome stands.
    pub fn cancel_request(&mut self, now: Timestamp, request: RequestId) -> bool {
        let now = self.advance(now);
        let Some(message) = self.requests.cancel(request) else { return false };
        let not_processed = !self.give_up(now, request, message);
        self.drop_left_over();
        let outcome = RequestOutcome::Cancelled { not_processed };
        self.events.push_back(Event::RequestDone { request, outcome });
        self.update_timers();
        self.timers.set(Timer::Request, self.requests.deadline());
        true
    }

    /// The message of a request of this side was given up before anything of it was written.
    pub(super) fn on_unsent_request(&mut self, request: RequestId) {
        if self.requests.cancel(request).is_some() {
            self.events.push_back(Event::RequestDone { request, outcome: RequestOutcome::NotSent });
        }
    }

    /// Nobody waits for the reply to a request of this side any more: it is not sent if it was not, and otherwise the peer is told.
    /// Returns whether it was sent.
    fn give_up(&mut self, now: Timestamp, request: RequestId, message: MessageId) -> bool {
        let MessageId { channel, class, number } = message;
        let outbox = self.channels.get(channel).map(|channel| &channel.outboxes[class as usize]);
        let written = outbox.is_none_or(|outbox| outbox.has_written(number));
        if !written {
            let mut ends = mem::take(&mut self.scratch.ends);
            if let Some(channel) = self.channels.get_mut(channel) {
                channel.give_up(now, class, number, Fate::Cancelled, &mut ends);
            }
            self.settle_ends(channel, ends);
            self.check_flushed(now);
        } else if !self.requests.tell_cancelled(request, self.config.max_requests) {
            self.count_drop(channel, Drop::CancelUntold);
        }
        written
    }

    /// A message came that is a request or an answer to one.
    pub(super) fn on_request_or_reply(
        &mut self,
        now: Timestamp,
        id: ChannelId,
        delivery: Delivery,
    ) -> Result<(), Impossible> {
        let (request, index, outcome) = match delivery.kind {
            Kind::OneWay => return Ok(()),
            Kind::Request(request) => {
                self.on_request(now, id, request, delivery);
                return Ok(());
            }
            Kind::Reply(request) => (request, 0, Some(RequestOutcome::Replied)),
            Kind::ReplyPart { request, index, last } => {
                (request, index, last.then_some(RequestOutcome::Replied))
            }
            Kind::ReplyError { request, code, index } => {
                let not_processed = index.is_none() && code::is_not_processed(code);
                let outcome = RequestOutcome::Failed { code, not_processed };
                (request, index.map_or(0, NonZeroU32::get), Some(outcome))
            }
        };
        if !self.requests.was_sent(request) {
            return Err(Impossible("a reply to a request that was never sent"));
        }
        if !delivery.class.is_reliable() {
            return Err(Impossible("an unreliable reply"));
        }
        if outcome.is_some() {
            self.requests.cancel_known(request);
        }
        self.divert(id, &delivery, false);
        let reply = Reply { channel: id, payload: delivery.payload };
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::ReplyPartsUnordered) {
            self.requests.planted_skip(request, index);
        }
        let events = &mut self.events;
        self.requests.on_reply(request, index, reply, outcome, |outcome| {
            let request = RequestId(request);
            events.push_back(match outcome {
                None => Event::PartialReply(request),
                Some(outcome) => Event::RequestDone { request, outcome },
            });
        });
        self.drop_left_over();
        Ok(())
    }

    /// Throws away what came of replies that nobody will take.
    fn drop_left_over(&mut self) {
        while let Some(Reply { channel, payload }) = self.requests.take_left_over() {
            self.count_drop(channel, Drop::LateReply);
            self.release_credit(channel, Class::ReliableUnordered, payload.len());
        }
    }

    fn on_request(&mut self, now: Timestamp, id: ChannelId, request: u64, delivery: Delivery) {
        let deadline = now + self.config.reply_timeout;
        match self.requests.owe(request, id, deadline, self.config.max_requests) {
            Asked::Owed | Asked::Cancelled => self.make_ready(id, delivery),
            Asked::Refused => {
                self.divert(id, &delivery, true);
                self.on_gone(id, &Gone { request: None, ..delivery.gone(Refusal::Busy) });
                self.fail(now, id, Kind::ReplyError { request, code: code::REQUEST_REJECTED, index: None });
            }
        }
    }

    /// Tells the peer that its request gets no reply. One that floods with requests and reads no replies is told nothing.
    pub(super) fn fail(&mut self, now: Timestamp, id: ChannelId, kind: Kind) {
        let has_room = self.has_room_for_events();
        let channel = self.channels.get(id).filter(|channel| has_room && channel.has_room(0));
        let Some(channel) = channel else { return };
        // Where no reliable class is allowed no reply could be sent either.
        let message = Message::new(Bytes::new()).class(channel.reply_class());
        let _ = self.queue(now, id, kind, message);
    }

    /// The peer no longer waits for the reply to its request.
    pub(super) fn on_cancel(&mut self, now: Timestamp, request: u64) {
        if self.requests.on_cancel(now, request) {
            self.events.push_back(Event::RequestCancelled(RequestId(request)));
            self.timers.set(Timer::Request, self.requests.deadline());
        }
    }

    pub(super) fn on_request_timer(&mut self, now: Timestamp) {
        while let Some((request, message)) = self.requests.expire(now) {
            self.give_up(now, request, message);
            self.drop_left_over();
            self.events.push_back(Event::RequestDone { request, outcome: RequestOutcome::TimedOut });
        }
        while let Some(request) = self.requests.overdue(now) {
            let Some((channel, parts)) = self.requests.owed(request) else { break };
            let Some(taken) = self.requests.settle_owed(request) else { break };
            self.count_drop(channel, Drop::RequestExpired);
            let kind = Kind::ReplyError {
                request: request.0,
                code: code::REQUEST_EXPIRED,
                index: NonZeroU32::new(parts),
            };
            self.fail(now, channel, kind);
            if taken {
                self.events.push_back(Event::RequestCancelled(request));
            }
        }
        self.timers.set(Timer::Request, self.requests.deadline());
    }
}

impl Channel<'_> {
    /// Sends a message that the peer is to answer within `timeout`. `Event::RequestDone` comes once, at the latest then.
    pub fn request(
        &mut self,
        now: Timestamp,
        message: Message,
        timeout: Duration,
    ) -> Result<RequestId, SendError> {
        let now = self.conn.advance(now);
        if !self.conn.state.accepts_messages() {
            return Err(self.conn.refusal());
        }
        if self.conn.requests.outgoing() >= self.conn.config.max_requests {
            return Err(SendError::TooManyRequests);
        }
        let channel = self.conn.channels.get(self.id).ok_or(SendError::NoChannel)?;
        if !channel.allows(channel.reply_class()) {
            return Err(SendError::ClassNotAllowed);
        }
        let kind = Kind::Request(self.conn.requests.next_id());
        let message = self.conn.queue(now, self.id, kind, message)?;
        let deadline = now + timeout.max(self.conn.config.timer_granularity);
        let request = self.conn.requests.begin(message, deadline);
        let outbox = self.conn.channels.get(self.id).map(|channel| &channel.outboxes[message.class as usize]);
        if outbox.is_some_and(|outbox| outbox.is_unwritten(message.number).is_none()) {
            self.conn.on_unsent_request(request);
        }
        self.conn.timers.set(Timer::Request, self.conn.requests.deadline());
        Ok(request)
    }
}
