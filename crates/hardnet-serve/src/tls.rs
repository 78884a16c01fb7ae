//! TLS: certificates, keys and handshakes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

/// Time for a handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// A certificate with its chain, and its key: what a server shows to its clients.
#[derive(Clone)]
pub struct TlsIdentity(ServerConfig);

/// Why there is no identity in two files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The first has no certificates in PEM, or damaged ones.
    #[error("no certificate in PEM: {0}")]
    Certificate(String),
    /// The second has no private key in PEM, or a damaged or encrypted one.
    #[error("no private key in PEM that is not encrypted: {0}")]
    Key(String),
    /// The key is of another certificate.
    #[error("the key is not that of the certificate")]
    Mismatch,
    /// The key or the certificate is of a kind that is not supported.
    #[error("certificate or key cannot be used: {0}")]
    Unsupported(String),
}

impl TlsIdentity {
    /// Reads certificates, that of the server first, and the private key, PKCS #8, PKCS #1 or SEC 1, both PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, pem::Error>>()
            .map_err(|error| TlsError::Certificate(error.to_string()))?;
        if certificates.is_empty() {
            return Err(TlsError::Certificate(pem::Error::NoItemsFound.to_string()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Key(error.to_string()))?;
        let unsupported = |error: rustls::Error| TlsError::Unsupported(error.to_string());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unsupported)?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => TlsError::Mismatch,
                error => unsupported(error),
            })?;
        Ok(Self(config))
    }

    /// What accepts connections that speak `protocol`, a name of ALPN.
    pub(crate) fn acceptor(&self, protocol: &str) -> TlsAcceptor {
        let mut config = self.0.clone();
        config.alpn_protocols = vec![protocol.into()];
        Arc::new(config).into()
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsIdentity")
    }
}

/// Shakes hands with a client. `None` where it fails or takes too long, or longer than `time`.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    acceptor: &TlsAcceptor,
    stream: S,
    time: Duration,
) -> Option<TlsStream<S>> {
    timeout(time.min(HANDSHAKE_TIME), acceptor.accept(stream)).await.ok()?.ok()
}
