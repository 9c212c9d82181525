//! What has arrived goes to the application, and room comes back.

use core::mem;

use super::Connection;
use super::receive::{Violation, violation};
use crate::channel::{Admission, Delivery};
use crate::wire::Kind;
use crate::{ChannelId, Class, Drop, Event, Timestamp};

impl Connection {
    pub(super) fn deliver(
        &mut self,
        now: Timestamp,
        id: ChannelId,
        delivery: Delivery,
    ) -> Result<(), Violation> {
        let Admission { passed, dropped } = self.channels.admit(now, id, delivery);
        #[cfg(planted)]
        if self.config.planted == Some(crate::planted::Planted::RateLosesNewest) {
            self.channels.take_held();
        }
        if let Some(dropped) = dropped {
            self.on_gone(id, &dropped);
        }
        passed.map_or(Ok(()), |delivery| self.hand_over(now, id, delivery))
    }

    /// Hands over what waited for the rate of its channel, as far as that lets it pass.
    pub(super) fn deliver_held(&mut self, now: Timestamp) {
        for (id, delivery) in self.channels.admit_held(now) {
            if let Err(Violation(code, text)) = self.hand_over(now, id, delivery) {
                return self.on_violation(now, code, text);
            }
        }
    }

    /// The connection is over: what waited for a rate waits for the application with what it has not taken.
    pub(super) fn release_held(&mut self) {
        for (id, delivery) in self.channels.take_held() {
            if delivery.kind == Kind::OneWay {
                self.make_ready(id, delivery);
            } else {
                self.count_drop(id, Drop::Unread);
            }
        }
    }

    fn hand_over(&mut self, now: Timestamp, id: ChannelId, delivery: Delivery) -> Result<(), Violation> {
        if delivery.kind == Kind::OneWay {
            self.make_ready(id, delivery);
            return Ok(());
        }
        self.on_request_or_reply(now, id, delivery).or_else(|impossible| violation(impossible.0))
    }

    pub(super) fn make_ready(&mut self, id: ChannelId, delivery: Delivery) {
        let made = self.channels.receive(&self.config, id, |inbox, _| inbox.make_ready(delivery));
        let Some((is_first, replaced)) = made else { return };
        if is_first {
            self.on_first_ready(id);
        }
        if let Some(replaced) = replaced {
            self.on_gone(id, &replaced);
        }
    }

    /// The application has something to take where it had nothing.
    pub(super) fn on_first_ready(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.get_mut(id)
            && !mem::replace(&mut channel.readable_queued, true)
        {
            self.events.push_back(Event::Readable(id));
        }
    }

    /// A delivery goes elsewhere than to `recv`.
    pub(super) fn divert(&mut self, id: ChannelId, delivery: &Delivery, is_gap: bool) {
        if let Some(channel) = self.channels.get_mut(id) {
            channel.inbox.divert(delivery, is_gap);
        }
    }

    /// Room for a message of `len` bytes is free again.
    pub(super) fn release_credit(&mut self, id: ChannelId, class: Class, len: usize) {
        #[cfg(planted)]
        if self.is_planted_leak() && len % 5 == 0 {
            return;
        }
        if !class.is_reliable() {
            return;
        }
        self.channels.release(id, len);
        self.channels.meter_credit(self.clock, id);
    }

    #[cfg(planted)]
    pub(super) fn is_planted_leak(&self) -> bool {
        self.config.planted == Some(crate::planted::Planted::CreditLeak)
    }

    #[cfg(not(planted))]
    #[expect(clippy::unused_self, reason = "the other build looks at the configuration")]
    pub(super) const fn is_planted_leak(&self) -> bool {
        false
    }

    pub(super) fn on_event_polled(&mut self, event: &Event) {
        if let Event::Readable(id) = event
            && let Some(channel) = self.channels.get_mut(*id)
        {
            channel.readable_queued = false;
        }
        if self.events.len() == Self::EVENTS_LOW {
            let ids: alloc::vec::Vec<_> = self.channels.iter().map(|channel| channel.id).collect();
            for id in ids {
                self.pay_writable(id);
            }
        }
    }
}
