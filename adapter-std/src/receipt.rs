//! What became of a message.

use std::sync::Arc;
use std::time::Duration;

use proto_core::{Cancel, Fate};

use crate::TimedOut;
use crate::block::block;
use crate::engine::Engine;

/// What will become of a message. Dropping it changes nothing for the message.
#[derive(Debug)]
pub struct Receipt {
    inner: driver::Receipt,
    engine: Arc<Engine>,
}

impl Receipt {
    pub(crate) const fn new(inner: driver::Receipt, engine: Arc<Engine>) -> Self {
        Self { inner, engine }
    }

    /// Takes the message back, as far as that is possible: see [`Cancel`]. The fate still comes.
    pub fn cancel(&self) -> Cancel {
        self.inner.cancel()
    }

    /// Waits for the message's fate. Once told, it stays.
    pub fn wait(&mut self, timeout: Duration) -> Result<Fate, TimedOut> {
        block(&self.engine, timeout, &mut self.inner)
    }
}
