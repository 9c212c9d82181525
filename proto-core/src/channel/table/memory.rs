//! What the channels of a connection hold, and give back.

use alloc::vec::Vec;

use super::Channels;
use crate::ChannelId;
use crate::channel::Channel;

impl Channels {
    /// Bytes of payload that all channels hold.
    pub(crate) fn held_bytes(&self) -> usize {
        let waiting = self.throttles.as_ref().map_or(0, |throttles| throttles.held_bytes());
        self.list.iter().map(Channel::held_bytes).sum::<usize>() + waiting
    }

    /// What they hold, or may come to hold of what has begun to come; messages cost more than their bytes.
    pub(crate) fn budgeted_bytes(&self) -> usize {
        let queued: usize = self.list.iter().map(Channel::queued_bytes).sum();
        queued + self.unreliable_cost() + self.session_receive.unreleased_bytes() as usize
    }

    /// Of that, the bytes that have not come.
    pub(crate) fn absent_bytes(&self) -> usize {
        self.list.iter().map(|channel| channel.inbox.absent_bytes()).sum()
    }

    /// The session holds so many bytes from now on, of what is not granted yet.
    pub(crate) fn hold_session(&mut self, bytes: u64) {
        if self.session_receive.hold_bytes(bytes) {
            self.session_credit_due |= self.session_receive.is_due();
        }
    }

    /// Throws away what the application has not taken, and returns how many messages of each channel that were.
    pub(crate) fn drop_unread(&mut self) -> Vec<(ChannelId, u64)> {
        let channels = self.list.iter_mut();
        let unread = channels.map(|channel| (channel.id, channel.drop_unread()));
        unread.filter(|&(_, count)| count > 0).collect()
    }

    /// Gives back the memory of a busier time.
    pub(crate) fn shrink(&mut self) {
        for channel in &mut self.list {
            channel.shrink();
            if channel.next_deadline().is_none()
                && let Some(at) = channel.lapses_at.take()
            {
                self.lapsing.remove(&(at, channel.id));
            }
        }
        self.scheduler.shrink();
        for list in [&mut self.credit_due, &mut self.announce_due, &mut self.starved, &mut self.control_due] {
            list.shrink_to_fit();
        }
        self.shrink_throttles();
    }
}
