//! TLS towards a server: when, and which certificate is believed.

use super::error::{ClientError, Step};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// When a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TlsMode {
    /// Upgrade by STARTTLS (RFC 6120, section 5).
    Starttls,
    /// TLS from the first byte (XEP-0368).
    Direct,
    /// Never.
    Off,
}

/// Which certificate is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CertificatePolicy {
    /// Any; the server still has to hold its key.
    Any,
    /// The one whose SHA-256 over the DER is this.
    Pinned([u8; 32]),
    /// One for the domain, signed by an authority of this PEM file.
    Authority(PathBuf),
}

/// Builds settings that are shared by all connections. Sessions are not resumed: each handshake is a full one, so
/// that what is measured does not depend on what went before.
///
/// # Errors
/// The authority's file is missing or holds no certificate.
pub(crate) fn settings(policy: &CertificatePolicy) -> Result<Arc<ClientConfig>, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match policy {
        CertificatePolicy::Any => Arc::new(Lenient { pin: None, provider: Arc::clone(&provider) }),
        CertificatePolicy::Pinned(pin) => Arc::new(Lenient { pin: Some(*pin), provider: Arc::clone(&provider) }),
        CertificatePolicy::Authority(path) => {
            let mut roots = RootCertStore::empty();
            let fault = |what: String| ClientError::Tls(format!("{}: {what}", path.display()));
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))? {
                let certificate = certificate.map_err(|error| fault(error.to_string()))?;
                roots.add(certificate).map_err(|error| fault(error.to_string()))?;
            }
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| fault(error.to_string()))?
        }
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    Ok(Arc::new(config))
}

/// Makes the handshake; the name asked for is the XMPP domain (RFC 6120, section 13.7.2).
///
/// # Errors
/// The handshake failed or the certificate is not believed.
pub(crate) async fn handshake(
    settings: &Arc<ClientConfig>,
    domain: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, ClientError> {
    let name = ServerName::try_from(domain.to_owned())
        .map_err(|_| ClientError::Unexpected(Step::Tls, format!("{domain} is no name for a certificate")))?;
    let connector = TlsConnector::from(Arc::clone(settings));
    connector.connect(name, stream).await.map_err(|error| ClientError::Tls(error.to_string()))
}

/// Reads a SHA-256 fingerprint: 64 hexadecimal digits, colons allowed; `None` if it is none.
pub(crate) fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut pin = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in pin.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(pin)
}

/// Believes any certificate, or the one that is pinned, if the server proves that it holds its key.
#[derive(Debug)]
struct Lenient {
    pin: Option<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.pin {
            Some(pin) if Sha256::digest(certificate)[..] != pin => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            Some(_) | None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_64_digits_with_or_without_colons() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");

        assert_eq!(fingerprint(&plain), Some([0xab; 32]));
        assert_eq!(fingerprint(&colons), Some([0xab; 32]));
        assert_eq!(fingerprint("ab"), None);
        assert_eq!(fingerprint(&"zz".repeat(32)), None);
    }
}
