//! Shared by the integration tests.

pub(crate) mod ledger;
pub(crate) mod setup;
