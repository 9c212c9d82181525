//! UDP: sockets, and datagrams in batches.

mod inbound;
mod outbound;
mod socket;
mod stats;

#[cfg(test)]
mod tests;

pub(crate) use inbound::Inbound;
pub(crate) use outbound::Outbound;
pub use socket::{Socket, bind};
pub(crate) use socket::{bind_shared, share_port};
pub use stats::{Counters, Stats};
