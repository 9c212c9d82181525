//! Schedules: what went wrong in a run, in a form that makes it go wrong again.

mod line;
#[cfg(test)]
mod tests;
mod text;

pub use self::line::{Content, Damage, DatagramFault, Effect, Line, LineWhat, Schedule, Weather, Without};
pub use self::text::ParseError;

pub(crate) use self::line::{flow_locus, label_locus, name_locus, ordinal_locus, stream_locus};
