//! What the application asks of a connection.

use alloc::boxed::Box;
use core::mem;
use core::time::Duration;

use bytes::Bytes;

use super::state::State;
use super::{Connection, RecvAll, Timer};
use crate::channel::{
    ALL_CLASSES, Announce, Channel as ChannelState, DEFAULT_PRIORITY, Entry, Limits, MAX_PRIORITY,
    SendCredit, Share, Terms,
};
use crate::wire::{Batch, Kind, MAX_NAME, MAX_TTL_MS, Rate};
use crate::{
    ChannelId, Class, Event, MESSAGE_COST, MessageId, OpenError, ReceiptId, ReceiptKind, ReceiveLimits,
    RequestId, SendError, SendLimits, Timestamp,
};

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The bytes.
    pub payload: Bytes,
    /// How it travels.
    pub class: Class,
    /// Whether and when `Event::Fate` is to tell what became of it.
    pub receipt: ReceiptKind,
    /// How long it is worth something, from `send` to `recv`, the time on the network not counted: in whole milliseconds, at most
    /// 24 hours. `None`: for ever.
    pub lifetime: Option<Duration>,
    /// A newer message with the same key takes its place: at once while nothing of it was written, later where a piece of it is
    /// lost. Keys belong to a channel.
    pub key: Option<u64>,
    /// How often a lost piece of it is sent again, where its class does so at all. `None`: until it arrives.
    pub max_retransmits: Option<u32>,
    /// The batch that it belongs to: `Event::Batch` then tells its fate with that of the others.
    pub batch: Option<Batch>,
}

impl Message {
    /// A reliable ordered message without a receipt.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
            class: Class::ReliableOrdered,
            receipt: ReceiptKind::None,
            lifetime: None,
            key: None,
            max_retransmits: None,
            batch: None,
        }
    }

    /// Whether it asks for nothing, or for no more than a receipt.
    #[inline]
    const fn is_plain(&self) -> bool {
        self.lifetime.is_none()
            && self.key.is_none()
            && self.max_retransmits.is_none()
            && self.batch.is_none()
    }

    /// The same, of this class.
    #[must_use]
    pub fn class(self, class: Class) -> Self {
        Self { class, ..self }
    }

    /// The same, with a receipt on arrival.
    #[must_use]
    pub fn receipt(self) -> Self {
        Self { receipt: ReceiptKind::Arrival, ..self }
    }

    /// The same, with a receipt once the peer's application has processed or rejected it.
    #[must_use]
    pub fn receipt_of_processing(self) -> Self {
        Self { receipt: ReceiptKind::Processing, ..self }
    }

    /// The same, worth nothing after `lifetime`.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime: Some(lifetime), ..self }
    }

    /// The same, in the place of an older one with this key.
    #[must_use]
    pub fn key(self, key: u64) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The same, lost pieces of which are sent again at most this often.
    #[must_use]
    pub fn max_retransmits(self, times: u32) -> Self {
        Self { max_retransmits: Some(times), ..self }
    }

    /// The same, as one of a batch, and not the last.
    #[must_use]
    pub fn batch(self, number: u64) -> Self {
        Self { batch: Some(Batch { number, is_last: false }), ..self }
    }

    /// The same, as the last of a batch.
    #[must_use]
    pub fn last_of_batch(self, number: u64) -> Self {
        Self { batch: Some(Batch { number, is_last: true }), ..self }
    }
}

/// A message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The bytes.
    pub payload: Bytes,
    /// How it travelled.
    pub class: Class,
    /// Which of the messages that the peer wrote for (channel, class) it is, counted from 0: they ascend for ordered and for
    /// sequenced messages.
    pub number: u64,
    /// How many ordered messages between the one before and this one will never come: the peer gave them up, or their lifetimes
    /// ended here. 0 in other classes.
    pub gap: u32,
    /// Set for a request: `reply` owes an answer to it.
    pub request: Option<RequestId>,
    /// Nobody waits for that answer any more: the peer has cancelled its request, or it waited here for `reply_timeout`.
    pub cancelled: bool,
    /// Set when its sender waits for [`Connection::ack`] or [`Connection::reject`].
    pub receipt: Option<ReceiptId>,
    /// The batch that it belongs to.
    pub batch: Option<Batch>,
}

/// What a new channel is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelOptions {
    /// A name for the peer, at most 64 bytes.
    pub name: Box<str>,
    /// The classes that may be used on it. All.
    pub classes: Box<[Class]>,
    /// 0 (before all others) to 7 (last); the peer is told, and sends likewise. 4. Of 1 to 7 each has a share of what is sent
    /// while others wait: 32, 16, 8, 4, 2, 1, 1.
    pub priority: u8,
    /// The channel's share among those of its priority, for what this side sends: 1 to 255. 1.
    pub weight: u8,
    /// Whether the newest sequenced message, of either side, is repeated until it arrives. No.
    pub reliable_sequenced: bool,
    /// What this side queues on it.
    pub send: SendLimits,
    /// What this side holds on it for its application.
    pub receive: ReceiveLimits,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            name: Box::default(),
            classes: Box::new(Class::ALL),
            priority: DEFAULT_PRIORITY,
            weight: 1,
            reliable_sequenced: false,
            send: SendLimits::default(),
            receive: ReceiveLimits::default(),
        }
    }
}

/// Channels that one side opens at most, whatever the peer allows.
pub(crate) const MAX_CHANNELS: u64 = 4096;

/// What messages wait for that have not been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blocked {
    /// A rate limit of this side or of the peer.
    Rate,
    /// Room at the peer, whose application takes nothing.
    Credit,
    /// The congestion window, pacing, or their turn.
    Congestion,
}

/// One channel of a connection, whether or not it is open: calls on one that is not are refused.
#[derive(Debug)]
pub struct Channel<'a> {
    pub(super) conn: &'a mut Connection,
    pub(super) id: ChannelId,
}

impl Connection {
    /// Events that may wait to be polled before sends are refused as `Full`.
    const EVENTS_HIGH: usize = 8192;
    pub(super) const EVENTS_LOW: usize = Self::EVENTS_HIGH / 2;

    /// The channel `id`.
    pub const fn channel(&mut self, id: ChannelId) -> Channel<'_> {
        Channel { conn: self, id }
    }

    /// Opens a channel. It can be used at once; the peer learns of it with the first packet.
    pub fn open_channel(&mut self, now: Timestamp, options: &ChannelOptions) -> Result<ChannelId, OpenError> {
        let now = self.advance(now);
        if !matches!(self.state, State::Established | State::Suspended) {
            return Err(OpenError::NotEstablished);
        }
        let classes = options.classes.iter().fold(0, |mask, &class| mask | 1 << class as u8);
        if classes & ALL_CLASSES == 0 {
            return Err(OpenError::Invalid("a channel needs a class"));
        }
        if options.name.len() > MAX_NAME {
            return Err(OpenError::Invalid("a channel's name has at most 64 bytes"));
        }
        check_share(options.priority, options.weight)?;
        let limits = Limits::of(&self.config)
            .sending(&options.send, &self.config)?
            .receiving(&options.receive, &self.config)?;
        if u64::from(self.channels.opened_here) >= self.channels.peer.max_channels.min(MAX_CHANNELS) {
            return Err(OpenError::TooMany { max: self.channels.peer.max_channels });
        }
        self.channels.opened_here += 1;
        let id = ChannelId(2 * self.channels.opened_here - u32::from(self.is_client));
        let credit = SendCredit::new(self.channels.peer.channel_bytes, self.channels.peer.channel_messages);
        let mut channel = ChannelState::new(now, id, &self.config, credit, Announce::Due);
        channel.classes = classes;
        channel.priority = options.priority;
        channel.share = Share::new(options.priority, options.weight);
        channel.name = options.name.clone();
        channel.inbox.reliable_sequenced = options.reliable_sequenced;
        channel.set_limits(now, limits, &self.config);
        self.channels.insert(channel);
        Ok(id)
    }

    /// Limits what this side sends over all channels; `None`: only the peer's limit holds, if it has one.
    pub fn limit_sending(&mut self, now: Timestamp, rate: Option<Rate>) {
        let now = self.advance(now);
        self.channels.limit_sending(now, &self.config, None, rate);
        self.update_timers();
    }

    /// Limits what this side takes in over all channels, and tells the peer. What has been granted before stays granted;
    /// unreliable messages beyond the limit are dropped.
    pub fn limit_receiving(&mut self, now: Timestamp, rate: Option<Rate>) {
        let now = self.advance(now);
        self.channels.limit_receiving(now, &self.config, None, rate);
        self.deliver_held(now);
        self.update_timers();
    }

    /// Where the channel is that can take a message of `class` and `len` bytes at once, one that asks for nothing beside a receipt.
    #[inline]
    fn place_for_plain(&mut self, now: Timestamp, id: ChannelId, class: Class, len: usize) -> Option<usize> {
        self.advance(now);
        if self.state != State::Established || len > self.max_message(class) || !self.has_room_for_events() {
            return None;
        }
        self.channels.place_for(id, class, len)
    }

    /// Queues a message.
    pub(super) fn queue(
        &mut self,
        now: Timestamp,
        id: ChannelId,
        kind: Kind,
        message: Message,
    ) -> Result<MessageId, SendError> {
        let is_plain = message.is_plain();
        let Message { payload, class, receipt, lifetime, key, max_retransmits, batch } = message;
        if !self.state.accepts_messages() && !self.state.is_open() {
            return Err(self.refusal());
        }
        let max = self.max_message(class);
        let has_room = self.has_room_for_events();
        let may_batch = batch.is_none_or(|batch| self.may_join(id, batch));
        let channel = self.channels.get_mut(id).ok_or(SendError::NoChannel)?;
        if !channel.allows(class) {
            return Err(SendError::ClassNotAllowed);
        }
        if payload.len() > max {
            return Err(SendError::TooLarge { max });
        }
        if !may_batch {
            return Err(SendError::TooManyBatches);
        }
        if !has_room {
            channel.refuse(payload.len() + MESSAGE_COST);
            return Err(SendError::Full);
        }
        if is_plain && channel.takes(class, payload.len()) {
            let number = channel.push_plain(now, class, payload, kind, receipt);
            self.stats.messages_accepted += 1;
            self.channels.activate(id);
            return Ok(MessageId { channel: id, class, number });
        }
        let lifetime = lifetime.map(|lifetime| lifetime.min(Duration::from_millis(MAX_TTL_MS.into())));
        if let Some(lifetime) = lifetime {
            let queue_time = channel.queue_time(now);
            if queue_time + Terms::LEAST_LIFETIME > lifetime {
                return Err(SendError::WouldExpire { queue_time });
            }
        }
        let terms = Terms::new(lifetime.map(|lifetime| now + lifetime), key, max_retransmits, batch);
        let has_lifetime = lifetime.is_some();
        let mut ends = mem::take(&mut self.scratch.ends);
        let number = channel.push(now, class, Entry { payload, kind, receipt, terms }, &mut ends);
        if number.is_ok() {
            self.stats.messages_accepted += 1;
            self.channels.activate(id);
            if let Some(batch) = batch {
                self.join_batch(id, batch);
            }
            if has_lifetime {
                self.channels.note_lifetime(id);
                self.timers.set(Timer::Expiry, self.channels.next_deadline());
            }
        }
        self.settle_ends(id, ends);
        number.map(|number| MessageId { channel: id, class, number })
    }

    /// Queues it there.
    #[expect(clippy::inline_always, reason = "the message would be moved once more")]
    #[inline(always)]
    fn push_plain(&mut self, place: usize, class: Class, payload: Bytes, receipt: ReceiptKind) -> u64 {
        self.stats.messages_accepted += 1;
        self.channels.push_plain(self.clock, place, class, payload, receipt)
    }

    /// Largest message of `class` that both sides and the link take, in bytes.
    fn max_message(&self, class: Class) -> usize {
        let own = self.config.max_message;
        let agreed =
            if self.state.is_alive() { own.min(self.channels.peer.max_message as usize) } else { own };
        if class.is_reliable() { agreed } else { agreed.min(self.link.max_unreliable()) }
    }

    pub(super) fn has_room_for_events(&self) -> bool {
        self.events.len() < Self::EVENTS_HIGH
    }
}

impl Channel<'_> {
    /// Queues a message. It may be called before the connection is established. What happens when the queue is full says the
    /// channel's [`Policy`](crate::Policy); exactly one `Event::Writable` follows any number of [`SendError::Full`].
    #[expect(clippy::inline_always, reason = "who builds the message knows what it does not ask for")]
    #[inline(always)]
    pub fn send(&mut self, now: Timestamp, message: Message) -> Result<MessageId, SendError> {
        let (class, len) = (message.class, message.payload.len());
        let place =
            if message.is_plain() { self.conn.place_for_plain(now, self.id, class, len) } else { None };
        let Some(place) = place else { return self.send_other(now, message) };
        let Message { payload, receipt, .. } = message;
        let number = self.conn.push_plain(place, class, payload, receipt);
        Ok(MessageId { channel: self.id, class, number })
    }

    #[inline(never)]
    fn send_other(&mut self, now: Timestamp, message: Message) -> Result<MessageId, SendError> {
        let now = self.conn.advance(now);
        if !self.conn.state.accepts_messages() {
            return Err(self.conn.refusal());
        }
        self.conn.queue(now, self.id, Kind::OneWay, message)
    }

    /// The next message that arrived and whose lifetime is not over. Taking it makes room for another one from the peer. Sequenced
    /// messages come first.
    #[expect(clippy::inline_always, reason = "who takes the message may want nothing but its payload")]
    #[inline(always)]
    pub fn recv(&mut self, now: Timestamp) -> Option<Received> {
        match self.conn.take_plain(now, self.id) {
            Some(plain) => Some(plain.into()),
            None => self.conn.receive_other(now, self.id),
        }
    }

    /// Takes the messages that have arrived, each as [`Self::recv`] does; for many of them it takes less. Those that are not taken
    /// stay.
    #[inline]
    pub fn recv_all(&mut self, now: Timestamp) -> RecvAll<'_> {
        RecvAll::new(self.conn, now, self.id)
    }

    /// Gives the channel another priority, 0 to 7, and weight, 1 to 255, for what this side sends. The peer is not told.
    pub fn set_priority(&mut self, now: Timestamp, priority: u8, weight: u8) -> Result<(), OpenError> {
        self.conn.advance(now);
        check_share(priority, weight)?;
        self.conn.channels.get(self.id).ok_or(OpenError::NoChannel)?;
        self.conn.channels.prioritize(self.id, priority, weight);
        Ok(())
    }

    /// As [`Connection::limit_sending`], for this channel.
    pub fn limit_sending(&mut self, now: Timestamp, rate: Option<Rate>) -> Result<(), OpenError> {
        let now = self.conn.advance(now);
        let is_known = self.conn.channels.limit_sending(now, &self.conn.config, Some(self.id), rate);
        self.conn.update_timers();
        if is_known { Ok(()) } else { Err(OpenError::NoChannel) }
    }

    /// As [`Connection::limit_receiving`], for this channel.
    pub fn limit_receiving(&mut self, now: Timestamp, rate: Option<Rate>) -> Result<(), OpenError> {
        let now = self.conn.advance(now);
        let is_known = self.conn.channels.limit_receiving(now, &self.conn.config, Some(self.id), rate);
        self.conn.deliver_held(now);
        self.conn.update_timers();
        if is_known { Ok(()) } else { Err(OpenError::NoChannel) }
    }

    /// Why what waits on this channel has not gone out; `None` when nothing waits, or no such channel is open. It is as of
    /// the last time something was or could have been sent.
    pub fn blocked(&self) -> Option<Blocked> {
        self.conn.channels.blocked(self.id)
    }

    /// What the peer called this channel, or what it was opened as.
    pub fn name(&self) -> Option<&str> {
        self.conn.channels.get(self.id).map(|channel| &*channel.name)
    }

    /// Whether the channel exists.
    pub fn is_open(&self) -> bool {
        self.conn.channels.get(self.id).is_some()
    }
}

fn check_share(priority: u8, weight: u8) -> Result<(), OpenError> {
    if priority > MAX_PRIORITY {
        return Err(OpenError::Invalid("a priority is 0 to 7"));
    }
    if weight == 0 {
        return Err(OpenError::Invalid("a weight is 1 to 255"));
    }
    Ok(())
}

impl Event {
    /// Whether nothing follows it.
    pub const fn is_last(&self) -> bool {
        matches!(self, Self::Closed(_) | Self::ConnectFailed(_))
    }
}
