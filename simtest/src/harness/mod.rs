//! One test under all drivers: stored schedules, every small schedule, seeds; as a plain `#[test]`.

mod budget;
mod class;
mod corpus;
mod marks;
mod replay;
mod show;
mod test;

pub use self::class::Class;
pub use self::replay::{Body, replay};
pub use self::test::Test;

pub(crate) use self::budget::{Asked, asked_budget, clock, is_stopped};
pub(crate) use self::corpus::stale;
pub(crate) use self::marks::Marks;
pub(crate) use self::show::show;
pub(crate) use self::test::{note, tell_verdict};
