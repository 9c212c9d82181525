//! No protocol at all: a message is copied, and compared.

use bytes::Bytes;

use super::{Class, Pair};
use crate::messages::Check;

/// Messages one behind the other in a buffer.
#[derive(Default)]
pub(crate) struct Baseline {
    buf: Vec<u8>,
    size: usize,
}

impl Pair for Baseline {
    fn send(&mut self, _: Class, message: &Bytes) -> bool {
        self.size = message.len();
        self.buf.extend_from_slice(message);
        true
    }

    fn exchange(&mut self) {}

    fn receive(&mut self, check: &mut Check<'_>) {
        for message in self.buf.chunks_exact(self.size.max(1)) {
            check.part(message, true);
        }
        self.buf.clear();
    }

    fn answer(&mut self) {}

    fn receive_answers(&mut self, check: &mut Check<'_>) {
        self.receive(check);
    }
}
