//! The handle of a connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_core::crypto::PublicKey;
use proto_core::{
    ChannelId, ChannelOptions, ClockOffset, Close, Closed, ConnectionId, GoAway, Message, MessageId,
    OpenError, Rate, RequestId, SendError, SessionId, Shard, Stats,
};

use crate::node::{Node, ReplyKind};
use crate::{
    Channel, Connecting, Incoming, Peer, Receipt, Received, RequestError, Shared, Status, Watch, wait,
};

/// A connection. Clones are handles of the same one; when the last of them is dropped it closes, after what was sent has been
/// delivered or two seconds have passed, with [`Advice::Never`](proto_core::Advice::Never): a client of it does not come back. [`Self::close`] says otherwise.
///
/// `send`, `recv` and their like use the default channel; see [`Channel`] for others.
#[derive(Clone, Debug)]
pub struct Connection(pub(crate) Arc<Held>);

/// Keeps a connection open.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) shared: Shared<Node>,
    pub(crate) id: ConnectionId,
    pub(crate) peer: Peer,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.command(|node, now| node.release(now, self.id));
    }
}

impl Connection {
    pub(crate) fn new(shared: Shared<Node>, id: ConnectionId, peer: Peer) -> Self {
        Self(Arc::new(Held { shared, id, peer }))
    }

    pub(crate) fn channel(&self) -> Channel {
        Channel::new(self.clone(), ChannelId::DEFAULT)
    }

    /// Sends a message, waiting while the channel's queue is full. When it returns, the message is queued; [`Self::send_receipt`]
    /// tells what becomes of it. Tasks that wait together are served in no particular order.
    ///
    /// Dropping the future before it is ready drops the message unsent.
    pub async fn send(&self, message: Message) -> Result<(), SendError> {
        self.channel().send(message).await
    }

    /// Sends a message, or says at once why not.
    pub fn send_now(&self, message: Message) -> Result<(), SendError> {
        self.channel().send_now(message)
    }

    /// Waits, after [`SendError::Full`], until there is room again. Ready at once when nothing was refused.
    pub async fn writable(&self) -> Result<(), SendError> {
        self.channel().writable().await
    }

    /// Sends like [`Self::send`], and gives a receipt that becomes the message's fate: on arrival, or once the peer has called
    /// [`Received::ack`] or [`Received::reject`] where the message asks for that. For a message of a batch it becomes the fate of
    /// the whole batch.
    pub async fn send_receipt(&self, message: Message) -> Result<Receipt, SendError> {
        self.channel().send_receipt(message).await
    }

    /// Sends a request and waits for the reply, at most for `timeout` altogether.
    ///
    /// Dropping the future gives the request up: it is not sent if nothing of it was, and otherwise the peer is told that it can stop,
    /// see [`Self::cancelled`]; what it has done by then it has done.
    pub async fn request(&self, message: Message, timeout: Duration) -> Result<Bytes, RequestError> {
        self.channel().request(message, timeout).await
    }

    /// The next message that arrived; `None` when the connection is over and everything was taken. Messages that arrived before
    /// the end can be taken for a minute after it.
    ///
    /// A message with `request` set waits for [`Self::reply`]. Who does not call this stops the peer, once its credit is used up.
    pub async fn recv(&self) -> Option<Received> {
        self.channel().recv().await
    }

    /// What comes next: a message, as [`Self::recv`] has it, or the word that the session has got another link and how the channel
    /// goes on over that. Such a word comes before anything that came over the new link, and at once when nothing does; `recv`
    /// passes it over. `None` when the connection is over and everything was taken.
    ///
    /// A session that was lost with its server ends here with [`Continuity::Reset`](proto_core::Continuity::Reset); a connection
    /// that takes its place begins from nothing, see [`Self::next`].
    pub async fn incoming(&self) -> Option<Incoming> {
        self.channel().incoming().await
    }

    /// Answers a request of the peer, of whatever channel, waiting while there is no room.
    pub async fn reply(&self, request: RequestId, payload: impl Into<Bytes>) -> Result<(), SendError> {
        self.answer(request, ReplyKind::Reply, payload.into()).await
    }

    /// Sends a part of the answer to a request, before the `reply` or `reply_error` that ends it, waiting while there is no room.
    pub async fn reply_part(&self, request: RequestId, payload: impl Into<Bytes>) -> Result<(), SendError> {
        self.answer(request, ReplyKind::Part, payload.into()).await
    }

    /// Answers a request of the peer with an error; `code` is the application's: 0x100 or more.
    pub async fn reply_error(
        &self,
        request: RequestId,
        code: u64,
        payload: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        self.answer(request, ReplyKind::Error { code }, payload.into()).await
    }

    async fn answer(&self, request: RequestId, kind: ReplyKind, payload: Bytes) -> Result<(), SendError> {
        let Held { shared, id, .. } = &*self.0;
        let mut is_done = false;
        wait::until(shared, |node, now| node.reply(now, *id, request, kind, &payload, &mut is_done)).await
    }

    /// Waits until the peer no longer waits for the answer to its `request`: it has given it up, its time has passed, the connection is
    /// over, or the answer was given. Whoever works for one that was given up can stop, and says so by answering it all the same, which is
    /// refused with [`SendError::NoRequest`]: until then it counts among those under way, or for 10 s.
    pub async fn cancelled(&self, request: RequestId) {
        let Held { shared, id, .. } = &*self.0;
        wait::until(shared, |node, _| node.cancelled(*id, request)).await;
    }

    /// Opens a channel. It can be used at once.
    pub fn open_channel(&self, options: &ChannelOptions) -> Result<Channel, OpenError> {
        let opened = self.0.shared.command(|node, now| node.open_channel(now, self.0.id, options));
        opened.map(|channel| Channel::new(self.clone(), channel))
    }

    /// The next channel that the peer opened; `None` when the connection is over.
    pub async fn accept_channel(&self) -> Option<Channel> {
        let Held { shared, id, .. } = &*self.0;
        let channel = wait::until(shared, |node, _| node.accept_channel(*id)).await;
        channel.map(|channel| Channel::new(self.clone(), channel))
    }

    /// Begins to close: nothing more can be sent, and what was sent may take until `close.linger` to be delivered.
    pub fn close(&self, close: Close) {
        let Held { shared, id, .. } = &*self.0;
        shared.with(|node, now, wakes| (node.close(now, *id, close, wakes), true));
    }

    /// How it fares; `None` once it is over and forgotten.
    pub fn status(&self) -> Option<Status> {
        let Held { shared, id, .. } = &*self.0;
        let now = shared.now();
        shared.inspect(|node| node.status(*id, now))
    }

    /// Tells how it fares, now and whenever that changes: that its link is lost while its session waits for another, why, and that there
    /// is one again.
    pub fn watch(&self) -> Watch {
        Watch::new(self.0.shared.clone(), self.0.id)
    }

    /// Waits until the server says that it is going away: nothing new can be sent from then on, what has begun may end, and
    /// [`Self::closed`] follows. `None` when the connection is over without that.
    pub async fn going_away(&self) -> Option<GoAway> {
        let Held { shared, id, .. } = &*self.0;
        wait::until(shared, |node, _| node.going_away(*id)).await
    }

    /// Waits until the connection is over; tells how it ended.
    pub async fn closed(&self) -> Closed {
        let Held { shared, id, .. } = &*self.0;
        wait::until(shared, |node, _| node.closed(*id)).await
    }

    /// The connection that takes the place of this one, when it was lost and the configuration has
    /// [`reconnect`](proto_core::ConfigBuilder::reconnect). One caller gets it. When nobody has asked for it, it closes with the last
    /// handle of this one.
    pub fn next(&self) -> Option<Connecting> {
        let Held { shared, id, .. } = &*self.0;
        let next = shared.command(|node, _| node.take_next(*id));
        next.map(|(id, peer)| Connecting::new(Self::new(shared.clone(), id, peer)))
    }

    /// The receipt of a message that a lost connection left to this one, which takes its place: there its fate was
    /// [`Fate::Moved`](proto_core::Fate::Moved) to `message`. One caller gets it; `None` for any other message.
    pub fn receipt(&self, message: MessageId) -> Option<Receipt> {
        let Held { shared, id, .. } = &*self.0;
        let is_here = shared.quietly(|node| node.claim_receipt(*id, message));
        is_here.then(|| Receipt::new(shared.clone(), *id, message))
    }

    /// Which link of the session this is, counted from 1; an attempt that came to nothing counts too. `None` once the connection
    /// is over and forgotten.
    pub fn incarnation(&self) -> Option<u32> {
        self.0.shared.inspect(|node| node.look(self.0.id).map(|conn| conn.incarnation()))
    }

    /// Counters; `None` once the connection is over and forgotten.
    pub fn stats(&self) -> Option<Stats> {
        self.0.shared.inspect(|node| node.look(self.0.id).map(|conn| conn.stats().clone()))
    }

    /// Limits what this side sends over all channels; `None`: only the peer's limit holds, if it has one.
    pub fn limit_sending(&self, rate: Option<Rate>) {
        self.0.shared.command(|node, now| {
            if let Some(mut conn) = node.open(self.0.id) {
                conn.limit_sending(now.mono, rate);
            }
        });
    }

    /// Limits what this side takes in over all channels, and tells the peer.
    pub fn limit_receiving(&self, rate: Option<Rate>) {
        self.0.shared.command(|node, now| {
            if let Some(mut conn) = node.open(self.0.id) {
                conn.limit_receiving(now.mono, rate);
            }
        });
    }

    /// How far the peer's clock is ahead; `None` before a heartbeat was answered.
    pub fn clock_offset(&self) -> Option<ClockOffset> {
        let now = self.0.shared.now().mono;
        self.0.shared.inspect(|node| node.look(self.0.id)?.clock_offset(now))
    }

    /// The smoothed round trip time; `None` once the connection is over and forgotten.
    pub fn rtt(&self) -> Option<Duration> {
        self.0.shared.inspect(|node| node.look(self.0.id).map(|conn| conn.rtt()))
    }

    /// The public name of the session.
    pub fn session(&self) -> Option<SessionId> {
        self.0.shared.inspect(|node| node.entry(self.0.id)?.session)
    }

    /// The public key that the peer has proven to have; `None` where datagrams are not encrypted, and on streams.
    pub fn peer_key(&self) -> Option<PublicKey> {
        self.0.shared.inspect(|node| node.look(self.0.id)?.peer_key())
    }

    /// The shard of its endpoint that has it.
    pub fn shard(&self) -> Shard {
        self.0.id.shard()
    }

    /// The peer, as far as the link tells that it has now, or had last: for a Unix socket that was accepted, whose process it is. Before
    /// there was any, and once the connection is over and forgotten, it is the first that was tried.
    pub fn peer(&self) -> Peer {
        self.0.shared.inspect(|node| node.peer(self.0.id)).unwrap_or(self.0.peer)
    }

    /// Tells the connection from every other one of its endpoint.
    pub fn id(&self) -> ConnectionId {
        self.0.id
    }
}
