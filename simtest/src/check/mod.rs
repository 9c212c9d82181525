//! Ready-made checks for common kinds of history.

mod slot_log;
#[cfg(test)]
mod tests;

pub use self::slot_log::{LogSpec, Rule, SlotLog};
