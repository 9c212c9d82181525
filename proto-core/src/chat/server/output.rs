//! What leaves the server: messages in order, and events without one.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use core::fmt;

use bytes::Bytes;

use crate::ConnectionId;

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Who gets it.
    pub to: Audience,
    /// The message: at most [`MAX_MESSAGE`](crate::chat::MAX_MESSAGE) bytes, the same for every receiver.
    pub payload: Bytes,
    /// What to do when a receiver has no room for it.
    pub delivery: Delivery,
}

/// Who gets a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// One connection.
    One(ConnectionId),
    /// Every connection in a room. The list is shared with earlier messages of the same audience.
    Many(Arc<[ConnectionId]>),
}

/// What to do with a message that a receiver has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Hold it until the connection takes it, and meanwhile hand in no message of that connection.
    Essential,
    /// Drop it: the receiver sees the gap and asks.
    Droppable,
}

/// Something to know or to do, beside messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// `is_ready` of this connection is true again.
    Ready(ConnectionId),
    /// Nothing more is answered on this connection: send what is still to be polled for it, then close it.
    Ended(ConnectionId, EndReason),
    /// The store has no room. Appends wait and are tried again by themselves; clients are told.
    DiskFull,
    /// The store takes batches again.
    DiskRecovered,
    /// The store is broken, and every room has stopped: nothing is committed until the server is started on a sound one.
    Stopped,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The same client joined on a newer connection.
    Fenced,
    /// It sent what no client sends.
    Malformed,
    /// It may not be in its room any more.
    Barred,
    /// Its messages were handed in although `is_ready` was false, and one could not be kept.
    Overrun,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fenced => "the same client joined on a newer connection",
            Self::Malformed => "a message that is not one",
            Self::Barred => "the client may not be in that room",
            Self::Overrun => "messages were handed in faster than they can be kept",
        })
    }
}

/// Events in constant space: one of the store, at most two of each connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    store: Option<ServerEvent>,
    ended: BTreeMap<ConnectionId, EndReason>,
    ready: BTreeSet<ConnectionId>,
}

impl Events {
    /// A later event of the store replaces one that nobody has polled.
    pub(super) fn store(&mut self, event: ServerEvent) {
        self.store = Some(event);
    }

    pub(super) fn ended(&mut self, connection: ConnectionId, reason: EndReason) {
        self.ended.insert(connection, reason);
    }

    pub(super) fn ready(&mut self, connection: ConnectionId) {
        self.ready.insert(connection);
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.ended.remove(&connection);
        self.ready.remove(&connection);
    }

    pub(super) fn poll(&mut self) -> Option<ServerEvent> {
        if let Some(event) = self.store.take() {
            return Some(event);
        }
        if let Some((connection, reason)) = self.ended.pop_first() {
            return Some(ServerEvent::Ended(connection, reason));
        }
        self.ready.pop_first().map(ServerEvent::Ready)
    }
}

/// Messages in the order in which they leave.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Outgoing>,
}

impl Outbox {
    /// Above this many messages no further batch is handed out, so that answers to durable ones cannot pile up.
    const HIGH_WATER: usize = 1024;

    pub(super) fn push(&mut self, to: Audience, payload: Bytes, delivery: Delivery) {
        self.queue.push_back(Outgoing { to, payload, delivery });
    }

    pub(super) fn pop(&mut self) -> Option<Outgoing> {
        self.queue.pop_front()
    }

    pub(super) fn is_high(&self) -> bool {
        self.queue.len() >= Self::HIGH_WATER
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.queue.retain(|outgoing| outgoing.to != Audience::One(connection));
    }
}
