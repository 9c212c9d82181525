//! The handle of a connection that is not there yet.

use std::future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use proto_core::{CloseReason, Closed, Now, Shard};

use crate::connection::Held;
use crate::node::{Entry, Progress, Ticket, Topic, What};
use crate::wait::{self, Attempt};
use crate::{ConnectError, Connection};

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
    /// Both sides have agreed.
    Established,
    /// It is over, or was never established.
    Closed(Closed),
}

/// A connection that is being established: a future of the [`Connection`]. Dropping it gives up.
///
/// Awaiting `&mut` of it may be cut short at any time, and in between [`Self::changed`] tells how it goes.
#[derive(Debug)]
#[must_use = "dropping it gives the connection up"]
pub struct Connecting {
    /// `None` once the connection was handed over.
    connection: Option<Connection>,
    /// The version of the status that `changed` told last.
    told: Option<u64>,
    last: Status,
    ticket: Option<Ticket>,
}

impl Connecting {
    pub(crate) const fn new(connection: Connection) -> Self {
        let last = Status::Connecting { attempt: 1 };
        Self { connection: Some(connection), told: None, last, ticket: None }
    }

    /// The shard of its endpoint that has it; 0 once the connection was handed over.
    pub fn shard(&self) -> Shard {
        self.connection.as_ref().map(Connection::shard).unwrap_or_default()
    }

    /// How it goes.
    pub fn status(&self) -> Status {
        let Some(Connection(held)) = &self.connection else { return self.last.clone() };
        let status =
            held.shared.inspect(|node| node.entry(held.id).map(|entry| status(entry, held.shared.now())));
        status.unwrap_or_else(|| self.last.clone())
    }

    /// Waits until the status is another than the one this told last; the first call is ready at once. It tells the latest and
    /// may skip what lies between. Once the connection was handed over, it is never ready.
    pub async fn changed(&mut self) -> Status {
        let Some(Connection(held)) = &self.connection else { return future::pending().await };
        let told = self.told;
        let (status, version) = wait::until(&held.shared, |node, now| match node.entry(held.id) {
            Some(entry) if told != Some(entry.version) => Attempt::Look((status(entry, now), entry.version)),
            _ => Attempt::Wait(Topic::Of(held.id, What::Status), None),
        })
        .await;
        self.told = Some(version);
        self.last = status.clone();
        status
    }
}

fn status(entry: &Entry, now: Now) -> Status {
    match &entry.progress {
        Progress::Connecting { attempt } => Status::Connecting { attempt: *attempt },
        Progress::Waiting { attempt, at, reason } => {
            Status::Waiting { attempt: *attempt, remaining: at.since(now.mono), reason: (**reason).clone() }
        }
        Progress::Established => Status::Established,
        Progress::Closed(closed) => Status::Closed((**closed).clone()),
    }
}

impl Future for Connecting {
    type Output = Result<Connection, ConnectError>;

    /// Panics, as futures may, when it is polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { connection, ticket, .. } = &mut *self;
        let Held { shared, id, .. } = &*connection.as_ref().expect("polled after it was ready").0;
        let ready = wait::poll(shared, cx, ticket, |node, _| match node.entry(*id) {
            Some(entry) if entry.session.is_some() => Attempt::Look(Ok(())),
            Some(Entry { progress: Progress::Closed(closed), .. }) => Attempt::Look(Err((**closed).clone())),
            _ => Attempt::Wait(Topic::Of(*id, What::Status), None),
        });
        ready.map(|result| {
            self.last = self.status();
            let connection = self.connection.take();
            result.map_err(ConnectError::Failed).map(|()| connection.expect("it was there above"))
        })
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            wait::leave(&connection.0.shared, &mut self.ticket);
        }
    }
}
