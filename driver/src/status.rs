//! How a connection fares, and whoever watches it.

use std::time::Duration;

use proto_core::{CloseReason, Closed, ConnectionId, Now, Timestamp};

use crate::Shared;
use crate::node::{Entry, Node, Progress, Topic, What};
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

impl Status {
    pub(crate) fn of(entry: &Entry, now: Now) -> Self {
        let until = |at: Timestamp| at.since(now.mono);
        match &entry.progress {
            Progress::Connecting { attempt } => Self::Connecting { attempt: *attempt },
            Progress::Waiting { attempt, at, reason } => {
                Self::Waiting { attempt: *attempt, remaining: until(*at), reason: (**reason).clone() }
            }
            Progress::Established => Self::Established,
            Progress::Suspended { until: end, next_attempt, reason } => Self::Suspended {
                remaining: until(*end),
                next_attempt: next_attempt.map(until).unwrap_or_default(),
                reason: reason.as_deref().cloned(),
            },
            Progress::Closed(closed) => Self::Closed((**closed).clone()),
        }
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
    /// what lies between. Never ready again once it has told the end, or the last handle is gone.
    pub async fn changed(&mut self) -> Status {
        let Self { shared, id, told } = self;
        let (status, version) = wait::until(shared, |node, now| match node.entry(*id) {
            Some(entry) if *told != Some(entry.version) => {
                Attempt::Look((Status::of(entry, now), entry.version))
            }
            _ => Attempt::Wait(Topic::Of(*id, What::Status), None),
        })
        .await;
        *told = Some(version);
        status
    }
}
