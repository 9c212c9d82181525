//! Many messages in one call.

use std::collections::VecDeque;

use proto_core::{Message, SendError};

use crate::{Channel, Connection, Received, wait};

impl Channel {
    /// See [`Connection::send_all`].
    pub async fn send_all(&self, messages: &mut VecDeque<Message>) -> Result<(), SendError> {
        let (held, channel) = (self.held(), self.id());
        wait::until(&held.shared, |node, now| node.send_all(now, held.id, channel, messages)).await
    }

    /// See [`Connection::recv_many`].
    pub async fn recv_many(&self, limit: usize) -> Vec<Received> {
        let (held, channel, limit) = (self.held(), self.id(), limit.max(1));
        let received =
            wait::until(&held.shared, |node, now| node.recv_many(now, held.id, channel, limit)).await;
        received.into_iter().map(|received| Received::new(received, self.connection())).collect()
    }
}

impl Connection {
    /// Sends messages, from the front of `messages` on, waiting while there is no room: the same as so many calls of [`Self::send`], but
    /// the connection is locked once for as many as find room. What is sent is taken from `messages`: after an error the one at the
    /// front was refused, and a future that is dropped leaves there what is not sent.
    pub async fn send_all(&self, messages: &mut VecDeque<Message>) -> Result<(), SendError> {
        self.channel().send_all(messages).await
    }

    /// The messages that arrived, in their order, as soon as there is one: `limit` at most, or one if that is 0. None when the
    /// connection is over and everything was taken.
    pub async fn recv_many(&self, limit: usize) -> Vec<Received> {
        self.channel().recv_many(limit).await
    }
}
