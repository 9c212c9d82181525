//! The cases that every adapter passes over every link that it offers. Each case is written once, against [`Stack`]; an adapter's
//! tests say `conformance::suite!(TheStack; udp Udp, tcp Tcp, ...)`.
//!
//! A case waits for what must happen, never for a time to pass, and fails when it waits for 30 s.
#![expect(clippy::missing_panics_doc, reason = "cases fail by panicking")]
#![forbid(unsafe_code)]

pub mod admission;
pub mod backpressure;
pub mod cancel;
pub mod channels;
pub mod ends;
mod env;
pub mod lifecycle;
pub mod limits;
pub mod messages;
pub mod os;
pub mod outcomes;
pub mod raw;
pub mod requests;
pub mod secure;
pub mod sessions;
pub mod shards;
mod stack;
mod suite;
pub mod web;
pub mod world;

pub use driver::Scheme;
pub use env::{Env, Pair};
pub use stack::{Asked, Async, Runs, Stack, WAIT, is_reached};
