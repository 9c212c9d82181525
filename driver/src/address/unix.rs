//! Names of Unix sockets.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::AddressError;

/// Bytes of a path that fit into every system's addresses, the closing zero left out: Linux takes 107, macOS 103.
const MAX_PATH: usize = if cfg!(target_vendor = "apple") { 103 } else { 107 };

/// The name of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixName(String);

impl UnixName {
    /// Where it is in the file system; `None` for a name without a file.
    pub fn path(&self) -> Option<&Path> {
        (!self.0.starts_with('@')).then(|| Path::new(&self.0))
    }

    /// The name of a socket without a file, which only Linux has.
    pub fn abstract_name(&self) -> Option<&str> {
        self.0.strip_prefix('@')
    }
}

impl FromStr for UnixName {
    type Err = AddressError;

    /// A path, or `@` and a name. A path that begins with `@` is written `./@`.
    fn from_str(path: &str) -> Result<Self, AddressError> {
        let has_abstract = cfg!(any(target_os = "linux", target_os = "android"));
        let why = match path.strip_prefix('@') {
            _ if path.is_empty() => "it is empty",
            _ if path.contains('\0') => "it has a zero byte",
            Some("") => "there is no name after the @",
            Some(_) if !has_abstract => "this system has no sockets without a file",
            // The first byte of an address stands for the @.
            _ if path.len() > MAX_PATH => "it is too long for a socket's address",
            _ => return Ok(Self(path.to_owned())),
        };
        Err(AddressError::UnixPath { path: path.to_owned(), why })
    }
}

impl fmt::Display for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
