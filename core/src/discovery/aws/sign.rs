//! Signature version 4 of AWS, for a form that is posted to the root of a service ("AWS Signature Version 4 for API
//! requests", IAM User Guide).

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{Credentials, Header};
use crate::time::UnixMillis;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// The headers with which a form is posted to `/` of `host`, the signature among them. It holds for some minutes
/// around `now`.
pub fn signed(
    now: UnixMillis,
    credentials: &Credentials,
    region: &str,
    service: &str,
    host: &str,
    form: &str,
) -> Vec<Header> {
    let time = basic(now);
    let mut headers = vec![
        Header { name: "content-type", value: FORM.to_owned() },
        Header { name: "host", value: host.to_owned() },
        Header { name: "x-amz-date", value: time.clone() },
    ];
    if let Some(token) = &credentials.session_token {
        headers.push(Header { name: "x-amz-security-token", value: token.reveal().to_owned() });
    }
    let request = canonical("POST", "", &headers, form.as_bytes());
    let scope = format!("{}/{region}/{service}/aws4_request", &time[..8]);
    let signature = signature(credentials, &time, &scope, &request);
    let (access_key, names) = (&credentials.access_key, names(&headers));
    let value = format!("{ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}");
    headers.push(Header { name: "authorization", value });
    headers
}

/// The request in the one form that both sides sign. The headers stand in the order of their names.
fn canonical(method: &str, query: &str, headers: &[Header], body: &[u8]) -> String {
    let lines: String = headers.iter().map(|header| format!("{}:{}\n", header.name, header.value.trim())).collect();
    format!("{method}\n/\n{query}\n{lines}\n{}\n{}", names(headers), hexadecimal(&Sha256::digest(body)))
}

fn signature(credentials: &Credentials, time: &str, scope: &str, request: &str) -> String {
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hexadecimal(&Sha256::digest(request.as_bytes())));
    let secret = format!("AWS4{}", credentials.secret_key.reveal()).into_bytes();
    // The key of a day, a region and a service: each word of the scope is signed with what came of the one before.
    let key = scope.split('/').fold(secret, |key, word| code(&key, word.as_bytes()));
    hexadecimal(&code(&key, to_sign.as_bytes()))
}

fn names(headers: &[Header]) -> String {
    headers.iter().map(|header| header.name).collect::<Vec<_>>().join(";")
}

fn code(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut code = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    code.update(bytes);
    code.finalize().into_bytes().to_vec()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `20150830T123600Z`.
fn basic(now: UnixMillis) -> String {
    let extended = now.to_xmpp();
    let whole = extended.split('.').next().unwrap_or_default();
    format!("{}Z", whole.replace(['-', ':'], ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::discovery::Secret;

    /// The example of AWS's own documentation ("Create a signed AWS API request"): `ListUsers` of IAM.
    #[test]
    fn the_example_of_the_documentation_has_its_signature() {
        let time = "20150830T123600Z";
        let headers = [
            Header { name: "content-type", value: FORM.to_owned() },
            Header { name: "host", value: "iam.amazonaws.com".to_owned() },
            Header { name: "x-amz-date", value: time.to_owned() },
        ];

        let request = canonical("GET", "Action=ListUsers&Version=2010-05-08", &headers, b"");

        let digest = hexadecimal(&Sha256::digest(request.as_bytes()));
        assert_eq!(digest, "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59");
        assert_eq!(
            signature(&credentials(None), time, "20150830/us-east-1/iam/aws4_request", &request),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn time_is_written_without_marks() {
        assert_eq!(basic(UnixMillis(1_440_938_160_789)), "20150830T123600Z");
    }

    #[test]
    fn a_token_is_signed_too_and_nothing_is_printed() {
        let now = UnixMillis(1_440_938_160_000);

        let headers = signed(now, &credentials(Some("token")), "eu-central-1", "ec2", "host", "Action=X");

        let value = |name| headers.iter().find(|header| header.name == name).expect(name).value.clone();
        assert_eq!(value("x-amz-security-token"), "token");
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-central-1/ec2/aws4_request, \
                        SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=";
        assert!(value("authorization").starts_with(expected), "{}", value("authorization"));
        assert!(!format!("{headers:?}").contains("AKIDEXAMPLE"));
    }

    fn credentials(token: Option<&str>) -> Credentials {
        Credentials {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: token.map(Secret::new),
        }
    }
}
