//! Messages, receipts and channels.

use std::time::Duration;

use proto_core::{
    Cancel, ChannelId, ChannelOptions, ConnectionId, Fate, Message, MessageId, Now, OpenError, Policy,
    ReceiptId, ReceiptKind, Received, SendError, SendLimits,
};

use super::entry::Holder;
use super::{Node, Topic, What};
use crate::flight::Conn;
use crate::wait::Attempt;
use crate::{Peer, Wakes};

impl Node {
    /// The connection, while it is not over.
    pub(crate) fn open(&mut self, id: ConnectionId) -> Option<Conn<'_>> {
        self.entries.get(&id).filter(|entry| !entry.is_closed())?;
        self.endpoint.connection(id)
    }

    /// The connection, to look at.
    /// Where the peer is, as long as the connection is known.
    pub(crate) fn peer(&self, id: ConnectionId) -> Option<Peer> {
        self.endpoint.address(id).map(|path| path.peer)
    }

    pub(crate) fn look(&self, id: ConnectionId) -> Option<proto_core::ConnectionRef<'_>> {
        self.endpoint.get(id)
    }

    pub(crate) fn send_now(
        &mut self,
        now: Now,
        id: ConnectionId,
        channel: ChannelId,
        message: Message,
    ) -> Result<MessageId, SendError> {
        let wants_receipt = message.receipt != ReceiptKind::None;
        let batch = message.batch;
        let class = message.class;
        let mut conn = self.open(id).ok_or(SendError::Closed)?;
        let mut channel_state = conn.channel(channel);
        let sent = channel_state.send(now.mono, message);
        let is_braked = channel_state.policy(class) == Policy::FailFast;
        drop(conn);
        self.unbraked += usize::from(!is_braked);
        match sent {
            Ok(message) if wants_receipt => {
                self.receipts.insert((id, message), None);
                if let Some(batch) = batch {
                    self.batches.entry((id, channel, batch.number)).or_default().push(message);
                }
            }
            Err(SendError::Full) => {
                self.full.insert((id, channel));
            }
            _ => {}
        }
        sent
    }

    /// Sends, waiting while there is no room.
    pub(crate) fn send(
        &mut self,
        now: Now,
        id: ConnectionId,
        channel: ChannelId,
        message: &Message,
    ) -> Attempt<Result<MessageId, SendError>> {
        if self.must_yield() {
            return Attempt::Yield;
        }
        match self.send_now(now, id, channel, message.clone()) {
            Ok(message) => Attempt::Done(Ok(message)),
            Err(SendError::Full) => Attempt::Wait(Topic::Of(id, What::Writable(channel)), None),
            Err(error) => Attempt::Look(Err(error)),
        }
    }

    /// Waits, after a refusal, until there is room.
    pub(crate) fn writable(
        &mut self,
        id: ConnectionId,
        channel: ChannelId,
    ) -> Attempt<Result<(), SendError>> {
        let refusal = match self.open(id) {
            Some(conn) => (!conn.state().accepts_messages()).then(|| conn.refusal()),
            None => Some(SendError::Closed),
        };
        if let Some(refusal) = refusal {
            Attempt::Look(Err(refusal))
        } else if self.full.contains(&(id, channel)) {
            Attempt::Wait(Topic::Of(id, What::Writable(channel)), None)
        } else {
            Attempt::Look(Ok(()))
        }
    }

    /// The next message; `None` when there will be none.
    pub(crate) fn recv(
        &mut self,
        now: Now,
        id: ConnectionId,
        channel: ChannelId,
    ) -> Attempt<Option<Received>> {
        let received = self.endpoint.connection(id).and_then(|mut conn| conn.channel(channel).recv(now.mono));
        match received {
            Some(received) => {
                self.sessions.pass_over(id, channel);
                Attempt::Done(Some(received))
            }
            None if self.open(id).is_none() => Attempt::Look(None),
            None => Attempt::Wait(Topic::Of(id, What::Readable(channel)), None),
        }
    }

    pub(crate) fn open_channel(
        &mut self,
        now: Now,
        id: ConnectionId,
        options: &ChannelOptions,
    ) -> Result<ChannelId, OpenError> {
        let mut conn = self.open(id).ok_or(OpenError::NotEstablished)?;
        let channel = conn.open_channel(now.mono, options)?;
        drop(conn);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.add_channel(channel);
        }
        Ok(channel)
    }

    pub(crate) fn channel_name(&mut self, id: ConnectionId, channel: ChannelId) -> Option<String> {
        let mut conn = self.endpoint.connection(id)?;
        conn.channel(channel).name().map(str::to_owned)
    }

    /// The next channel that the peer opened; `None` when there will be none.
    pub(crate) fn accept_channel(&mut self, id: ConnectionId) -> Attempt<Option<ChannelId>> {
        let Some(entry) = self.entries.get_mut(&id) else { return Attempt::Look(None) };
        match entry.next_opened() {
            None if !entry.is_closed() => Attempt::Wait(Topic::Of(id, What::Opened), None),
            opened => Attempt::Look(opened),
        }
    }

    /// The fate of a message.
    pub(crate) fn fate(&mut self, id: ConnectionId, message: MessageId) -> Attempt<Fate> {
        match self.receipts.get(&(id, message)) {
            Some(None) => Attempt::Wait(Topic::Of(id, What::Receipt(message)), None),
            Some(Some(fate)) => Attempt::Look(*fate),
            None => Attempt::Look(Fate::Unknown),
        }
    }

    /// Nobody wants to know the fate of a message any more.
    pub(crate) fn forget_receipt(&mut self, id: ConnectionId, message: MessageId) {
        self.receipts.remove(&(id, message));
    }

    pub(super) fn on_fate(&mut self, id: ConnectionId, message: MessageId, fate: Fate, wakes: &mut Wakes) {
        if let Some(known) = self.receipts.get_mut(&(id, message)) {
            *known = Some(fate);
            if let Fate::Moved(to) = fate {
                self.sessions.note_moved(id, to, None);
            }
            self.waiters.wake(Topic::Of(id, What::Receipt(message)), wakes);
        }
    }

    /// The fate of a batch is that of every message in it.
    pub(super) fn on_batch(
        &mut self,
        id: ConnectionId,
        channel: ChannelId,
        batch: u64,
        fate: Fate,
        wakes: &mut Wakes,
    ) {
        let messages = self.batches.remove(&(id, channel, batch)).unwrap_or_default();
        if let Fate::Moved(to) = fate {
            self.sessions.note_moved(id, to, Some(batch));
        }
        for message in messages {
            self.on_fate(id, message, fate, wakes);
        }
    }

    pub(crate) fn ack(&mut self, now: Now, id: ConnectionId, receipt: ReceiptId) -> bool {
        self.open(id).is_some_and(|mut conn| conn.ack(now.mono, receipt))
    }

    pub(crate) fn reject(&mut self, now: Now, id: ConnectionId, receipt: ReceiptId, reason: u64) -> bool {
        self.open(id).is_some_and(|mut conn| conn.reject(now.mono, receipt, reason))
    }

    pub(crate) fn cancel(&mut self, now: Now, id: ConnectionId, message: MessageId) -> Cancel {
        let conn = self.open(id);
        conn.map_or(Cancel::TooLate, |mut conn| conn.channel(message.channel).cancel(now.mono, message))
    }

    pub(crate) fn queue_time(&mut self, now: Now, id: ConnectionId, channel: ChannelId) -> Duration {
        self.open(id).map_or(Duration::ZERO, |mut conn| conn.channel(channel).queue_time(now.mono))
    }

    pub(crate) fn limit_queue(
        &mut self,
        id: ConnectionId,
        channel: ChannelId,
        limits: &SendLimits,
    ) -> Result<(), OpenError> {
        self.open(id).ok_or(OpenError::NotEstablished)?.channel(channel).limit_queue(limits)
    }

    pub(super) fn on_writable(&mut self, id: ConnectionId, channel: ChannelId, wakes: &mut Wakes) {
        self.full.remove(&(id, channel));
        self.waiters.wake(Topic::Of(id, What::Writable(channel)), wakes);
        self.waiters.wake(Topic::Of(id, What::AnyWritable), wakes);
    }

    pub(super) fn on_readable(&mut self, now: Now, id: ConnectionId, channel: ChannelId, wakes: &mut Wakes) {
        match self.entries.get(&id).map(|entry| entry.holder) {
            Some(Holder::Nobody) => self.discard_unread(now, id),
            _ => self.waiters.wake(Topic::Of(id, What::Readable(channel)), wakes),
        }
    }

    pub(super) fn on_opened(&mut self, id: ConnectionId, channel: ChannelId, wakes: &mut Wakes) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.add_opened(channel);
            self.waiters.wake(Topic::Of(id, What::Opened), wakes);
        }
    }

    /// Nobody can receive what has arrived.
    pub(super) fn discard_unread(&mut self, now: Now, id: ConnectionId) {
        let Some(entry) = self.entries.get(&id) else { return };
        let Some(mut conn) = self.endpoint.connection(id) else { return };
        for channel in entry.all_channels() {
            while conn.channel(channel).recv(now.mono).is_some() {
                self.counters.unread_messages += 1;
            }
        }
    }
}
