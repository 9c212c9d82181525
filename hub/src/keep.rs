//! Looking after a log that no server uses: verification, copies, and the way back from a copy.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{StoreCommand, exit};
use crate::store::{self, Contents, CopyError, DataDir, Opened, Options, StoreError};

/// Why it cannot be done.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}: {error}", file.display())]
    Copy { file: PathBuf, error: CopyError },
    #[error("{}: {error}", file.display())]
    File { file: PathBuf, error: io::Error },
    #[error("{} holds something already: move it away, or choose another directory with --data", dir.display())]
    Taken { dir: PathBuf },
    #[error("there is no log in {}", dir.display())]
    NoLog { dir: PathBuf },
}

impl KeepError {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Store(StoreError::Damaged { .. } | StoreError::Unknown { .. })
            | Self::Copy { error: CopyError::Damaged(_), .. } => exit::DAMAGED,
            Self::Store(_) | Self::Taken { .. } | Self::NoLog { .. } => exit::UNAVAILABLE,
            Self::Copy { .. } | Self::File { .. } => exit::FAILED,
        }
    }
}

fn of_file(file: &Path) -> impl FnOnce(io::Error) -> KeepError {
    move |error| KeepError::File { file: file.to_owned(), error }
}

/// Does it, and says what the log holds.
pub(crate) fn run(command: &StoreCommand) -> ExitCode {
    let done = match command {
        StoreCommand::Check(data) => check(&data.data),
        StoreCommand::Export { file, data } => export(&data.data, file),
        StoreCommand::Import { file, data } => import(file, &data.data),
    };
    // Nobody may read what is said, and the exit code says it too.
    match done {
        Ok(Contents { rooms, entries }) => {
            let _ = writeln!(io::stdout(), "{rooms} rooms, {entries} entries");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "bowline: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn open(data: &Path) -> Result<Opened, KeepError> {
    if !data.join("server.key").exists() {
        return Err(KeepError::NoLog { dir: data.to_owned() });
    }
    Ok(store::open(DataDir::open(data)?, &Options::default())?)
}

/// Reads all of a log as a copy, which verifies every frame.
fn check(data: &Path) -> Result<Contents, KeepError> {
    let opened = open(data)?;
    let copy = Pieces { copying: opened.reader.copier().begin()?, piece: Vec::new(), at: 0 };
    let read = store::read_copy(copy, || 1, |_| Ok(()));
    read.map_err(|error| match error {
        CopyError::Store(error) => error.into(),
        CopyError::Read(error) => match error.downcast::<StoreError>() {
            Ok(error) => error.into(),
            Err(error) => KeepError::File { file: data.to_owned(), error },
        },
        error @ CopyError::Damaged(_) => KeepError::Copy { file: data.to_owned(), error },
    })
}

/// A copy that is read as it is made.
struct Pieces {
    copying: store::Copying,
    piece: Vec<u8>,
    at: usize,
}

impl io::Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            self.at = 0;
            match self.copying.piece().map_err(io::Error::other)? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let len = buf.len().min(self.piece.len() - self.at);
        buf[..len].copy_from_slice(&self.piece[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

fn export(data: &Path, file: &Path) -> Result<Contents, KeepError> {
    let contents = check(data)?;
    let opened = open(data)?;
    let mut copying = opened.reader.copier().begin()?;
    let mut written = private(file).map_err(of_file(file))?;
    while let Some(piece) = copying.piece()? {
        written.write_all(&piece).map_err(of_file(file))?;
    }
    written.sync_all().map_err(of_file(file))?;
    Ok(contents)
}

/// A new file of the owner's own.
fn private(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}

/// Makes the log beside its place, and puts it there when it is whole.
fn import(file: &Path, data: &Path) -> Result<Contents, KeepError> {
    let copy = BufReader::new(File::open(file).map_err(of_file(file))?);
    let is_empty = |dir: &Path| fs::read_dir(dir).map(|mut entries| entries.next().is_none());
    match is_empty(data) {
        Ok(true) => fs::remove_dir(data).map_err(of_file(data))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Ok(false) => return Err(KeepError::Taken { dir: data.to_owned() }),
        Err(error) => return Err(of_file(data)(error)),
    }
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(".importing");
    let beside = data.with_file_name(name);
    // Of an import that did not come to its end.
    if beside.exists() {
        fs::remove_dir_all(&beside).map_err(of_file(&beside))?;
    }
    let Opened { mut writer, reader, .. } = store::open(DataDir::open(&beside)?, &Options::default())?;
    let mut failed = None;
    let draw = || {
        let mut epoch = [0; 8];
        if let Err(error) = getrandom::fill(&mut epoch) {
            failed = Some(error.to_string());
        }
        u64::from_be_bytes(epoch)
    };
    let restored = store::restore(copy, &mut writer, draw);
    drop((writer, reader));
    let restored = match failed {
        Some(error) => Err(KeepError::File { file: file.to_owned(), error: io::Error::other(error) }),
        None => restored.map_err(|error| KeepError::Copy { file: file.to_owned(), error }),
    };
    match restored {
        Ok(contents) => {
            fs::rename(&beside, data).map_err(of_file(data))?;
            Ok(contents)
        }
        Err(error) => {
            // What is wrong is told; the rest is only in the way.
            let _ = fs::remove_dir_all(&beside);
            Err(error)
        }
    }
}
