//! What is stored of a password, and how it is made.

use std::collections::BTreeSet;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::jid::decomposes_beyond;

/// Rounds of PBKDF2 for new keys. RFC 7677 section 4 asks for at least 4,096. Each client pays for them at every login,
/// phones and browsers included (10,000 are some 5 ms natively and 50 ms in a slow browser), and with PLAIN so does the
/// server; what they buy is time for an operator whose database was stolen.
pub const SCRAM_ITERATIONS: u32 = 10_000;

/// Rounds of PBKDF2 that keys made elsewhere may have: what OWASP advised for SHA-256 in 2023. With PLAIN the server pays for
/// them at each try, some 0.3 s of a processor. Beyond it keys are refused where they come in.
pub const SCRAM_ITERATIONS_MAX: u32 = 600_000;

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
        if text.len() > PASSWORD_BYTES_MAX || decomposes_beyond(text, PASSWORD_BYTES_MAX) {
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

    /// Keys of an account that does not exist: no password fits them. They are the same for a name each time and on each
    /// node that has the same secret, as those of an account that exists are, and look like the keys of `like`.
    pub fn decoy(like: &KeyShape, name: &str, secret: &[u8]) -> ScramKeys {
        let hash = like.hash;
        let part = |what: &[u8], number: u32| {
            let shape = [like.iterations.to_be_bytes(), number.to_be_bytes()].concat();
            hash.hmac(secret, &[what, b"\0", hash.name().as_bytes(), b"\0", &shape, name.as_bytes()])
        };
        let salt = (0..).flat_map(|block| part(b"salt", block)).take(like.salt.len()).collect();
        ScramKeys {
            hash,
            salt: in_the_manner_of(&like.salt, salt),
            iterations: like.iterations,
            stored_key: part(b"stored key", 0),
            server_key: part(b"server key", 0),
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

/// How the keys of an account look to somebody who tries to log in. Nothing of it is secret: each client is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyShape {
    /// Which hash function.
    pub hash: Hash,
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// The salt, for its length and its characters.
    pub salt: Vec<u8>,
}

impl KeyShape {
    /// How these keys look.
    pub fn of(keys: &ScramKeys) -> KeyShape {
        KeyShape { hash: keys.hash, iterations: keys.iterations, salt: keys.salt.clone() }
    }

    /// How the keys look that are made here.
    pub fn usual(hash: Hash) -> KeyShape {
        KeyShape { hash, iterations: SCRAM_ITERATIONS, salt: vec![0; SALT_BYTES] }
    }
}

/// A number for a name, by which the store chooses the account whose keys those of nobody are to look like. Who does not
/// know the secret cannot tell it.
pub fn decoy_draw(name: &str, secret: &[u8]) -> i64 {
    let drawn = Hash::Sha256.hmac(secret, &[b"draw\0", name.as_bytes()]);
    drawn.iter().take(8).fold(0, |number, byte| (number << 8) | i64::from(*byte))
}

/// Different characters of a salt that is taken for text.
const SALT_CHARACTERS_MIN: usize = 8;

/// A salt of random bytes, made of the same characters as another one if that is text: some servers take the text of a
/// random UUID.
fn in_the_manner_of(other: &[u8], random: Vec<u8>) -> Vec<u8> {
    let characters: BTreeSet<u8> = other.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
    // Of few characters a salt cannot be drawn that differs from name to name.
    if !other.iter().all(u8::is_ascii_graphic) || characters.len() < SALT_CHARACTERS_MIN {
        return random;
    }
    let characters: Vec<u8> = characters.into_iter().collect();
    // The digits that a random UUID always has at these places (RFC 9562 section 5.4).
    let is_uuid = other.len() == 36 && [8, 13, 18, 23].iter().all(|at| other[*at] == b'-');
    let is_given = |at: usize| !other[at].is_ascii_alphanumeric() || (is_uuid && (at == 14 || at == 19));
    let drawn = |byte: u8| characters.get(usize::from(byte) % characters.len()).copied().unwrap_or(byte);
    random.into_iter().enumerate().map(|(at, byte)| if is_given(at) { other[at] } else { drawn(byte) }).collect()
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
        assert!(Password::new(&"x".repeat(1023)).is_some());
        assert_eq!(Password::new(&"\u{FDFA}".repeat(341)), None);
    }

    #[test]
    fn a_decoy_is_the_same_for_a_name_and_another_for_another() {
        let decoy = |hash, name| ScramKeys::decoy(&KeyShape::usual(hash), name, b"secret");

        assert_eq!(decoy(Hash::Sha256, "nobody"), decoy(Hash::Sha256, "nobody"));
        assert_ne!(decoy(Hash::Sha256, "nobody").salt, decoy(Hash::Sha256, "noone").salt);
        assert_ne!(decoy(Hash::Sha256, "nobody").salt, decoy(Hash::Sha1, "nobody").salt);
        assert_eq!(decoy(Hash::Sha1, "nobody").salt.len(), SALT_BYTES);
        assert_ne!(decoy_draw("nobody", b"secret"), decoy_draw("noone", b"secret"));
        assert_ne!(decoy_draw("nobody", b"secret"), decoy_draw("nobody", b"another"));
    }

    /// O4: keys that were imported from elsewhere have other rounds and salts.
    #[test]
    fn a_decoy_looks_like_the_keys_that_it_is_to_look_like() {
        for salt in [&[7; 16][..], &[200; 24], &[9; 256], b"a3f1c2d4-0b1e-4c5d-9e8f-0a1b2c3d4e5f", b"QSXCR+Q6sek8bf92"]
        {
            let like = KeyShape { hash: Hash::Sha1, iterations: 4096, salt: salt.to_vec() };

            let decoy = ScramKeys::decoy(&like, "nobody", b"secret");

            assert_eq!((decoy.iterations, decoy.salt.len(), decoy.stored_key.len()), (4096, salt.len(), 20));
            assert_ne!(decoy.salt, salt);
            assert_eq!(decoy.salt.iter().all(u8::is_ascii_graphic), salt.iter().all(u8::is_ascii_graphic));
        }
        let poor = KeyShape { salt: vec![b'x'; 24], ..KeyShape::usual(Hash::Sha1) };
        let salt = |name| ScramKeys::decoy(&poor, name, b"secret").salt;
        assert_ne!(salt("nobody"), salt("noone"));
        let uuid = KeyShape { salt: b"a3f1c2d4-0b1e-4c5d-9e8f-0a1b2c3d4e5f".to_vec(), ..KeyShape::usual(Hash::Sha1) };
        let salt = String::from_utf8(ScramKeys::decoy(&uuid, "nobody", b"secret").salt).expect("text");
        assert_eq!((&salt[8..9], &salt[14..15], &salt[19..20]), ("-", "4", "9"));
        assert!(salt.bytes().all(|byte| b"0123456789abcdef-".contains(&byte)), "{salt}");
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
