//! Whether datagrams are encrypted, and for whom.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use driver::{Address, Scheme};
use proto_core::crypto::PublicKey;
use proto_core::server::Gate;
use proto_core::{Close, Credentials};
use seal::Party;
use zeroize::Zeroizing;

use crate::private::{self, PrivateError};
use crate::serve::Encryption;

/// What the private key of a server is derived for.
const SERVER_CONTEXT: &str = "bowline 2026-11-21 private key of a server for encrypted datagrams";

/// When datagrams are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encrypt {
    /// When one of the addresses for UDP is not loopback.
    Auto,
    Always,
    Never,
}

impl Encrypt {
    fn applies_to(self, addresses: &[Address]) -> bool {
        match self {
            Self::Auto => {
                addresses.iter().any(|address| address.scheme() == Scheme::Udp && !is_loopback(address))
            }
            Self::Always => true,
            Self::Never => false,
        }
    }
}

fn has_udp(addresses: &[Address]) -> bool {
    addresses.iter().any(|address| address.scheme() == Scheme::Udp)
}

fn is_loopback(address: &Address) -> bool {
    match address.socket_addr().map(|place| place.ip()) {
        Some(IpAddr::V6(ip)) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
        Some(IpAddr::V4(ip)) => ip.is_loopback(),
        None => address.host().is_some_and(|host| host.to_string().eq_ignore_ascii_case("localhost")),
    }
}

/// Whether a stream is as open as its way: everybody there can read and change what is said.
fn is_in_the_clear(address: &Address) -> bool {
    matches!(address.scheme(), Scheme::Tcp | Scheme::Ws) && !is_loopback(address)
}

/// What to say of addresses that are not encrypted.
fn warning(address: &impl Display, remedy: &str) -> String {
    format!("{address} is not encrypted: everybody on the way can read and change what is said; {remedy}")
}

/// Why nothing can be encrypted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CryptoError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{}: {error}", path.display())]
    Secret { path: PathBuf, error: seal::Error },
    #[error(transparent)]
    Party(#[from] seal::Error),
    #[error(
        "{address} is not encrypted, and {option} is not for such addresses: use tls:// or wss://, or leave one of the two out"
    )]
    Mixed { address: Address, option: &'static str },
    #[error(
        "--group-secret closes encrypted datagrams only, and this server has none: listen on udp with --encrypt always, or leave the secret out"
    )]
    OpenGroup,
    #[error(
        "{0} is for encrypted datagrams only, and no address here gets any: name a udp:// address and do not say --encrypt never, or leave it out"
    )]
    InTheClear(&'static str),
    #[error("{}, line {line}: expected a key", path.display())]
    AllowedKeys { path: PathBuf, line: usize },
    #[error("keys are shown on encrypted datagrams only: add --encrypt always, or leave --allowed-keys out")]
    NoKeys,
    #[error(transparent)]
    Private(#[from] PrivateError),
    #[error("nothing says whose key to expect: add --server-key or --known-servers, or set HOME")]
    NoKnownServers,
    #[error("{}, line {line}: expected an address and a key", path.display())]
    KnownServers { path: PathBuf, line: usize },
}

/// The party whose private key is in a file that nobody else can read.
pub(crate) fn read_key(path: &Path) -> Result<Party, CryptoError> {
    let bytes = private::read(path)?;
    let text = str::from_utf8(&bytes).unwrap_or_default();
    Party::from_text(text.trim()).map_err(|error| CryptoError::Secret { path: path.to_owned(), error })
}

/// Lets those in whose key is listed, or whose certificate the link has verified.
#[derive(Debug)]
pub(crate) struct Allowed(pub(crate) BTreeSet<PublicKey>);

impl Gate for Allowed {
    fn judge(&self, credentials: &Credentials) -> Result<(), Close> {
        if credentials.key.is_some_and(|key| self.0.contains(&key)) || !credentials.certificates.is_empty() {
            return Ok(());
        }
        let reason = match credentials.key {
            Some(key) => format!("the key {key} is not allowed here"),
            None => "only those with a key that is allowed come in here".to_owned(),
        };
        Err(Close { reason, ..Close::default() })
    }
}

/// The secret of a closed group, of which it is known that it is long enough.
fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let secret = Zeroizing::new(private::read(path)?.trim_ascii().to_vec());
    match Party::from_private(&[1; 32]).with_secret(&secret) {
        Ok(_) => Ok(secret),
        Err(error) => Err(CryptoError::Secret { path: path.to_owned(), error }),
    }
}

/// What a server encrypts.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServerCrypto {
    /// Encrypt datagrams: auto (when a UDP address is not loopback), always or never. Without, everybody on the way can read and
    /// change what is said.
    #[arg(long, value_name = "WHEN", default_value = "auto", value_enum, hide_possible_values = true)]
    pub(crate) encrypt: Encrypt,
    /// A file that nobody else can read, with a secret of 16 bytes or more that cannot be guessed. By UDP only those who have it come
    /// in.
    #[arg(long, value_name = "FILE")]
    pub(crate) group_secret: Option<PathBuf>,
    /// A file with a public key on each line, and after it whose it is. Of those who come by UDP, TCP, TLS, WebSocket and Unix sockets
    /// only the ones with such a key come in, and those whose certificate --tls-client-ca vouches for.
    #[arg(long, value_name = "FILE")]
    pub(crate) allowed_keys: Option<PathBuf>,
}

impl ServerCrypto {
    /// What to say of the streams and of HTTP at these addresses, where nobody has said that nothing shall be encrypted.
    pub(crate) fn warnings(&self, addresses: &[Address], web: &[SocketAddr]) -> Vec<String> {
        if self.encrypt == Encrypt::Never {
            return Vec::new();
        }
        let streams = addresses.iter().filter(|address| is_in_the_clear(address));
        let streams = streams.map(|address| warning(address, "listen on tls or wss instead"));
        let web = web.iter().filter(|place| !place.ip().to_canonical().is_loopback());
        let web = web.map(|place| warning(&format_args!("http://{place}"), "put TLS before it"));
        streams.chain(web).collect()
    }

    /// The keys of those who come in, where only some do. `is_used`: datagrams are encrypted.
    pub(crate) fn allowed(&self, is_used: bool) -> Result<Option<Vec<PublicKey>>, CryptoError> {
        let Some(path) = &self.allowed_keys else { return Ok(None) };
        if !is_used {
            return Err(CryptoError::NoKeys);
        }
        let text =
            std::fs::read_to_string(path).map_err(|error| CryptoError::Read { path: path.clone(), error })?;
        let lines = (1..).zip(text.lines().map(str::trim));
        let keys =
            lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(line, text)| {
                let key = text.split_whitespace().next().and_then(|key| key.parse().ok());
                key.ok_or_else(|| CryptoError::AllowedKeys { path: path.clone(), line })
            });
        keys.collect::<Result<_, _>>().map(Some)
    }

    /// How a server at these addresses encrypts, if it does.
    pub(crate) fn of(
        &self,
        addresses: &[Address],
        is_recorded: bool,
    ) -> Result<Option<Encryption>, CryptoError> {
        let is_wanted = self.encrypt.applies_to(addresses);
        if self.group_secret.is_some() && !(is_wanted && has_udp(addresses)) {
            return Err(CryptoError::OpenGroup);
        }
        if !is_wanted {
            return Ok(None);
        }
        let secret = self.group_secret.as_deref().map(read_secret).transpose()?;
        Ok(Some(Encryption { secret, is_repeatable: is_recorded }))
    }
}

/// The server whose data directory has this `server_key`: its private key comes of it.
pub(crate) fn server_party(server_key: &[u8; 32]) -> Party {
    Party::from_private(&Zeroizing::new(blake3::derive_key(SERVER_CONTEXT, server_key)))
}

/// Whom a client trusts, by UDP.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClientCrypto {
    /// Encrypt datagrams: auto (when a udp:// address is not loopback, or with --server-key, --group-secret or --identity), always or never.
    #[arg(long, value_name = "WHEN", default_value = "auto", value_enum, hide_possible_values = true)]
    pub(crate) encrypt: Encrypt,
    /// The server's public key, which it prints when it starts: 64 hexadecimal digits. Without it, the one in the file of known
    /// servers; and the first time the one that the server shows, which nobody vouches for.
    #[arg(long, value_name = "KEY")]
    pub(crate) server_key: Option<PublicKey>,
    /// Where the keys of servers are kept. Without it, bowline/known-servers where this user's data are.
    #[arg(long, value_name = "FILE")]
    pub(crate) known_servers: Option<PathBuf>,
    /// A file with the secret of a closed group.
    #[arg(long, value_name = "FILE")]
    pub(crate) group_secret: Option<PathBuf>,
    /// A file with this user's private key, which `bowline key new` makes, for servers that let certain keys in. Without it, a new
    /// key each time.
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
}

impl ClientCrypto {
    /// What to say of these addresses, where nobody has said that nothing shall be encrypted.
    pub(crate) fn warnings(&self, urls: &[Address]) -> Vec<String> {
        let is_told = self.encrypt == Encrypt::Never;
        let open = urls.iter().filter(|url| !is_told && is_in_the_clear(url));
        open.map(|url| warning(url, "ask who runs the server for a tls:// or wss:// address")).collect()
    }

    /// Whether datagrams to these addresses are encrypted.
    pub(crate) fn applies_to(&self, urls: &[Address]) -> Result<bool, CryptoError> {
        let demanded = self.demanded_by();
        let is_wanted = self.encrypt.applies_to(urls) || self.encrypt == Encrypt::Auto && demanded.is_some();
        if !has_udp(urls) || !is_wanted {
            return demanded.map_or(Ok(false), |option| Err(CryptoError::InTheClear(option)));
        }
        let is_plain = |url: &&Address| matches!(url.scheme(), Scheme::Tcp | Scheme::Ws);
        match (urls.iter().find(is_plain), demanded) {
            (Some(url), Some(option)) => Err(CryptoError::Mixed { address: url.clone(), option }),
            _ => Ok(true),
        }
    }

    /// Whether a server of this machine may be asked again with encryption, should it take nothing else: its addresses beyond loopback are
    /// why, and nothing was said of that here.
    pub(crate) fn may_encrypt(&self, urls: &[Address]) -> bool {
        self.encrypt == Encrypt::Auto && has_udp(urls) && !self.encrypt.applies_to(urls)
    }

    /// The option that makes no sense where nothing is encrypted.
    const fn demanded_by(&self) -> Option<&'static str> {
        match self {
            Self { server_key: Some(_), .. } => Some("--server-key"),
            Self { group_secret: Some(_), .. } => Some("--group-secret"),
            Self { identity: Some(_), .. } => Some("--identity"),
            Self { encrypt: Encrypt::Always, .. } => Some("--encrypt always"),
            _ => None,
        }
    }

    /// This side's keys: those of its file, or new ones.
    pub(crate) fn party(&self) -> Result<Party, CryptoError> {
        let party = self.identity.as_deref().map_or_else(|| Ok(Party::generate()?), read_key)?;
        match &self.group_secret {
            Some(path) => Ok(party.with_secret(&read_secret(path)?)?),
            None => Ok(party),
        }
    }

    /// Where the keys of servers are kept.
    pub(crate) fn known_servers(&self) -> Result<PathBuf, CryptoError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let data = || variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
        let file = self.known_servers.clone().or_else(|| Some(data()?.join("bowline/known-servers")));
        file.ok_or(CryptoError::NoKnownServers)
    }
}
