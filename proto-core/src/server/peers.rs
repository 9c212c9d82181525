//! The connections, wherever they are: in an endpoint of the server's own, or in shards.

use bytes::Bytes;

use super::board::Board;
use super::shards::{Order, Report};
use crate::{
    Address, ChannelId, Close, ConnectionId, Drain, Endpoint, Event, Message, Now, Received, RequestId,
    SendError, Shard,
};

/// The connections of a server.
#[derive(Clone, Debug)]
pub(super) struct Peers<A: Address> {
    /// The server's own endpoint; without connections when there are shards.
    pub(super) endpoint: Endpoint<A>,
    pub(super) board: Option<Board<A>>,
}

impl<A: Address> Peers<A> {
    pub(super) fn handle_report(&mut self, report: Report<A>) {
        if let Some(board) = &mut self.board {
            board.handle_report(report);
        }
    }

    pub(super) fn poll_order(&mut self) -> Option<(Shard, Order)> {
        self.board.as_mut().and_then(Board::poll_order)
    }

    pub(super) fn poll_event(&mut self) -> Option<(ConnectionId, Event)> {
        match &mut self.board {
            None => self.endpoint.poll_event(),
            Some(board) => board.poll_event(),
        }
    }

    pub(super) fn address(&self, id: ConnectionId) -> Option<A> {
        match &self.board {
            None => self.endpoint.address(id),
            Some(board) => board.address(id),
        }
    }

    /// Whether whoever opened a channel called it so.
    pub(super) fn is_called(&mut self, id: ConnectionId, channel: ChannelId, name: &str) -> bool {
        match &self.board {
            None => self
                .endpoint
                .connection(id)
                .is_some_and(|mut conn| conn.channel(channel).name() == Some(name)),
            Some(board) => board.is_called(id, channel, name),
        }
    }

    pub(super) fn recv(&mut self, now: Now, id: ConnectionId, channel: ChannelId) -> Option<Received> {
        match &mut self.board {
            None => self.endpoint.connection(id)?.channel(channel).recv(now.mono),
            Some(board) => board.recv(id, channel),
        }
    }

    pub(super) fn send(
        &mut self,
        now: Now,
        id: ConnectionId,
        channel: ChannelId,
        message: Message,
    ) -> Result<(), SendError> {
        match &mut self.board {
            None => {
                let mut conn = self.endpoint.connection(id).ok_or(SendError::Closed)?;
                conn.channel(channel).send(now.mono, message).map(|_| ())
            }
            Some(board) => board.send(id, channel, message),
        }
    }

    /// Answers a request with an error. Refused or not, the request ends: by this answer or by its deadline.
    pub(super) fn refuse(&mut self, now: Now, id: ConnectionId, request: RequestId, code: u64) {
        match &mut self.board {
            None => {
                if let Some(mut conn) = self.endpoint.connection(id) {
                    let _ = conn.reply_error(now.mono, request, code, Bytes::new());
                }
            }
            Some(board) => board.refuse(id, request, code),
        }
    }

    pub(super) fn close(&mut self, now: Now, id: ConnectionId, close: Close) {
        match &mut self.board {
            None => {
                if let Some(mut conn) = self.endpoint.connection(id) {
                    conn.close(now.mono, close);
                }
            }
            Some(board) => board.close(id, close),
        }
    }

    /// The end of a connection was seen to.
    pub(super) fn forget(&mut self, id: ConnectionId) {
        if let Some(board) = &mut self.board {
            board.forget(id);
        }
    }

    pub(super) fn drain(&mut self, now: Now, how: Drain) {
        if let Some(board) = &mut self.board {
            board.drain(&how);
        }
        self.endpoint.drain(now.mono, how);
    }

    /// Whether everybody is gone after the drain.
    pub(super) fn is_drained(&self) -> bool {
        self.endpoint.is_draining()
            && self.endpoint.is_empty()
            && self.board.as_ref().is_none_or(Board::is_drained)
    }
}
