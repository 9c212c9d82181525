//! Why a command has not been carried out.

use std::process::ExitCode;

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
            Self::Usage(why) => eprintln!("simtest: {why}\n{USAGE}"),
            Self::Refused(why) | Self::Failed(why) => eprintln!("simtest: {why}"),
        }
        ExitCode::from(if matches!(self, Self::Failed(_)) { 70 } else { 64 })
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
