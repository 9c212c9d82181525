//! What the shards of a server and its services say to each other (docs/spec/connection.md, section 5).
//!
//! A [`Front`](super::Front) has the connections of one shard and a task of its own; the chat log and the rooms are in one place
//! and see the connections through a [`Board`](super::board::Board). Between the two are messages only: no lock is held over both. What is
//! on its way in either direction is bounded for each channel of each connection by [`WINDOW`].

use alloc::string::String;

use crate::{ChannelId, Close, Closed, ConnectionId, Drain, Message, Received, RequestId, Shard};

/// What may be on its way between a shard and the services for one channel of a connection, in one direction, in bytes: a message
/// is sent as long as less is. Each counts [`cost`].
pub(super) const WINDOW: usize = 128 << 10;
/// What has been taken is told once there is so much of it.
pub(super) const TOLD: usize = WINDOW / 4;
/// What a message costs beside its bytes.
const FIXED: usize = 512;

pub(super) const fn cost(payload: usize) -> usize {
    payload + FIXED
}

/// What a shard tells the services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report<A> {
    /// The shard.
    pub shard: Shard,
    /// What has happened there.
    pub what: Told<A>,
}

/// What has happened in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told<A> {
    /// A client is connected, from this address.
    Connected(ConnectionId, A),
    /// The peer opened a channel of this name.
    Opened(ConnectionId, ChannelId, String),
    /// A message has come.
    Message(ConnectionId, ChannelId, Received),
    /// Messages of this cost found room in the channel's queue.
    Queued(ConnectionId, ChannelId, usize),
    /// A client is gone.
    Closed(ConnectionId, Closed),
    /// Everybody is gone after the drain.
    Drained,
}

/// What the services tell a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// A message is sent.
    Send(ConnectionId, ChannelId, Message),
    /// Messages of this cost were taken.
    Taken(ConnectionId, ChannelId, usize),
    /// A request is refused with this code.
    Refuse(ConnectionId, RequestId, u64),
    /// A connection is closed.
    Close(ConnectionId, Close),
    /// All are sent away in good order.
    Drain(Drain),
}
