//! One test under all drivers: stored schedules, every small schedule, seeds; as a plain `#[test]`.

mod class;
mod corpus;
mod marks;
mod show;
mod test;

pub use self::class::Class;
pub use self::test::Test;

pub(crate) use self::corpus::stale;
pub(crate) use self::marks::Marks;
pub(crate) use self::show::show;
pub(crate) use self::test::{asked_budget, note, tell_verdict};
