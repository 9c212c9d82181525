//! States that are told apart by all that is in them.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A state with its mark: a hash of all that it is.
#[derive(Clone, Debug)]
pub(crate) struct Whole<T> {
    pub(crate) state: T,
    mark: u64,
}

impl<T: Debug> Whole<T> {
    /// One whose debug output has everything.
    pub(crate) fn new(state: T) -> Self {
        let text = format!("{state:?}");
        Self::told_by(state, &text)
    }
}

impl<T> Whole<T> {
    /// One that `text` tells from all others.
    pub(crate) fn told_by(state: T, text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self { state, mark: hasher.finish() }
    }
}

impl<T> PartialEq for Whole<T> {
    fn eq(&self, other: &Self) -> bool {
        self.mark == other.mark
    }
}

impl<T> Eq for Whole<T> {}

impl<T> Hash for Whole<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.mark.hash(hasher);
    }
}
