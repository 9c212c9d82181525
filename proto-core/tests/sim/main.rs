//! The core, its channels and the chat server in the simulator.

mod admission;
mod chat;
mod clocks;
mod core;
mod drain;
mod linked;
mod net;
mod oracles;
mod peer;
#[cfg(planted)]
mod planted;
mod priorities;
mod rates;
mod roaming;
mod rolling;
mod rooms;
mod scenarios;
mod sealed;
mod secrets;
mod sessions;
mod small;
mod storms;
mod story;
mod streams;
mod table;
mod traces;
#[expect(dead_code, reason = "shared with the conformance suite")]
mod wires;
