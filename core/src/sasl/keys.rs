//! What is stored of a password, and how it is made.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Rounds of PBKDF2 for new keys. RFC 7677 section 4 asks for at least 4,096. Each client pays for them at every login,
/// phones and browsers included (10,000 are some 5 ms natively and 50 ms in a slow browser), and with PLAIN so does the
/// server; what they buy is time for an operator whose database was stolen.
pub const SCRAM_ITERATIONS: u32 = 10_000;

/// Bytes of a salt. RFC 5802 gives no number; 128 bits do not repeat.
pub const SALT_BYTES: usize = 16;

/// The hash function of a SCRAM mechanism.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Hash {
    /// Of SCRAM-SHA-256, which the other mechanisms that see a password use too.
    Sha256,
    /// Of SCRAM-SHA-1, for clients that know nothing better.
    Sha1,
}

impl Hash {
    /// All of them; an account has keys for each.
    pub const ALL: [Hash; 2] = [Hash::Sha256, Hash::Sha1];

    /// The hash function's own name, as it is stored.
    pub const fn name(self) -> &'static str {
        match self {
            Hash::Sha256 => "SHA-256",
            Hash::Sha1 => "SHA-1",
        }
    }

    pub(super) fn digest(self, input: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha256 => Sha256::digest(input).to_vec(),
            Hash::Sha1 => Sha1::digest(input).to_vec(),
        }
    }

    pub(super) fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Hash::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
                parts.iter().for_each(|part| mac.update(part));
                mac.finalize().into_bytes().to_vec()
            }
            Hash::Sha1 => {
                let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
                parts.iter().for_each(|part| mac.update(part));
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    fn salted_password(self, password: &Password, salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            Hash::Sha256 => {
                let mut output = [0; 32];
                pbkdf2::pbkdf2::<Hmac<Sha256>>(password.as_bytes(), salt, iterations, &mut output)
                    .expect("HMAC takes keys of any length");
                output.to_vec()
            }
            Hash::Sha1 => {
                let mut output = [0; 20];
                pbkdf2::pbkdf2::<Hmac<Sha1>>(password.as_bytes(), salt, iterations, &mut output)
                    .expect("HMAC takes keys of any length");
                output.to_vec()
            }
        }
    }
}

/// A password, prepared by SASLprep (RFC 4013). It is never written to a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// Bytes of a password, before and after preparation. More is refused, so that a stranger cannot make the server hash
/// megabytes.
const PASSWORD_BYTES_MAX: usize = 1023;

impl Password {
    /// Prepares a password; none if it is empty, longer than 1,023 bytes or has characters that SASLprep forbids.
    pub fn new(text: &str) -> Option<Password> {
        if text.len() > PASSWORD_BYTES_MAX {
            return None;
        }
        let prepared = stringprep::saslprep(text).ok()?;
        let fits = !prepared.is_empty() && prepared.len() <= PASSWORD_BYTES_MAX;
        fits.then(|| Password(prepared.into_owned()))
    }

    fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What is stored for an account and one hash function (RFC 5802 section 3). Whoever steals it can guess passwords
/// offline, and pass for the server, but cannot log in with it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramKeys {
    /// Which hash function.
    pub hash: Hash,
    /// Random for each account and each hash function.
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// Checks a proof of the client.
    pub stored_key: Vec<u8>,
    /// Makes the proof of the server.
    pub server_key: Vec<u8>,
}

impl ScramKeys {
    /// Makes the keys of a password that is being set, with a fresh salt. Takes milliseconds.
    pub fn generate(hash: Hash, password: &Password, random: &mut impl CryptoRng) -> ScramKeys {
        let mut salt = vec![0; SALT_BYTES];
        random.fill_bytes(&mut salt);
        ScramKeys::derive(hash, password, salt, SCRAM_ITERATIONS)
    }

    /// Makes the keys of a password for a given salt and count. Takes milliseconds.
    pub fn derive(hash: Hash, password: &Password, salt: Vec<u8>, iterations: u32) -> ScramKeys {
        let salted = hash.salted_password(password, &salt, iterations);
        let client_key = hash.hmac(&salted, &[b"Client Key"]);
        ScramKeys {
            hash,
            salt,
            iterations,
            stored_key: hash.digest(&client_key),
            server_key: hash.hmac(&salted, &[b"Server Key"]),
        }
    }

    /// Keys of an account that does not exist: no password fits them. They are the same for a name each time and on
    /// each node that has the same secret, as those of an account that exists are.
    pub fn decoy(hash: Hash, name: &str, secret: &[u8]) -> ScramKeys {
        let part = |what: &[u8]| hash.hmac(secret, &[what, b"\0", hash.name().as_bytes(), b"\0", name.as_bytes()]);
        let mut salt = part(b"salt");
        salt.truncate(SALT_BYTES);
        ScramKeys {
            hash,
            salt,
            iterations: SCRAM_ITERATIONS,
            stored_key: part(b"stored key"),
            server_key: part(b"server key"),
        }
    }

    /// Whether both were made of one password, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &ScramKeys) -> bool {
        self.stored_key.ct_eq(&other.stored_key).into()
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// An order to make keys of a password that a client showed. It takes milliseconds of processor time, so the driver
/// runs it where nothing waits behind it.
#[derive(Clone, Debug)]
pub struct Derivation {
    /// Which keys.
    pub hash: Hash,
    /// The password.
    pub password: Password,
    /// The salt of the account's stored keys.
    pub salt: Vec<u8>,
    /// The rounds of the account's stored keys.
    pub iterations: u32,
}

impl Derivation {
    /// Does the work.
    pub fn run(self) -> ScramKeys {
        ScramKeys::derive(self.hash, &self.password, self.salt, self.iterations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_password_gives_one_set_of_keys_however_it_is_typed() {
        let soft_hyphen = Password::new("I\u{ad}X").expect("allowed");
        let roman_nine = Password::new("\u{2168}").expect("allowed");

        assert_eq!(soft_hyphen, Password::new("IX").expect("allowed"));
        assert_eq!(roman_nine, Password::new("IX").expect("allowed"));
    }

    #[test]
    fn a_password_that_nobody_could_type_again_is_refused() {
        assert_eq!(Password::new(""), None);
        assert_eq!(Password::new("\u{7}"), None);
        assert_eq!(Password::new(&"x".repeat(1024)), None);
    }

    #[test]
    fn a_decoy_is_the_same_for_a_name_and_another_for_another() {
        let decoy = |hash, name| ScramKeys::decoy(hash, name, b"secret");

        assert_eq!(decoy(Hash::Sha256, "nobody"), decoy(Hash::Sha256, "nobody"));
        assert_ne!(decoy(Hash::Sha256, "nobody").salt, decoy(Hash::Sha256, "noone").salt);
        assert_ne!(decoy(Hash::Sha256, "nobody").salt, decoy(Hash::Sha1, "nobody").salt);
        assert_eq!(decoy(Hash::Sha1, "nobody").salt.len(), SALT_BYTES);
    }

    #[test]
    fn no_secret_is_written_to_a_log() {
        let password = Password::new("hunter2").expect("allowed");
        let keys = ScramKeys::derive(Hash::Sha256, &password, vec![77; SALT_BYTES], 1);

        let derivation = Derivation { hash: Hash::Sha256, password, salt: Vec::new(), iterations: 1 };
        let log = format!("{derivation:?} {keys:?}");

        assert!(!log.contains("hunter2") && !log.contains("77"), "{log}");
    }
}
