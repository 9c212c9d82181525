//! Traces: what happened in a run, as a hash, as records, as text.

mod around;
mod causes;
mod dump;
mod export;
mod kept;
mod record;
mod slice;
#[cfg(test)]
mod tests;
mod view;
mod watch;

pub(crate) use self::around::around;
pub use self::export::TooLarge;
pub(crate) use self::kept::Limit;
pub use self::kept::Trace;
pub use self::view::{Level, Order, Payload, Times, TraceView};

pub(crate) use self::watch::Watch;

pub(crate) use self::record::{Loss, NO_NODE, Record, Recorder, What, Which, Wire};
