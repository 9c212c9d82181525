//! A simulation that runs.

mod core;
mod drive;
mod faults;
mod heap;
mod host;
mod inputs;
mod net;
mod onward;
mod stream;
mod tamper;
#[cfg(test)]
mod tests;

pub use self::drive::Run;

pub(crate) use self::host::Host;
pub(crate) use self::stream::Wires;

/// A node that gives more than this many outputs after one input is stuck.
pub const MAX_DRAIN: u32 = 10_000;

/// So many datagrams wait for a paused node, as in a socket's buffer; further ones are lost.
pub const MAX_PAUSED: usize = 1_024;
