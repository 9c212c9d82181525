//! What the command line says of HTTP and the guests who come over it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use proto_core::room::{Limits, RoomConfig};

/// The longest salt that is read, in bytes.
const MAX_SALT: usize = 4096;
/// The shortest salt that cannot be guessed, in bytes.
const MIN_SALT: usize = 16;

/// Why a salt cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaltError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    /// It does not hold a salt.
    #[error("{}: a salt has {MIN_SALT} to {MAX_SALT} bytes, this one has {len}", path.display())]
    Length { path: PathBuf, len: usize },
}

/// Arguments of `serve` about HTTP.
#[derive(Args, Clone, Debug)]
pub(crate) struct HttpArgs {
    /// IP address and port for HTTP: the page at /, the piano protocol at /ws, /metrics, /healthz, /readyz, and /echo. May be
    /// repeated. Without any listener at all, it is 127.0.0.1:4180.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) http: Vec<SocketAddr>,
    /// Pages from this origin (scheme, host and port, as browsers say it) may open web sockets; may be repeated. Without any, all may.
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Vec<String>,
    /// A greeting for those who come to /ws.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) motd: String,
    /// A file with a salt of 16 bytes or more. With it, guests are known by their addresses, the same as long as the salt is;
    /// without it by their tokens, or not at all.
    #[arg(long, value_name = "FILE")]
    pub(crate) salt_file: Option<PathBuf>,
    /// HTTP connections at once.
    #[arg(long, value_name = "N", default_value_t = 65_000)]
    pub(crate) max_http: usize,
    /// HTTP connections at once from one address, unless it is this machine's own.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) max_http_per_address: usize,
    /// Nobody is limited in how much or how often he says, plays or changes something. For measurements.
    #[arg(long, conflicts_with = "record")]
    pub(crate) unlimited: bool,
}

impl HttpArgs {
    /// How rooms are run.
    pub(crate) fn rooms(&self) -> Result<RoomConfig, SaltError> {
        let salt = self.salt_file.as_deref().map(salt).transpose()?;
        let config = RoomConfig { salt, ..RoomConfig::default() };
        Ok(if self.unlimited {
            RoomConfig { allowed: Limits::UNLIMITED, note_quota: false, ..config }
        } else {
            config
        })
    }
}

fn salt(path: &Path) -> Result<Vec<u8>, SaltError> {
    let bytes = std::fs::read(path).map_err(|error| SaltError::Read { path: path.to_owned(), error })?;
    let salt = bytes.trim_ascii().to_vec();
    if (MIN_SALT..=MAX_SALT).contains(&salt.len()) {
        Ok(salt)
    } else {
        Err(SaltError::Length { path: path.to_owned(), len: salt.len() })
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix("http://").unwrap_or(text);
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:4180 or [::1]:4180".to_owned())
}
