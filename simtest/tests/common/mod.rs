//! Shared by the integration tests.

pub(crate) mod ledger;
#[allow(dead_code, reason = "not every test needs all of it")]
pub(crate) mod setup;
