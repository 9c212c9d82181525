//! What became of a message.

use std::pin::Pin;
use std::task::{Context, Poll};

use proto_core::{Cancel, ConnectionId, Fate, MessageId};

use crate::node::{Node, Ticket};
use crate::{Shared, wait};

/// Becomes the fate of a message: exactly one, at the latest when the connection is over. It does not keep the connection open,
/// and may be dropped.
#[derive(Debug)]
#[must_use = "a receipt that nobody awaits tells nothing"]
pub struct Receipt {
    shared: Shared<Node>,
    connection: ConnectionId,
    message: MessageId,
    ticket: Option<Ticket>,
}

impl Receipt {
    pub(crate) const fn new(shared: Shared<Node>, connection: ConnectionId, message: MessageId) -> Self {
        Self { shared, connection, message, ticket: None }
    }

    /// The message.
    pub const fn message(&self) -> MessageId {
        self.message
    }

    /// Takes the message back, as far as that is possible: see [`Cancel`]. The fate still comes.
    pub fn cancel(&self) -> Cancel {
        self.shared.command(|node, now| node.cancel(now, self.connection, self.message))
    }
}

impl Future for Receipt {
    type Output = Fate;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fate> {
        let Self { shared, connection, message, ticket } = &mut *self;
        wait::poll(shared, cx, ticket, |node, _| node.fate(*connection, *message))
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        wait::leave(&self.shared, &mut self.ticket);
        self.shared.quietly(|node| node.forget_receipt(self.connection, self.message));
    }
}
