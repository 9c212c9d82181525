//! States that are told apart by all that is in them.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A state with its mark: what its debug output says, which for machines is everything that they are.
#[derive(Clone, Debug)]
pub(crate) struct Whole<T> {
    pub(crate) state: T,
    mark: u64,
}

impl<T: Debug> Whole<T> {
    pub(crate) fn new(state: T) -> Self {
        let mut hasher = DefaultHasher::new();
        format!("{state:?}").hash(&mut hasher);
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
