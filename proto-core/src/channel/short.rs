//! Messages that say nothing beside their payload: the short ways from the application and to it.

use bytes::Bytes;

use super::Plain;
use super::table::Channels;
use crate::wire::Kind;
use crate::{ChannelId, Class, ReceiptKind, Timestamp};

impl Channels {
    /// Where channel `id` is, if it has room for a message of `class` that asks for nothing.
    #[inline]
    pub(crate) fn place_for(&self, id: ChannelId, class: Class, len: usize) -> Option<usize> {
        let index = self.position(id).ok()?;
        let channel = self.list.get(index)?;
        (channel.allows(class) && channel.takes(class, len)).then_some(index)
    }

    /// Queues such a message on the channel there; returns its number.
    #[expect(clippy::inline_always, reason = "the message would be moved once more")]
    #[inline(always)]
    pub(crate) fn push_plain(
        &mut self,
        now: Timestamp,
        place: usize,
        class: Class,
        payload: Bytes,
        receipt: ReceiptKind,
    ) -> u64 {
        let channel = &mut self.list[place];
        let number = channel.push_plain(now, class, payload, Kind::OneWay, receipt);
        self.scheduler.push(channel.id, &mut channel.share, self.packet);
        number
    }

    /// Where channel `id` is, if room of what is taken from it may be given back without asking at what rate.
    #[inline]
    pub(crate) fn place_to_take(&self, id: ChannelId) -> Option<usize> {
        let index = self.position(id).ok()?;
        (index < self.list.len() && self.throttles.is_none()).then_some(index)
    }

    /// Takes the next message of the channel there, when it says nothing beside its payload. If it is a reliable one, the caller gives
    /// its room back, by [`Self::release_at`].
    #[expect(clippy::inline_always, reason = "every message goes through here, and would be moved each time")]
    #[inline(always)]
    pub(crate) fn pop_plain(&mut self, place: usize) -> Option<Plain> {
        let plain = self.list[place].inbox.pop_plain()?;
        if plain.class == Class::Unreliable {
            self.unreliable_cost -= super::cost(plain.payload.len() as u64) as usize;
        }
        Some(plain)
    }

    /// Room for so many messages, and for `bytes` of theirs, is free again.
    #[inline]
    pub(crate) fn release_at(&mut self, place: usize, messages: u64, bytes: u64) {
        let cost = bytes + messages * super::cost(0);
        let channel = &mut self.list[place];
        if channel.receive_credit.release(messages, cost) {
            let id = channel.id;
            self.owe_credit(id);
        }
        self.session_credit_due |= self.session_receive.release(messages, cost);
    }
}
