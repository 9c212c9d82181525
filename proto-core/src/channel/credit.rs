//! Credit: room for reliable messages, promised by their receiver as absolute counters (docs/spec/channels.md, section 3).
//!
//! A message is charged once, when its first piece is first sent: its length, and [`MESSAGE_COST`] for being a message.

use crate::MESSAGE_COST;

/// What a message of `len` bytes is charged.
pub(crate) const fn cost(len: u64) -> u64 {
    len + MESSAGE_COST as u64
}

/// What this side may send.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendCredit {
    bytes: u64,
    messages: u64,
    used_bytes: u64,
    used_messages: u64,
}

impl SendCredit {
    pub(crate) const fn new(bytes: u64, messages: u64) -> Self {
        Self { bytes, messages, used_bytes: 0, used_messages: 0 }
    }

    /// Takes over the peer's counters where they have grown; `false` when they have not.
    pub(crate) fn raise(&mut self, bytes: u64, messages: u64) -> bool {
        let grew = bytes > self.bytes || messages > self.messages;
        self.bytes = self.bytes.max(bytes);
        self.messages = self.messages.max(messages);
        grew
    }

    /// Bytes and messages that may have been charged in all.
    pub(crate) const fn limit(&self) -> (u64, u64) {
        (self.bytes, self.messages)
    }

    pub(crate) const fn allows(&self, cost: u64) -> bool {
        self.used_messages < self.messages && self.used_bytes.saturating_add(cost) <= self.bytes
    }

    pub(crate) const fn charge(&mut self, cost: u64) {
        self.used_messages += 1;
        self.used_bytes += cost;
    }
}

/// What the peer may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiveCredit {
    window_bytes: u64,
    window_messages: u64,
    charged_bytes: u64,
    charged_messages: u64,
    released_bytes: u64,
    released_messages: u64,
    granted_bytes: u64,
    granted_messages: u64,
}

impl ReceiveCredit {
    pub(crate) const fn new(bytes: u64, messages: u64) -> Self {
        Self {
            window_bytes: bytes,
            window_messages: messages,
            charged_bytes: 0,
            charged_messages: 0,
            released_bytes: 0,
            released_messages: 0,
            granted_bytes: bytes,
            granted_messages: messages,
        }
    }

    /// The first piece of a message arrived; `false` when the peer had no credit for it.
    pub(crate) const fn charge(&mut self, cost: u64) -> bool {
        self.charged_messages += 1;
        self.charged_bytes = self.charged_bytes.saturating_add(cost);
        self.charged_messages <= self.granted_messages && self.charged_bytes <= self.granted_bytes
    }

    /// The application took a message; `true` when a quarter of the window waits to be granted again.
    pub(crate) const fn release(&mut self, cost: u64) -> bool {
        self.released_messages += 1;
        self.released_bytes += cost;
        let bytes = self.released_bytes + self.window_bytes - self.granted_bytes;
        let messages = self.released_messages + self.window_messages - self.granted_messages;
        bytes * 4 >= self.window_bytes || messages * 4 >= self.window_messages
    }

    /// What the peer may have charged in all, in bytes and messages.
    pub(crate) const fn grant(&mut self) -> (u64, u64) {
        self.granted_bytes = self.released_bytes + self.window_bytes;
        self.granted_messages = self.released_messages + self.window_messages;
        (self.granted_bytes, self.granted_messages)
    }
}
