//! Bytes to frames and back; no state. `docs/spec/wire.md` is the specification.

mod reader;
pub mod varint;

pub use reader::{DecodeError, Reader};
