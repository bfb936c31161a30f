//! The certificate that clients see, and what is spoken under it: TLS 1.2 and 1.3.
//!
//! The certificate may be replaced while the node runs; handshakes that have begun end with the one they began with.
//! A name that the client asks for (SNI) is not looked at: there is one domain, and its certificate is the only one.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use cresset_core::limits::TLS_HANDSHAKE_TIME_MAX;
use futures_util::future::BoxFuture;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::Acceptor;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::ClientTransport;

/// The protocol by which a client of direct TLS names itself (XEP-0368 section 3).
const ALPN_CLIENT: &[u8] = b"xmpp-client";

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no such thing.
    #[error("{path}: {reason}")]
    File {
        /// Which file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate and the key do not fit, or are not understood.
    #[error("the certificate cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// No certificate could be made.
    #[error("no certificate could be made: {0}")]
    NotMade(#[from] rcgen::Error),
}

/// A certificate with its key.
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Certificate {
    /// Reads a chain, the domain's own certificate first, and its key from PEM files.
    ///
    /// # Errors
    ///
    /// Says which file cannot be read, or holds no certificate or key.
    pub fn from_files(chain: &Path, key: &Path) -> Result<Certificate, TlsError> {
        let fault = |path: &Path, reason: String| TlsError::File { path: path.display().to_string(), reason };
        let certificates: Vec<_> = CertificateDer::pem_file_iter(chain)
            .and_then(Iterator::collect)
            .map_err(|error| fault(chain, error.to_string()))?;
        if certificates.is_empty() {
            return Err(fault(chain, "no certificate in it".to_owned()));
        }
        let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| fault(key, error.to_string()))?;
        Ok(Certificate { chain: certificates, key: key_der })
    }

    /// Makes a certificate that nobody has signed. Clients ask their user about it, who compares the
    /// [fingerprint](Certificate::fingerprint).
    ///
    /// # Errors
    ///
    /// If the domain is no name that a certificate can hold.
    pub fn self_signed(domain: &str) -> Result<Certificate, TlsError> {
        let made = rcgen::generate_simple_self_signed([domain.to_owned()])?;
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        Ok(Certificate { chain: vec![made.cert.der().clone()], key })
    }

    /// SHA-256 of the domain's own certificate, in the form that clients show.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(&self.chain[0]);
        digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    fn into_configs(self) -> Result<Configs, TlsError> {
        // Nothing is accepted before the handshake is complete: `max_early_data_size` is zero by default.
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)?;
        let mut direct = config.clone();
        direct.alpn_protocols = vec![ALPN_CLIENT.to_vec()];
        Ok(Configs { upgrade: Arc::new(config), direct: Arc::new(direct) })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

/// TLS as this node offers it.
#[derive(Debug)]
pub struct ServerTls {
    /// Read for each handshake, written when the operator replaces the certificate.
    configs: RwLock<Configs>,
}

#[derive(Clone, Debug)]
struct Configs {
    upgrade: Arc<ServerConfig>,
    direct: Arc<ServerConfig>,
}

impl ServerTls {
    /// TLS with this certificate.
    ///
    /// # Errors
    ///
    /// If certificate and key do not fit each other.
    pub fn new(certificate: Certificate) -> Result<Self, TlsError> {
        Ok(ServerTls { configs: RwLock::new(certificate.into_configs()?) })
    }

    /// Uses another certificate for the handshakes that begin from here on.
    ///
    /// # Errors
    ///
    /// If certificate and key do not fit each other; then everything stays as it is.
    pub fn reload(&self, certificate: Certificate) -> Result<(), TlsError> {
        let configs = certificate.into_configs()?;
        *self.configs.write().unwrap_or_else(PoisonError::into_inner) = configs;
        Ok(())
    }

    /// For a stream that was begun in clear (RFC 6120 section 5).
    pub(super) fn upgrade(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.configs().upgrade)
    }

    /// For a connection that begins with TLS (XEP-0368). A client that names protocols must name ours.
    pub(super) fn direct(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.configs().direct)
    }

    fn configs(&self) -> Configs {
        self.configs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Negotiates TLS, for as long as that may take (hostile case B8).
pub(super) fn handshake(
    acceptor: TlsAcceptor,
    transport: ClientTransport,
) -> BoxFuture<'static, io::Result<ClientTransport>> {
    Box::pin(async move {
        let stream = timeout(TLS_HANDSHAKE_TIME_MAX, acceptor.accept(transport))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(Box::new(stream) as ClientTransport)
    })
}

/// Negotiates TLS as [`handshake`] does, on a stream that was begun in clear. A line feed that a client has written behind
/// `<starttls/>`, and that comes too late to be dropped with it, is passed over; TLS begins with no such byte.
pub(super) fn handshake_within(
    acceptor: TlsAcceptor,
    mut transport: ClientTransport,
) -> BoxFuture<'static, io::Result<ClientTransport>> {
    let negotiation = async move {
        let mut first = transport.read_u8().await?;
        for _ in 0..BLANKS_MAX {
            if !first.is_ascii_whitespace() {
                break;
            }
            first = transport.read_u8().await?;
        }
        let mut hello = Acceptor::default();
        hello.read_tls(&mut [first].as_slice())?;
        LazyConfigAcceptor::new(hello, transport).await?.into_stream(acceptor.config().clone()).await
    };
    Box::pin(async move {
        let stream = timeout(TLS_HANDSHAKE_TIME_MAX, negotiation)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(Box::new(stream) as ClientTransport)
    })
}

/// Bytes of white space that are passed over before a handshake. Beyond it the handshake fails.
const BLANKS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_written_to_files_is_read_back() {
        let made = rcgen::generate_simple_self_signed(["capulet.example".to_owned()]).expect("a usable name");
        let directory = tempfile::tempdir().expect("a directory can be made");
        let (chain, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
        std::fs::write(&chain, made.cert.pem()).expect("it can be written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("it can be written");

        let certificate = Certificate::from_files(&chain, &key).expect("it is a certificate");

        assert_eq!(certificate.fingerprint().len(), 32 * 3 - 1);
        let tls = ServerTls::new(certificate).expect("key and certificate fit");
        tls.reload(Certificate::self_signed("capulet.example").expect("a usable name")).expect("they fit");
    }

    #[test]
    fn a_file_that_holds_something_else_is_named() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let empty = directory.path().join("empty.pem");
        std::fs::write(&empty, "").expect("it can be written");

        let error = Certificate::from_files(&empty, &empty).expect_err("there is nothing in it");

        assert!(error.to_string().contains("empty.pem"), "{error}");
    }
}
