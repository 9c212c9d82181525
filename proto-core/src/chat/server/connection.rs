//! One connection: what it may do, and how much it has waiting.

use alloc::sync::Arc;

use bytes::Bytes;

use super::Server;
use super::output::{Audience, Delivery, EndReason};
use super::room::RoomKey;
use crate::ConnectionId;
use crate::chat::identity::ClientId;
use crate::chat::message::{MAX_UNACKNOWLEDGED, Message, RejectReason, ServerReject};
use crate::room::Bucket;

#[derive(Clone, Debug, Default)]
pub(super) struct Connection {
    pub(super) phase: Phase,
    /// Messages to this connection alone that nobody has polled.
    unsent: usize,
    /// Reads of this connection that the store has not answered.
    pub(super) reads: usize,
    /// Whether it was not ready when last looked at, so that its becoming ready is an event.
    held: bool,
    /// Whether its client had written more than it may, likewise.
    throttled: bool,
    /// What it may still append, in whatever rooms.
    pub(super) budget: Bucket,
}

#[derive(Clone, Debug, Default)]
pub(super) enum Phase {
    /// Has not joined.
    #[default]
    Outside,
    /// Waits for its room to become durable.
    Entering(Membership, Position),
    Joined(Membership),
    /// Whatever it sends is ignored.
    Ended,
}

#[derive(Clone, Debug)]
pub(super) struct Membership {
    pub(super) room: RoomKey,
    pub(super) client: ClientId,
    pub(super) name: Arc<str>,
    /// The sequence up to which everything was refused, while the room knows nothing of the client: it starts after it.
    pub(super) refused: u64,
}

/// What a client has, as its join says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) epoch: u64,
    pub(super) has: u64,
    pub(super) last: u64,
}

impl Connection {
    pub(super) fn membership(&self) -> Option<&Membership> {
        match &self.phase {
            Phase::Entering(membership, _) | Phase::Joined(membership) => Some(membership),
            Phase::Outside | Phase::Ended => None,
        }
    }

    pub(super) fn joined(&self) -> Option<&Membership> {
        match &self.phase {
            Phase::Joined(membership) => Some(membership),
            _ => None,
        }
    }
}

impl Server {
    /// Whether one more message of `connection` finds a place. While it is false, stop receiving on that connection, so that its
    /// client feels it; [`ServerEvent::Ready`](super::ServerEvent::Ready) says when to go on.
    pub fn is_ready(&self, connection: ConnectionId) -> bool {
        let Some(state) = self.connections.get(&connection) else { return true };
        let waiting =
            state.membership().map_or(0, |membership| self.waiting(membership.room, membership.client));
        waiting + state.unsent < MAX_UNACKNOWLEDGED && self.throttled_until(connection).is_none()
    }

    /// To be called after everything that changes what `is_ready` says.
    pub(super) fn refresh_ready(&mut self, connection: ConnectionId) {
        let ready = self.is_ready(connection);
        let throttled_until = self.throttled_until(connection);
        let Some(state) = self.connections.get_mut(&connection) else { return };
        if ready && state.held {
            self.events.ready(connection);
        }
        state.held = !ready;
        if let Some(until) = throttled_until {
            self.stats.throttled += u64::from(!core::mem::replace(&mut state.throttled, true));
            self.wait_for_budget(connection, until);
        } else {
            state.throttled = false;
        }
    }

    pub(super) fn send(&mut self, to: ConnectionId, message: &Message<'_>, delivery: Delivery) {
        self.send_bytes(to, message.to_bytes(), delivery);
    }

    pub(super) fn send_bytes(&mut self, to: ConnectionId, payload: Bytes, delivery: Delivery) {
        let Some(state) = self.connections.get_mut(&to) else { return };
        state.unsent += 1;
        self.outbox.push(Audience::One(to), payload, delivery);
        self.refresh_ready(to);
    }

    pub(super) fn sent(&mut self, to: ConnectionId) {
        if let Some(state) = self.connections.get_mut(&to) {
            state.unsent -= 1;
            self.refresh_ready(to);
        }
    }

    pub(super) fn reject(&mut self, to: ConnectionId, room: &str, sequence: u64, reason: RejectReason) {
        let epoch = self.names.get(room).map_or(0, |&key| self.rooms[key.0].epoch);
        let delivery = if reason == RejectReason::Full { Delivery::Droppable } else { Delivery::Essential };
        self.send(to, &Message::ServerReject(ServerReject { room, epoch, sequence, reason }), delivery);
    }

    /// The last that happens on a connection.
    pub(super) fn end(&mut self, connection: ConnectionId, why: EndReason) {
        let reason = match why {
            EndReason::Fenced => RejectReason::Fenced,
            EndReason::Malformed => RejectReason::Malformed,
            EndReason::Overrun => RejectReason::Overrun,
            EndReason::Barred => RejectReason::Barred,
        };
        if let Some(room) = self.leave(connection) {
            let name = self.rooms[room.0].name.clone();
            self.reject(connection, &name, 0, reason);
        }
        self.connections.entry(connection).or_default().phase = Phase::Ended;
        self.refresh_ready(connection);
        self.events.ended(connection, why);
    }

    /// Takes a connection out of its room, which it names.
    pub(super) fn leave(&mut self, connection: ConnectionId) -> Option<RoomKey> {
        let state = self.connections.get_mut(&connection)?;
        let (Phase::Joined(membership) | Phase::Entering(membership, _)) = core::mem::take(&mut state.phase)
        else {
            return None;
        };
        let room = &mut self.rooms[membership.room.0];
        room.depart(membership.client, connection);
        room.is_used(self.now, 0);
        self.budgets.leaves(membership.client, connection);
        Some(membership.room)
    }

    pub(super) fn forget_connection(&mut self, connection: ConnectionId) {
        self.leave(connection);
        let unsent = self.connections.remove(&connection).map_or(0, |state| state.unsent);
        if unsent > 0 {
            self.outbox.forget(connection);
        }
        self.events.forget(connection);
        self.reads.forget(connection);
    }
}
