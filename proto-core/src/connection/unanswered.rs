//! Messages that nobody has answered for when their receiver is gone for good: they go to whoever takes its place
//! (docs/spec/channels.md, section 8).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::state::End;
use super::{Connection, Message};
use crate::channel::Settled;
use crate::{ChannelId, Class, Fate, MessageId, ReceiptKind, Timestamp};

/// A message that waits for the connection that takes this one's place.
#[derive(Clone, Debug)]
pub(crate) struct Unanswered {
    class: Class,
    settled: Settled,
    pub(crate) message: Message,
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
        let mut kept = Vec::new();
        for class in [Class::ReliableOrdered, Class::ReliableUnordered] {
            let Some(channel) = self.channels.get_mut(ChannelId::DEFAULT) else { break };
            for (settled, payload, deadline) in channel.take_unanswered(class) {
                let message = Message {
                    lifetime: deadline.map(|deadline| deadline.since(now)),
                    key: settled.key,
                    receipt: ReceiptKind::Processing,
                    ..Message::new(payload).class(class)
                };
                kept.push(Unanswered { class, settled, message });
            }
        }
        self.unanswered = (!kept.is_empty()).then(|| kept.into());
    }

    pub(crate) fn take_unanswered(&mut self) -> Vec<Unanswered> {
        self.unanswered.take().map(Vec::from).unwrap_or_default()
    }

    /// What became of those: the connection that takes this one's place has them under these ids, or nobody has.
    pub(crate) fn settle_unanswered(&mut self, moved: Vec<(Unanswered, Option<MessageId>)>) {
        let end = self.events.pop_back();
        for (Unanswered { class, settled, .. }, id) in moved {
            let fate = id.map_or(Fate::Unknown, Fate::Moved);
            match fate {
                Fate::Moved(_) => self.stats.messages_moved += 1,
                _ => self.stats.messages_unknown += 1,
            }
            self.tell_fate(ChannelId::DEFAULT, class, &settled, fate);
        }
        self.events.extend(end);
    }
}

crate::sleep::awake!(Box<[Unanswered]>);
