//! How a client proves who it is: SCRAM-SHA-256, SCRAM-SHA-1 (RFC 5802, RFC 7677) and PLAIN (RFC 4616).
//!
//! ```text
//! keys    what is stored for an account, and how it is made of a password    (also `cresset user add`)
//! scram   the server's side of one SCRAM exchange
//! plain   the one message of PLAIN
//! throttle  how fast secrets can be tried
//! ```
//!
//! An account's password is stored nowhere: the store holds [`ScramKeys`], one set for each [`enum@Hash`]. Nothing here
//! speaks XML or knows whether an account exists: the caller hands in [`ScramKeys::decoy`] for one that does not, which
//! looks like the keys of an account that does, and the exchange then takes the same steps and ends in the same failure.
//!
//! Channel binding is not offered; a client that insists on it is refused.

mod keys;
mod plain;
mod scram;
pub mod throttle;

pub use keys::{
    Derivation, Hash, KeyShape, Password, SALT_BYTES, SCRAM_ITERATIONS, SCRAM_ITERATIONS_MAX, ScramKeys, decoy_draw,
};
pub use plain::PlainMessage;
pub use scram::{ClientFirst, ScramExchange};

/// A mechanism that this server can offer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mechanism {
    /// RFC 7677.
    ScramSha256,
    /// RFC 5802.
    ScramSha1,
    /// RFC 4616. Shows the password to the server, so it is offered only where the stream is encrypted.
    Plain,
}

impl Mechanism {
    /// All of them, the strongest first: the order in which they are offered.
    pub const ALL: [Mechanism; 3] = [Mechanism::ScramSha256, Mechanism::ScramSha1, Mechanism::Plain];

    /// The name in the registry of SASL mechanisms.
    pub const fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::Plain => "PLAIN",
        }
    }

    /// The mechanism of this name. Names are compared as they are: the registry has capitals only.
    pub fn named(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    /// The keys against which it can check, the best first. For PLAIN either will do: an account that was imported may have
    /// only one.
    pub const fn hashes(self) -> &'static [Hash] {
        match self {
            Mechanism::ScramSha256 => &[Hash::Sha256],
            Mechanism::ScramSha1 => &[Hash::Sha1],
            Mechanism::Plain => &[Hash::Sha256, Hash::Sha1],
        }
    }
}

/// Why an attempt to authenticate failed (RFC 6120 section 6.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SaslError {
    /// The client gave the attempt up.
    #[error("aborted")]
    Aborted,
    /// The stream has to be encrypted first.
    #[error("encryption-required")]
    EncryptionRequired,
    /// What should be base64 is not.
    #[error("incorrect-encoding")]
    IncorrectEncoding,
    /// The identity to act as is not the client's own.
    #[error("invalid-authzid")]
    InvalidAuthzid,
    /// Not offered here.
    #[error("invalid-mechanism")]
    InvalidMechanism,
    /// The message does not have the mechanism's form.
    #[error("malformed-request")]
    MalformedRequest,
    /// The password is wrong or there is no such account; which of them is not said.
    #[error("not-authorized")]
    NotAuthorized,
    /// The accounts cannot be reached, or too many passwords were tried.
    #[error("temporary-auth-failure")]
    TemporaryAuthFailure,
}

impl SaslError {
    /// The name of the element that tells it to the client.
    pub const fn name(self) -> &'static str {
        match self {
            SaslError::Aborted => "aborted",
            SaslError::EncryptionRequired => "encryption-required",
            SaslError::IncorrectEncoding => "incorrect-encoding",
            SaslError::InvalidAuthzid => "invalid-authzid",
            SaslError::InvalidMechanism => "invalid-mechanism",
            SaslError::MalformedRequest => "malformed-request",
            SaslError::NotAuthorized => "not-authorized",
            SaslError::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }
}
