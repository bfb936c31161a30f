//! Where the database is and how long it may take, as the driver wants it.
//!
//! TLS is asked for and verified wherever bytes leave the machine: `sslmode=prefer`, which is what a URL without
//! `sslmode` means, would let anybody between the two talk it away. Only `sslmode=disable` does without, and so do
//! Unix sockets and loopback addresses.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::OpenError;

/// How one node speaks to the database.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// `postgresql://user:password@host/database`. Never logged.
    pub url: String,
    /// A PEM file with the certificates that the server's leads to; absent: those that the system trusts.
    pub roots: Option<PathBuf>,
    /// Connections of this node at one time.
    pub connections_max: usize,
    /// How long opening a connection may take.
    pub connect_time_max: Duration,
    /// How long a caller waits for a connection that others use. Beyond it:
    /// [`Busy`](crate::accounts::StoreError::Busy).
    pub wait_time_max: Duration,
    /// How long the database may take to answer. Beyond it:
    /// [`Unavailable`](crate::accounts::StoreError::Unavailable).
    pub answer_time_max: Duration,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("connections_max", &self.connections_max).finish_non_exhaustive()
    }
}

/// The driver's words for the settings.
pub(super) fn for_driver(settings: &Settings) -> Result<tokio_postgres::Config, OpenError> {
    let failed = |reason: String| OpenError::Settings { reason };
    let mut config: tokio_postgres::Config =
        settings.url.parse().map_err(|error| failed(super::failure::told(&error)))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(failed("the URL names no host".to_owned()));
    }
    if config.get_ssl_mode() == SslMode::Prefer {
        config.ssl_mode(if stays_here(&config) { SslMode::Disable } else { SslMode::Require });
    }
    if config.get_application_name().is_none() {
        config.application_name("cresset");
    }
    // The server ends what the caller has given up: a transaction of a node that has died would hold its locks for as
    // long as the server does not miss it.
    let time = settings.answer_time_max.as_millis();
    let given = config.get_options().unwrap_or_default();
    config.options(format!("{given} -c statement_timeout={time} -c idle_in_transaction_session_timeout={time}"));
    config.connect_timeout(settings.connect_time_max);
    config.tcp_user_timeout(settings.answer_time_max);
    config.keepalives_idle(settings.answer_time_max);
    // Of several hosts the one that takes writes: the others are its copies.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    Ok(config)
}

/// How the server proves who it is.
pub(super) fn tls(config: &tokio_postgres::Config, roots: Option<&Path>) -> Result<MakeRustlsConnect, OpenError> {
    let failed = |reason: String| OpenError::Settings { reason };
    let mut trusted = RootCertStore::empty();
    if let Some(path) = roots {
        let unusable = |error| failed(format!("the certificates in '{}': {error}", path.display()));
        for certificate in CertificateDer::pem_file_iter(path).map_err(unusable)? {
            let certificate = certificate.map_err(unusable)?;
            trusted.add(certificate).map_err(|error| failed(format!("'{}': {error}", path.display())))?;
        }
        if trusted.is_empty() {
            return Err(failed(format!("'{}' holds no certificate", path.display())));
        }
    } else if config.get_ssl_mode() != SslMode::Disable {
        // One among the system's certificates that is out of fashion is no reason to do without the others.
        trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn stays_here(config: &tokio_postgres::Config) -> bool {
    let is_here = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        Host::Unix(_) => true,
    };
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(is_here),
        addresses => addresses.iter().all(std::net::IpAddr::is_loopback),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_machine_is_encrypted_unless_the_operator_says_otherwise() {
        for (url, expected) in [
            ("postgresql://c@db.example/c", SslMode::Require),
            ("postgresql://c@db.example/c?sslmode=prefer", SslMode::Require),
            ("postgresql://c@db.example/c?sslmode=disable", SslMode::Disable),
            ("postgresql://c@localhost,db.example/c", SslMode::Require),
            ("postgresql://c@localhost/c", SslMode::Disable),
            ("postgresql://c@127.0.0.1/c?sslmode=require", SslMode::Require),
            ("postgresql://c@%2Frun%2Fpostgresql/c", SslMode::Disable),
            ("postgresql://c@localhost/c?hostaddr=10.0.0.1", SslMode::Require),
        ] {
            let config = for_driver(&settings(url)).expect(url);
            assert_eq!(config.get_ssl_mode(), expected, "{url}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_without_its_password() {
        for url in ["postgresql://", "postgresql://c:hidden@h:port/c", "postgresql://c:hidden@h/c?sslmode=maybe"] {
            let refused = for_driver(&settings(url)).expect_err(url).to_string();
            assert!(!refused.contains("hidden"), "{refused}");
        }
    }

    #[test]
    fn certificates_that_cannot_be_used_are_told() {
        let config = for_driver(&settings("postgresql://c@db.example/c")).expect("a URL");
        let directory = tempfile::TempDir::new().expect("a directory");
        let path = directory.path().join("roots.pem");

        for content in [None, Some("no certificate")] {
            if let Some(content) = content {
                std::fs::write(&path, content).expect("written");
            }
            let Err(refused) = tls(&config, Some(&path)) else { panic!("{content:?} is taken") };
            assert!(refused.to_string().contains("roots.pem"), "{refused}");
        }
    }

    fn settings(url: &str) -> Settings {
        Settings {
            url: url.to_owned(),
            roots: None,
            connections_max: 1,
            connect_time_max: Duration::from_secs(1),
            wait_time_max: Duration::from_secs(1),
            answer_time_max: Duration::from_secs(1),
        }
    }
}
