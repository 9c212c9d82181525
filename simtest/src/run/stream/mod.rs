//! Streams between nodes.

mod arrive;
mod ops;
#[cfg(test)]
mod tests;
mod wires;

pub(crate) use self::wires::Wires;
