//! One guest: who it is, and what waits for it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use proto_core::Timestamp;
use proto_core::room::{Bucket, UserId};

use super::limits::{KIBIBYTES, MAX_BEFORE_HI, MAX_QUEUE, MAX_QUEUE_BYTES, MESSAGES};
use super::stats::Dropped;

/// Why a guest is sent away: the code and the reason of the close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct End {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
}

impl End {
    pub(crate) const BYE: Self = Self { code: 1000, reason: "bye" };
    pub(crate) const GONE: Self = Self { code: 1001, reason: "gone" };
    pub(crate) const SERVER_CLOSES: Self =
        Self { code: 4000, reason: "the server goes away; come back soon" };
    pub(crate) const BYTES: Self = Self { code: 4002, reason: "too many bytes" };
    pub(crate) const SLOW: Self = Self { code: 4003, reason: "too slow; come back later" };
    pub(crate) const SILENT: Self = Self { code: 4004, reason: "silent for a minute" };
    pub(crate) const MESSAGES: Self = Self { code: 4007, reason: "too many messages" };
    pub(crate) const SENT_AWAY: Self = Self { code: 4008, reason: "sent away by the operator" };
    pub(crate) const FULL: Self = Self { code: 4009, reason: "too many clients; come back later" };

    /// All that a gateway sends.
    pub(crate) const ALL: [Self; 8] = [
        Self::BYE,
        Self::SERVER_CLOSES,
        Self::BYTES,
        Self::SLOW,
        Self::SILENT,
        Self::MESSAGES,
        Self::SENT_AWAY,
        Self::FULL,
    ];
}

/// What becomes of a text for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// It is lost: soon nobody would want it.
    Play,
    /// The guest is behind, and gets the whole state later.
    State,
    /// This is the whole state.
    Whole,
}

#[derive(Debug)]
pub(super) struct Guest {
    pub(super) ip: IpAddr,
    pub(super) prefix: Option<u64>,
    /// `None` before hi.
    pub(super) user: Option<UserId>,
    /// The log of the room that it is in.
    pub(super) place: Option<Arc<str>>,
    /// It is to be shown what was said, once it is shown the room.
    pub(super) owes_history: bool,
    /// The last line that it was shown.
    pub(super) last_slot: u64,
    pub(super) direct: Bucket,
    pub(super) custom: Bucket,
    pub(super) heard: Timestamp,
    /// Since when it has missed something.
    pub(super) behind: Option<Timestamp>,
    /// Where it is filed among the deadlines.
    pub(super) deadline: Timestamp,
    pub(super) end: Option<End>,
    /// It was told that there is something, and has not taken it since.
    pub(super) is_told: bool,
    before_hi: usize,
    messages: Bucket,
    kibibytes: Bucket,
    /// Bytes that are not a kibibyte yet.
    rest: usize,
    queue: VecDeque<Bytes>,
    queued: usize,
}

impl Guest {
    pub(super) fn new(ip: IpAddr, prefix: Option<u64>, now: Timestamp, deadline: Timestamp) -> Self {
        Self {
            ip,
            prefix,
            user: None,
            place: None,
            owes_history: false,
            last_slot: 0,
            direct: Bucket::default(),
            custom: Bucket::default(),
            heard: now,
            behind: None,
            deadline,
            end: None,
            is_told: false,
            before_hi: 0,
            messages: Bucket::default(),
            kibibytes: Bucket::default(),
            rest: 0,
            queue: VecDeque::new(),
            queued: 0,
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    pub(super) fn frames(&self) -> usize {
        self.queue.len()
    }

    /// Pays for bytes that have come.
    pub(super) fn pay_bytes(&mut self, now: Timestamp, len: usize) -> Result<(), End> {
        if self.user.is_none() {
            self.before_hi += len;
            if self.before_hi > MAX_BEFORE_HI {
                return Err(End::BYTES);
            }
        }
        self.rest += len;
        while self.rest >= 1024 {
            self.rest -= 1024;
            if !self.kibibytes.take(now, KIBIBYTES) {
                return Err(End::BYTES);
            }
        }
        Ok(())
    }

    /// Pays for a message.
    pub(super) fn pay_message(&mut self, now: Timestamp) -> Result<(), End> {
        if self.messages.take(now, MESSAGES) { Ok(()) } else { Err(End::MESSAGES) }
    }

    pub(super) fn push(&mut self, now: Timestamp, text: &Bytes, weight: Weight) -> Result<(), Dropped> {
        if self.end.is_some() {
            return Err(Dropped::Ending);
        }
        if self.behind.is_some() && weight == Weight::State {
            return Err(Dropped::Behind);
        }
        let fits = self.queue.len() < MAX_QUEUE && self.queued + text.len() <= MAX_QUEUE_BYTES;
        if !fits && !self.queue.is_empty() {
            if weight == Weight::Play {
                return Err(Dropped::Play);
            }
            self.behind.get_or_insert(now);
            return Err(Dropped::State);
        }
        if weight == Weight::Whole {
            self.behind = None;
        }
        self.queued += text.len();
        self.queue.push_back(text.clone());
        Ok(())
    }

    /// Appends all that waits to `texts`; how many those are.
    pub(super) fn take(&mut self, texts: &mut Vec<Bytes>) -> u64 {
        let count = self.queue.len() as u64;
        texts.extend(self.queue.drain(..));
        self.queue.shrink_to(4);
        self.queued = 0;
        count
    }
}
