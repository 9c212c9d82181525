//! The file of a recording, and what it held before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::MAGIC;

/// Where the recording stays that was in `file` before: `session.old.rec` beside `session.rec`.
pub fn kept_beside(file: &Path) -> PathBuf {
    beside(file, "old")
}

/// The file of this number among several recordings: 0 is `file` itself, 1 has a 1 before its extension, such as `session.1.rec`.
pub fn numbered(file: &Path, number: u8) -> PathBuf {
    if number > 0 { beside(file, &number.to_string()) } else { file.to_owned() }
}

/// A file's name with a word before its extension.
pub(crate) fn beside(file: &Path, word: &str) -> PathBuf {
    match file.extension() {
        Some(extension) => file.with_extension(format!("{word}.{}", extension.to_string_lossy())),
        None => file.with_extension(word),
    }
}

/// An empty file that only its owner may read, and to which nobody else writes; and where that is now which it held.
pub(super) fn private(path: &Path) -> io::Result<(File, Option<PathBuf>)> {
    // What a link leads to is kept where it lies.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let is_file = fs::metadata(path).map_or(true, |found| found.is_file());
    let mut options = OpenOptions::new();
    options.write(true).read(is_file).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    if !is_file {
        return Ok((file, None));
    }
    lock(&file, path)?;
    let mut kept = None;
    if holds_something(&mut file)? {
        let old = kept_beside(path);
        fs::rename(path, &old).map_err(|error| {
            let why = format!(
                "{}: the recording in it cannot be kept as {}: {error}; move it away, or name another file",
                path.display(),
                old.display()
            );
            io::Error::new(error.kind(), why)
        })?;
        file = options.create_new(true).open(path)?;
        lock(&file, path)?;
        kept = Some(old);
    }
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.set_len(0)?;
    io::Seek::rewind(&mut file)?;
    Ok((file, kept))
}

/// Nobody else writes to it then, and it is still what is found by that name.
fn lock(file: &File, path: &Path) -> io::Result<()> {
    let mine = file.try_lock().is_ok();
    #[cfg(unix)]
    let mine = mine && {
        use std::os::unix::fs::MetadataExt as _;
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        fs::metadata(path).map(identity).ok() == Some(identity(file.metadata()?))
    };
    if mine {
        return Ok(());
    }
    let why = format!("{}: another recorder writes to it", path.display());
    Err(io::Error::new(io::ErrorKind::ResourceBusy, why))
}

/// Whether there is more in it than a head and one input.
fn holds_something(file: &mut File) -> io::Result<bool> {
    let mut head = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut head)?;
    let len = file.metadata()?.len();
    Ok(len > 0
        && first_end(&head)
            .is_none_or(|end| end.saturating_add(super::CHECK) < len || (end > len && len > HEAD)))
}

/// Where the first input ends, if that can be told: in a head alone there is none.
fn first_end(head: &[u8]) -> Option<u64> {
    let line = head.iter().position(|byte| *byte == b'\n').filter(|_| head.starts_with(MAGIC.as_bytes()))?;
    let mut rest = &head[line + 1..];
    if rest.is_empty() {
        return Some(line as u64 + 1);
    }
    let (_at, _unix) = (number(&mut rest)?, number(&mut rest)?);
    rest = rest.get(1..)?;
    let size = number(&mut rest)?;
    ((head.len() - rest.len()) as u64).checked_add(size)
}

/// The head and what comes before the bytes of an input are shorter.
const HEAD: u64 = 1 << 10;

fn number(rest: &mut &[u8]) -> Option<u64> {
    let end = rest.iter().take(10).position(|byte| byte & 0x80 == 0)?;
    let (bytes, after) = rest.split_at(end + 1);
    *rest = after;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f)))
}
