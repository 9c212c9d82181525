//! What was dropped on each channel.

use super::Connection;
use crate::{ChannelId, ChannelStats, Drop, Refusal};

impl Connection {
    /// What was dropped on a channel; `None` where no such channel is open. Of each reason that
    /// [concerns a channel](Drop::concerns_channel) the channels' counts add up to that of [`Self::stats`].
    pub fn channel_stats(&self, id: ChannelId) -> Option<&ChannelStats> {
        self.channels.get(id).map(|channel| &*channel.stats)
    }

    pub(super) fn count_drop(&mut self, id: ChannelId, reason: Drop) {
        self.count_drops(id, reason, 1);
    }

    pub(super) fn count_drops(&mut self, id: ChannelId, reason: Drop, count: u64) {
        self.stats.drops.add(reason, count);
        #[cfg(planted)]
        if reason == Drop::SendExpired && self.config.planted == Some(crate::planted::Planted::Uncounted) {
            return;
        }
        if let Some(channel) = self.channels.get_mut(id).filter(|_| count > 0) {
            channel.stats.drops.add(reason, count);
        }
    }

    /// Throws away what the application has not taken.
    pub(super) fn drop_unread(&mut self) {
        for (id, count) in self.channels.drop_unread() {
            self.count_drops(id, Drop::Unread, count);
        }
        for channel in self.requests.drop_replies() {
            self.count_drop(channel, Drop::Unread);
        }
    }

    pub(super) fn count_peer_drops(&mut self, id: ChannelId, reason: Refusal, count: u64) {
        self.stats.peer_drops.add(reason, count);
        if let Some(channel) = self.channels.get_mut(id) {
            channel.stats.peer_drops.add(reason, count);
        }
    }
}
