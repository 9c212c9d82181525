//! A connection of the endpoint, and a channel of it: what they are told is noted.

use std::ops::Deref;
use std::time::Duration;

use bytes::Bytes;
use proto_core::{
    Blocked, Cancel, Channel, ChannelId, ChannelOptions, Class, Close, Connection, ConnectionId,
    ConnectionMut, Message, MessageId, OpenError, Policy, Rate, ReceiptId, Received, RequestId, SendError,
    SendLimits, Timestamp,
};

use super::code::{Hollow, Put};
use super::tape::{Tape, kind};
use crate::Path;
use crate::node::ReplyKind;

/// A connection on loan. To look at it, it is the core's own.
pub(crate) struct Conn<'a> {
    loan: ConnectionMut<'a, Path>,
    id: ConnectionId,
    tape: Option<&'a mut Tape>,
    /// How many inputs were noted before.
    noted: u64,
}

impl Drop for Conn<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(tape) = self.tape.as_mut().filter(|tape| tape.noted() == self.noted) {
            tape.note_at_once(kind::LOOK, &self.id);
        }
    }
}

impl Deref for Conn<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.loan
    }
}

impl<'a> Conn<'a> {
    #[inline]
    pub(super) const fn new(
        loan: ConnectionMut<'a, Path>,
        id: ConnectionId,
        tape: Option<&'a mut Tape>,
    ) -> Self {
        let noted = match &tape {
            Some(tape) => tape.noted(),
            None => 0,
        };
        Self { loan, id, tape, noted }
    }

    fn note(&mut self, now: Timestamp, kind: u8, what: &impl Put) {
        if let Some(tape) = &mut self.tape {
            tape.note(now, kind, &(self.id, what));
        }
    }

    #[inline]
    pub(crate) fn channel(&mut self, channel: ChannelId) -> Chan<'_> {
        let Self { loan, id, tape, .. } = self;
        Chan { id: (*id, channel), channel: loan.channel(channel), tape: tape.as_deref_mut() }
    }

    pub(crate) fn close(&mut self, now: Timestamp, close: Close) {
        self.note(now, kind::CLOSE, &close);
        self.loan.close(now, close);
    }

    pub(crate) fn open_channel(
        &mut self,
        now: Timestamp,
        options: &ChannelOptions,
    ) -> Result<ChannelId, OpenError> {
        self.note(now, kind::OPEN_CHANNEL, options);
        self.loan.open_channel(now, options)
    }

    pub(crate) fn limit_sending(&mut self, now: Timestamp, rate: Option<Rate>) {
        self.note(now, kind::LIMIT_SENDING, &rate);
        self.loan.limit_sending(now, rate);
    }

    pub(crate) fn limit_receiving(&mut self, now: Timestamp, rate: Option<Rate>) {
        self.note(now, kind::LIMIT_RECEIVING, &rate);
        self.loan.limit_receiving(now, rate);
    }

    pub(crate) fn ack(&mut self, now: Timestamp, receipt: ReceiptId) -> bool {
        self.note(now, kind::ACK, &receipt);
        self.loan.ack(now, receipt)
    }

    pub(crate) fn reject(&mut self, now: Timestamp, receipt: ReceiptId, reason: u64) -> bool {
        self.note(now, kind::REJECT, &(receipt, reason));
        self.loan.reject(now, receipt, reason)
    }

    /// Answers a request; of what is refused only the length is noted, for it comes again.
    pub(crate) fn reply(
        &mut self,
        now: Timestamp,
        request: RequestId,
        how: ReplyKind,
        payload: Bytes,
    ) -> Result<(), SendError> {
        let Self { loan, id, tape, .. } = self;
        let mut reply = |payload| match how {
            ReplyKind::Reply => loan.reply(now, request, payload),
            ReplyKind::Part => loan.reply_part(now, request, payload),
            ReplyKind::Error { code } => loan.reply_error(now, request, code, payload),
        };
        let Some(tape) = tape else { return reply(payload) };
        let whole = (*id, request, how, &payload);
        let sent = tape.asking(now, kind::REPLY, &whole, || reply(payload.clone()));
        match &sent {
            Ok(()) => tape.note(now, kind::REPLY, &whole),
            Err(_) => tape.note(now, kind::REPLY_REFUSED, &(*id, request, how, payload.len())),
        }
        sent
    }

    pub(crate) fn cancel_request(&mut self, now: Timestamp, request: RequestId) -> bool {
        self.note(now, kind::CANCEL_REQUEST, &request);
        self.loan.cancel_request(now, request)
    }

    pub(crate) fn take_reply(&mut self, now: Timestamp, request: RequestId) -> Option<Bytes> {
        self.note(now, kind::TAKE_REPLY, &request);
        self.loan.take_reply(now, request)
    }
}

/// One of its channels.
pub(crate) struct Chan<'a> {
    channel: Channel<'a>,
    id: (ConnectionId, ChannelId),
    tape: Option<&'a mut Tape>,
}

impl Chan<'_> {
    #[inline]
    fn note(&mut self, now: Timestamp, kind: u8, what: &impl Put) {
        if let Some(tape) = &mut self.tape {
            tape.note(now, kind, &(self.id, what));
        }
    }

    /// Sends; of what is refused only the length is noted, for it comes again.
    #[inline]
    pub(crate) fn send(&mut self, now: Timestamp, message: Message) -> Result<MessageId, SendError> {
        let Self { channel, id, tape: Some(tape) } = self else { return self.channel.send(now, message) };
        let noted = message.clone();
        let sent = tape.asking(now, kind::SEND, &(*id, &noted), || channel.send(now, message));
        match &sent {
            Ok(_) => tape.note(now, kind::SEND, &(*id, &noted)),
            Err(_) => tape.note(now, kind::SEND_REFUSED, &(*id, Hollow(noted))),
        }
        sent
    }

    pub(crate) fn request(
        &mut self,
        now: Timestamp,
        message: Message,
        timeout: Duration,
    ) -> Result<RequestId, SendError> {
        let Self { channel, id, tape: Some(tape) } = self else {
            return self.channel.request(now, message, timeout);
        };
        let noted = message.clone();
        let work = || channel.request(now, message, timeout);
        let sent = tape.asking(now, kind::REQUEST, &(*id, &noted, timeout), work);
        match &sent {
            Ok(_) => tape.note(now, kind::REQUEST, &(*id, &noted, timeout)),
            Err(_) => tape.note(now, kind::REQUEST_REFUSED, &(*id, Hollow(noted), timeout)),
        }
        sent
    }

    #[inline]
    pub(crate) fn recv(&mut self, now: Timestamp) -> Option<Received> {
        self.note(now, kind::RECV, &());
        self.channel.recv(now)
    }

    /// At most `limit` of what has arrived.
    #[inline]
    pub(crate) fn recv_many(&mut self, now: Timestamp, limit: usize) -> Vec<Received> {
        self.note(now, kind::RECV_MANY, &limit);
        self.channel.recv_all(now).take(limit).collect()
    }

    pub(crate) fn cancel(&mut self, now: Timestamp, message: MessageId) -> Cancel {
        self.note(now, kind::CANCEL, &message);
        self.channel.cancel(now, message)
    }

    pub(crate) fn limit_queue(&mut self, limits: &SendLimits) -> Result<(), OpenError> {
        if let Some(tape) = &mut self.tape {
            tape.note_at_once(kind::LIMIT_QUEUE, &(self.id, limits));
        }
        self.channel.limit_queue(limits)
    }

    pub(crate) fn set_priority(&mut self, now: Timestamp, priority: u8, weight: u8) -> Result<(), OpenError> {
        self.note(now, kind::SET_PRIORITY, &(priority, weight));
        self.channel.set_priority(now, priority, weight)
    }

    pub(crate) fn limit_sending(&mut self, now: Timestamp, rate: Option<Rate>) -> Result<(), OpenError> {
        self.note(now, kind::LIMIT_SENDING_ON, &rate);
        self.channel.limit_sending(now, rate)
    }

    pub(crate) fn limit_receiving(&mut self, now: Timestamp, rate: Option<Rate>) -> Result<(), OpenError> {
        self.note(now, kind::LIMIT_RECEIVING_ON, &rate);
        self.channel.limit_receiving(now, rate)
    }

    pub(crate) fn queue_time(&self, now: Timestamp) -> Duration {
        self.channel.queue_time(now)
    }

    pub(crate) fn policy(&self, class: Class) -> Policy {
        self.channel.policy(class)
    }

    pub(crate) fn blocked(&self) -> Option<Blocked> {
        self.channel.blocked()
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.channel.name()
    }
}
