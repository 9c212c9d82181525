//! The flight recorder of an endpoint: all that it is told goes by here, and can be told to it again.

mod code;
mod connection;
mod endpoint;
mod replay;
mod tape;
#[cfg(test)]
mod tests;

pub(crate) use self::connection::{Chan, Conn};
pub(crate) use self::endpoint::Flight;
pub use self::replay::Replay;
pub use self::tape::RecordOptions;
pub(crate) use self::tape::{Birth, Tape};

/// The name in the head of a recording of an endpoint. It changes with what its inputs hold.
pub const RECORDED: &str = "bowline-endpoint/1";
