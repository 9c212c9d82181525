//! Counts that one task increments and anybody reads.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($what:literal; $($(#[$doc:meta])* $name:ident,)*) => {
        #[doc = $what]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl std::ops::AddAssign for Stats {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }

        /// The same, while they are counted.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(pub(crate) $name: $crate::counters::Counter,)*
        }

        impl Counters {
            /// What was counted so far.
            pub fn get(&self) -> Stats {
                Stats { $($name: self.$name.get(),)* }
            }
        }
    };
}

pub(crate) use counters;

/// A count that one task increments and anybody reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
