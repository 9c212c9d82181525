//! What a sender asks for its messages beside their class: lifetimes, batches, cancelling, limits.

use alloc::collections::{BTreeMap, BTreeSet};
use core::mem;
use core::time::Duration;

use super::commands::Channel;
use super::{Connection, Timer};
use crate::channel::{Ends, Settled};
use crate::wire::Batch;
use crate::{
    Cancel, ChannelId, Class, Event, Fate, MessageId, OpenError, Policy, ReceiptKind, SendLimits, Timestamp,
};

/// What became of a message that arrived.
const GOOD: [Fate; 3] = [Fate::Written, Fate::Acked, Fate::Processed];
/// Batches of one connection that may be open.
const MAX_BATCHES: usize = 1024;

/// Batches whose last message was not sent, or whose messages do not all have fates.
#[derive(Clone, Debug, Default)]
pub(super) struct Batches(BTreeMap<(ChannelId, u64), Open>);

impl Batches {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Open {
    unsettled: u32,
    is_ended: bool,
    fate: Option<Fate>,
}

impl Open {
    /// The fate of all, with that of one more.
    fn add(&mut self, fate: Fate) {
        self.fate = match self.fate {
            Some(Fate::Unknown) if matches!(fate, Fate::Moved(_)) => Some(fate),
            Some(known) if !GOOD.contains(&known) => Some(known),
            Some(known) if GOOD.contains(&fate) => Some(known.max(fate)),
            _ => Some(fate),
        };
    }
}

impl Connection {
    /// Whether a message of `batch` can be accepted.
    pub(super) fn may_join(&self, channel: ChannelId, batch: Batch) -> bool {
        self.batches.as_ref().is_none_or(|batches| {
            batches.0.len() < MAX_BATCHES || batches.0.contains_key(&(channel, batch.number))
        })
    }

    /// A message of `batch` was accepted.
    pub(super) fn join_batch(&mut self, channel: ChannelId, batch: Batch) {
        let open = self.batches.get_or_insert_default().0.entry((channel, batch.number)).or_default();
        open.unsettled += 1;
        open.is_ended |= batch.is_last;
    }

    /// Tells a message's fate, or counts it for its batch.
    pub(super) fn tell_fate(&mut self, channel: ChannelId, class: Class, settled: &Settled, fate: Fate) {
        #[cfg(planted)]
        if fate == Fate::Superseded
            && self.config.planted == Some(crate::planted::Planted::SilentlySuperseded)
        {
            return;
        }
        let Some(Batch { number: batch, .. }) = settled.batch else {
            if settled.receipt != ReceiptKind::None {
                let message = MessageId { channel, class, number: settled.id };
                self.events.push_back(Event::Fate { message, fate });
            }
            return;
        };
        let Some(batches) = &mut self.batches else { return };
        let Some(open) = batches.0.get_mut(&(channel, batch)) else { return };
        open.unsettled -= 1;
        open.add(fate);
        if open.is_ended && open.unsettled == 0 {
            let fate = open.fate.unwrap_or(fate);
            batches.0.remove(&(channel, batch));
            self.events.push_back(Event::Batch { channel, batch, fate });
        }
    }

    /// The batches of which a message did not arrive.
    pub(super) fn spoilt_batches(&self) -> BTreeSet<(ChannelId, u64)> {
        let batches = self.batches.iter().flat_map(|batches| &batches.0);
        let is_spoilt = |open: &Open| open.fate.is_some_and(|fate| !GOOD.contains(&fate));
        batches.filter(|(_, open)| is_spoilt(open)).map(|(&batch, _)| batch).collect()
    }

    /// Whether the last message of a batch was accepted.
    pub(super) fn is_batch_ended(&self, channel: ChannelId, batch: u64) -> bool {
        let open = self.batches.as_ref().and_then(|batches| batches.0.get(&(channel, batch)));
        open.is_some_and(|open| open.is_ended)
    }

    /// The connection is over, and with it the batches whose last message was never sent.
    pub(super) fn abandon_batches(&mut self) {
        if self.unanswered.is_some() {
            // They are told with what becomes of that.
            return;
        }
        for ((channel, batch), mut open) in self.batches.take().unwrap_or_default().0 {
            open.add(Fate::Unknown);
            let fate = open.fate.unwrap_or(Fate::Unknown);
            self.events.push_back(Event::Batch { channel, batch, fate });
        }
    }

    /// Accounts for messages that were given up; `ends` is kept for its memory.
    pub(super) fn settle_ends(&mut self, channel: ChannelId, mut ends: Ends) {
        if !ends.is_empty() {
            for (class, settled, fate) in ends.drain(..) {
                self.on_settled(channel, class, settled, fate);
            }
            self.channels.owe_control(channel);
        }
        self.scratch.ends = ends;
    }

    /// Gives up the messages whose lifetimes are over.
    pub(super) fn expire_messages(&mut self, now: Timestamp) {
        while let Some(id) = self.channels.take_lapsed(now) {
            let mut ends = mem::take(&mut self.scratch.ends);
            if let Some(channel) = self.channels.get_mut(id) {
                channel.expire(now, &mut ends);
            }
            self.channels.note_lifetime(id);
            self.settle_ends(id, ends);
        }
        self.timers.set(Timer::Expiry, self.channels.next_deadline());
        self.check_flushed(now);
    }
}

impl Channel<'_> {
    /// Gives a message up: see [`Cancel`]. Its fate, if it was asked for, is told by an event in any case.
    pub fn cancel(&mut self, now: Timestamp, message: MessageId) -> Cancel {
        let now = self.conn.advance(now);
        if message.channel != self.id || self.conn.state.is_closed() {
            return Cancel::TooLate;
        }
        let mut ends = mem::take(&mut self.conn.scratch.ends);
        let channel = self.conn.channels.get_mut(self.id);
        let cancelled = channel
            .map_or(Cancel::TooLate, |channel| channel.cancel(now, message.class, message.number, &mut ends));
        self.conn.settle_ends(self.id, ends);
        self.conn.check_flushed(now);
        cancelled
    }

    /// How long a message that is queued now will wait for what was queued before it, at the rate at which this channel's bytes
    /// have left of late. Zero where nothing waits, or no rate was measured yet.
    pub fn queue_time(&self, now: Timestamp) -> Duration {
        let now = now.max(self.conn.clock);
        self.conn.channels.get(self.id).map_or(Duration::ZERO, |channel| channel.queue_time(now))
    }

    /// What happens to a message of this class when the queue is full.
    pub fn policy(&self, class: Class) -> Policy {
        self.conn.channels.get(self.id).map_or(Policy::of(class), |channel| channel.limits.policy(class))
    }

    /// Changes how much this side queues on the channel, channel 0 included. What is queued already stays.
    pub fn limit_queue(&mut self, limits: &SendLimits) -> Result<(), OpenError> {
        let config = &self.conn.config;
        let channel = self.conn.channels.get_mut(self.id).ok_or(OpenError::NoChannel)?;
        channel.limits = channel.limits.sending(limits, config)?;
        self.conn.pay_writable(self.id);
        Ok(())
    }
}

crate::sleep::awake!(Batches);
