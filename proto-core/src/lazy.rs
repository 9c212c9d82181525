//! What most connections never need costs them a pointer.

use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};

/// Has a value that stands for "nothing has happened", the same as its default.
pub(crate) trait Blank: Default + 'static {
    /// That value.
    const BLANK: &'static Self;
}

/// A `T` that takes no memory until it is first changed, and reads as blank until then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lazy<T>(Option<Box<T>>);

impl<T> Lazy<T> {
    /// What there is, if it was ever changed.
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// Forgets everything, and gives the memory back.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }
}

impl<T> Lazy<T> {
    /// What was changed, if anything was.
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }
}

impl<T> From<Option<Box<T>>> for Lazy<T> {
    fn from(value: Option<Box<T>>) -> Self {
        Self(value)
    }
}

impl<T: Blank> Deref for Lazy<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::BLANK)
    }
}

impl<T: Blank> DerefMut for Lazy<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Blank, Lazy};

    impl Blank for [u8; 3] {
        const BLANK: &'static Self = &[0; 3];
    }

    #[test]
    fn reading_takes_no_memory() {
        let mut lazy = Lazy::<[u8; 3]>::default();
        assert_eq!(lazy[1], 0);
        assert!(lazy.0.is_none());
        lazy[1] = 7;
        assert_eq!(*lazy, [0, 7, 0]);
        lazy.clear();
        assert_eq!(*lazy, [0; 3]);
        assert!(lazy.0.is_none());
    }
}
