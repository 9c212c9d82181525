//! How a connection fares, and whoever watches it.

use std::time::Duration;

use proto_core::{CloseReason, Closed, ConnectionId, Now, Timestamp};

use crate::Shared;
use crate::node::{Node, Progress, Topic, What};
use crate::wait::{self, Attempt};

/// How a connection fares.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// An attempt to connect is under way.
    Connecting {
        /// Counted from 1.
        attempt: u32,
    },
    /// The last attempt failed, or the connection was lost, and the next attempt waits for its time.
    Waiting {
        /// The number of the attempt that will begin then.
        attempt: u32,
        /// How long it still waits.
        remaining: Duration,
        /// Why the last attempt failed, or how the connection was lost.
        reason: CloseReason,
    },
    /// Both sides have agreed, and there is a link.
    Established,
    /// The link is lost, and the session waits for another.
    Suspended {
        /// How long it still waits until it is over.
        remaining: Duration,
        /// How long the next attempt waits; zero when one is under way, and for a server, to which its clients come.
        next_attempt: Duration,
        /// Why the last attempt failed, or how the link was lost; `None` for a server.
        reason: Option<CloseReason>,
    },
    /// It is over, or was never established.
    Closed(Closed),
}

impl Node {
    /// How a connection fares; `None` once it is forgotten.
    pub(crate) fn status(&self, id: ConnectionId, now: Now) -> Option<Status> {
        let until = |at: Timestamp| at.since(now.mono);
        Some(match &self.entry(id)?.progress {
            Progress::Connecting { attempt } => Status::Connecting { attempt: *attempt },
            Progress::Waiting { attempt, at, reason } => {
                Status::Waiting { attempt: *attempt, remaining: until(*at), reason: (**reason).clone() }
            }
            Progress::Established => Status::Established,
            Progress::Suspended { next_attempt, reason } => Status::Suspended {
                remaining: self.look(id)?.suspended_until().map(until).unwrap_or_default(),
                next_attempt: next_attempt.map(until).unwrap_or_default(),
                reason: reason.as_deref().cloned(),
            },
            Progress::Closed(closed) => Status::Closed((**closed).clone()),
        })
    }
}

/// Watches how a connection fares, without keeping it open.
#[derive(Clone, Debug)]
pub struct Watch {
    shared: Shared<Node>,
    id: ConnectionId,
    /// The version of the status that was told last.
    told: Option<u64>,
}

impl Watch {
    pub(crate) const fn new(shared: Shared<Node>, id: ConnectionId) -> Self {
        Self { shared, id, told: None }
    }

    /// Waits until the status is another than the one this told last; the first call is ready at once. It tells the latest and may skip
    /// what lies between. `None` once it has told the end, or the connection is over and forgotten.
    pub async fn changed(&mut self) -> Option<Status> {
        let Self { shared, id, told } = self;
        let changed = wait::until(shared, |node, now| match node.entry(*id) {
            Some(entry) if *told != Some(entry.version) => {
                Attempt::Look(node.status(*id, now).map(|status| (status, entry.version)))
            }
            Some(entry) if !entry.is_closed() => Attempt::Wait(Topic::Of(*id, What::Status), None),
            _ => Attempt::Look(None),
        });
        let (status, version) = changed.await?;
        *told = Some(version);
        Some(status)
    }
}
