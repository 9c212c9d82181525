//! The handle of a connection, and whoever watches how it fares.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use driver::protocol::crypto::PublicKey;
use driver::{Incoming, Peer, Received, RequestError, Status};
use proto_core::{
    ChannelOptions, ClockOffset, Close, Closed, ConnectionId, GoAway, Message, MessageId, OpenError, Rate,
    RequestId, SendError, SessionId, Shard, Stats,
};

use crate::block::{at_once, block, wait};
use crate::engine::Engine;
use crate::{Channel, Connecting, Error, Receipt, TimedOut};

/// A connection. Clones are handles of the same one; when the last of them is dropped it closes, after what was sent has been
/// delivered or two seconds have passed.
///
/// `send`, `recv` and their like use the default channel; see [`Channel`] for others.
#[derive(Clone, Debug)]
pub struct Connection {
    inner: driver::Connection,
    engine: Arc<Engine>,
}

impl Connection {
    pub(crate) const fn new(inner: driver::Connection, engine: Arc<Engine>) -> Self {
        Self { inner, engine }
    }

    /// Sends a message, waiting while the channel's queue is full. When it returns, the message is queued; [`Self::send_receipt`]
    /// tells what becomes of it.
    pub fn send(&self, message: Message, timeout: Duration) -> Result<(), Error<SendError>> {
        wait(&self.engine, timeout, self.inner.send(message))
    }

    /// Sends a message, or says at once why not.
    pub fn send_now(&self, message: Message) -> Result<(), SendError> {
        let sent = self.inner.send_now(message);
        self.engine.turn_if_busy();
        sent
    }

    /// Waits, after [`SendError::Full`], until there is room again. Returns at once when nothing was refused.
    pub fn writable(&self, timeout: Duration) -> Result<(), Error<SendError>> {
        wait(&self.engine, timeout, self.inner.writable())
    }

    /// Sends like [`Self::send`], and gives a receipt that becomes the message's fate.
    pub fn send_receipt(&self, message: Message, timeout: Duration) -> Result<Receipt, Error<SendError>> {
        let receipt = wait(&self.engine, timeout, self.inner.send_receipt(message))?;
        Ok(Receipt::new(receipt, Arc::clone(&self.engine)))
    }

    /// Sends a request and waits for the reply, at most for `timeout` altogether.
    pub fn request(&self, message: Message, timeout: Duration) -> Result<Bytes, RequestError> {
        // The request has this timeout itself.
        block(&self.engine, Duration::MAX, self.inner.request(message, timeout))
            .unwrap_or(Err(RequestError::TimedOut { not_processed: false }))
    }

    /// Sends messages, from the front of `messages` on, waiting while there is no room: the same as so many calls of [`Self::send`], but
    /// it takes less. What is sent is taken from `messages`: after an error the one at the front was refused.
    pub fn send_all(
        &self,
        messages: &mut VecDeque<Message>,
        timeout: Duration,
    ) -> Result<(), Error<SendError>> {
        wait(&self.engine, timeout, self.inner.send_all(messages))
    }

    /// The messages that arrived, in their order, as soon as there is one: `limit` at most, or one if that is 0. None when the
    /// connection is over and everything was taken.
    pub fn recv_many(&self, limit: usize, timeout: Duration) -> Result<Vec<Received>, TimedOut> {
        block(&self.engine, timeout, self.inner.recv_many(limit))
    }

    /// The next message that arrived; `None` when the connection is over and everything was taken.
    pub fn recv(&self, timeout: Duration) -> Result<Option<Received>, TimedOut> {
        block(&self.engine, timeout, self.inner.recv())
    }

    /// What comes next: a message, as [`Self::recv`] has it, or the word that the session has got another link and how the channel
    /// goes on over that. Such a word comes before anything that came over the new link, and at once when nothing does; `recv`
    /// passes it over. `None` when the connection is over and everything was taken.
    ///
    /// A session that was lost with its server ends here with [`Continuity::Reset`](proto_core::Continuity::Reset); a connection
    /// that takes its place begins from nothing, see [`Self::next`].
    pub fn incoming(&self, timeout: Duration) -> Result<Option<Incoming>, TimedOut> {
        block(&self.engine, timeout, self.inner.incoming())
    }

    /// Answers a request of the peer, of whatever channel, waiting while there is no room.
    pub fn reply(
        &self,
        request: RequestId,
        payload: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<(), Error<SendError>> {
        wait(&self.engine, timeout, self.inner.reply(request, payload))
    }

    /// Sends a part of the answer to a request, before the `reply` or `reply_error` that ends it.
    pub fn reply_part(
        &self,
        request: RequestId,
        payload: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<(), Error<SendError>> {
        wait(&self.engine, timeout, self.inner.reply_part(request, payload))
    }

    /// Answers a request of the peer with an error; `code` is the application's: 0x100 or more.
    pub fn reply_error(
        &self,
        request: RequestId,
        code: u64,
        payload: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<(), Error<SendError>> {
        wait(&self.engine, timeout, self.inner.reply_error(request, code, payload))
    }

    /// Opens a channel. It can be used at once.
    pub fn open_channel(&self, options: &ChannelOptions) -> Result<Channel, OpenError> {
        self.inner.open_channel(options).map(|channel| Channel::new(channel, Arc::clone(&self.engine)))
    }

    /// The next channel that the peer opened; `None` when the connection is over.
    pub fn accept_channel(&self, timeout: Duration) -> Result<Option<Channel>, TimedOut> {
        let channel = block(&self.engine, timeout, self.inner.accept_channel())?;
        Ok(channel.map(|channel| Channel::new(channel, Arc::clone(&self.engine))))
    }

    /// Waits until the peer no longer waits for the answer to its `request`: see [`driver::Connection::cancelled`].
    pub fn cancelled(&self, request: RequestId, timeout: Duration) -> Result<(), TimedOut> {
        block(&self.engine, timeout, self.inner.cancelled(request))
    }

    /// Tells how it fares, now and whenever that changes: see [`driver::Connection::watch`].
    pub fn watch(&self) -> Watch {
        Watch::new(self.inner.watch(), Arc::clone(&self.engine))
    }

    /// Waits until the server says that it is going away: nothing new can be sent from then on, what has begun may end, and
    /// [`Self::closed`] follows. `None` when the connection is over without that.
    pub fn going_away(&self, timeout: Duration) -> Result<Option<GoAway>, TimedOut> {
        block(&self.engine, timeout, self.inner.going_away())
    }

    /// Waits until the connection is over; tells how it ended.
    pub fn closed(&self, timeout: Duration) -> Result<Closed, TimedOut> {
        block(&self.engine, timeout, self.inner.closed())
    }

    /// The connection that takes the place of this one, when it was lost and the configuration has
    /// [`reconnect`](proto_core::ConfigBuilder::reconnect). One caller gets it.
    pub fn next(&self) -> Option<Connecting> {
        self.inner.next().map(|inner| Connecting::new(inner, Arc::clone(&self.engine)))
    }

    /// The receipt of a message that a lost connection left to this one, which takes its place: there its fate was
    /// [`Fate::Moved`](proto_core::Fate::Moved) to `message`. One caller gets it; `None` for any other message.
    pub fn receipt(&self, message: MessageId) -> Option<Receipt> {
        self.inner.receipt(message).map(|receipt| Receipt::new(receipt, Arc::clone(&self.engine)))
    }

    at_once! {
        /// Begins to close: nothing more can be sent, and what was sent may take until `close.linger` to be delivered.
        fn close(&self, close: Close);
        /// How it fares; `None` once it is over and forgotten.
        fn status(&self) -> Option<Status>;
        /// Which link of the session this is, counted from 1; an attempt that came to nothing counts too. `None` once the
        /// connection is over and forgotten.
        fn incarnation(&self) -> Option<u32>;
        /// Counters; `None` once the connection is over and forgotten.
        fn stats(&self) -> Option<Stats>;
        /// Limits what this side sends over all channels; `None`: only the peer's limit holds, if it has one.
        fn limit_sending(&self, rate: Option<Rate>);
        /// Limits what this side takes in over all channels, and tells the peer.
        fn limit_receiving(&self, rate: Option<Rate>);
        /// How far the peer's clock is ahead; `None` before a heartbeat was answered.
        fn clock_offset(&self) -> Option<ClockOffset>;
        /// The smoothed round trip time; `None` once the connection is over and forgotten.
        fn rtt(&self) -> Option<Duration>;
        /// The public name of the session.
        fn session(&self) -> Option<SessionId>;
        /// The public key that the peer has proven to have; `None` where datagrams are not encrypted, and on streams.
        fn peer_key(&self) -> Option<PublicKey>;
        /// The shard of its endpoint that has it.
        fn shard(&self) -> Shard;
        /// The peer, as far as the link tells: for a Unix socket that was accepted, whose process it is.
        fn peer(&self) -> Peer;
        /// Tells the connection from every other one of its endpoint.
        fn id(&self) -> ConnectionId;
    }
}

/// Watches how a connection fares, without keeping it open.
#[derive(Clone, Debug)]
pub struct Watch {
    inner: driver::Watch,
    engine: Arc<Engine>,
}

impl Watch {
    pub(crate) const fn new(inner: driver::Watch, engine: Arc<Engine>) -> Self {
        Self { inner, engine }
    }

    /// Waits until the status is another than the one this told last: see [`driver::Watch::changed`].
    pub fn changed(&mut self, timeout: Duration) -> Result<Option<Status>, TimedOut> {
        block(&self.engine, timeout, self.inner.changed())
    }
}
