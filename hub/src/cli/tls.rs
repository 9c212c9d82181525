//! Certificates and keys, from the files that the command line names.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapter_tokio::link::tls::{self, ClientConfig, ServerConfig, TlsError};
use clap::Args;
use zeroize::Zeroizing;

use crate::private;

/// Why TLS cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsFileError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    /// It is not what it should be.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What a server shows, and asks for.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "so are the options called")]
pub(crate) struct ServerTls {
    /// Certificate chain for --tls and --wss, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Clients must show a certificate of one of these authorities, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_client_ca: Option<PathBuf>,
}

impl ServerTls {
    pub(crate) fn read(&self) -> Result<Option<Arc<ServerConfig>>, TlsFileError> {
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let ca = self.tls_client_ca.as_deref().map(read).transpose()?;
        Ok(Some(tls::server(&read(cert)?, &read_key(key)?, ca.as_deref())?))
    }
}

/// Whom a client trusts, and what it shows.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "so are the options called")]
pub(crate) struct ClientTls {
    /// Trust servers with a certificate of one of these authorities, in PEM, for tls:// and wss://. Without it, those that
    /// the system trusts.
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Certificate chain to show to the server, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
}

impl ClientTls {
    pub(crate) fn read(&self) -> Result<Arc<ClientConfig>, TlsFileError> {
        let files = self.tls_cert.as_deref().zip(self.tls_key.as_deref());
        let own =
            files.map(|(cert, key)| Ok::<_, TlsFileError>((read(cert)?, read_key(key)?))).transpose()?;
        let own = own.as_ref().map(|(cert, key)| (&cert[..], &key[..]));
        Ok(match &self.tls_ca {
            Some(path) => tls::client(&read(path)?, own)?,
            None => tls::client_of(rustls_native_certs::load_native_certs().certs, own)?,
        })
    }
}

/// A private key, which a group may be able to read: that is how the keys of certificates are shared among services.
fn read_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsFileError> {
    let key = File::open(path).and_then(|file| private::read_from(&file));
    key.map_err(|error| TlsFileError::Read { path: path.to_owned(), error })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    std::fs::read(path).map_err(|error| TlsFileError::Read { path: path.to_owned(), error })
}
