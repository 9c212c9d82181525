//! Requests that wait for their replies, and replies that are owed (docs/spec/channels.md, section 5).

use alloc::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::{ChannelId, MessageId, RequestId, Timestamp};

/// A request of this side.
#[derive(Clone, Debug)]
struct Waiting {
    deadline: Timestamp,
    message: MessageId,
}

/// A reply, or an error's payload, that the application has not taken yet.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) channel: ChannelId,
    pub(crate) payload: Bytes,
}

/// Both directions of a connection's requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    deadlines: BTreeSet<(Timestamp, u64)>,
    replies: BTreeMap<u64, Reply>,
    owed: BTreeMap<u64, ChannelId>,
}

impl Requests {
    /// Requests of this side that are not over, or whose replies have not been taken.
    pub(crate) fn outgoing(&self) -> usize {
        self.waiting.len() + self.replies.len()
    }

    pub(crate) const fn next_id(&self) -> u64 {
        self.next
    }

    pub(crate) fn begin(&mut self, message: MessageId, deadline: Timestamp) -> RequestId {
        let id = self.next;
        self.next += 1;
        self.waiting.insert(id, Waiting { deadline, message });
        self.deadlines.insert((deadline, id));
        RequestId(id)
    }

    /// Whether this side ever sent request `id`.
    pub(crate) const fn was_sent(&self, id: u64) -> bool {
        id < self.next
    }

    fn finish(&mut self, id: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&id)?;
        self.deadlines.remove(&(waiting.deadline, id));
        Some(waiting)
    }

    /// The reply to request `id` is here; `false` when nobody waits for it any more.
    pub(crate) fn on_reply(&mut self, id: u64, reply: Reply) -> bool {
        let waited = self.finish(id).is_some();
        if waited {
            self.replies.insert(id, reply);
        }
        waited
    }

    pub(crate) fn take_reply(&mut self, id: RequestId) -> Option<Reply> {
        self.replies.remove(&id.0)
    }

    /// Replies that have not been taken.
    pub(crate) fn replies(&self) -> usize {
        self.replies.len()
    }

    /// Throws away the replies that have not been taken, and returns how many.
    pub(crate) fn drop_replies(&mut self) -> usize {
        core::mem::take(&mut self.replies).len()
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// Ends the next request whose deadline has passed.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Option<RequestId> {
        let &(deadline, id) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.finish(id);
        Some(RequestId(id))
    }

    /// Ends the next request because the connection is over.
    pub(crate) fn abandon(&mut self) -> Option<(RequestId, MessageId)> {
        let (&id, _) = self.waiting.first_key_value()?;
        let waiting = self.finish(id)?;
        Some((RequestId(id), waiting.message))
    }

    /// The peer's request `id` goes to the application, unless `limit` are there already or this one is.
    pub(crate) fn owe(&mut self, id: u64, channel: ChannelId, limit: usize) -> bool {
        if self.owed.len() >= limit || self.owed.contains_key(&id) {
            return false;
        }
        self.owed.insert(id, channel);
        true
    }

    pub(crate) fn owed(&self, id: RequestId) -> Option<ChannelId> {
        self.owed.get(&id.0).copied()
    }

    pub(crate) fn settle_owed(&mut self, id: RequestId) {
        self.owed.remove(&id.0);
    }
}
