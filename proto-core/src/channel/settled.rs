//! Messages that travelled whole, and what becomes of them all at once.

use super::table::Channels;
use super::{Messages, Piece};

impl Channels {
    /// The peer has `messages`: settles those whose fate nobody waits for, and returns how many they are. The others are left.
    #[inline]
    pub(crate) fn on_messages_acked(&mut self, messages: &Messages) -> usize {
        let Ok(index) = self.position(messages.channel) else { return 0 };
        let channel = &mut self.list[index];
        if channel.owes_writable() {
            return 0;
        }
        let settled = channel.settle_messages(messages);
        if !channel.share.has_turn() && channel.outboxes[messages.class as usize].has_unwritten() {
            self.scheduler.push(messages.channel, &mut channel.share, self.packet);
        }
        settled
    }

    /// Message `id` of `messages` as a piece of its own, unless it is forgotten.
    pub(crate) fn piece_of(&self, messages: &Messages, id: u64) -> Option<Piece> {
        let Messages { channel, class, .. } = *messages;
        let len = self.get(channel)?.outboxes[class as usize].total_of(id)?;
        Some(Piece { channel, class, tries: 0, id, offset: 0, len })
    }
}

impl Messages {
    /// Takes in `others`, if they come right behind.
    #[inline]
    pub(crate) fn join(&mut self, others: &Self) -> bool {
        let follows = others.first == self.first + u64::from(self.count)
            && (others.channel, others.class) == (self.channel, self.class);
        if follows {
            self.count += others.count;
        }
        follows
    }

    /// The ids of the messages.
    pub(crate) const fn ids(&self) -> core::ops::Range<u64> {
        self.first..self.first + self.count as u64
    }
}
