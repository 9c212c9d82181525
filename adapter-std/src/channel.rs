//! The handle of a channel.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use driver::{Incoming, Received, RequestError};
use proto_core::{Blocked, ChannelId, Message, OpenError, Rate, SendError, SendLimits};

use crate::block::{block, wait};
use crate::engine::Engine;
use crate::{Error, Receipt, TimedOut};

/// A channel of a connection, which it keeps open. Messages of different channels do not wait for each other. Replies are given
/// through the [`Connection`](crate::Connection).
#[derive(Clone, Debug)]
pub struct Channel {
    inner: driver::Channel,
    engine: Arc<Engine>,
}

impl Channel {
    pub(crate) const fn new(inner: driver::Channel, engine: Arc<Engine>) -> Self {
        Self { inner, engine }
    }

    /// The channel's number.
    pub const fn id(&self) -> ChannelId {
        self.inner.id()
    }

    /// What whoever opened the channel called it; `None` once the connection is over and forgotten.
    pub fn name(&self) -> Option<String> {
        self.inner.name()
    }

    /// See [`Connection::send`](crate::Connection::send).
    pub fn send(&self, message: Message, timeout: Duration) -> Result<(), Error<SendError>> {
        wait(&self.engine, timeout, self.inner.send(message))
    }

    /// See [`Connection::send_now`](crate::Connection::send_now).
    pub fn send_now(&self, message: Message) -> Result<(), SendError> {
        let sent = self.inner.send_now(message);
        self.engine.turn_if_busy();
        sent
    }

    /// See [`Connection::writable`](crate::Connection::writable).
    pub fn writable(&self, timeout: Duration) -> Result<(), Error<SendError>> {
        wait(&self.engine, timeout, self.inner.writable())
    }

    /// See [`Connection::send_receipt`](crate::Connection::send_receipt).
    pub fn send_receipt(&self, message: Message, timeout: Duration) -> Result<Receipt, Error<SendError>> {
        let receipt = wait(&self.engine, timeout, self.inner.send_receipt(message))?;
        Ok(Receipt::new(receipt, Arc::clone(&self.engine)))
    }

    /// See [`Connection::request`](crate::Connection::request).
    pub fn request(&self, message: Message, timeout: Duration) -> Result<Bytes, RequestError> {
        block(&self.engine, Duration::MAX, self.inner.request(message, timeout))
            .unwrap_or(Err(RequestError::TimedOut { not_processed: false }))
    }

    /// See [`Connection::send_all`](crate::Connection::send_all).
    pub fn send_all(
        &self,
        messages: &mut VecDeque<Message>,
        timeout: Duration,
    ) -> Result<(), Error<SendError>> {
        wait(&self.engine, timeout, self.inner.send_all(messages))
    }

    /// See [`Connection::recv_many`](crate::Connection::recv_many).
    pub fn recv_many(&self, limit: usize, timeout: Duration) -> Result<Vec<Received>, TimedOut> {
        block(&self.engine, timeout, self.inner.recv_many(limit))
    }

    /// See [`Connection::recv`](crate::Connection::recv).
    pub fn recv(&self, timeout: Duration) -> Result<Option<Received>, TimedOut> {
        block(&self.engine, timeout, self.inner.recv())
    }

    /// See [`Connection::incoming`](crate::Connection::incoming).
    pub fn incoming(&self, timeout: Duration) -> Result<Option<Incoming>, TimedOut> {
        block(&self.engine, timeout, self.inner.incoming())
    }

    /// How long a message that is sent now will wait in the queue: see [`proto_core::Channel::queue_time`].
    pub fn queue_time(&self) -> Duration {
        self.inner.queue_time()
    }

    /// Changes how much is queued: see [`proto_core::Channel::limit_queue`].
    pub fn limit_queue(&self, limits: &SendLimits) -> Result<(), OpenError> {
        self.inner.limit_queue(limits)
    }

    /// Gives the channel another priority, 0 (first) to 7, and weight, 1 to 255, for what this side sends.
    pub fn set_priority(&self, priority: u8, weight: u8) -> Result<(), OpenError> {
        self.inner.set_priority(priority, weight)
    }

    /// Limits what this side sends on the channel; `None`: only the peer's limit holds, if it has one.
    pub fn limit_sending(&self, rate: Option<Rate>) -> Result<(), OpenError> {
        self.inner.limit_sending(rate)
    }

    /// Limits what this side takes in on the channel, and tells the peer.
    pub fn limit_receiving(&self, rate: Option<Rate>) -> Result<(), OpenError> {
        self.inner.limit_receiving(rate)
    }

    /// Why what waits on the channel has not gone out; `None` when nothing waits.
    pub fn blocked(&self) -> Option<Blocked> {
        self.inner.blocked()
    }
}
