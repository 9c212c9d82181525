//! The handle of a channel.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use driver::{Incoming, Received, RequestError};
use proto_core::{
    Blocked, ChannelId, ChannelStats, Message, OpenError, Rate, RequestId, SendError, SendLimits,
};

use crate::block::{at_once, block, wait};
use crate::engine::Engine;
use crate::{Connection, Error, Receipt, TimedOut};

/// A channel of a connection, which it keeps open. Messages of different channels do not wait for each other.
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

    /// The connection.
    pub fn connection(&self) -> Connection {
        Connection::new(self.inner.connection().clone(), Arc::clone(&self.engine))
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

    /// See [`Connection::reply`](crate::Connection::reply).
    pub fn reply(
        &self,
        request: RequestId,
        payload: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<(), Error<SendError>> {
        wait(&self.engine, timeout, self.inner.reply(request, payload))
    }

    /// See [`Connection::reply_part`](crate::Connection::reply_part).
    pub fn reply_part(
        &self,
        request: RequestId,
        payload: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<(), Error<SendError>> {
        wait(&self.engine, timeout, self.inner.reply_part(request, payload))
    }

    /// See [`Connection::reply_error`](crate::Connection::reply_error).
    pub fn reply_error(
        &self,
        request: RequestId,
        code: u64,
        payload: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<(), Error<SendError>> {
        wait(&self.engine, timeout, self.inner.reply_error(request, code, payload))
    }

    at_once! {
        /// What whoever opened the channel called it; `None` once the connection is over and forgotten.
        fn name(&self) -> Option<String>;
        /// How long a message that is sent now will wait in the queue: see [`proto_core::Channel::queue_time`].
        fn queue_time(&self) -> Duration;
        /// What was dropped on the channel; `None` once its connection is over and forgotten.
        fn stats(&self) -> Option<ChannelStats>;
        /// Changes how much is queued: see [`proto_core::Channel::limit_queue`].
        fn limit_queue(&self, limits: &SendLimits) -> Result<(), OpenError>;
        /// Gives the channel another priority, 0 (first) to 7, and weight, 1 to 255, for what this side sends.
        fn set_priority(&self, priority: u8, weight: u8) -> Result<(), OpenError>;
        /// Limits what this side sends on the channel; `None`: only the peer's limit holds, if it has one.
        fn limit_sending(&self, rate: Option<Rate>) -> Result<(), OpenError>;
        /// Limits what this side takes in on the channel, and tells the peer.
        fn limit_receiving(&self, rate: Option<Rate>) -> Result<(), OpenError>;
        /// Why what waits on the channel has not gone out; `None` when nothing waits.
        fn blocked(&self) -> Option<Blocked>;
    }
}
