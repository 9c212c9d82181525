//! The flight recorder of an endpoint: all that it is told goes by here, and can be told to it again.

mod code;
mod connection;
mod endpoint;
mod letters;
mod replay;
mod tape;
#[cfg(test)]
mod tests;

pub use self::code::{Get, Put, get};
pub(crate) use self::connection::{Chan, Conn};
pub(crate) use self::endpoint::Flight;
pub use self::endpoint::said;
pub use self::replay::Replay;
pub(crate) use self::tape::{Birth, Tape};
pub use self::tape::{RecordOptions, checksum};

/// The name in the head of a recording of an endpoint. It changes with what its inputs hold.
pub const RECORDED: &str = "bowline-endpoint/4";
