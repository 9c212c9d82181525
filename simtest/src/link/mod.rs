//! Links: how datagrams get from one node to another, and what may happen to them.

mod bottleneck;
mod builder;
mod bursts;
mod codel;
mod dist;
mod gate;
mod line;
mod preset;
mod rate_trace;
mod service;
#[cfg(test)]
mod tests;

pub use self::bottleneck::{Bottleneck, Passage};
pub use self::builder::Link;
pub use self::dist::Dist;
pub use self::preset::Preset;
pub use self::rate_trace::{RateTrace, RateTraceError};

pub(crate) use self::builder::Rates;
pub(crate) use self::bursts::Bursts;
pub(crate) use self::gate::{Gate, Promise};
pub(crate) use self::line::Onward;
pub(crate) use self::service::Pace;
