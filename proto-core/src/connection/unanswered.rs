//! Messages that nobody has answered for when their receiver is gone for good: they go to whoever takes its place
//! (docs/spec/channels.md, section 8).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::state::End;
use super::{Connection, Message};
use crate::channel::{Channel, SendCredit, Settled};
use crate::wire::Batch;
use crate::wire::params::Params;
use crate::{ChannelId, Class, Fate, MessageId, ReceiptKind, Timestamp};

/// What waits for the connection that takes this one's place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unanswered {
    messages: Vec<Waiting>,
    /// The channels that they are for, beside channel 0.
    channels: Vec<Channel>,
}

#[derive(Clone, Debug)]
struct Waiting {
    channel: ChannelId,
    class: Class,
    settled: Settled,
    message: Message,
}

impl Unanswered {
    pub(crate) const fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The last of each batch that has an end is its end.
    fn end_batches(&mut self, is_ended: impl Fn(ChannelId, u64) -> bool) {
        let mut last = BTreeMap::new();
        for (index, waiting) in self.messages.iter_mut().enumerate() {
            if let Some(batch) = &mut waiting.message.batch {
                batch.is_last = false;
                last.insert((waiting.channel, batch.number), index);
            }
        }
        for ((channel, number), index) in last {
            if is_ended(channel, number) {
                self.messages[index].message.batch = Some(Batch { number, is_last: true });
            }
        }
    }
}

impl Connection {
    /// The connection ends, and another one may take its place: takes what that one is to deliver again.
    pub(super) fn keep_unanswered(&mut self, now: Timestamp, end: &End) {
        let is_replaced = self.is_client
            && self.attempts.is_replaceable
            && self.config.reconnect.is_some()
            && !self.ending.is_wanted()
            && end.reason.is_retryable(end.advice);
        if !is_replaced {
            return;
        }
        let mut kept = Unanswered::default();
        let spoilt = self.spoilt_batches();
        for channel in self.channels.iter_mut() {
            // Those of the peer are its to open.
            if channel.id != ChannelId::DEFAULT && channel.id.0 % 2 == 0 {
                continue;
            }
            let before = kept.messages.len();
            for class in [Class::ReliableOrdered, Class::ReliableUnordered] {
                let id = channel.id;
                let is_sound = |batch| !spoilt.contains(&(id, batch));
                for (settled, payload, deadline) in channel.take_unanswered(class, is_sound) {
                    let message = Message {
                        lifetime: deadline.map(|deadline| deadline.since(now)),
                        key: settled.key,
                        batch: settled.batch,
                        receipt: ReceiptKind::Processing,
                        ..Message::new(payload).class(class)
                    };
                    kept.messages.push(Waiting { channel: channel.id, class, settled, message });
                }
            }
            if kept.messages.len() > before && channel.id != ChannelId::DEFAULT {
                kept.channels.push(channel.again(now, &self.config));
            }
        }
        kept.end_batches(|channel, batch| self.is_batch_ended(channel, batch));
        self.unanswered = (!kept.is_empty()).then(|| Box::new(kept));
    }

    pub(crate) fn take_unanswered(&mut self) -> Unanswered {
        self.unanswered.take().map(|unanswered| *unanswered).unwrap_or_default()
    }

    /// Takes the place of a connection that left this behind: which messages they are here.
    pub(crate) fn take_over_unanswered(
        &mut self,
        now: Timestamp,
        left: &Unanswered,
    ) -> Vec<Option<MessageId>> {
        let mut channels = BTreeMap::from([(ChannelId::DEFAULT, ChannelId::DEFAULT)]);
        for channel in &left.channels {
            // Where the peer has not said how many it takes, that is seen to when it does.
            if self.state.is_alive()
                && u64::from(self.channels.opened_here) >= self.channels.peer.max_channels
            {
                break;
            }
            let (old, mut channel) = (channel.id, channel.clone());
            self.channels.opened_here += 1;
            channel.id = ChannelId(2 * self.channels.opened_here - u32::from(self.is_client));
            channels.insert(old, channel.id);
            let Params { channel_bytes, channel_messages, .. } = self.channels.peer;
            channel.send_credit = SendCredit::new(channel_bytes, channel_messages);
            self.channels.insert(channel);
        }
        // They were accepted once, and nobody waits for room who could be told that there is none.
        let send = |waiting: &Waiting| {
            let &id = channels.get(&waiting.channel)?;
            let channel = self.channels.get_mut(id)?;
            let limits = channel.limits;
            channel.limits = limits.with_any_room();
            let sent = self.channel(id).send(now, waiting.message.clone()).ok();
            self.channels.get_mut(id)?.limits = limits;
            sent
        };
        left.messages.iter().map(send).collect()
    }

    /// What became of those: the connection that takes this one's place has them under these ids, or nobody has.
    pub(crate) fn settle_unanswered(&mut self, left: Unanswered, moved: Vec<Option<MessageId>>) {
        let end = self.events.pop_back();
        let moved = moved.into_iter().chain(core::iter::repeat(None));
        for (Waiting { channel, class, settled, .. }, id) in left.messages.into_iter().zip(moved) {
            let fate = id.map_or(Fate::Unknown, Fate::Moved);
            match fate {
                Fate::Moved(_) => self.stats.messages_moved += 1,
                _ => self.stats.messages_unknown += 1,
            }
            self.tell_fate(channel, class, &settled, fate);
        }
        self.abandon_batches();
        self.events.extend(end);
    }
}

crate::sleep::awake!(Unanswered);
