//! One line of an import: who, and a password or keys.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cresset_core::jid::{DomainPart, NodePart};
use cresset_core::sasl::{Hash, Password, SCRAM_ITERATIONS_MAX, ScramKeys};

/// RFC 5802 section 5.1 asks for this much.
const ITERATIONS_MIN: u32 = 4096;

/// Bytes of a salt; real ones have 16 to 64.
const SALT_BYTES_MAX: usize = 256;

/// An account to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    pub(super) name: NodePart,
    pub(super) secret: Secret,
}

/// How an account is to log in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Secret {
    /// By this password, of which the keys are to be made.
    Password(Password),
    /// By these keys, at most one set for each hash.
    Keys(Vec<ScramKeys>),
}

/// Reads a line without its line break.
///
/// # Errors
///
/// What is wrong, for the operator. A password is never part of it.
pub(super) fn read(line: &[u8], domain: Option<&DomainPart>) -> Result<Line, String> {
    let text = std::str::from_utf8(line).map_err(|_| "this is not UTF-8".to_owned())?;
    // Neither a name nor a password can hold a line break, so a quote that is left open is a mistake.
    if text.bytes().filter(|byte| *byte == b'"').count() % 2 == 1 {
        return Err("a quote is not closed".to_owned());
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    reader.read_record(&mut record).map_err(|error| error.to_string())?;
    let (Some(name), Some(secret), None) = (record.get(0), record.get(1), record.get(2)) else {
        return Err(format!("expected 2 fields, name and password, and found {}", record.len()));
    };
    let name = super::account(name, domain)?;
    let secret = if secret.starts_with("SCRAM-SHA-") {
        Secret::Keys(read_keys(secret)?)
    } else {
        Secret::Password(super::password(secret)?)
    };
    Ok(Line { name, secret })
}

/// Reads sets of keys, separated by spaces.
fn read_keys(text: &str) -> Result<Vec<ScramKeys>, String> {
    let mut all: Vec<ScramKeys> = Vec::new();
    for text in text.split(' ').filter(|text| !text.is_empty()) {
        let keys = read_one(text)?;
        if all.iter().any(|other| other.hash == keys.hash) {
            return Err(format!("there are two sets of keys for SCRAM-{}", keys.hash.name()));
        }
        all.push(keys);
    }
    Ok(all)
}

/// Reads `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY`, as PostgreSQL keeps it.
fn read_one(text: &str) -> Result<ScramKeys, String> {
    let form = || "keys have the form SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY".to_owned();
    let mut parts = text.split('$');
    let (Some(mechanism), Some(derivation), Some(keys), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(form());
    };
    let hash = Hash::ALL
        .into_iter()
        .find(|hash| mechanism.strip_prefix("SCRAM-") == Some(hash.name()))
        .ok_or("only keys of SCRAM-SHA-256 and SCRAM-SHA-1 are understood")?;
    let (iterations, salt) = derivation.split_once(':').ok_or_else(form)?;
    let (stored_key, server_key) = keys.split_once(':').ok_or_else(form)?;
    let iterations: u32 = iterations.parse().map_err(|_| "the number of iterations is no number")?;
    if !(ITERATIONS_MIN..=SCRAM_ITERATIONS_MAX).contains(&iterations) {
        return Err(format!("{iterations} iterations: {ITERATIONS_MIN} to {SCRAM_ITERATIONS_MAX} are allowed"));
    }
    let key_bytes = match hash {
        Hash::Sha256 => 32,
        Hash::Sha1 => 20,
    };
    Ok(ScramKeys {
        hash,
        iterations,
        salt: decode("the salt", salt, 1, SALT_BYTES_MAX)?,
        stored_key: decode("the stored key", stored_key, key_bytes, key_bytes)?,
        server_key: decode("the server key", server_key, key_bytes, key_bytes)?,
    })
}

fn decode(what: &str, text: &str, bytes_min: usize, bytes_max: usize) -> Result<Vec<u8>, String> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| format!("{what} is not base64"))?;
    if (bytes_min..=bytes_max).contains(&bytes.len()) {
        return Ok(bytes);
    }
    Err(format!("{what} has {} bytes instead of {bytes_min} to {bytes_max}", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of RFC 7677 section 3, password `pencil`.
    const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==\
                          $WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn a_password_may_hold_whatever_can_be_quoted() {
        for (line, expected) in [
            ("juliet,secret", "secret"),
            ("juliet, secret ", " secret "),
            ("\"juliet\",\"a,\"\"b\"\"\"", "a,\"b\""),
            ("juliet,SCRAM", "SCRAM"),
            ("juliet,pässword", "pässword"),
        ] {
            let read = read(line.as_bytes(), None).expect("a good line");
            let password = Password::new(expected).expect("a password");
            assert_eq!(read, Line { name: "juliet".parse().expect("a name"), secret: Secret::Password(password) });
        }
    }

    #[test]
    fn the_keys_of_a_password_are_those_that_it_gives() {
        let line = read(format!("juliet,{PENCIL}").as_bytes(), None).expect("a good line");

        let Secret::Keys(keys) = line.secret else { panic!("keys were given") };
        let password = Password::new("pencil").expect("a password");
        assert_eq!(keys, [ScramKeys::derive(Hash::Sha256, &password, keys[0].salt.clone(), 4096)]);
    }

    #[test]
    fn a_broken_line_is_refused_with_the_reason() {
        let long = "x".repeat(1024);
        for (line, reason) in [
            ("", "expected 2 fields"),
            ("juliet", "expected 2 fields"),
            ("juliet,a,b", "found 3"),
            ("juliet,\"a", "a quote is not closed"),
            ("juliet,", "the password is empty"),
            (",secret", "the account name is empty"),
            ("a b,secret", "cannot be the first part of a JID"),
            ("juliet@other.org,secret", "before the '@'"),
            (&format!("{long},secret"), "1024 bytes"),
            (&format!("juliet,{long}"), "the password is too long"),
            ("juliet,sec\u{7}ret", "characters that cannot be typed"),
        ] {
            let refused = read(line.as_bytes(), None).expect_err(line);
            assert!(refused.contains(reason), "{line}: {refused}");
        }
        assert_eq!(read(b"juliet,\xff", None), Err("this is not UTF-8".to_owned()));
    }

    /// O5: ten million rounds are seconds of a processor for each try, of the server too if the client uses PLAIN.
    #[test]
    fn broken_keys_are_refused_with_the_reason() {
        let (front, back) = PENCIL.rsplit_once('$').expect("three parts");
        for (keys, reason) in [
            ("SCRAM-SHA-512$4096:AA==$AA==:AA==".to_owned(), "only keys of"),
            ("SCRAM-SHA-256".to_owned(), "keys have the form"),
            (format!("{PENCIL}$"), "keys have the form"),
            (front.to_owned(), "keys have the form"),
            (format!("{PENCIL} {PENCIL}"), "two sets of keys for SCRAM-SHA-256"),
            (PENCIL.replace("4096", "4095"), "4095 iterations"),
            (PENCIL.replace("4096", "600001"), "600001 iterations: 4096 to 600000 are allowed"),
            (PENCIL.replace("4096", "10000000"), "4096 to 600000 are allowed"),
            (PENCIL.replace("4096", "4294967296"), "no number"),
            (PENCIL.replace("4096", "-1"), "no number"),
            (PENCIL.replace("W22Z", "W2 2Z"), "keys have the form"),
            (PENCIL.replace("W22Z", "W2*Z"), "the salt is not base64"),
            (format!("SCRAM-SHA-256$4096:${back}"), "the salt has 0 bytes"),
            (format!("{front}$AAAA:AAAA"), "the stored key has 3 bytes"),
            (PENCIL.replace("SHA-256", "SHA-1"), "the stored key has 32 bytes"),
        ] {
            let refused = read(format!("juliet,{keys}").as_bytes(), None).expect_err(&keys);
            assert!(refused.contains(reason), "{keys}: {refused}");
        }
    }
}
