//! The one message of PLAIN (RFC 4616): `[authzid] NUL authcid NUL password`.

use crate::sasl::{Password, SaslError};

/// What a client says with PLAIN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlainMessage {
    /// As whom it wants to act; absent means as itself.
    pub authzid: Option<String>,
    /// Its user name: the local part of an account.
    pub username: String,
    /// Its password, prepared.
    pub password: Password,
}

impl PlainMessage {
    /// Reads the message, which is UTF-8 with exactly two NULs and a name and a password that are not empty.
    ///
    /// # Errors
    /// `malformed-request` if it has another form, `not-authorized` if nobody can have such a password.
    pub fn parse(message: &[u8]) -> Result<PlainMessage, SaslError> {
        let text = std::str::from_utf8(message).map_err(|_| SaslError::MalformedRequest)?;
        let mut fields = text.split('\0');
        let (Some(authzid), Some(username), Some(password), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(SaslError::MalformedRequest);
        };
        if username.is_empty() || password.is_empty() {
            return Err(SaslError::MalformedRequest);
        }
        Ok(PlainMessage {
            authzid: (!authzid.is_empty()).then(|| authzid.to_owned()),
            username: username.to_owned(),
            password: Password::new(password).ok_or(SaslError::NotAuthorized)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_password_are_read() {
        let message = PlainMessage::parse(b"\0romeo\0r0m30").expect("well formed");

        assert_eq!((message.authzid, message.username.as_str()), (None, "romeo"));
        assert_eq!(Some(message.password), Password::new("r0m30"));
    }

    #[test]
    fn what_has_another_form_is_refused() {
        let hostile: [&[u8]; 8] = [
            b"",
            b"romeo",
            b"\0romeo",
            b"\0romeo\0",
            b"\0\0r0m30",
            b"\0romeo\0r0m30\0",
            b"a\0b\0c\0d",
            b"\0rom\xff\0r0m30",
        ];
        for message in hostile {
            assert_eq!(PlainMessage::parse(message), Err(SaslError::MalformedRequest), "{message:?}");
        }
    }
}
