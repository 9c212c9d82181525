//! Sessions that went on over another link, and messages that went to the connection which took the place of theirs.

use std::collections::{BTreeMap, BTreeSet};

use proto_core::{ChannelId, ConnectionId, Continuity, MessageId, Now, Received};

use super::entry::Holder;
use super::{Node, Topic, What};
use crate::Wakes;
use crate::wait::Attempt;

/// What comes next on a channel.
#[derive(Debug)]
pub(crate) enum Next {
    Message(Received),
    Continued(Continuity),
}

/// What is to be told of sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// How channels went on, until it is told.
    continued: BTreeMap<(ConnectionId, ChannelId), Continuity>,
    /// Messages with receipts of a connection that is ending, as they are called on the one that takes its place, and the batches
    /// that they stand for.
    moved: BTreeMap<ConnectionId, Vec<(MessageId, Option<u64>)>>,
    /// Messages that came to a connection in that way, and whose receipts nobody has asked for.
    unclaimed: BTreeSet<(ConnectionId, MessageId)>,
}

impl Sessions {
    /// A message of the channel was taken: what came before it is not to be told any more.
    pub(super) fn pass_over(&mut self, id: ConnectionId, channel: ChannelId) {
        if !self.continued.is_empty() {
            self.continued.remove(&(id, channel));
        }
    }

    pub(super) fn note_moved(&mut self, id: ConnectionId, to: MessageId, batch: Option<u64>) {
        let moved = self.moved.entry(id).or_default();
        if moved.iter().all(|(known, _)| *known != to) {
            moved.push((to, batch));
        }
    }
}

impl Node {
    /// What comes next on a channel; `None` when nothing will.
    pub(crate) fn incoming(
        &mut self,
        now: Now,
        id: ConnectionId,
        channel: ChannelId,
    ) -> Attempt<Option<Next>> {
        if let Some(continuity) = self.sessions.continued.remove(&(id, channel)) {
            return Attempt::Look(Some(Next::Continued(continuity)));
        }
        match self.recv(now, id, channel) {
            Attempt::Done(received) => Attempt::Done(received.map(Next::Message)),
            Attempt::Look(received) => Attempt::Look(received.map(Next::Message)),
            Attempt::Begun(topic) => Attempt::Begun(topic),
            Attempt::BegunYield(topic) => Attempt::BegunYield(topic),
            Attempt::Yield => Attempt::Yield,
            Attempt::Wait(topic, until) => Attempt::Wait(topic, until),
        }
    }

    pub(super) fn on_continued(
        &mut self,
        id: ConnectionId,
        channel: ChannelId,
        continuity: Continuity,
        wakes: &mut Wakes,
    ) {
        if self.entries.get(&id).is_none_or(|entry| entry.holder == Holder::Nobody) {
            return;
        }
        let known = self.sessions.continued.entry((id, channel)).or_insert(Continuity::Continuous);
        *known = match (*known, continuity) {
            (Continuity::Gap(before), Continuity::Gap(more)) => Continuity::Gap(before.saturating_add(more)),
            (Continuity::Reset, _) | (_, Continuity::Reset) => Continuity::Reset,
            (Continuity::Continuous, latest) => latest,
            (gap, Continuity::Continuous) => gap,
        };
        self.waiters.wake(Topic::Of(id, What::Readable(channel)), wakes);
    }

    /// A connection is over, and `next` takes its place: it has the receipts of what was moved.
    pub(super) fn hand_over_receipts(&mut self, id: ConnectionId, next: Option<ConnectionId>) {
        let moved = self.sessions.moved.remove(&id).unwrap_or_default();
        let Some(next) = next else { return };
        for (message, batch) in moved {
            self.receipts.insert((next, message), None);
            if let Some(batch) = batch {
                self.batches.entry((next, message.channel, batch)).or_default().push(message);
            }
            self.sessions.unclaimed.insert((next, message));
        }
    }

    /// Hands out the receipt of a message that another connection left to this one.
    pub(crate) fn claim_receipt(&mut self, id: ConnectionId, message: MessageId) -> bool {
        self.sessions.unclaimed.remove(&(id, message))
    }

    /// Nobody can ask for a connection's receipts any more.
    pub(super) fn forget_moved(&mut self, id: ConnectionId) {
        let of = |&&(conn, _): &&(ConnectionId, MessageId)| conn == id;
        let unclaimed: Vec<_> = self.sessions.unclaimed.iter().filter(of).copied().collect();
        for key in unclaimed {
            self.sessions.unclaimed.remove(&key);
            self.receipts.remove(&key);
        }
    }
}
