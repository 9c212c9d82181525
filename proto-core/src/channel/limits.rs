//! What one channel may queue and hold.

use crate::{Class, Config, MESSAGE_COST, OpenError, Policy, ReceiveLimits, SendLimits};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) send_messages: usize,
    pub(crate) send_bytes: usize,
    pub(crate) receive_messages: usize,
    pub(crate) receive_bytes: usize,
    /// Percent of the queue.
    low_water: u8,
    policy: Option<Policy>,
}

impl Limits {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            send_messages: config.send_messages,
            send_bytes: config.send_bytes,
            receive_messages: config.receive_messages,
            receive_bytes: config.receive_bytes,
            low_water: config.low_water,
            policy: config.policy,
        }
    }

    /// These limits, with room for whatever is queued.
    pub(crate) const fn with_any_room(self) -> Self {
        Self { send_messages: usize::MAX, send_bytes: usize::MAX, policy: Some(Policy::FailFast), ..self }
    }

    pub(crate) fn policy(&self, class: Class) -> Policy {
        self.policy.unwrap_or(Policy::of(class))
    }

    /// Whether so much of the queue is in use that no `Writable` is due.
    pub(crate) const fn is_above_low_water(&self, messages: usize, bytes: usize) -> bool {
        let percent = self.low_water as u64;
        messages as u64 * 100 > self.send_messages as u64 * percent
            || bytes as u64 * 100 > self.send_bytes as u64 * percent
    }

    /// These limits with what `send` asks for.
    pub(crate) fn sending(self, send: &SendLimits, config: &Config) -> Result<Self, OpenError> {
        let room = config.max_message + MESSAGE_COST;
        let is_in = |value: Option<usize>, low, high| value.is_none_or(|value| (low..=high).contains(&value));
        if !is_in(send.messages, 1, 4096) {
            return Err(OpenError::Invalid("send.messages must be 1 to 4096"));
        }
        if !is_in(send.bytes, room, 1 << 30) {
            return Err(OpenError::Invalid("send.bytes must be max_message + 64 to 1 GiB"));
        }
        if send.low_water.is_some_and(|percent| !(1..=100).contains(&percent)) {
            return Err(OpenError::Invalid("send.low_water must be 1 to 100"));
        }
        Ok(Self {
            send_messages: send.messages.unwrap_or(self.send_messages),
            send_bytes: send.bytes.unwrap_or(self.send_bytes),
            low_water: send.low_water.unwrap_or(self.low_water),
            policy: send.policy.or(self.policy),
            ..self
        })
    }

    /// These limits with what `receive` asks for.
    pub(crate) fn receiving(self, receive: &ReceiveLimits, config: &Config) -> Result<Self, OpenError> {
        let room = config.max_message + MESSAGE_COST;
        let is_in = |value: Option<usize>, low, high| value.is_none_or(|value| (low..=high).contains(&value));
        if !is_in(receive.messages, 1, config.session_messages.min(4096)) {
            return Err(OpenError::Invalid("receive.messages must be 1 to 4096, within session_messages"));
        }
        if !is_in(receive.bytes, room, config.session_bytes) {
            return Err(OpenError::Invalid("receive.bytes must be max_message + 64 to session_bytes"));
        }
        Ok(Self {
            receive_messages: receive.messages.unwrap_or(self.receive_messages),
            receive_bytes: receive.bytes.unwrap_or(self.receive_bytes),
            ..self
        })
    }
}

crate::sleep::saved!(Limits {
    send_messages,
    send_bytes,
    receive_messages,
    receive_bytes,
    low_water,
    policy
});
