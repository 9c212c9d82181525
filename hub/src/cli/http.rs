//! What the command line says of HTTP and the guests who come over it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use proto_core::Network;
use zeroize::Zeroizing;

use crate::http::Admin;
use crate::private::{self, PrivateError};

/// The longest secret that is read, in bytes.
const MAX_SECRET: usize = 4096;
/// The shortest secret that cannot be guessed, in bytes.
const MIN_SECRET: usize = 16;

/// Why a salt or a token cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The file cannot be read, or others can read it, too.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// It does not hold one.
    #[error("{}: a secret has {MIN_SECRET} to {MAX_SECRET} bytes, this one has {len}", path.display())]
    Length { path: PathBuf, len: usize },
    /// Nobody could show it.
    #[error("{}: a token is one line of printable ASCII characters, as it travels in a header of HTTP", path.display())]
    Unsayable { path: PathBuf },
}

/// Where the crown goes when its holder leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Crown {
    /// To whoever is there longest.
    Next,
    /// To the ground.
    Drop,
}

/// How long the log of an empty room is kept; `None`: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep(pub(crate) Option<Duration>);

/// Arguments of `serve` about HTTP.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct HttpArgs {
    /// IP address and port for HTTP: the page at /, the piano protocol at /ws, /metrics, /healthz, and /readyz. May be
    /// repeated. Without any listener at all, it is 127.0.0.1:4180.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) http: Vec<SocketAddr>,
    /// Pages from this origin (scheme, host and port, as browsers say it) may open web sockets, those of --ws and --wss too; may be
    /// repeated. Without any, all may.
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Vec<String>,
    /// A proxy at this address, or in this network, says by X-Forwarded-For or Forwarded for whom it asks, and is believed; may be
    /// repeated.
    #[arg(long, value_name = "CIDR")]
    pub(crate) trusted_proxy: Vec<Network>,
    /// A greeting for those who come to /ws.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) motd: String,
    /// A file that nobody else can read, with a salt of 16 bytes or more. With it, guests are known by their addresses, the same as long as the salt is;
    /// without it by their tokens, or not at all.
    #[arg(long, value_name = "FILE")]
    pub(crate) salt_file: Option<PathBuf>,
    /// A file that nobody else can read, with a token of 16 bytes or more. Who shows it may run the server over HTTP, at /admin/, from this machine.
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// The same from other machines: put TLS before it.
    #[arg(long, requires = "admin_token_file")]
    pub(crate) admin_from_anywhere: bool,
    /// HTTP connections at once.
    #[arg(long, value_name = "N", default_value_t = 65_000)]
    pub(crate) max_http: usize,
    /// HTTP connections at once from one address, unless it is a --trusted-proxy or, without any, this machine's own.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) max_http_per_address: usize,
    /// Whether what web sockets say at /echo is repeated, for conformance suites: 16 at once, up to 3 MiB of memory each.
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true",
        require_equals = true, action = ArgAction::Set, hide_possible_values = true)]
    pub(crate) echo: bool,
    /// Rooms with somebody in them at once.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) max_rooms: usize,
    /// Rooms that the log may hold, empty ones included: what is said in one is kept, and its name with it.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) max_logs: usize,
    /// How long the log of a room is kept after everybody has left: a number and s, m, h or d, such as 90d; or for-ever. The rooms lobby
    /// and test/awkward are kept in any case.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = keep)]
    pub(crate) keep_rooms: Keep,
    /// Where the crown goes when its holder leaves: next (to whoever is there longest) or drop (to the ground).
    #[arg(long, value_name = "WHERE", default_value = "next", value_enum, hide_possible_values = true)]
    pub(crate) crown_on_leave: Crown,
    /// A ban concerns all who come from the same network: the /24 of an IPv4 address, the /56 of an IPv6 one.
    #[arg(long)]
    pub(crate) ban_prefix: bool,
    /// Nobody is limited in how much or how often he says, plays or changes something. For measurements.
    #[arg(long)]
    pub(crate) unlimited: bool,
}

impl HttpArgs {
    /// Who may run the server over HTTP.
    pub(crate) fn admin(&self) -> Result<Option<Admin>, SecretError> {
        let Some(path) = self.admin_token_file.as_deref() else { return Ok(None) };
        let token = secret(path)?;
        if !token.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(SecretError::Unsayable { path: path.to_owned() });
        }
        Ok(Some(Admin::new(&token, self.admin_from_anywhere)))
    }

    /// The salt by which guests are known.
    pub(crate) fn salt(&self) -> Result<Option<Zeroizing<Vec<u8>>>, SecretError> {
        self.salt_file.as_deref().map(secret).transpose()
    }
}

fn secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let bytes = private::read(path)?;
    let secret = Zeroizing::new(bytes.trim_ascii().to_vec());
    if (MIN_SECRET..=MAX_SECRET).contains(&secret.len()) {
        Ok(secret)
    } else {
        Err(SecretError::Length { path: path.to_owned(), len: secret.len() })
    }
}

fn keep(text: &str) -> Result<Keep, String> {
    if text == "for-ever" {
        return Ok(Keep(None));
    }
    let seconds = || {
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(unit).filter(|seconds| *seconds > 0)
    };
    let seconds = seconds().ok_or("expected a number and s, m, h or d, such as 90d or 12h; or for-ever")?;
    Ok(Keep(Some(Duration::from_secs(seconds))))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix("http://").unwrap_or(text);
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:4180 or [::1]:4180".to_owned())
}
