//! Why a command has not been carried out.

use std::io::{self, Write as _};
use std::process::{self, ExitCode};

use super::usage::USAGE;

#[derive(Debug)]
pub(crate) enum Error {
    /// It is not understood.
    Usage(String),
    /// What it asks for is not there.
    Refused(String),
    /// It could not be done.
    Failed(String),
}

impl Error {
    /// Tells it, and how the program ends.
    pub(crate) fn told(&self) -> ExitCode {
        match self {
            Self::Usage(why) => complain(&format!("{why}\n{USAGE}")),
            Self::Refused(why) | Self::Failed(why) => complain(why),
        }
        ExitCode::from(if matches!(self, Self::Failed(_)) { FAILED } else { 64 })
    }
}

/// How the program ends when something could not be done.
const FAILED: u8 = 70;

/// Nobody may be listening.
pub(crate) fn complain(why: &str) {
    let _ = writeln!(io::stderr(), "simtest: {why}");
}

/// Standard output takes no more: that is an error, unless whoever read it has seen enough.
pub(crate) fn unwritten(error: &io::Error) {
    if error.kind() != io::ErrorKind::BrokenPipe {
        complain(&format!("the output cannot be written: {error}"));
        process::exit(FAILED.into());
    }
}

impl From<String> for Error {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// What the command line should have said.
pub(crate) fn usage(why: &str) -> Error {
    Error::Usage(why.to_owned())
}
