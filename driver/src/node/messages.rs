//! Messages and channels.

use proto_core::{
    ChannelId, ChannelOptions, ConnectionId, ConnectionMut, Fate, Message, MessageId, Now, OpenError, Received,
    SendError,
};

use super::entry::Holder;
use super::{Node, Topic, What};
use crate::wait::Attempt;
use crate::{Path, Wakes};

impl Node {
    /// The connection, while it is not over.
    pub(super) fn open(&mut self, id: ConnectionId) -> Option<ConnectionMut<'_, Path>> {
        self.entries.get(&id).filter(|entry| !entry.is_closed())?;
        self.endpoint.connection(id)
    }

    /// The connection, to look at.
    pub(crate) fn look(&self, id: ConnectionId) -> Option<&proto_core::Connection> {
        self.endpoint.get(id)
    }

    pub(crate) fn send_now(
        &mut self,
        now: Now,
        id: ConnectionId,
        channel: ChannelId,
        message: Message,
    ) -> Result<MessageId, SendError> {
        let mut conn = self.open(id).ok_or(SendError::Closed)?;
        let sent = conn.channel(channel).send(now.mono, message);
        drop(conn);
        if sent == Err(SendError::Full) {
            self.full.insert((id, channel));
        }
        sent
    }

    /// Sends, waiting while there is no room.
    pub(crate) fn send(
        &mut self,
        now: Now,
        id: ConnectionId,
        channel: ChannelId,
        message: &Message,
    ) -> Attempt<Result<MessageId, SendError>> {
        match self.send_now(now, id, channel, message.clone()) {
            Err(SendError::Full) => Attempt::Wait(Topic::Of(id, What::Writable(channel)), None),
            Err(error) => Attempt::Look(Err(error)),
            Ok(message) => {
                if message_wants_receipt(message, self) {
                }
                Attempt::Done(Ok(message))
            }
        }
    }
}
