//! UDP: sockets, and the task that runs a machine on them.

mod inbound;
mod outbound;
mod socket;
mod stats;
mod task;

#[cfg(test)]
mod tests;

pub use socket::{Socket, bind};
pub use stats::{Counters, Stats};
pub use task::Task;
