//! Sealed segments that stay open, because pages are read from them one after the other.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StoreError;
use super::segment::Sealed;

/// How many stay open.
const OPEN: usize = 4;

/// The files, by number; the most recently used last.
#[derive(Default)]
pub(super) struct OpenFiles(Mutex<VecDeque<(u32, Arc<Sealed>)>>);

impl OpenFiles {
    /// Segment `number`, by `open` if it is not open.
    pub(super) fn get(
        &self,
        number: u32,
        open: impl FnOnce() -> Result<Sealed, StoreError>,
    ) -> Result<Arc<Sealed>, StoreError> {
        let mut files = self.files();
        let held = files.iter().position(|(held, _)| *held == number);
        let sealed = match held.and_then(|position| files.remove(position)) {
            Some((_, sealed)) => sealed,
            None => Arc::new(open()?),
        };
        while files.len() >= OPEN {
            files.pop_front();
        }
        files.push_back((number, Arc::clone(&sealed)));
        Ok(sealed)
    }

    /// Has `put` put another file in the place of segment `number`. The old one is closed, as soon as nobody reads it: open, it would
    /// keep its space on the disk.
    pub(super) fn replace(
        &self,
        number: u32,
        put: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut files = self.files();
        let done = put();
        // In any case: what fails may have put it there before.
        files.retain(|(held, _)| *held != number);
        done
    }

    fn files(&self) -> MutexGuard<'_, VecDeque<(u32, Arc<Sealed>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
