//! The keys of servers that this user has met: a file with an address and a key on each line.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use adapter_tokio::Address;
use driver::Scheme;
use proto_core::crypto::{Crypto, PublicKey, Trust};

use crate::cli::{ClientCrypto, CryptoError};

/// A server whose key is not known yet, and where to write it down.
#[derive(Debug)]
pub(super) struct Stranger {
    file: PathBuf,
    address: String,
}

impl Stranger {
    /// Keeps the key that the server has shown; what to tell the user.
    pub(super) fn learn(&self, key: PublicKey) -> String {
        let shown = format!("the server showed the key {key}; nobody vouches for it");
        match self.keep(key) {
            Ok(()) => {
                format!("{shown}. It is kept in {}, and another one will be refused", self.file.display())
            }
            Err(error) => format!("{shown}. It cannot be kept in {}: {error}", self.file.display()),
        }
    }

    fn keep(&self, key: PublicKey) -> io::Result<()> {
        if let Some(directory) = self.file.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&self.file)?.write_all(format!("{} {key}\n", self.address).as_bytes())
    }
}

/// What encrypts the datagrams to a server at `urls`, if they are to be; and the server, if it is not known yet.
pub(super) fn crypto(
    args: &ClientCrypto,
    urls: &[Address],
) -> Result<(Option<Crypto>, Option<Stranger>), CryptoError> {
    if !args.applies_to(urls)? {
        return Ok((None, None));
    }
    let (trust, stranger) = match args.server_key {
        Some(key) => (Trust::Pinned(key), None),
        None => look_up(args, urls)?,
    };
    Ok((Some(Crypto::new(Arc::new(args.party()?), trust)), stranger))
}

/// What encrypts the datagrams to a server of this machine that takes nothing else. Nobody is in between, so its key is not kept.
pub(super) fn crypto_at_home(args: &ClientCrypto) -> Result<Crypto, CryptoError> {
    Ok(Crypto::new(Arc::new(args.party()?), Trust::FirstUse))
}

fn look_up(args: &ClientCrypto, urls: &[Address]) -> Result<(Trust, Option<Stranger>), CryptoError> {
    let file = args.known_servers()?;
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(CryptoError::Read { path: file, error }),
    };
    let addresses: Vec<_> =
        urls.iter().filter(|url| url.scheme() == Scheme::Udp).map(ToString::to_string).collect();
    for (line, known) in (1..).zip(text.lines()).filter(|(_, known)| !known.trim().is_empty()) {
        let parsed = known.split_once(' ').and_then(|(at, key)| Some((at, key.trim().parse().ok()?)));
        let Some((address, key)) = parsed else {
            return Err(CryptoError::KnownServers { path: file, line });
        };
        if addresses.iter().any(|known| known == address) {
            return Ok((Trust::Pinned(key), None));
        }
    }
    let address = addresses.into_iter().next().unwrap_or_default();
    Ok((Trust::FirstUse, Some(Stranger { file, address })))
}

#[cfg(test)]
mod tests {
    use proto_core::crypto::{PublicKey, Trust};

    use super::{Stranger, look_up};
    use crate::cli::{ClientCrypto, CryptoError, Encrypt};

    #[test]
    fn a_key_is_learned_once_and_expected_from_then_on() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("new/known-servers");
        let args = ClientCrypto {
            encrypt: Encrypt::Auto,
            server_key: None,
            known_servers: Some(file.clone()),
            identity: None,
            group_secret: None,
        };
        let url = ["udp://192.0.2.1:4100".parse().unwrap()];
        let (trust, stranger) = look_up(&args, &url).unwrap();
        assert_eq!(trust, Trust::FirstUse);
        let key = PublicKey([7; 32]);
        let told = stranger.unwrap().learn(key);
        assert!(told.contains("nobody vouches") && told.contains(&key.to_string()), "{told}");
        let (trust, stranger) = look_up(&args, &url).unwrap();
        assert!(trust == Trust::Pinned(key) && stranger.is_none());
        let other = ["udp://192.0.2.1:4101".parse().unwrap()];
        assert_eq!(look_up(&args, &other).unwrap().0, Trust::FirstUse);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&file, "udp://192.0.2.1:4100 no key\n").unwrap();
        assert!(matches!(look_up(&args, &url), Err(CryptoError::KnownServers { line: 1, .. })));
    }

    #[test]
    fn a_key_that_cannot_be_kept_is_told_of() {
        let stranger = Stranger { file: "/dev/null/known".into(), address: "udp://192.0.2.1:1".to_owned() };
        assert!(stranger.learn(PublicKey([1; 32])).contains("cannot be kept"));
    }
}
