//! One scenario for each row of `docs/security.md` that no other test covers: a server, peers made by hand that say whatever they
//! like in packets that are valid, and strangers that send whatever they like.

mod acks;
mod control;
mod lies;
mod memory;
mod numbers;
mod peer;
mod pressure;
mod rows;
mod scenarios;
mod seeds;
mod sessions;
mod strangers;
mod world;
