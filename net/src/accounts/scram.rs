//! The SCRAM keys of an account (RFC 5802 section 3).

use std::fmt;

/// Which hash function SCRAM uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Hash {
    /// SCRAM-SHA-1 (RFC 5802): keys of 20 bytes.
    Sha1,
    /// SCRAM-SHA-256 (RFC 7677): keys of 32 bytes.
    Sha256,
}

/// What a server keeps in place of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// The salt.
    pub salt: Vec<u8>,
    /// The hash of the client key.
    pub stored_key: Vec<u8>,
    /// The server key.
    pub server_key: Vec<u8>,
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramKeys(…)")
    }
}
