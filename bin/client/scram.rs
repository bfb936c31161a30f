//! The client's side of SCRAM-SHA-1 and SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.
//!
//! ```text
//!  first() ─▶ n,,n=user,r=nonce          r=nonce+server,s=salt,i=rounds ─▶ answer() ─▶ c=biws,r=…,p=proof
//!                                                             v=signature ─▶ verify()
//! ```
//!
//! The server's signature is always checked: a server that does not know the password is found out. The rounds are
//! bounded, or a server could stop the generator with one number. Derived keys can be kept in a [`KeyCache`]
//! (RFC 5802, section 3 allows it), or a storm of log-ins would measure the generator's own hashing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most rounds that are computed for a server. OWASP's advice of 2023 for SHA-256 is 600,000.
const ROUNDS_MAX: u32 = 1_000_000;
/// Longest message of a server in the exchange.
const MESSAGE_BYTES_MAX: usize = 4096;
/// Most users whose keys are kept; beyond it keys are derived each time.
const CACHE_USERS_MAX: usize = 200_000;

/// The hash function of a SCRAM mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ScramHash {
    /// SCRAM-SHA-1.
    Sha1,
    /// SCRAM-SHA-256.
    Sha256,
}

/// What was wrong with the server's side of the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScramError {
    /// Not the grammar of RFC 5802.
    #[error("malformed message")]
    Malformed,
    /// The server's nonce does not continue ours.
    #[error("nonce not continued")]
    Nonce,
    /// A mandatory extension that nobody knows.
    #[error("unknown mandatory extension")]
    Extension,
    /// No rounds, or more than [`ROUNDS_MAX`].
    #[error("rounds out of bounds")]
    Rounds,
    /// The server could not prove that it knows the password.
    #[error("wrong server signature")]
    Signature,
    /// The server reports a failure by `e=`.
    #[error("refused by the server")]
    Refused,
    /// The user name or the password is not allowed by SASLprep (RFC 4013).
    #[error("name or password not allowed")]
    Prohibited,
}

/// An exchange that waits for the server's first message.
#[derive(Debug)]
pub(crate) struct Scram<'a> {
    hash: ScramHash,
    user: &'a str,
    password: &'a str,
    nonce: String,
}

/// The proof for the server, and what its own proof must be.
#[derive(Debug)]
pub(crate) struct Proof {
    /// The client's final message.
    pub(crate) message: String,
    signature: Vec<u8>,
}

/// The keys of a user that do not change from one log-in to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Keys {
    client: Vec<u8>,
    server: Vec<u8>,
}

/// What the keys of a user were derived from.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    password: String,
    salt: Vec<u8>,
    rounds: u32,
}

/// Keys that were derived before, by user and hash.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyCache(Arc<Mutex<KeyMap>>);

type KeyMap = HashMap<(String, ScramHash), (Origin, Keys)>;

impl<'a> Scram<'a> {
    /// Begins with a nonce of printable characters without a comma.
    pub(crate) fn new(hash: ScramHash, user: &'a str, password: &'a str, nonce: String) -> Self {
        Scram { hash, user, password, nonce }
    }

    /// The client's first message.
    ///
    /// # Errors
    /// The user name is not allowed by SASLprep.
    pub(crate) fn first(&self) -> Result<String, ScramError> {
        Ok(format!("n,,{}", self.first_bare()?))
    }

    /// Answers the server's first message.
    ///
    /// # Errors
    /// The message is malformed, beyond a bound, or does not continue our nonce.
    pub(crate) fn answer(&self, challenge: &str, cache: &KeyCache) -> Result<Proof, ScramError> {
        let (nonce, salt, rounds) = self.read_challenge(challenge)?;
        let keys = cache.keys(self, salt, rounds)?;
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{challenge},{without_proof}", self.first_bare()?);
        let stored = self.hash.digest(&keys.client);
        let mut proof = self.hash.hmac(&stored, signed.as_bytes());
        for (byte, key) in proof.iter_mut().zip(&keys.client) {
            *byte ^= key;
        }
        let message = format!("{without_proof},p={}", STANDARD.encode(proof));
        Ok(Proof { message, signature: self.hash.hmac(&keys.server, signed.as_bytes()) })
    }

    fn first_bare(&self) -> Result<String, ScramError> {
        let user = prepared(self.user)?.replace('=', "=3D").replace(',', "=2C");
        Ok(format!("n={user},r={}", self.nonce))
    }

    fn read_challenge<'c>(&self, challenge: &'c str) -> Result<(&'c str, Vec<u8>, u32), ScramError> {
        if challenge.len() > MESSAGE_BYTES_MAX {
            return Err(ScramError::Malformed);
        }
        // Wherever it stands (RFC 5802 section 5.1).
        if challenge.split(',').any(|field| field.starts_with("m=")) {
            return Err(ScramError::Extension);
        }
        let mut fields = challenge.split(',');
        let first = fields.next().unwrap_or_default();
        let nonce = first.strip_prefix("r=").ok_or(ScramError::Malformed)?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(ScramError::Nonce);
        }
        let salt = fields.next().and_then(|field| field.strip_prefix("s=")).ok_or(ScramError::Malformed)?;
        let salt = STANDARD.decode(salt).map_err(|_| ScramError::Malformed)?;
        let rounds = fields.next().and_then(|field| field.strip_prefix("i=")).ok_or(ScramError::Malformed)?;
        let rounds = rounds.parse().map_err(|_| ScramError::Rounds)?;
        if rounds == 0 || rounds > ROUNDS_MAX {
            return Err(ScramError::Rounds);
        }
        Ok((nonce, salt, rounds))
    }
}

impl Proof {
    /// Checks the server's final message.
    ///
    /// # Errors
    /// The server refused, or does not know the password.
    pub(crate) fn verify(&self, last: &str) -> Result<(), ScramError> {
        if last.starts_with("e=") {
            return Err(ScramError::Refused);
        }
        if last.split(',').any(|field| field.starts_with("m=")) {
            return Err(ScramError::Extension);
        }
        let signature =
            last.split(',').next().and_then(|field| field.strip_prefix("v=")).ok_or(ScramError::Malformed)?;
        let signature = STANDARD.decode(signature).map_err(|_| ScramError::Malformed)?;
        // A plain comparison: the one who could time it is the one who has to know the signature.
        if signature == self.signature { Ok(()) } else { Err(ScramError::Signature) }
    }
}

impl KeyCache {
    fn keys(&self, scram: &Scram<'_>, salt: Vec<u8>, rounds: u32) -> Result<Keys, ScramError> {
        let origin = Origin { password: scram.password.to_owned(), salt, rounds };
        let id = (scram.user.to_owned(), scram.hash);
        // A thread that panicked while it held the lock left a whole map behind: entries are put in at once.
        if let Some((known, keys)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id)
            && *known == origin
        {
            return Ok(keys.clone());
        }
        let salted = scram.hash.salted(prepared(scram.password)?.as_bytes(), &origin.salt, rounds);
        let keys =
            Keys { client: scram.hash.hmac(&salted, b"Client Key"), server: scram.hash.hmac(&salted, b"Server Key") };
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() < CACHE_USERS_MAX {
            map.insert(id, (origin, keys.clone()));
        }
        Ok(keys)
    }
}

impl ScramHash {
    fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        const ANY_LENGTH: &str = "HMAC takes keys of any length";
        match self {
            ScramHash::Sha1 => {
                let mut mac = Hmac::<Sha1>::new_from_slice(key).expect(ANY_LENGTH);
                mac.update(data);
                mac.finalize().into_bytes().to_vec()
            }
            ScramHash::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY_LENGTH);
                mac.update(data);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            ScramHash::Sha1 => Sha1::digest(data).to_vec(),
            ScramHash::Sha256 => Sha256::digest(data).to_vec(),
        }
    }

    fn salted(self, password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
        match self {
            ScramHash::Sha1 => pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(password, salt, rounds).to_vec(),
            ScramHash::Sha256 => pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, rounds).to_vec(),
        }
    }
}

/// SASLprep (RFC 4013), as RFC 5802 asks for names and passwords.
pub(crate) fn prepared(text: &str) -> Result<String, ScramError> {
    match stringprep::saslprep(text) {
        Ok(prepared) if !prepared.is_empty() => Ok(prepared.into_owned()),
        Ok(_) | Err(_) => Err(ScramError::Prohibited),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5802, section 5.
    #[test]
    fn the_exchange_of_rfc_5802_is_reproduced() {
        let scram = Scram::new(ScramHash::Sha1, "user", "pencil", "fyko+d2lbbFgONRv9qkxdawL".to_owned());
        assert_eq!(scram.first().as_deref(), Ok("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"));

        let challenge = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
        let proof = scram.answer(challenge, &KeyCache::default()).expect("a valid challenge");

        assert_eq!(proof.message, "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
        assert_eq!(proof.verify("v=rmF9pqV8S7suAoZWja4dJRkFsKQ="), Ok(()));
    }

    /// RFC 7677, section 3.
    #[test]
    fn the_exchange_of_rfc_7677_is_reproduced() {
        let scram = Scram::new(ScramHash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO".to_owned());
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let cache = KeyCache::default();

        for _ in 0..2 {
            let proof = scram.answer(challenge, &cache).expect("a valid challenge");
            assert_eq!(
                proof.message,
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
            );
            assert_eq!(proof.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        }
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let scram = Scram::new(ScramHash::Sha256, "user", "pencil", "abc".to_owned());
        let proof = scram.answer("r=abcd,s=QSXCR+Q6sek8bf92,i=1", &KeyCache::default()).expect("a valid challenge");

        assert_eq!(proof.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Err(ScramError::Signature));
        assert_eq!(proof.verify("v="), Err(ScramError::Signature));
        assert_eq!(proof.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=,m=ext"), Err(ScramError::Extension));
        assert_eq!(proof.verify("e=other-error"), Err(ScramError::Refused));
        assert_eq!(proof.verify(""), Err(ScramError::Malformed));
    }

    #[test]
    fn a_hostile_challenge_is_refused() {
        let scram = Scram::new(ScramHash::Sha1, "user", "pencil", "abc".to_owned());
        let cases = [
            ("", ScramError::Malformed),
            ("m=ext,r=abcd,s=QQ==,i=1", ScramError::Extension),
            ("r=abcd,s=QQ==,i=1,m=ext", ScramError::Extension),
            ("r=abc,s=QQ==,i=1", ScramError::Nonce),
            ("r=xyz123,s=QQ==,i=1", ScramError::Nonce),
            ("r=abcd,s=!,i=1", ScramError::Malformed),
            ("r=abcd,s=QQ==,i=0", ScramError::Rounds),
            ("r=abcd,s=QQ==,i=99999999", ScramError::Rounds),
            ("r=abcd,s=QQ==,i=99999999999999", ScramError::Rounds),
            ("r=abcd,s=QQ==", ScramError::Malformed),
        ];
        for (challenge, expected) in cases {
            let outcome = scram.answer(challenge, &KeyCache::default()).map(|proof| proof.message);
            assert_eq!(outcome, Err(expected), "{challenge}");
        }
    }

    #[test]
    fn keys_of_another_salt_or_password_are_not_reused() {
        let cache = KeyCache::default();
        let first = Scram::new(ScramHash::Sha1, "user", "pencil", "abc".to_owned());
        let second = Scram::new(ScramHash::Sha1, "user", "eraser", "abc".to_owned());

        let one = first.answer("r=abcd,s=QQ==,i=1", &cache).expect("valid").message;
        let two = second.answer("r=abcd,s=QQ==,i=1", &cache).expect("valid").message;
        let three = first.answer("r=abcd,s=Qg==,i=1", &cache).expect("valid").message;

        assert!(one != two && one != three && two != three);
    }

    #[test]
    fn commas_and_equal_signs_in_a_name_are_escaped() {
        let scram = Scram::new(ScramHash::Sha1, "a,b=c", "x", "n".to_owned());

        assert_eq!(scram.first().as_deref(), Ok("n,,n=a=2Cb=3Dc,r=n"));
    }
}
