//! The connections of all shards, as the services see them.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;

use super::shards::{Order, Report, TOLD, Told, WINDOW, cost};
use crate::{ChannelId, Close, ConnectionId, Drain, Event, Message, Received, RequestId, SendError, Shard};

/// The connections of all shards, as the services see them.
#[derive(Clone, Debug)]
pub(super) struct Board<A> {
    shards: u8,
    connections: BTreeMap<ConnectionId, Peer<A>>,
    events: VecDeque<(ConnectionId, Event)>,
    orders: VecDeque<(Shard, Order)>,
    drained: BTreeSet<Shard>,
}

#[derive(Clone, Debug)]
struct Peer<A> {
    address: A,
    is_closed: bool,
    lines: BTreeMap<ChannelId, Line>,
}

/// One channel of a connection, both ways.
#[derive(Clone, Debug, Default)]
struct Line {
    name: String,
    inbox: VecDeque<Received>,
    /// What was taken and not told.
    taken: usize,
    /// What is on its way to the channel's queue.
    sent: usize,
    /// A message was refused, and it has not been said since that there is room.
    is_full: bool,
}

impl<A: Copy> Board<A> {
    pub(super) const fn new(shards: u8) -> Self {
        Self {
            shards,
            connections: BTreeMap::new(),
            events: VecDeque::new(),
            orders: VecDeque::new(),
            drained: BTreeSet::new(),
        }
    }

    pub(super) fn handle_report(&mut self, Report { shard, what }: Report<A>) {
        match what {
            Told::Connected(id, address) => {
                self.connections.insert(id, Peer { address, is_closed: false, lines: BTreeMap::new() });
            }
            Told::Opened(id, channel, name) => {
                if let Some(line) = self.line(id, channel) {
                    line.name = name;
                    self.events.push_back((id, Event::Opened(channel)));
                }
            }
            Told::Message(id, channel, received) => {
                if let Some(line) = self.line(id, channel) {
                    let was_empty = line.inbox.is_empty();
                    line.inbox.push_back(received);
                    if was_empty {
                        self.events.push_back((id, Event::Readable(channel)));
                    }
                }
            }
            Told::Queued(id, channel, cost) => {
                if let Some(line) = self.line(id, channel) {
                    line.sent = line.sent.saturating_sub(cost);
                    if line.is_full && line.sent < WINDOW {
                        line.is_full = false;
                        self.events.push_back((id, Event::Writable(channel)));
                    }
                }
            }
            Told::Closed(id, closed) => {
                if let Some(peer) = self.connections.get_mut(&id) {
                    peer.is_closed = true;
                    self.events.push_back((id, Event::Closed(closed)));
                }
            }
            Told::Drained => {
                self.drained.insert(shard);
            }
        }
    }

    pub(super) fn poll_order(&mut self) -> Option<(Shard, Order)> {
        self.orders.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<(ConnectionId, Event)> {
        self.events.pop_front()
    }

    pub(super) fn address(&self, id: ConnectionId) -> Option<A> {
        self.connections.get(&id).map(|peer| peer.address)
    }

    pub(super) fn is_called(&self, id: ConnectionId, channel: ChannelId, name: &str) -> bool {
        let line = self.connections.get(&id).and_then(|peer| peer.lines.get(&channel));
        line.is_some_and(|line| line.name == name)
    }

    pub(super) fn recv(&mut self, id: ConnectionId, channel: ChannelId) -> Option<Received> {
        let peer = self.connections.get_mut(&id)?;
        let is_closed = peer.is_closed;
        let line = peer.lines.get_mut(&channel)?;
        let received = line.inbox.pop_front()?;
        line.taken += cost(received.payload.len());
        if line.taken >= TOLD && !is_closed {
            let taken = core::mem::take(&mut line.taken);
            self.order(id, Order::Taken(id, channel, taken));
        }
        Some(received)
    }

    pub(super) fn send(
        &mut self,
        id: ConnectionId,
        channel: ChannelId,
        message: Message,
    ) -> Result<(), SendError> {
        let line = self.line(id, channel).ok_or(SendError::Closed)?;
        if line.sent >= WINDOW {
            line.is_full = true;
            return Err(SendError::Full);
        }
        line.sent += cost(message.payload.len());
        self.order(id, Order::Send(id, channel, message));
        Ok(())
    }

    pub(super) fn refuse(&mut self, id: ConnectionId, request: RequestId, code: u64) {
        self.order(id, Order::Refuse(id, request, code));
    }

    pub(super) fn close(&mut self, id: ConnectionId, close: Close) {
        if self.connections.get(&id).is_some_and(|peer| !peer.is_closed) {
            self.order(id, Order::Close(id, close));
        }
    }

    pub(super) fn drain(&mut self, how: &Drain) {
        for shard in (0..self.shards).map(Shard) {
            self.orders.push_back((shard, Order::Drain(how.clone())));
        }
    }

    /// The end of a connection was seen to.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        if self.connections.get(&id).is_some_and(|peer| peer.is_closed) {
            self.connections.remove(&id);
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.drained.len() == usize::from(self.shards) && self.connections.is_empty()
    }

    fn order(&mut self, id: ConnectionId, order: Order) {
        self.orders.push_back((id.shard(), order));
    }

    /// A channel of a connection that is not over.
    fn line(&mut self, id: ConnectionId, channel: ChannelId) -> Option<&mut Line> {
        let peer = self.connections.get_mut(&id).filter(|peer| !peer.is_closed)?;
        Some(peer.lines.entry(channel).or_default())
    }
}
