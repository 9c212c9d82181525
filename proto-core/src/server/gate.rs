//! Who comes in.

use alloc::sync::Arc;
use core::fmt;

use super::Server;
use super::front::Front;
use crate::{Address, Close, ConnectionId, Credentials, Endpoint, Timestamp};

/// Decides about each client of a server, at once: by what it shows, whatever its link is.
///
/// It is asked where the configuration has [`admission`](crate::ConfigBuilder::admission); without a gate nobody comes in then.
pub trait Gate: fmt::Debug + Send + Sync {
    /// Whether the client comes in; otherwise what it is told. A session that goes on was let in when it began.
    fn judge(&self, credentials: &Credentials) -> Result<(), Close>;
}

impl<A: Address> Server<A> {
    /// The same with a gate.
    #[must_use]
    pub fn with_gate(self, gate: Arc<dyn Gate>) -> Self {
        Self { gate: Some(gate), ..self }
    }
}

impl<A: Address> Front<A> {
    /// The same with a gate.
    #[must_use]
    pub fn with_gate(mut self, gate: Arc<dyn Gate>) -> Self {
        self.gate = Some(gate);
        self
    }
}

/// Lets a client in, or sends it away.
pub(super) fn decide<A: Address>(
    endpoint: &mut Endpoint<A>,
    now: Timestamp,
    id: ConnectionId,
    credentials: &Credentials,
    gate: Option<&dyn Gate>,
) {
    // In either case it may be gone by now.
    match gate.map_or_else(|| Err(Close::default()), |gate| gate.judge(credentials)) {
        Ok(()) => endpoint.admit(now, id),
        Err(close) => endpoint.refuse(now, id, close),
    };
}
