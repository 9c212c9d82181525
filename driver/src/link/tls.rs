//! TLS 1.3, and nothing older.

use std::io;
use std::sync::Arc;

use proto_core::Distrust;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
pub use rustls::{ClientConfig, ServerConfig};
use rustls::{RootCertStore, version::TLS13};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A certificate cannot be read.
    #[error("the {what} cannot be read: {error}")]
    Pem {
        /// Which file it is from.
        what: &'static str,
        /// What is wrong.
        error: pem::Error,
    },
    /// A file has no certificate.
    #[error("the {0} has no certificate")]
    Empty(&'static str),
    /// A certificate and its key do not go together, or cannot be used.
    #[error("the certificates cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// Clients cannot be checked by these.
    #[error("the certificates of the clients' authorities cannot be used: {0}")]
    Verifier(#[from] VerifierBuilderError),
}

/// A server with this certificate chain and key; with `client_ca`, clients must show a certificate of one of these authorities. All
/// are PEM.
pub fn server(chain: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13])?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let roots = Arc::new(roots(ca, "file of the clients' authorities")?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    Ok(Arc::new(builder.with_single_cert(certificates(chain, "server's certificate")?, private_key(key)?)?))
}

/// A client that trusts servers with a certificate of one of these authorities, and shows its own certificate where it has one. All
/// are PEM.
pub fn client(ca: &[u8], own: Option<(&[u8], &[u8])>) -> Result<Arc<ClientConfig>, TlsError> {
    client_of(certificates(ca, "file of the authorities")?, own)
}

/// The same with the authorities as certificates, such as those of the system. What cannot be used of them is left out.
pub fn client_of(
    authorities: impl IntoIterator<Item = CertificateDer<'static>>,
    own: Option<(&[u8], &[u8])>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities);
    if roots.is_empty() {
        return Err(TlsError::Empty("list of authorities"));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots);
    Ok(Arc::new(match own {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            builder.with_client_auth_cert(certificates(chain, "client's certificate")?, private_key(key)?)?
        }
    }))
}

/// Whether the peer has said that it does not take this side's certificate, or misses one.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    use rustls::{AlertDescription as Alert, Error};
    let Some(&Error::AlertReceived(alert)) = error.get_ref().and_then(|inner| inner.downcast_ref()) else {
        return false;
    };
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
    )
}

/// Why the peer's certificate does not show who it is, where that is what went wrong.
pub(super) fn distrust(error: &io::Error) -> Option<Distrust> {
    use rustls::{CertificateError as Fault, Error};
    let Some(Error::InvalidCertificate(fault)) = error.get_ref().and_then(|inner| inner.downcast_ref())
    else {
        return None;
    };
    Some(match fault {
        Fault::UnknownIssuer | Fault::BadSignature => Distrust::UnknownIssuer,
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => Distrust::WrongName,
        Fault::Expired | Fault::ExpiredContext { .. } => Distrust::Expired,
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => Distrust::NotYetValid,
        Fault::Other(other) if other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) => {
            Distrust::Authority
        }
        _ => Distrust::Other,
    })
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| TlsError::Pem { what, error })?;
    if certificates.is_empty() { Err(TlsError::Empty(what)) } else { Ok(certificates) }
}

fn roots(pem: &[u8], what: &'static str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, what)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| TlsError::Pem { what: "private key", error })
}
