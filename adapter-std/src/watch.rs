//! Whoever watches how a connection fares.

use std::sync::Arc;
use std::time::Duration;

use driver::Status;

use crate::TimedOut;
use crate::block::block;
use crate::engine::Engine;

/// Watches how a connection fares, without keeping it open.
#[derive(Clone, Debug)]
pub struct Watch {
    inner: driver::Watch,
    engine: Arc<Engine>,
}

impl Watch {
    pub(crate) const fn new(inner: driver::Watch, engine: Arc<Engine>) -> Self {
        Self { inner, engine }
    }

    /// Waits until the status is another than the one this told last: see [`driver::Watch::changed`].
    pub fn changed(&mut self, timeout: Duration) -> Result<Option<Status>, TimedOut> {
        block(&self.engine, timeout, self.inner.changed())
    }
}
