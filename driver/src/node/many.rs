//! Many messages under one lock.

use std::collections::VecDeque;

use proto_core::{ChannelId, ConnectionId, Message, Now, Policy, ReceiptKind, Received, SendError};

use super::{Node, Topic, What};
use crate::wait::Attempt;

impl Node {
    /// Takes from the front of `messages` what there is room for.
    pub(crate) fn send_all(
        &mut self,
        now: Now,
        id: ConnectionId,
        channel: ChannelId,
        messages: &mut VecDeque<Message>,
    ) -> Attempt<Result<(), SendError>> {
        if self.must_yield() {
            return Attempt::Yield;
        }
        let Some(mut conn) = self.open(id) else { return Attempt::Look(Err(SendError::Closed)) };
        let mut channel_state = conn.channel(channel);
        let (mut has_sent, mut unbraked) = (false, 0);
        while let Some(message) = messages.front() {
            let class = message.class;
            let message = Message { receipt: ReceiptKind::None, ..message.clone() };
            match channel_state.send(now.mono, message) {
                Ok(_) => {
                    has_sent = true;
                    unbraked += usize::from(channel_state.policy(class) != Policy::FailFast);
                    messages.pop_front();
                }
                Err(SendError::Full) => {
                    drop(conn);
                    self.full.insert((id, channel));
                    let topic = Topic::Of(id, What::Writable(channel));
                    return if has_sent { Attempt::Begun(topic) } else { Attempt::Wait(topic, None) };
                }
                Err(error) => return Attempt::Done(Err(error)),
            }
        }
        drop(conn);
        self.unbraked += unbraked;
        Attempt::Done(Ok(()))
    }

    /// The messages that are there, at most `limit`; none when there will be none.
    pub(crate) fn recv_many(
        &mut self,
        now: Now,
        id: ConnectionId,
        channel: ChannelId,
        limit: usize,
    ) -> Attempt<Vec<Received>> {
        let received: Vec<_> = match self.endpoint.connection(id) {
            Some(mut conn) => conn.channel(channel).recv_many(now.mono, limit),
            None => Vec::new(),
        };
        if !received.is_empty() {
            self.sessions.pass_over(id, channel);
            return Attempt::Done(received);
        }
        if self.open(id).is_none() {
            return Attempt::Look(Vec::new());
        }
        Attempt::Wait(Topic::Of(id, What::Readable(channel)), None)
    }
}
