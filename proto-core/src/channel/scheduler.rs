//! Which channel sends next: round robin over those that may have something to send.

use alloc::collections::VecDeque;

use crate::ChannelId;

/// The channels in their order of turns, each at most once: its owner remembers whether it has one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scheduler {
    turns: VecDeque<ChannelId>,
}

impl Scheduler {
    /// Gives `channel`, which has none, a turn behind the others.
    pub(crate) fn push(&mut self, channel: ChannelId) {
        self.turns.push_back(channel);
    }

    /// Whose turn it is.
    pub(crate) fn current(&self) -> Option<ChannelId> {
        self.turns.front().copied()
    }

    /// The current channel sent something: the next one's turn.
    pub(crate) fn rotate(&mut self) {
        if self.turns.len() > 1 {
            self.turns.rotate_left(1);
        }
    }

    /// The current channel has nothing to send, or may not.
    pub(crate) fn retire(&mut self) {
        self.turns.pop_front();
    }
}
