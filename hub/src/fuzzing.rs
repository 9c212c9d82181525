//! What fuzzing does to the parsers of this program, which are its own affair otherwise: each takes any bytes, and panics where
//! something does not hold. The bodies are beside what they are about.

/// A file of settings, the environment and a command line, cut by NUL: what is understood can be written as a file, and says the
/// same then.
pub fn settings(bytes: &[u8]) {
    crate::cli::fuzzing::settings(bytes);
}

/// What guests say, a line each: nothing panics, what they are told is JSON, queues have their limits, and who comes later is
/// served.
pub fn gateway(bytes: &[u8]) {
    crate::gateway::fuzzing::texts(bytes);
}

/// Contents of the store's files and of copies: what is understood is written again and says the same.
pub fn store(bytes: &[u8]) {
    crate::store::fuzzing::files(bytes);
}
