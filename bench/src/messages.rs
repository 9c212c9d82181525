//! What is sent, and the check that it arrives: every message, once, in order, byte for byte.

use bytes::Bytes;

/// Different messages in turn. Prime, so that no batch size hides a message that came in another's place.
const KINDS: usize = 61;

/// Messages of one size, numbered from 0 without end.
pub(crate) struct Messages {
    kinds: Vec<Bytes>,
}

impl Messages {
    pub(crate) fn new(size: usize) -> Self {
        let kinds = (0..KINDS)
            .map(|kind| {
                let mut state = kind as u64 + 1;
                let bytes = (0..size).map(|_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                });
                Bytes::from(bytes.collect::<Vec<_>>())
            })
            .collect();
        Self { kinds }
    }

    /// Message `number`.
    pub(crate) fn get(&self, number: u64) -> &Bytes {
        &self.kinds[(number % KINDS as u64) as usize]
    }
}

/// Takes in what arrives, whole or in parts, and compares.
pub(crate) struct Check<'a> {
    messages: &'a Messages,
    expected: &'a [u8],
    number: u64,
}

impl<'a> Check<'a> {
    /// Expects message `first` next.
    pub(crate) fn new(messages: &'a Messages, first: u64) -> Self {
        Self { messages, expected: messages.get(first), number: first }
    }

    /// The next bytes; `last` says that they end a message.
    #[inline]
    pub(crate) fn part(&mut self, part: &[u8], last: bool) {
        let rest = self.expected.strip_prefix(part);
        let rest = rest.unwrap_or_else(|| panic!("message {} is wrong", self.number));
        assert_eq!(rest.is_empty(), last, "message {} has another length", self.number);
        self.expected = rest;
        if last {
            self.number += 1;
            self.expected = self.messages.get(self.number);
        }
    }

    /// Number of the next message that is not complete.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }
}
