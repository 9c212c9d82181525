//! What the hub needs of a store, in words that belong to no store in particular.

use proto_core::chat::{Batch, PersistFailure, Read, StoredEntry};

use super::StoreError;

/// The writing half of a store. Opening one gives the rooms as they were left, then only batches go in.
pub(crate) trait LogWriter: Send + 'static {
    /// Makes all of `batches` durable in one piece: when this returns, they outlive the process and the power.
    ///
    /// After an error none of them is in the store, and none ever will be.
    fn append(&mut self, batches: &[Batch]) -> Result<(), AppendError>;
}

/// The reading half of a store, for another thread than the writer's.
pub(crate) trait LogReader: Send + 'static {
    /// A dense prefix of the slots that `read` asks for, at least one entry long: it ends early where names and bodies would
    /// exceed `read.max_bytes`.
    fn read(&mut self, read: &Read) -> Result<Vec<StoredEntry>, StoreError>;
}

/// Batches that did not become durable, and why.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct AppendError(#[from] pub(crate) StoreError);

impl AppendError {
    /// What the server must be told.
    pub(crate) const fn failure(&self) -> PersistFailure {
        match self.0 {
            StoreError::Full { .. } => PersistFailure::Full,
            _ => PersistFailure::Broken,
        }
    }
}
