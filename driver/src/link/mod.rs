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
mod options;
mod places;
mod stats;
mod stream;
#[cfg(test)]
mod tests;
pub mod tls;
mod upgrade;

pub(crate) use links::Links;
pub(crate) use listen::listen;
pub use listen::ListenError;
pub use options::LinkOptions;
pub(crate) use places::Places;
pub(crate) use stats::Counters;
pub use stats::Stats;
