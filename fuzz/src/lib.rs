//! Bodies of fuzz targets: each takes any bytes, and panics where something does not hold. They are run by libFuzzer
//! (`fuzz/libfuzzer`), by the mutator of this package's program, and over the committed corpus by its tests.
#![deny(unsafe_code)]

pub mod cap;
mod channel;
mod chat;
mod client;
mod input;
mod messages;
mod promises;
mod room;
mod sealed;
pub mod seeds;
mod server;
mod tamper;
mod wire;

/// A name and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 12] = [
    ("records", wire::records),
    ("deframer", wire::deframer),
    ("messages", messages::decode),
    ("channel", channel::keeps_its_promise),
    ("server", server::survives),
    ("client", client::survives),
    ("sealed", sealed::believes_nothing),
    ("chat", chat::server),
    ("room", room::hall),
    ("gateway", hub::fuzzing::gateway),
    ("store", hub::fuzzing::store),
    ("settings", hub::fuzzing::settings),
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|&(other, _)| other == name)
}

/// Does with `bytes` what the target of that name does.
///
/// # Panics
/// When something does not hold, or there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, body) = target(name).unwrap_or_else(|| panic!("there is no target {name}"));
    body(bytes);
}
