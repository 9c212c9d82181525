//! Appends that are not answered yet, and their numbers (spec: chat.md, section 6).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::chat::identity::Kind;
use crate::chat::message::MAX_UNACKNOWLEDGED;

#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// What the application calls it.
    pub(super) number: u64,
    /// What the server calls it; given when it is first sent.
    pub(super) sequence: Option<u64>,
    pub(super) author_ms: u64,
    pub(super) kind: Kind,
    pub(super) body: Bytes,
}

#[derive(Clone, Debug)]
pub(super) struct Appends {
    /// In the order of `append`.
    pending: VecDeque<Pending>,
    /// How many of the first have been sent on this connection.
    sent: usize,
    last_number: u64,
    last_sequence: u64,
    /// Whether the server has ever answered for a sequence of this log.
    acknowledged: bool,
}

impl Appends {
    pub(super) fn new() -> Self {
        Self { pending: VecDeque::new(), sent: 0, last_number: 0, last_sequence: 0, acknowledged: false }
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.pending.len() >= MAX_UNACKNOWLEDGED
    }

    pub(super) fn push(&mut self, author_ms: u64, kind: Kind, body: Bytes) -> u64 {
        self.last_number += 1;
        self.pending.push_back(Pending { number: self.last_number, sequence: None, author_ms, kind, body });
        self.last_number
    }

    /// A new connection: everything is to be sent again.
    pub(super) fn restart(&mut self) {
        self.sent = 0;
    }

    /// The server has said which sequence it accepted last. Gives the appends whose fate cannot be known any more: they were
    /// sent, and a server that forgot its client would commit them again.
    pub(super) fn rejoin(&mut self, last_sequence: u64, reset: bool, long_absent: bool) -> Vec<u64> {
        let mut lost = Vec::new();
        if last_sequence > 0 {
            self.last_sequence = self.last_sequence.max(last_sequence);
        } else {
            if !reset && (self.acknowledged || long_absent) {
                lost = self.numbers(|append| append.sequence.is_some());
                self.pending.retain(|append| append.sequence.is_none());
            }
            self.pending.iter_mut().for_each(|append| append.sequence = None);
            self.last_sequence = 0;
        }
        self.acknowledged &= !reset && last_sequence > 0;
        lost
    }

    fn numbers(&self, which: impl Fn(&Pending) -> bool) -> Vec<u64> {
        self.pending.iter().filter(|append| which(append)).map(|append| append.number).collect()
    }

    /// The next append to send on this connection, with its sequence.
    pub(super) fn next(&mut self) -> Option<(u64, &Pending)> {
        let append = self.pending.get_mut(self.sent)?;
        self.sent += 1;
        let sequence = *append.sequence.get_or_insert_with(|| {
            self.last_sequence = self.last_sequence.saturating_add(1);
            self.last_sequence
        });
        Some((sequence, append))
    }

    /// The server has answered for `sequence`: what the application calls it.
    pub(super) fn settle(&mut self, sequence: u64) -> Option<u64> {
        let index = self.pending.iter().position(|append| append.sequence == Some(sequence))?;
        let append = self.pending.remove(index)?;
        if index < self.sent {
            self.sent -= 1;
        }
        Some(append.number)
    }

    pub(super) fn note_acknowledged(&mut self) {
        self.acknowledged = true;
    }
}
