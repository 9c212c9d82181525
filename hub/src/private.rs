//! Files with secrets: nobody but their owner may read them, and what was read does not stay in memory.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// No secret is as long; room is made for so much at once, so that nothing is left behind where it was before.
const MAX_LEN: usize = 64 * 1024;

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivateError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{}: others can read this secret: chmod 600", path.display())]
    NotPrivate { path: PathBuf },
}

/// What is in a file that nobody else can read; more than [`MAX_LEN`] bytes of it are left out.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, PrivateError> {
    let failed = |error| PrivateError::Read { path: path.to_owned(), error };
    let file = File::open(path).map_err(failed)?;
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(&file.metadata().map_err(failed)?) & 0o077 != 0 {
        return Err(PrivateError::NotPrivate { path: path.to_owned() });
    }
    read_from(&file).map_err(failed)
}

/// What is in a file, whoever can read it; more than [`MAX_LEN`] bytes of it are left out.
pub(crate) fn read_from(file: &File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; MAX_LEN]);
    let mut len = 0;
    let mut file = file;
    loop {
        match file.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::{PrivateError, read};

    #[test]
    fn what_others_can_read_is_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "sixteen bytes, or more").unwrap();
        for mode in [0o644, 0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let refused = read(&path).unwrap_err();
            assert!(matches!(refused, PrivateError::NotPrivate { .. }), "{mode:o}: {refused}");
            assert!(refused.to_string().contains("chmod 600"));
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(&**read(&path).unwrap(), b"sixteen bytes, or more");
        }
    }
}
