//! Links: how datagrams get from one node to another, and what may happen to them.

mod bottleneck;
mod builder;
mod bursts;
mod codel;
mod dist;
mod preset;
#[cfg(test)]
mod tests;

pub use self::bottleneck::{Bottleneck, Passage};
pub use self::builder::Link;
pub use self::dist::Dist;
pub use self::preset::Preset;

pub(crate) use self::bottleneck::{Gate, Promise};
pub(crate) use self::builder::Rates;
pub(crate) use self::bursts::Bursts;
