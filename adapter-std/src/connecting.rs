//! The handle of a connection that is not there yet.

use std::sync::Arc;
use std::time::Duration;

use driver::{ConnectError, Status};

use crate::block::block;
use crate::engine::Engine;
use crate::{Connection, Error, TimedOut};

/// A connection that is being established. Dropping it gives up.
#[derive(Debug)]
#[must_use = "dropping it gives the connection up"]
pub struct Connecting {
    inner: driver::Connecting,
    engine: Arc<Engine>,
}

impl Connecting {
    pub(crate) const fn new(inner: driver::Connecting, engine: Arc<Engine>) -> Self {
        Self { inner, engine }
    }

    /// How it goes.
    pub fn status(&self) -> Status {
        self.inner.status()
    }

    /// Waits for another status than this told last; the first call returns at once. It tells the latest, and may skip some.
    pub fn changed(&mut self, timeout: Duration) -> Result<Status, TimedOut> {
        block(&self.engine, timeout, self.inner.changed())
    }

    /// Waits for the connection, and gives it up when it is not there in time.
    pub fn wait(self, timeout: Duration) -> Result<Connection, Error<ConnectError>> {
        let Self { inner, engine } = self;
        let connected = block(&engine, timeout, inner)?;
        connected.map(|inner| Connection::new(inner, engine)).map_err(Error::Failed)
    }
}
