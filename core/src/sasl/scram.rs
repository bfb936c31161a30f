//! The server's side of one SCRAM exchange (RFC 5802 section 5).
//!
//! ```text
//! client                                   server
//!   n,,n=romeo,r=CLIENT            ──▶      ClientFirst::parse, look the keys up
//!                                  ◀──      r=CLIENTSERVER,s=SALT,i=ROUNDS          ScramExchange::begin
//!   c=biws,r=CLIENTSERVER,p=PROOF  ──▶      ScramExchange::finish
//!                                  ◀──      v=SIGNATURE
//! ```
//!
//! The exchange with the keys of nobody ([`ScramKeys::decoy`]) takes the same steps and fails like a wrong password.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

use crate::sasl::{SaslError, ScramKeys};

/// The first message of the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientFirst {
    /// As whom it wants to act; absent means as itself.
    pub authzid: Option<String>,
    /// Its user name: the local part of an account, not prepared.
    pub username: String,
    /// What comes before the bare message: `n,,`, `y,,` or with an authzid.
    gs2_header: String,
    /// The message without that header, which is signed.
    bare: String,
    /// The client's nonce.
    nonce: String,
}

impl ClientFirst {
    /// Reads the message.
    ///
    /// # Errors
    /// `malformed-request` if it has another form or demands an extension (`m=`), `not-authorized` if it demands channel
    /// binding, which is not offered.
    pub fn parse(message: &[u8]) -> Result<ClientFirst, SaslError> {
        let text = std::str::from_utf8(message).map_err(|_| SaslError::MalformedRequest)?;
        let (binding, rest) = text.split_once(',').ok_or(SaslError::MalformedRequest)?;
        let (authzid, bare) = rest.split_once(',').ok_or(SaslError::MalformedRequest)?;
        match binding {
            "n" | "y" => {}
            _ if binding.starts_with("p=") => return Err(SaslError::NotAuthorized),
            _ => return Err(SaslError::MalformedRequest),
        }
        let authzid = match authzid {
            "" => None,
            _ => Some(unescape(authzid.strip_prefix("a=").ok_or(SaslError::MalformedRequest)?)?),
        };
        let mut attributes = bare.split(',');
        let username = value_of(attributes.next(), "n=")?;
        let nonce = value_of(attributes.next(), "r=")?;
        attributes.try_for_each(check_extension)?;
        if !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SaslError::MalformedRequest);
        }
        Ok(ClientFirst {
            authzid,
            username: unescape(username)?,
            gs2_header: text[..text.len() - bare.len()].to_owned(),
            bare: bare.to_owned(),
            nonce: nonce.to_owned(),
        })
    }
}

/// An exchange in which the challenge was sent.
#[derive(Clone, Debug)]
pub struct ScramExchange {
    keys: ScramKeys,
    gs2_header: String,
    /// The client's nonce with the server's behind it.
    nonce: String,
    /// The client's first message and the challenge, with a comma behind each.
    signed: String,
}

impl ScramExchange {
    /// Begins with the keys of the account and a random `nonce` of printable characters other than the comma; gives the
    /// challenge.
    pub fn begin(first: ClientFirst, keys: ScramKeys, nonce: &str) -> (ScramExchange, String) {
        let nonce = format!("{}{nonce}", first.nonce);
        let challenge = format!("r={nonce},s={},i={}", BASE64_STANDARD.encode(&keys.salt), keys.iterations);
        let signed = format!("{},{challenge},", first.bare);
        (ScramExchange { keys, gs2_header: first.gs2_header, nonce, signed }, challenge)
    }

    /// Checks the client's last message and gives the server's, which proves to the client that the server has the keys.
    ///
    /// # Errors
    /// `malformed-request` if it has another form or demands an extension (`m=`), `not-authorized` if the proof, the
    /// nonce or the repeated header is wrong, `incorrect-encoding` if the proof is not base64.
    pub fn finish(self, message: &[u8]) -> Result<String, SaslError> {
        let text = std::str::from_utf8(message).map_err(|_| SaslError::MalformedRequest)?;
        let (unsigned, proof) = text.rsplit_once(",p=").ok_or(SaslError::MalformedRequest)?;
        let mut attributes = unsigned.split(',');
        let binding = value_of(attributes.next(), "c=")?;
        let nonce = value_of(attributes.next(), "r=")?;
        attributes.try_for_each(check_extension)?;
        let proof = BASE64_STANDARD.decode(proof).map_err(|_| SaslError::IncorrectEncoding)?;
        if binding != BASE64_STANDARD.encode(&self.gs2_header) || nonce != self.nonce {
            return Err(SaslError::NotAuthorized);
        }
        let message = [self.signed.as_bytes(), unsigned.as_bytes()];
        if !self.proves(&proof, &message) {
            return Err(SaslError::NotAuthorized);
        }
        let signature = self.keys.hash.hmac(&self.keys.server_key, &message);
        Ok(format!("v={}", BASE64_STANDARD.encode(signature)))
    }

    fn proves(&self, proof: &[u8], message: &[&[u8]]) -> bool {
        let signature = self.keys.hash.hmac(&self.keys.stored_key, message);
        if proof.len() != signature.len() {
            return false;
        }
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(proof, signature)| proof ^ signature).collect();
        self.keys.hash.digest(&client_key).ct_eq(&self.keys.stored_key).into()
    }
}

/// The value of a mandatory attribute. Reserved extensions (`m=`) in its place are refused with it.
fn value_of<'a>(attribute: Option<&'a str>, prefix: &str) -> Result<&'a str, SaslError> {
    attribute
        .and_then(|attribute| attribute.strip_prefix(prefix))
        .filter(|value| !value.is_empty())
        .ok_or(SaslError::MalformedRequest)
}

/// What may stand behind the attributes that are known: an optional extension, which is one letter and a value and is
/// ignored. A mandatory one (`m=`) fails the exchange wherever it stands (RFC 5802 section 5.1), and so does an attribute
/// that has its own place in SCRAM: no two readers may take different ones for the true one.
fn check_extension(attribute: &str) -> Result<(), SaslError> {
    const HAVE_THEIR_PLACE: &[u8] = b"aceimnprsv";
    match attribute.as_bytes() {
        [letter, b'=', _, ..] if letter.is_ascii_alphabetic() && !HAVE_THEIR_PLACE.contains(letter) => Ok(()),
        _ => Err(SaslError::MalformedRequest),
    }
}

/// Undoes `=2C` for the comma and `=3D` for the equals sign; another `=` is a fault (RFC 5802 section 5.1).
fn unescape(name: &str) -> Result<String, SaslError> {
    let mut output = String::with_capacity(name.len());
    let mut parts = name.split('=');
    output.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (character, rest) = match part.split_at_checked(2) {
            Some(("2C", rest)) => (',', rest),
            Some(("3D", rest)) => ('=', rest),
            Some(_) | None => return Err(SaslError::MalformedRequest),
        };
        output.push(character);
        output.push_str(rest);
    }
    if output.is_empty() { Err(SaslError::MalformedRequest) } else { Ok(output) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::{Hash, KeyShape, Password};

    /// The example of RFC 7677 section 3.
    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const FINAL: &[u8] =
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    #[test]
    fn the_example_of_rfc_7677_is_followed() {
        let (exchange, challenge) = exchange(FIRST);

        assert_eq!(challenge, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        assert_eq!(exchange.finish(FINAL), Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_owned()));
    }

    #[test]
    fn the_example_of_rfc_5802_is_followed() {
        let salt = BASE64_STANDARD.decode("QSXCR+Q6sek8bf92").expect("base64");
        let password = Password::new("pencil").expect("allowed");
        let keys = ScramKeys::derive(Hash::Sha1, &password, salt, 4096);
        let first = ClientFirst::parse(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL").expect("well formed");

        let (exchange, _) = ScramExchange::begin(first, keys, "3rfcNHYJY1ZVvWVs7j");
        let last =
            exchange.finish(b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");

        assert_eq!(last, Ok("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=".to_owned()));
    }

    /// C14 and O5: a mandatory extension fails the exchange wherever it stands.
    #[test]
    fn the_first_message_is_read_strictly() {
        let cases: [(&[u8], SaslError); 17] = [
            (b"", SaslError::MalformedRequest),
            (b"n,,n=user,r=abc,m=ext", SaslError::MalformedRequest),
            (b"n,,n=user,r=abc,x=1,m=ext", SaslError::MalformedRequest),
            (b"n,,n=user,r=abc,r=def", SaslError::MalformedRequest),
            (b"n,,n=user,r=abc,x", SaslError::MalformedRequest),
            (b"n,,n=user,r=abc,", SaslError::MalformedRequest),
            (b"n,,n=user,r=", SaslError::MalformedRequest),
            (b"n,,n=,r=abc", SaslError::MalformedRequest),
            (b"n,,r=abc,n=user", SaslError::MalformedRequest),
            (b"n,,m=ext,n=user,r=abc", SaslError::MalformedRequest),
            (b"n,user,n=user,r=abc", SaslError::MalformedRequest),
            (b"x,,n=user,r=abc", SaslError::MalformedRequest),
            (b"p=tls-unique,,n=user,r=abc", SaslError::NotAuthorized),
            (b"n,,n=us=er,r=abc", SaslError::MalformedRequest),
            (b"n,,n=us=2c,r=abc", SaslError::MalformedRequest),
            (b"n,,n=user,r=a\x7fc", SaslError::MalformedRequest),
            (b"n,,n=us\xff,r=abc", SaslError::MalformedRequest),
        ];
        for (message, error) in cases {
            assert_eq!(ClientFirst::parse(message), Err(error), "{}", String::from_utf8_lossy(message));
        }
    }

    #[test]
    fn escaped_names_are_read() {
        let first = ClientFirst::parse(b"y,a=me@x,n=a=2Cb=3Dc,r=abc").expect("well formed");

        assert_eq!(first.username, "a,b=c");
        assert_eq!(first.authzid.as_deref(), Some("me@x"));
        assert_eq!(first.gs2_header, "y,a=me@x,");
    }

    #[test]
    fn a_proof_of_another_exchange_is_worth_nothing() {
        let cases: [(&str, SaslError); 10] = [
            ("c=biws,r=NONCE,m=ext,p=PROOF", SaslError::MalformedRequest),
            ("c=biws,r=NONCE,x=1,m=ext,p=PROOF", SaslError::MalformedRequest),
            ("c=biws,r=NONCE,p=PROOF,p=PROOF", SaslError::MalformedRequest),
            ("m=ext,c=biws,r=NONCE,p=PROOF", SaslError::MalformedRequest),
            ("c=eSws,r=NONCE,p=PROOF", SaslError::NotAuthorized),
            ("c=biws,r=NONCEx,p=PROOF", SaslError::NotAuthorized),
            ("c=biws,r=rOprNGfwEbeRWgbNEkqO,p=PROOF", SaslError::NotAuthorized),
            ("c=biws,r=NONCE,p=AAAA", SaslError::NotAuthorized),
            ("c=biws,r=NONCE,p=!", SaslError::IncorrectEncoding),
            ("c=biws,r=NONCE", SaslError::MalformedRequest),
        ];
        for (message, error) in cases {
            let message = message
                .replace("NONCE", &format!("rOprNGfwEbeRWgbNEkqO{SERVER_NONCE}"))
                .replace("PROOF", "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");

            assert_eq!(exchange(FIRST).0.finish(message.as_bytes()), Err(error), "{message}");
        }
    }

    /// An extension that is not mandatory is ignored, but signed with the rest.
    #[test]
    fn an_optional_extension_is_ignored() {
        let first = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO,x=1";

        assert!(ClientFirst::parse(first).is_ok());
        assert_eq!(exchange(first).0.finish(FINAL), Err(SaslError::NotAuthorized));
    }

    #[test]
    fn nobody_can_log_in_with_a_decoy() {
        let first = ClientFirst::parse(FIRST).expect("well formed");
        let decoy = ScramKeys::decoy(&KeyShape::usual(Hash::Sha256), "user", b"secret");

        let (exchange, _) = ScramExchange::begin(first, decoy, SERVER_NONCE);

        assert_eq!(exchange.finish(FINAL), Err(SaslError::NotAuthorized));
    }

    fn exchange(first: &[u8]) -> (ScramExchange, String) {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let keys = ScramKeys::derive(Hash::Sha256, &Password::new("pencil").expect("allowed"), salt, 4096);
        ScramExchange::begin(ClientFirst::parse(first).expect("well formed"), keys, SERVER_NONCE)
    }
}
