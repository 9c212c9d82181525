//! What was queued before the peer said what it takes.

use alloc::vec::Vec;

use super::Connection;
use crate::channel::{Channel, Settled};
use crate::{ChannelId, Class, Fate};

impl Connection {
    /// What was queued before the peer said how much it takes: messages may be too large for it, and channels too many.
    pub(super) fn fit_to_peer(&mut self) {
        while u64::from(self.channels.opened_here) > self.channels.peer.max_channels {
            let last = ChannelId(2 * self.channels.opened_here - u32::from(self.is_client));
            self.settle_early(last, Fate::Unknown, Channel::settle_oldest);
            self.channels.forget_last(last);
        }
        let max = self.channels.peer.max_message;
        let ids: Vec<_> = self.channels.iter().map(|channel| channel.id).collect();
        for id in ids {
            self.settle_early(id, Fate::TooLarge, |channel, class| {
                let number = channel.outboxes.get_mut(class)?.first_longer_than(max)?;
                channel.settle(class, number)
            });
        }
    }

    /// Settles messages of a channel, as long as `next` has any.
    fn settle_early(
        &mut self,
        id: ChannelId,
        fate: Fate,
        mut next: impl FnMut(&mut Channel, Class) -> Option<Settled>,
    ) {
        for class in Class::ALL {
            while let Some(settled) = self.channels.get_mut(id).and_then(|channel| next(channel, class)) {
                self.on_settled(id, class, settled, fate);
            }
        }
    }
}
