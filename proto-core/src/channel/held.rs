//! Where the newest sequenced message must arrive, a rate limit may delay it but not lose it: one message a channel waits here
//! for its tokens (docs/spec/channels.md, section 10).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use super::table::Channels;
use super::{Delivery, Gone, cost};
use crate::{ChannelId, Class, Refusal, Timestamp};

/// Whole sequenced messages that came faster than they are taken in: the newest of each channel, those that wait longest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    messages: VecDeque<(ChannelId, Delivery)>,
    /// When the first of them may be taken in.
    pub(super) until: Option<Timestamp>,
}

/// What becomes of a message that is whole.
pub(crate) struct Admission {
    /// It goes on to the application.
    pub(crate) passed: Option<Delivery>,
    /// The older one that waited is dropped.
    pub(crate) dropped: Option<Gone>,
}

impl Held {
    fn position(&self, id: ChannelId) -> Option<usize> {
        self.messages.iter().position(|&(held, _)| held == id)
    }

    pub(super) fn bytes(&self) -> usize {
        self.messages.iter().map(|(_, delivery)| delivery.payload.len()).sum()
    }
}

impl Channels {
    /// Whether messages of `class` may wait for their tokens, and so their pieces come in whatever the rate.
    pub(crate) fn holds(&self, id: ChannelId, class: Class) -> bool {
        class == Class::Sequenced
            && self.throttles.is_some()
            && self.get(id).is_some_and(|channel| channel.inbox.reliable_sequenced)
    }

    /// Lets a whole message pass, or keeps it until its tokens are there.
    pub(crate) fn admit(&mut self, now: Timestamp, id: ChannelId, delivery: Delivery) -> Admission {
        if !self.holds(id, delivery.class) {
            return Admission { passed: Some(delivery), dropped: None };
        }
        let is_let_in = self.lets_in(now, id, true, delivery.payload.len());
        let Some(throttles) = &mut self.throttles else {
            return Admission { passed: Some(delivery), dropped: None };
        };
        let held = &mut throttles.held;
        let position = held.position(id);
        let (passed, older) = match position {
            _ if is_let_in => (
                Some(delivery),
                position.and_then(|position| held.messages.remove(position)).map(|held| held.1),
            ),
            Some(position) => (None, Some(mem::replace(&mut held.messages[position].1, delivery))),
            None => {
                held.messages.push_back((id, delivery));
                (None, None)
            }
        };
        self.await_tokens(now);
        Admission { passed, dropped: older.map(|older| older.gone(Refusal::RateLimited)) }
    }

    /// Those that waited and pass now.
    pub(crate) fn admit_held(&mut self, now: Timestamp) -> Vec<(ChannelId, Delivery)> {
        let mut passed = Vec::new();
        for (id, delivery) in self.take_held() {
            if self.lets_in(now, id, true, delivery.payload.len()) {
                passed.push((id, delivery));
            } else if let Some(throttles) = &mut self.throttles {
                throttles.held.messages.push_back((id, delivery));
            }
        }
        self.await_tokens(now);
        passed
    }

    /// All that wait, whatever the rate.
    pub(crate) fn take_held(&mut self) -> VecDeque<(ChannelId, Delivery)> {
        self.throttles.as_mut().map(|throttles| mem::take(&mut throttles.held.messages)).unwrap_or_default()
    }

    /// Whether one of those that wait may pass.
    pub(crate) fn has_admissible(&self, now: Timestamp) -> bool {
        self.throttles
            .as_ref()
            .is_some_and(|throttles| throttles.held.until.is_some_and(|until| until <= now))
    }

    fn await_tokens(&mut self, now: Timestamp) {
        let Some(throttles) = &self.throttles else { return };
        let held = throttles.held.messages.iter();
        let until = held
            .filter_map(|(id, delivery)| {
                let needs = cost(delivery.payload.len() as u64);
                let of_channel = self.get(*id)?.receive_credit.lets_in_at(now, needs);
                Some(of_channel.max(self.session_receive.lets_in_at(now, needs)))
            })
            .min();
        if let Some(throttles) = &mut self.throttles {
            throttles.held.until = until.map(|until| until.max(now + throttles.granularity));
        }
    }
}
