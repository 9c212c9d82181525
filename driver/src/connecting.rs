//! The handle of a connection that is not there yet.

use std::future;
use std::pin::Pin;
use std::task::{Context, Poll};

use proto_core::Shard;

use crate::connection::Held;
use crate::node::{Entry, Progress, Ticket, Topic, What};
use crate::wait::{self, Attempt};
use crate::{ConnectError, Connection, Status, Watch};

/// A connection that is being established: a future of the [`Connection`]. Dropping it gives up.
///
/// Awaiting `&mut` of it may be cut short at any time, and in between [`Self::changed`] tells how it goes.
#[derive(Debug)]
#[must_use = "dropping it gives the connection up"]
pub struct Connecting {
    /// `None` once the connection was handed over.
    connection: Option<Connection>,
    watch: Watch,
    last: Status,
    ticket: Option<Ticket>,
}

impl Connecting {
    pub(crate) fn new(connection: Connection) -> Self {
        let (watch, last) = (connection.watch(), Status::Connecting { attempt: 1 });
        Self { connection: Some(connection), watch, last, ticket: None }
    }

    /// The shard of its endpoint that has it; 0 once the connection was handed over.
    pub fn shard(&self) -> Shard {
        self.connection.as_ref().map(Connection::shard).unwrap_or_default()
    }

    /// How it goes.
    pub fn status(&self) -> Status {
        let Some(Connection(held)) = &self.connection else { return self.last.clone() };
        let now = held.shared.now();
        let status = held.shared.inspect(|node| node.status(held.id, now));
        status.unwrap_or_else(|| self.last.clone())
    }

    /// Another that tells how it goes, while this one is awaited.
    pub fn watch(&self) -> Option<Watch> {
        self.connection.as_ref().map(Connection::watch)
    }

    /// Waits until the status is another than the one this told last; the first call is ready at once. It tells the latest and
    /// may skip what lies between. Once the connection was handed over, it is never ready.
    pub async fn changed(&mut self) -> Status {
        if self.connection.is_none() {
            return future::pending().await;
        }
        let Some(status) = self.watch.changed().await else { return future::pending().await };
        self.last = status.clone();
        status
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
