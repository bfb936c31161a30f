//! The files of the certificate that clients see: the operator's, or a pair that the node makes for itself.
//!
//! A node without a certificate makes one at its first start and keeps it in its data directory, so that a person who
//! has compared its fingerprint once is not asked again. The key is written first and is for the owner only; a pair of
//! which one half is missing is made anew.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cresset_core::config::{CertificateFiles, Config};
use thiserror::Error;

use crate::disk::make_private;

/// The files of a certificate that signs itself, in the data directory.
const CHAIN: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// Why there are no such files.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the messages say what the fields hold
pub enum CertificateError {
    #[error("'{domain}' cannot be written in a certificate: name one with <certificate chain=\"…\" key=\"…\"/>")]
    NoName { domain: String },
    #[error("no certificate for '{domain}' could be made: {error}")]
    NotMade { domain: String, error: rcgen::Error },
    #[error("the certificate could not be kept in '{}': {error}", path.display())]
    NotKept { path: PathBuf, error: std::io::Error },
}

/// Where a certificate is, and whether it is one that was made by this call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The files. That they hold what they should is for the one who reads them to find out.
    pub files: CertificateFiles,
    /// Whether the node has made them just now.
    pub made: bool,
}

/// The files of the certificate that clients of this node see; nothing for a witness. Makes them if the configuration
/// names none and there are none yet.
///
/// # Errors
///
/// If no certificate can be made for the domain, or it cannot be written.
pub fn files(config: &Config) -> Result<Option<Found>, CertificateError> {
    let Some(clients) = &config.clients else { return Ok(None) };
    if let Some(files) = &clients.certificate {
        return Ok(Some(Found { files: files.clone(), made: false }));
    }
    let data = &config.node.data;
    let files = CertificateFiles { chain: data.join(CHAIN), key: data.join(KEY) };
    let made = !(files.chain.exists() && files.key.exists());
    if made {
        make(config.domain.as_str(), data, &files)?;
    }
    Ok(Some(Found { files, made }))
}

fn make(domain: &str, data: &Path, files: &CertificateFiles) -> Result<(), CertificateError> {
    let not_made = |error| CertificateError::NotMade { domain: domain.to_owned(), error };
    // Certificates hold names in the form of the DNS (RFC 6125 section 6.4.2).
    let name = idna::domain_to_ascii(domain).map_err(|_| CertificateError::NoName { domain: domain.to_owned() })?;
    let pair = rcgen::generate_simple_self_signed([name]).map_err(not_made)?;
    make_private(data).map_err(|error| not_kept(data, error))?;
    write(&files.key, 0o600, &pair.signing_key.serialize_pem())?;
    write(&files.chain, 0o644, &pair.cert.pem())
}

/// All of it or nothing is there after a crash.
fn write(path: &Path, mode: u32, text: &str) -> Result<(), CertificateError> {
    let temporary = path.with_extension("pem.new");
    let written = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    written().map_err(|error| not_kept(path, error))
}

fn not_kept(path: &Path, error: std::io::Error) -> CertificateError {
    CertificateError::NotKept { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use cresset_core::config::read;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path(), "");

        let first = files(&config).expect("files").expect("a server");
        let made = fs::read(&first.files.chain).expect("a certificate");
        let second = files(&config).expect("files").expect("a server");

        assert!(first.made && !second.made);
        assert_eq!(fs::read(&second.files.chain).expect("a certificate"), made);
        CertificateDer::from_pem_file(&first.files.chain).expect("PEM");
        PrivateKeyDer::from_pem_file(&first.files.key).expect("PEM");
        let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode(&first.files.key), 0o600);
        assert_eq!(mode(&config.node.data), 0o700);
    }

    #[test]
    fn half_of_a_pair_is_replaced_by_a_whole_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path(), "");
        let first = files(&config).expect("files").expect("a server");
        fs::remove_file(&first.files.chain).expect("it was there");

        assert!(files(&config).expect("files").expect("a server").made);
    }

    #[test]
    fn the_operators_certificate_is_left_alone_and_a_witness_needs_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let named = "<clients><listener address='127.0.0.1:5222'/><certificate chain='c' key='k'/></clients>";

        let found = files(&config(folder.path(), named)).expect("files").expect("a server");

        assert_eq!((found.files.chain.as_path(), found.made), (Path::new("/x/c"), false));
        let witness = config(folder.path(), "<cluster><role>witness</role></cluster>");
        assert_eq!(files(&witness).expect("nothing"), None);
        assert!(!witness.node.data.exists());
    }

    fn config(folder: &Path, section: &str) -> Config {
        let data = folder.join("data");
        let text = format!(
            "<cresset><domain>bücher.example</domain><node name='a' data='{}'/>{section}</cresset>",
            data.display()
        );
        read(Path::new("/x/cresset.xml"), text.as_bytes()).expect("a configuration").config
    }
}
