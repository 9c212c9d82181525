//! The handle of a channel.

use std::time::Duration;

use bytes::Bytes;
use proto_core::{
    Blocked, ChannelId, ChannelStats, Message, OpenError, Rate, ReceiptKind, RequestId, SendError,
    SendLimits, Timestamp,
};

use crate::connection::Held;
use crate::flight::Chan;
use crate::node::Next;
use crate::{Connection, Incoming, Receipt, Received, RequestError, wait};

/// A channel of a connection, which it keeps open. Messages of different channels do not wait for each other.
#[derive(Clone, Debug)]
pub struct Channel {
    connection: Connection,
    id: ChannelId,
}

impl Channel {
    pub(crate) const fn new(connection: Connection, id: ChannelId) -> Self {
        Self { connection, id }
    }

    /// The channel's number.
    pub const fn id(&self) -> ChannelId {
        self.id
    }

    /// The connection.
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What whoever opened the channel called it; `None` once the connection is over and forgotten.
    pub fn name(&self) -> Option<String> {
        let held = self.held();
        held.shared.quietly(|node| node.channel_name(held.id, self.id))
    }

    /// See [`Connection::send`].
    pub async fn send(&self, message: Message) -> Result<(), SendError> {
        let (held, channel) = (self.held(), self.id);
        let message = Message { receipt: ReceiptKind::None, ..message };
        wait::until(&held.shared, |node, now| node.send(now, held.id, channel, &message)).await.map(|_| ())
    }

    /// See [`Connection::send_now`].
    pub fn send_now(&self, message: Message) -> Result<(), SendError> {
        let held = self.held();
        let message = Message { receipt: ReceiptKind::None, ..message };
        held.shared.with(|node, now, _| {
            let sent = node.send_now(now, held.id, self.id, message);
            (sent.map(|_| ()), sent.is_ok())
        })
    }

    /// See [`Connection::writable`].
    pub async fn writable(&self) -> Result<(), SendError> {
        let (held, channel) = (self.held(), self.id);
        wait::until(&held.shared, |node, _| node.writable(held.id, channel)).await
    }

    /// See [`Connection::send_receipt`].
    pub async fn send_receipt(&self, message: Message) -> Result<Receipt, SendError> {
        let (held, channel) = (self.held(), self.id);
        let message = match message.receipt {
            ReceiptKind::None => message.receipt(),
            ReceiptKind::Arrival | ReceiptKind::Processing => message,
        };
        let sent = wait::until(&held.shared, |node, now| node.send(now, held.id, channel, &message)).await;
        sent.map(|message| Receipt::new(held.shared.clone(), held.id, message))
    }

    /// See [`Connection::request`].
    pub async fn request(&self, message: Message, timeout: Duration) -> Result<Bytes, RequestError> {
        let (held, channel) = (self.held(), self.id);
        let message = Message { receipt: ReceiptKind::None, ..message };
        let mut deadline: Option<Timestamp> = None;
        let mut outstanding = Outstanding { held, request: None };
        wait::until(&held.shared, |node, now| {
            let deadline = *deadline.get_or_insert(now.mono + timeout);
            node.request(now, held.id, channel, &message, deadline, &mut outstanding.request)
        })
        .await
    }

    /// See [`Connection::recv`].
    pub async fn recv(&self) -> Option<Received> {
        let (held, channel) = (self.held(), self.id);
        let received = wait::until(&held.shared, |node, now| node.recv(now, held.id, channel)).await;
        received.map(|received| Received::new(received, &self.connection))
    }

    /// See [`Connection::incoming`].
    pub async fn incoming(&self) -> Option<Incoming> {
        let (held, channel) = (self.held(), self.id);
        let next = wait::until(&held.shared, |node, now| node.incoming(now, held.id, channel)).await;
        next.map(|next| match next {
            Next::Message(received) => Incoming::Message(Received::new(received, &self.connection)),
            Next::Continued(continuity) => Incoming::Continued(continuity),
        })
    }

    /// How long a message that is sent now will wait in the queue: see [`proto_core::Channel::queue_time`].
    pub fn queue_time(&self) -> Duration {
        let held = self.held();
        let now = held.shared.now();
        held.shared.quietly(|node| node.queue_time(now, held.id, self.id))
    }

    /// What was dropped on the channel; `None` once its connection is over and forgotten.
    pub fn stats(&self) -> Option<ChannelStats> {
        let (held, channel) = (self.held(), self.id);
        held.shared.inspect(|node| node.look(held.id)?.channel_stats(channel).cloned())
    }

    /// Changes how much is queued: see [`proto_core::Channel::limit_queue`].
    pub fn limit_queue(&self, limits: &SendLimits) -> Result<(), OpenError> {
        let held = self.held();
        held.shared.command(|node, _| node.limit_queue(held.id, self.id, limits))
    }

    /// See [`Connection::reply`].
    pub async fn reply(&self, request: RequestId, payload: impl Into<Bytes>) -> Result<(), SendError> {
        self.connection.reply(request, payload).await
    }

    /// See [`Connection::reply_part`].
    pub async fn reply_part(&self, request: RequestId, payload: impl Into<Bytes>) -> Result<(), SendError> {
        self.connection.reply_part(request, payload).await
    }

    /// See [`Connection::reply_error`].
    pub async fn reply_error(
        &self,
        request: RequestId,
        code: u64,
        payload: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        self.connection.reply_error(request, code, payload).await
    }

    /// Gives the channel another priority, 0 (first) to 7, and weight, 1 to 255, for what this side sends.
    pub fn set_priority(&self, priority: u8, weight: u8) -> Result<(), OpenError> {
        self.change(|channel, now| channel.set_priority(now, priority, weight))
    }

    /// Limits what this side sends on the channel; `None`: only the peer's limit holds, if it has one.
    pub fn limit_sending(&self, rate: Option<Rate>) -> Result<(), OpenError> {
        self.change(|channel, now| channel.limit_sending(now, rate))
    }

    /// Limits what this side takes in on the channel, and tells the peer.
    pub fn limit_receiving(&self, rate: Option<Rate>) -> Result<(), OpenError> {
        self.change(|channel, now| channel.limit_receiving(now, rate))
    }

    /// Why what waits on the channel has not gone out; `None` when nothing waits.
    pub fn blocked(&self) -> Option<Blocked> {
        let (held, channel) = (self.held(), self.id);
        held.shared.command(|node, _| node.open(held.id)?.channel(channel).blocked())
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Chan<'_>, Timestamp) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let (held, channel) = (self.held(), self.id);
        held.shared.command(|node, now| {
            let mut conn = node.open(held.id).ok_or(OpenError::NoChannel)?;
            change(&mut conn.channel(channel), now.mono)
        })
    }

    pub(crate) fn held(&self) -> &Held {
        &self.connection.0
    }
}

/// A request, once it was sent, whose answer somebody waits for.
struct Outstanding<'a> {
    held: &'a Held,
    request: Option<RequestId>,
}

impl Drop for Outstanding<'_> {
    fn drop(&mut self) {
        let Some(request) = self.request else { return };
        let Held { shared, id, .. } = self.held;
        let answer = shared.command(|node, now| node.give_up_request(now, *id, request));
        drop(answer);
    }
}
