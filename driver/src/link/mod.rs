//! Streams: TCP, Unix sockets, TLS and WebSocket.
//!
//! ```text
//!  Links (one per endpoint, run by its I/O task)
//!    Listener ── accepts ──► Handshake ──► Stream ── records ──► machine
//!    Dialing  ── connects ─► (TLS, upgrade)   Wire = Codec over Bytes
//! ```

mod bell;
mod bytes;
mod codec;
mod dial;
mod frames;
mod handshake;
mod links;
mod listen;
mod moved;
mod options;
mod places;
mod stats;
mod stream;
#[cfg(test)]
mod tests;
pub mod tls;
mod upgrade;

pub(crate) use links::Links;
pub use listen::ListenError;
pub(crate) use listen::{Sharing, listen, reserve};
pub(crate) use moved::Moved;
pub use options::LinkOptions;
pub use places::Places;
pub use stats::{Counters, Stats};
