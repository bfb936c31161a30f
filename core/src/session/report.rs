//! How an attempt to authenticate ended.

use std::fmt;

use crate::jid::BareJid;
use crate::sasl::{Mechanism, SaslError};

/// Bytes of a user name that was not understood, in a report.
const NAME_BYTES_MAX: usize = 64;

/// How an attempt to authenticate ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginReport {
    /// Who it was said to be.
    pub login: LoginName,
    /// By which mechanism; absent if the client named none that is offered.
    pub mechanism: Option<Mechanism>,
    /// Why it failed, if it did.
    pub result: Result<(), LoginFailure>,
}

/// Who somebody says that he is. Displayed it is one word of printable characters, whatever the client sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoginName {
    /// The client has not said it.
    Unsaid,
    /// Nobody can be called so: the beginning of what the client said.
    Nobodys(String),
    /// An account that there may be.
    Account(BareJid),
}

impl LoginName {
    pub(super) fn nobodys(said: &str) -> LoginName {
        let cut = said.char_indices().take_while(|(at, c)| at + c.len_utf8() <= NAME_BYTES_MAX).map(|(_, c)| c);
        LoginName::Nobodys(cut.collect())
    }
}

impl fmt::Display for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |f: &mut fmt::Formatter<'_>, text: &str| {
            text.chars().try_for_each(|c| match c {
                // What could be taken for the end of the word or of the line, or moves the cursor of a terminal.
                '"' | '\\' | ' ' => write!(f, "\\u{{{:x}}}", u32::from(c)),
                c => write!(f, "{}", c.escape_debug()),
            })
        };
        match self {
            LoginName::Unsaid => f.write_str("-"),
            LoginName::Nobodys(said) => {
                f.write_str("\"")?;
                word(f, said)?;
                f.write_str("\"")
            }
            LoginName::Account(account) => word(f, account.as_str()),
        }
    }
}

/// Why an attempt to authenticate failed. The client is told less.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoginFailure {
    /// There is such an account, and the password was another.
    WrongPassword,
    /// There is no such account.
    UnknownAccount,
    /// There is such an account, but no password of it can be checked by this mechanism.
    NoKeys,
    /// Too many passwords were tried, so nothing was checked.
    TooManyTries,
    /// What the client is told.
    Refused(SaslError),
}

impl LoginFailure {
    /// One word for the log.
    pub const fn name(self) -> &'static str {
        match self {
            LoginFailure::WrongPassword => "wrong-password",
            LoginFailure::UnknownAccount => "unknown-account",
            LoginFailure::NoKeys => "no-keys",
            LoginFailure::TooManyTries => "too-many-tries",
            LoginFailure::Refused(error) => error.name(),
        }
    }

    /// Whether somebody has shown a secret, and it was wrong.
    pub const fn is_wrong_secret(self) -> bool {
        match self {
            LoginFailure::WrongPassword | LoginFailure::UnknownAccount | LoginFailure::NoKeys => true,
            LoginFailure::TooManyTries | LoginFailure::Refused(_) => false,
        }
    }

    /// What the client is told.
    pub(super) const fn told(self) -> SaslError {
        match self {
            LoginFailure::WrongPassword | LoginFailure::UnknownAccount | LoginFailure::NoKeys => {
                SaslError::NotAuthorized
            }
            LoginFailure::TooManyTries => SaslError::TemporaryAuthFailure,
            LoginFailure::Refused(error) => error,
        }
    }
}

impl From<SaslError> for LoginFailure {
    fn from(error: SaslError) -> LoginFailure {
        LoginFailure::Refused(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T19: nothing that a client says can end the line, or look like another field.
    #[test]
    fn a_name_is_one_word_whatever_the_client_sent() {
        let hostile = "x\r\n2026-01-01T00:00:00Z  INFO log-in failed address=192.0.2.1 \u{1b}[2J\u{202e}\u{2028}\"\\";
        for c in hostile.chars() {
            let shown = LoginName::nobodys(&c.to_string()).to_string();
            assert!(!shown.contains(|c: char| c.is_whitespace() || c.is_control()), "{shown:?}");
            assert_eq!(shown.matches('"').count(), 2, "{shown}");
        }
        let shown = LoginName::nobodys(hostile).to_string();

        assert!(shown.starts_with("\"x\\r\\n2026"), "{shown}");
        assert!(shown.ends_with('"') && !shown.contains([' ', '\n', '\u{1b}', '\u{202e}', '\u{2028}']), "{shown}");
        assert_eq!(LoginName::nobodys(&"ä".repeat(1000)).to_string().len(), 64 + 2);
        assert_eq!(LoginName::Unsaid.to_string(), "-");
    }
}
