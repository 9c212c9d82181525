//! Requests and replies.

use bytes::Bytes;
use proto_core::{ChannelId, ConnectionId, Message, Now, RequestId, RequestOutcome, SendError, Timestamp};

use super::{Node, Topic, What};
use crate::wait::Attempt;
use crate::{RequestError, Wakes};

/// How a request ended.
pub(crate) type Answer = Result<Bytes, RequestError>;

/// Whether a reply carries the application's answer or its refusal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReplyKind {
    Reply,
    Part,
    Error { code: u64 },
}

/// The answer to a request when nobody is left to bring one.
pub(super) const LOST: Answer = Err(RequestError::Disconnected { not_processed: false });

impl Node {
    /// Sends a request, waiting until `deadline` while there is no room, and waits for its answer. `asked` is the request while its
    /// answer has not been taken.
    pub(crate) fn request(
        &mut self,
        now: Now,
        id: ConnectionId,
        channel: ChannelId,
        message: &Message,
        deadline: Timestamp,
        asked: &mut Option<RequestId>,
    ) -> Attempt<Answer> {
        if let Some(request) = *asked {
            if let Some(None) = self.requests.get(&(id, request)) {
                return Attempt::Wait(Topic::Of(id, What::Request(request)), None);
            }
            *asked = None;
            return Attempt::Look(self.requests.remove(&(id, request)).flatten().unwrap_or(LOST));
        }
        let left = deadline.since(now.mono);
        if left.is_zero() {
            return Attempt::Look(Err(RequestError::TimedOut { not_processed: true }));
        }
        let Some(mut conn) = self.open(id) else {
            return Attempt::Look(Err(SendError::Closed.into()));
        };
        let sent = conn.channel(channel).request(now.mono, message.clone(), left);
        drop(conn);
        let awaited = match sent {
            Ok(request) => {
                self.requests.insert((id, request), None);
                *asked = Some(request);
                let topic = Topic::Of(id, What::Request(request));
                let begun = if self.must_yield_exchange() { Attempt::BegunYield } else { Attempt::Begun };
                return begun(topic);
            }
            Err(SendError::Full) => {
                self.full.insert((id, channel));
                What::Writable(channel)
            }
            Err(SendError::TooManyRequests) => What::RequestRoom,
            Err(error) => return Attempt::Look(Err(error.into())),
        };
        Attempt::Wait(Topic::Of(id, awaited), Some(deadline))
    }

    /// Nobody waits for the answer to a request any more: what has come of it already is returned, and otherwise the peer is told.
    pub(crate) fn give_up_request(
        &mut self,
        now: Now,
        id: ConnectionId,
        request: RequestId,
    ) -> Option<Answer> {
        let answer = self.requests.remove(&(id, request)).flatten();
        if answer.is_none()
            && let Some(mut conn) = self.open(id)
        {
            conn.cancel_request(now.mono, request);
        }
        answer
    }

    /// Waits until the peer no longer waits for the answer to its request.
    pub(crate) fn cancelled(&mut self, id: ConnectionId, request: RequestId) -> Attempt<()> {
        match self.open(id) {
            Some(conn) if conn.owes_reply(request) => Attempt::Wait(Topic::Of(id, What::Owed(request)), None),
            _ => Attempt::Look(()),
        }
    }

    /// Whoever waits for the end of a request that was just answered need not.
    pub(super) fn settle_answered(&mut self, wakes: &mut Wakes) {
        while let Some((id, request)) = self.answered.pop() {
            self.waiters.wake(Topic::Of(id, What::Owed(request)), wakes);
        }
    }

    pub(super) fn on_request_cancelled(&mut self, id: ConnectionId, request: RequestId, wakes: &mut Wakes) {
        self.waiters.wake(Topic::Of(id, What::Owed(request)), wakes);
    }

    /// A part of a reply came, where the whole was asked for.
    pub(super) fn on_partial_reply(&mut self, now: Now, id: ConnectionId, request: RequestId) {
        let part = self.endpoint.connection(id).and_then(|mut conn| conn.take_reply(now.mono, request));
        self.counters.unread_replies += u64::from(part.is_some());
    }

    /// Answers the peer's request, waiting while there is no room. `is_done` says that it was answered, and others had a turn.
    pub(crate) fn reply(
        &mut self,
        now: Now,
        id: ConnectionId,
        request: RequestId,
        kind: ReplyKind,
        payload: &Bytes,
        is_done: &mut bool,
    ) -> Attempt<Result<(), SendError>> {
        if *is_done {
            return Attempt::Look(Ok(()));
        }
        let Some(mut conn) = self.open(id) else {
            return Attempt::Look(Err(SendError::Closed));
        };
        let sent = conn.reply(now.mono, request, kind, payload.clone());
        drop(conn);
        match sent {
            Ok(()) => {
                if !matches!(kind, ReplyKind::Part) {
                    self.answered.push((id, request));
                }
                if self.must_yield_exchange() {
                    *is_done = true;
                    return Attempt::Yield;
                }
                Attempt::Done(Ok(()))
            }
            Err(SendError::Full) => Attempt::Wait(Topic::Of(id, What::AnyWritable), None),
            Err(error) => Attempt::Look(Err(error)),
        }
    }

    pub(super) fn on_request_done(
        &mut self,
        now: Now,
        id: ConnectionId,
        request: RequestId,
        outcome: RequestOutcome,
        wakes: &mut Wakes,
    ) {
        // Taken at once, whoever waits: once its last event has been polled, a connection may be gone and its replies with it.
        let payload = self.endpoint.connection(id).and_then(|mut conn| conn.take_reply(now.mono, request));
        let answer = match outcome {
            RequestOutcome::Replied => Ok(payload.unwrap_or_default()),
            RequestOutcome::Failed { code, not_processed } => {
                Err(RequestError::Failed { code, not_processed, payload: payload.unwrap_or_default() })
            }
            RequestOutcome::NotSent => Err(RequestError::NotSent),
            RequestOutcome::TimedOut => Err(RequestError::TimedOut { not_processed: false }),
            RequestOutcome::Disconnected { not_processed } | RequestOutcome::Cancelled { not_processed } => {
                Err(RequestError::Disconnected { not_processed })
            }
            _ => LOST,
        };
        if let Some(slot) = self.requests.get_mut(&(id, request)) {
            *slot = Some(answer);
        }
        self.waiters.wake(Topic::Of(id, What::Request(request)), wakes);
        self.waiters.wake(Topic::Of(id, What::RequestRoom), wakes);
    }
}
