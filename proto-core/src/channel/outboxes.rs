//! The queues of a channel's classes, each made when its class is first used.

use alloc::boxed::Box;
use core::ops::{Index, IndexMut};

use super::outbox::Outbox;
use crate::Class;

#[derive(Clone, Debug, Default)]
pub(crate) struct Outboxes([Option<Box<Outbox>>; Class::ALL.len()]);

/// What a class that was never used has.
static UNUSED: Outbox = Outbox::new();

impl Outboxes {
    pub(crate) fn get_mut(&mut self, class: Class) -> Option<&mut Outbox> {
        self.0[class as usize].as_deref_mut()
    }

    #[inline]
    pub(crate) fn get_or_make(&mut self, class: Class) -> &mut Outbox {
        self.0[class as usize].get_or_insert_default()
    }

    /// The only class with something to send, when it is nothing to be written again.
    #[inline]
    pub(super) fn alone(&self) -> Option<Class> {
        let mut alone = None;
        for (outbox, class) in self.0.iter().zip(Class::ALL) {
            if let Some(outbox) = outbox
                && outbox.waits()
            {
                if alone.is_some() || outbox.has_lost() {
                    return None;
                }
                alone = Some(class);
            }
        }
        alone
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Outbox> {
        self.0.iter().flatten().map(|outbox| &**outbox)
    }

    /// Gives back what it can: all of a queue that was never used, and the slack of the others.
    pub(crate) fn shrink(&mut self) {
        for outbox in self.0.iter_mut().flatten() {
            outbox.shrink();
        }
    }
}

impl Index<usize> for Outboxes {
    type Output = Outbox;

    fn index(&self, class: usize) -> &Outbox {
        self.0[class].as_deref().unwrap_or(&UNUSED)
    }
}

impl IndexMut<usize> for Outboxes {
    fn index_mut(&mut self, class: usize) -> &mut Outbox {
        self.0[class].get_or_insert_default()
    }
}

impl crate::sleep::Saved for Outboxes {
    fn is_at_rest(&self) -> bool {
        self.0.iter().all(crate::sleep::Saved::is_at_rest)
    }

    fn save(&self, to: &mut crate::sleep::Saver<'_>) {
        for outbox in &self.0 {
            outbox.save(to);
        }
    }

    fn load(from: &mut crate::sleep::Loader<'_>) -> Option<Self> {
        let mut outboxes = Self::default();
        for outbox in &mut outboxes.0 {
            *outbox = crate::sleep::Saved::load(from)?;
        }
        Some(outboxes)
    }
}
