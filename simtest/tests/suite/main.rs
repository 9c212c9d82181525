//! What simtest promises, in one program, so that it is linked once.

mod certificate;
mod cli;
#[path = "../common/mod.rs"]
mod common;
mod ledger;
mod page;
mod register;
mod shrink;
mod snapshots;
