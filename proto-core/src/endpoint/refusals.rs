//! Refusals that wait: who guesses at sessions learns slowly that a guess was wrong (docs/spec/connection.md, section 9).

use alloc::collections::{BTreeSet, VecDeque};
use core::time::Duration;

use super::{Address, Endpoint};
use crate::wire::{Cid, Frame};
use crate::{Drop, Timestamp};

/// How long a refusal waits.
const REFUSAL_DELAY: Duration = Duration::from_secs(1);
/// Refusals that wait at once.
const MAX_DELAYED: usize = 4096;

/// Refusals that wait, in the order in which they are due.
#[derive(Clone, Debug)]
pub(super) struct Refusals<A> {
    due: VecDeque<(Timestamp, A, Cid)>,
    clients: BTreeSet<(Cid, A)>,
}

impl<A> Default for Refusals<A> {
    fn default() -> Self {
        Self { due: VecDeque::new(), clients: BTreeSet::new() }
    }
}

impl<A: Address> Refusals<A> {
    /// Whether this client waits for one.
    pub(super) fn has(&self, client: Cid, address: A) -> bool {
        self.clients.contains(&(client, address))
    }

    /// When the first of them is due.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.due.front().map(|&(at, ..)| at)
    }

    fn pop(&mut self, now: Timestamp) -> Option<(A, Cid)> {
        let (_, address, client) = self.due.pop_front_if(|&mut (at, ..)| at <= now)?;
        self.clients.remove(&(client, address));
        Some((address, client))
    }
}

impl<A: Address> Endpoint<A> {
    /// A claim to a session is refused in a while.
    pub(super) fn refuse_later(&mut self, now: Timestamp, address: A, client: Cid) {
        if self.refusals.due.len() >= MAX_DELAYED {
            return self.count(Drop::AnswerQueueFull);
        }
        if self.refusals.clients.insert((client, address)) {
            self.refusals.due.push_back((now + REFUSAL_DELAY, address, client));
        }
    }

    /// The same over a stream: nothing more is heard on it, and it takes no place in the waiting room any more.
    pub(super) fn say_farewell_later(&mut self, now: Timestamp, link: u32, frame: &Frame<'_>) {
        self.let_go(link);
        if self.links.held >= MAX_DELAYED {
            return self.count(Drop::AnswerQueueFull);
        }
        self.write_farewell(link, frame);
        self.links.hold(link, now + REFUSAL_DELAY);
    }

    /// Refusals that have waited long enough.
    pub(super) fn expire_refusals(&mut self, now: Timestamp) {
        while let Some((address, client)) = self.refusals.pop(now) {
            self.refuse_unknown(address, client);
        }
    }
}
