//! UDP: sockets, and the task that runs a machine on them.

mod inbound;
mod outbound;
mod pump;
mod socket;
mod stats;

#[cfg(test)]
mod tests;

pub use pump::Pump;
pub use socket::Socket;
pub use stats::Stats;
