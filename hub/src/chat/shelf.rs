//! What the loop of a chat tells the thread of the prompt.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the prompt shows and completes.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) me: String,
    pub(super) names: Vec<String>,
    /// Who has left.
    pub(super) gone: Vec<String>,
    pub(super) rooms: Vec<String>,
}

/// The same, for the thread of the prompt.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf(Arc<Mutex<Known>>);

impl Shelf {
    pub(super) fn look(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
