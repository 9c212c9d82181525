//! Links: how datagrams get from one node to another, and what may happen to them.

mod builder;
mod dist;
mod preset;
#[cfg(test)]
mod tests;

pub use self::builder::Link;
pub use self::dist::Dist;
pub use self::preset::Preset;

pub(crate) use self::builder::Rates;
