//! How fast a connection and a client may append: who writes faster is not heard for a while, and nothing of it is lost (spec: chat.md, section 6).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::Server;
use super::connection::Phase;
use crate::chat::identity::ClientId;
use crate::room::{Allowed, Bucket};
use crate::{ConnectionId, Timestamp};

/// Budgets that are kept before those that are full again are looked for.
const KEPT: usize = 1024;

/// What each client may still append, over all its connections and rooms.
#[derive(Clone, Debug, Default)]
pub(super) struct Budgets {
    /// Those that may not be full.
    buckets: BTreeMap<ClientId, Bucket>,
    /// How many may be kept until the next look.
    room: usize,
    /// The connections of each client that are in rooms, or about to be.
    speakers: BTreeMap<ClientId, Vec<ConnectionId>>,
    /// Connections that wait for theirs.
    waiting: BTreeSet<(Timestamp, ConnectionId)>,
}

impl Budgets {
    /// When a client may append again, if not now.
    fn ready_at(&self, now: Timestamp, allowed: Allowed, client: ClientId) -> Option<Timestamp> {
        self.buckets.get(&client).map(|bucket| bucket.ready_at(allowed)).filter(|&at| at > now)
    }

    fn take(&mut self, now: Timestamp, allowed: Allowed, client: ClientId) {
        if self.buckets.len() >= self.room.max(KEPT) {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            self.room = self.buckets.len() * 2;
        }
        self.buckets.entry(client).or_default().take(now, allowed);
    }

    pub(super) fn joins(&mut self, client: ClientId, connection: ConnectionId) {
        self.speakers.entry(client).or_default().push(connection);
    }

    pub(super) fn leaves(&mut self, client: ClientId, connection: ConnectionId) {
        let Some(speakers) = self.speakers.get_mut(&client) else { return };
        speakers.retain(|&speaker| speaker != connection);
        if speakers.is_empty() {
            self.speakers.remove(&client);
        }
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.buckets.len()
    }

    /// When the first connection may be heard again.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.waiting.first().map(|&(at, _)| at)
    }
}

impl Server {
    /// Until when nothing is heard on a connection, because its client has written so much.
    pub(super) fn throttled_until(&self, connection: ConnectionId) -> Option<Timestamp> {
        let state = self.connections.get(&connection).filter(|state| !matches!(state.phase, Phase::Ended))?;
        let of_client =
            state.membership().and_then(|of| self.budgets.ready_at(self.now, self.config.appends, of.client));
        let of_connection = Some(state.budget.ready_at(self.config.appends)).filter(|&at| at > self.now);
        of_client.max(of_connection)
    }

    /// An append was taken.
    pub(super) fn charge(&mut self, connection: ConnectionId, client: ClientId) {
        self.budgets.take(self.now, self.config.appends, client);
        if let Some(state) = self.connections.get_mut(&connection) {
            state.budget.take(self.now, self.config.appends);
        }
        if self.budgets.ready_at(self.now, self.config.appends, client).is_some() {
            for speaker in self.budgets.speakers.get(&client).cloned().unwrap_or_default() {
                self.refresh_ready(speaker);
            }
        }
    }

    /// A connection is not ready before `until`.
    pub(super) fn wait_for_budget(&mut self, connection: ConnectionId, until: Timestamp) {
        self.budgets.waiting.insert((until, connection));
    }

    /// Time has passed.
    pub(super) fn refill(&mut self) {
        while let Some((_, connection)) =
            self.budgets.waiting.first().copied().filter(|&(at, _)| at <= self.now)
        {
            self.budgets.waiting.pop_first();
            self.refresh_ready(connection);
        }
    }
}
