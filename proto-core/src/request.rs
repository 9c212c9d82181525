//! Requests that wait for their replies, and replies that are owed (docs/spec/channels.md, section 5).

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::{ChannelId, MessageId, RequestId, RequestOutcome, Timestamp};

/// Cancellations that came before their requests and are remembered.
const EARLY_CANCELS: usize = 64;
/// A request that the application has taken and the peer has cancelled counts until it is answered all the same, and as long as this
/// at most: what is done for it may go on.
const CANCELLED_COUNTS: Duration = Duration::from_secs(10);

/// A request of this side.
#[derive(Clone, Debug)]
struct Waiting {
    deadline: Timestamp,
    message: MessageId,
    /// Parts of the reply that the application has not taken yet.
    parts: VecDeque<Reply>,
    /// The index of the next part, and what came before its turn.
    next: u32,
    early: BTreeMap<u32, (Reply, Option<RequestOutcome>)>,
}

/// A reply or a part of one, or an error's payload, that the application has not taken yet.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) channel: ChannelId,
    pub(crate) payload: Bytes,
}

/// A request of the peer.
#[derive(Clone, Copy, Debug)]
struct Owed {
    channel: ChannelId,
    deadline: Timestamp,
    /// The application has seen it.
    taken: bool,
    /// Nobody waits for its reply any more.
    cancelled: bool,
    /// Parts of the reply that were sent.
    parts: u32,
}

/// What becomes of a request that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The application owes a reply.
    Owed,
    /// Its sender has cancelled it before it came.
    Cancelled,
    /// There are too many, or this one is there already.
    Refused,
}

/// Both directions of a connection's requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    deadlines: BTreeSet<(Timestamp, u64)>,
    /// What has not been taken of requests that are over.
    replies: BTreeMap<u64, VecDeque<Reply>>,
    /// Parts of replies that came too late, or after the end.
    left_over: Vec<Reply>,
    /// Requests given up, until the peer is known to know.
    cancelled: BTreeSet<u64>,
    /// Those of them that it must be told about.
    cancels_due: Vec<u64>,
    owed: BTreeMap<u64, Owed>,
    owed_deadlines: BTreeSet<(Timestamp, u64)>,
    early_cancels: VecDeque<u64>,
}

impl Requests {
    /// Whether a request of this side has no outcome yet.
    pub(crate) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

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
        self.waiting.insert(
            id,
            Waiting { deadline, message, parts: VecDeque::new(), next: 0, early: BTreeMap::new() },
        );
        self.deadlines.insert((deadline, id));
        RequestId(id)
    }

    /// Whether this side ever sent request `id`.
    pub(crate) const fn was_sent(&self, id: u64) -> bool {
        id < self.next
    }

    /// Ends a request; what came of its reply in order stays, what came early is left over.
    fn finish(&mut self, id: u64) -> Option<MessageId> {
        let waiting = self.waiting.remove(&id)?;
        self.deadlines.remove(&(waiting.deadline, id));
        self.left_over.extend(waiting.early.into_values().map(|(reply, _)| reply));
        if !waiting.parts.is_empty() {
            self.replies.insert(id, waiting.parts);
        }
        Some(waiting.message)
    }

    /// The reply to request `id`, or the part number `index` of it, is here, and ends the request if there is an outcome. What
    /// nobody waits for any more is left over.
    pub(crate) fn on_reply(
        &mut self,
        id: u64,
        index: u32,
        reply: Reply,
        outcome: Option<RequestOutcome>,
        mut tell: impl FnMut(Option<RequestOutcome>),
    ) {
        let waiting = self.waiting.get_mut(&id).filter(|waiting| index >= waiting.next);
        let Some(waiting) = waiting else { return self.left_over.push(reply) };
        if index > waiting.next {
            if let Some((twin, _)) = waiting.early.insert(index, (reply, outcome)) {
                self.left_over.push(twin);
            }
            return;
        }
        let mut next = Some((reply, outcome));
        while let Some((reply, outcome)) = next {
            waiting.parts.push_back(reply);
            waiting.next = waiting.next.saturating_add(1);
            tell(outcome);
            if outcome.is_some() {
                self.finish(id);
                return;
            }
            next = waiting.early.remove(&waiting.next);
        }
    }

    /// The part that came is the next one, whatever was to come before it.
    #[cfg(planted)]
    pub(crate) fn planted_skip(&mut self, id: u64, index: u32) {
        if let Some(waiting) = self.waiting.get_mut(&id) {
            waiting.next = index;
        }
    }

    /// A reply, or a part of one, that nobody will take.
    pub(crate) fn take_left_over(&mut self) -> Option<Reply> {
        self.left_over.pop()
    }

    /// The oldest part that has not been taken, or the reply.
    pub(crate) fn take_reply(&mut self, id: RequestId) -> Option<Reply> {
        if let Some(waiting) = self.waiting.get_mut(&id.0) {
            return waiting.parts.pop_front();
        }
        let replies = self.replies.get_mut(&id.0)?;
        let reply = replies.pop_front();
        if replies.is_empty() {
            self.replies.remove(&id.0);
        }
        reply
    }

    /// Replies and parts that have not been taken.
    pub(crate) fn replies(&self) -> usize {
        let parts = self.waiting.values().map(|waiting| waiting.parts.len());
        parts.chain(self.replies.values().map(VecDeque::len)).sum()
    }

    /// Throws away the replies that have not been taken, and returns how many.
    pub(crate) fn drop_replies(&mut self) -> impl Iterator<Item = ChannelId> + use<> {
        core::mem::take(&mut self.replies).into_values().flatten().map(|reply| reply.channel)
    }

    /// When the next request of either side runs out of time.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let first = |deadlines: &BTreeSet<(Timestamp, u64)>| deadlines.first().map(|&(deadline, _)| deadline);
        first(&self.deadlines).into_iter().chain(first(&self.owed_deadlines)).min()
    }

    /// Ends the next request whose deadline has passed.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Option<(RequestId, MessageId)> {
        let &(_, id) = self.deadlines.first().filter(|&&(deadline, _)| deadline <= now)?;
        self.finish(id).map(|message| (RequestId(id), message))
    }

    /// Ends a request that this side gives up; what has come of its reply is left over.
    pub(crate) fn cancel(&mut self, id: RequestId) -> Option<MessageId> {
        let message = self.finish(id.0)?;
        self.left_over.extend(self.replies.remove(&id.0).unwrap_or_default());
        Some(message)
    }

    /// Ends the next request because the connection is over.
    pub(crate) fn abandon(&mut self) -> Option<(RequestId, MessageId)> {
        let (&id, _) = self.waiting.first_key_value()?;
        self.finish(id).map(|message| (RequestId(id), message))
    }

    /// The peer is to be told that nobody waits for the reply to request `id`; `false` when it is still to be told of `limit`
    /// others.
    pub(crate) fn tell_cancelled(&mut self, id: RequestId, limit: usize) -> bool {
        let has_room = self.cancelled.len() < limit;
        if has_room {
            self.cancelled.insert(id.0);
            self.cancels_due.push(id.0);
        }
        has_room
    }

    /// The packet that told of it is lost.
    pub(crate) fn cancel_lost(&mut self, id: u64) {
        if self.cancelled.contains(&id) {
            self.cancels_due.push(id);
        }
    }

    /// The peer knows, or has answered.
    pub(crate) fn cancel_known(&mut self, id: u64) {
        self.cancelled.remove(&id);
    }

    /// The next cancellation to write.
    pub(crate) const fn may_have_cancels(&self) -> bool {
        !self.cancels_due.is_empty()
    }

    /// The next cancellation to be told.
    pub(crate) fn next_cancel(&mut self) -> Option<u64> {
        while let Some(&id) = self.cancels_due.last() {
            if self.cancelled.contains(&id) {
                return Some(id);
            }
            self.cancels_due.pop();
        }
        None
    }

    /// It was written.
    pub(crate) fn cancel_written(&mut self) {
        self.cancels_due.pop();
    }

    /// The peer's request `id` has come. The application has until `deadline` to answer it.
    pub(crate) fn owe(&mut self, id: u64, channel: ChannelId, deadline: Timestamp, limit: usize) -> Asked {
        if let Some(at) = self.early_cancels.iter().position(|&early| early == id) {
            self.early_cancels.remove(at);
            return Asked::Cancelled;
        }
        if self.owed.len() >= limit || self.owed.contains_key(&id) {
            return Asked::Refused;
        }
        self.owed.insert(id, Owed { channel, deadline, taken: false, cancelled: false, parts: 0 });
        self.owed_deadlines.insert((deadline, id));
        Asked::Owed
    }

    /// The application has taken the peer's request; `false` when nobody waits for a reply any more.
    pub(crate) fn take_owed(&mut self, id: RequestId) -> bool {
        let owed = self.owed.get_mut(&id.0).filter(|owed| !owed.cancelled);
        owed.map(|owed| owed.taken = true).is_some()
    }

    /// Where the peer's request came from, and how many parts of its reply were sent.
    pub(crate) fn owed(&self, id: RequestId) -> Option<(ChannelId, u32)> {
        let owed = self.owed.get(&id.0).filter(|owed| !owed.cancelled);
        owed.map(|owed| (owed.channel, owed.parts))
    }

    /// The application is done with a request that was cancelled.
    pub(crate) fn end_cancelled(&mut self, id: RequestId) {
        if self.owed.get(&id.0).is_some_and(|owed| owed.cancelled) {
            self.settle_owed(id);
        }
    }

    /// A part of the reply was sent: there is time until `deadline` for the next.
    pub(crate) fn part_sent(&mut self, id: RequestId, deadline: Timestamp) {
        if let Some(owed) = self.owed.get_mut(&id.0) {
            self.owed_deadlines.remove(&(owed.deadline, id.0));
            self.owed_deadlines.insert((deadline, id.0));
            owed.deadline = deadline;
            owed.parts += 1;
        }
    }

    /// The peer's request is over; whether the application has seen it.
    pub(crate) fn settle_owed(&mut self, id: RequestId) -> Option<bool> {
        let owed = self.owed.remove(&id.0)?;
        self.owed_deadlines.remove(&(owed.deadline, id.0));
        Some(owed.taken)
    }

    /// The next request of the peer that has gone unanswered for too long.
    pub(crate) fn overdue(&mut self, now: Timestamp) -> Option<RequestId> {
        loop {
            let &(_, id) = self.owed_deadlines.first().filter(|&&(deadline, _)| deadline <= now)?;
            if self.owed.get(&id).is_none_or(|owed| !owed.cancelled) {
                return Some(RequestId(id));
            }
            self.settle_owed(RequestId(id));
        }
    }

    /// The peer no longer waits for the reply to its request `id`; `true` when the application has seen it.
    pub(crate) fn on_cancel(&mut self, now: Timestamp, id: u64) -> bool {
        match self.owed.get_mut(&id) {
            Some(Owed { cancelled: true, .. }) => return false,
            Some(owed) if owed.taken => {
                owed.cancelled = true;
                self.owed_deadlines.remove(&(owed.deadline, id));
                owed.deadline = owed.deadline.min(now + CANCELLED_COUNTS);
                self.owed_deadlines.insert((owed.deadline, id));
                return true;
            }
            Some(_) => {
                self.settle_owed(RequestId(id));
                return false;
            }
            None => {}
        }
        if self.early_cancels.len() >= EARLY_CANCELS {
            self.early_cancels.pop_front();
        }
        self.early_cancels.push_back(id);
        false
    }
}

crate::sleep::saved!(Requests {
    next,
    waiting,
    deadlines,
    replies,
    left_over,
    cancelled,
    cancels_due,
    owed,
    owed_deadlines,
    early_cancels
});

crate::sleep::awake!(Reply);
