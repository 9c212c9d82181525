//! Keys that users are known by.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use proto_core::crypto::{Identity as _, PublicKey};
use seal::Party;

use crate::cli::{CryptoError, KeyCommand, exit, read_key};

/// Why it cannot be done.
#[derive(Debug, thiserror::Error)]
enum KeyError {
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    #[error(transparent)]
    Party(#[from] seal::Error),
    #[error("{} is there already", .0.display())]
    Taken(PathBuf),
    #[error("{}: {error}", file.display())]
    File { file: PathBuf, error: io::Error },
}

/// Does it, and prints the public key.
pub(crate) fn run(command: &KeyCommand) -> ExitCode {
    let done = match command {
        KeyCommand::New { file } => make(file),
        KeyCommand::Show { file } => read_key(file).map(|party| party.public_key()).map_err(KeyError::Crypto),
    };
    match done {
        Ok(key) => match writeln!(io::stdout(), "{key}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(exit::UNSEEN),
        },
        Err(error) => {
            // Nobody may read stderr, and the exit code says it too.
            let _ = writeln!(io::stderr(), "bowline: {error}");
            ExitCode::from(exit::FAILED)
        }
    }
}

fn make(file: &Path) -> Result<PublicKey, KeyError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Taken(file.to_owned()),
        _ => KeyError::File { file: file.to_owned(), error },
    };
    let party = Party::generate()?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut to = options.open(file).map_err(failed)?;
    to.write_all(party.private_text().as_bytes()).and_then(|()| to.write_all(b"\n")).map_err(failed)?;
    to.sync_all().map_err(failed)?;
    Ok(party.public_key())
}
