//! A message that arrived, with the means to answer for it.

use std::fmt;

use bytes::Bytes;
use proto_core::{Batch, Class, Continuity, ReceiptId, RequestId};

use crate::Connection;

/// What comes in on a channel, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incoming {
    /// A message.
    Message(Received),
    /// The session has got another link, or was lost with its server: how the channel goes on. Before anything that came over the
    /// new link; of several that nobody took in between, one comes that says it all.
    Continued(Continuity),
}

/// A message that arrived.
#[derive(Clone)]
pub struct Received {
    /// The bytes.
    pub payload: Bytes,
    /// How it travelled.
    pub class: Class,
    /// Its number among those of its class and channel: see [`proto_core::Received::number`].
    pub number: u64,
    /// How many ordered messages before it will never come: see [`proto_core::Received::gap`].
    pub gap: u32,
    /// Set for a request: `reply` owes an answer to it.
    pub request: Option<RequestId>,
    /// Nobody waits for that answer any more: see [`proto_core::Received::cancelled`].
    pub cancelled: bool,
    /// The batch that it belongs to.
    pub batch: Option<Batch>,
    receipt: Option<(Connection, ReceiptId)>,
}

impl Received {
    pub(crate) fn new(received: proto_core::Received, connection: &Connection) -> Self {
        let proto_core::Received { payload, class, number, gap, request, cancelled, receipt, batch } =
            received;
        let receipt = receipt.map(|receipt| (connection.clone(), receipt));
        Self { payload, class, number, gap, request, cancelled, batch, receipt }
    }

    /// Whether its sender waits for [`Self::ack`] or [`Self::reject`].
    pub const fn wants_receipt(&self) -> bool {
        self.receipt.is_some()
    }

    /// Tells the sender, if it asked, that the message was processed. For the last message of a batch this counts for all of the
    /// batch that was received and not answered. `false` when no answer is owed: none was asked for, one was given before, or
    /// the connection is over.
    pub fn ack(&self) -> bool {
        self.receipt.as_ref().is_some_and(|(connection, receipt)| {
            connection.0.shared.command(|node, now| node.ack(now, connection.0.id, *receipt))
        })
    }

    /// Tells the sender, if it asked, that the message was not processed, for a reason of the application's own.
    pub fn reject(&self, reason: u64) -> bool {
        self.receipt.as_ref().is_some_and(|(connection, receipt)| {
            connection.0.shared.command(|node, now| node.reject(now, connection.0.id, *receipt, reason))
        })
    }
}

/// Two are the same when they are the same message of one connection, or have the same content and nobody waits for an answer.
impl PartialEq for Received {
    fn eq(&self, other: &Self) -> bool {
        let receipt = |received: &Self| {
            received.receipt.as_ref().map(|(connection, receipt)| (connection.id(), *receipt))
        };
        self.payload == other.payload
            && (self.class, self.number, self.gap) == (other.class, other.number, other.gap)
            && (self.request, self.cancelled, self.batch) == (other.request, other.cancelled, other.batch)
            && receipt(self) == receipt(other)
    }
}

impl Eq for Received {}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("payload", &self.payload)
            .field("class", &self.class)
            .field("number", &self.number)
            .field("gap", &self.gap)
            .field("request", &self.request)
            .field("cancelled", &self.cancelled)
            .field("batch", &self.batch)
            .field("wants_receipt", &self.wants_receipt())
            .finish_non_exhaustive()
    }
}
