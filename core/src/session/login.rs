//! How a client authenticates (RFC 6120 section 6).
//!
//! ```text
//! <auth/> ─▶ first message ─▶ LookUp ─▶ SCRAM: challenge, proof ──▶ <success/> and a new stream
//!                                  └──▶ PLAIN: Derive, compare ──▶ or <failure/>, at most five times
//! ```
//!
//! An account that does not exist takes the same steps with keys that no password fits.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::jid::{BareJid, NodePart};
use crate::limits::{AUTHENTICATION_FAILURES_MAX, AUTHENTICATION_TIME_MAX};
use crate::sasl::{ClientFirst, Derivation, Mechanism, Password, PlainMessage, SaslError, ScramExchange, ScramKeys};
use crate::session::{CredentialsAnswer, Order, Session, Stage, StreamErrorCondition, TlsPolicy, names};
use crate::time::Uptime;
use crate::xml::{Element, XmlLimits};

/// An attempt to authenticate.
#[derive(Clone)]
pub(super) enum Login {
    /// The client has named a mechanism and said nothing else.
    AwaitsFirst(Mechanism),
    /// The account's keys are looked up.
    LooksUp { account: BareJid, mechanism: Mechanism, claim: Claim },
    /// The client is to prove that it knows the password.
    AwaitsProof { account: BareJid, exchange: ScramExchange },
    /// Keys are made of the password that the client has shown.
    Derives { account: BareJid, keys: ScramKeys },
}

/// What the client offers as proof.
#[derive(Clone)]
pub(super) enum Claim {
    Scram(ClientFirst),
    Plain(Password),
}

impl Login {
    /// Whether it is the client's turn.
    pub(super) fn awaits_client(&self) -> bool {
        match self {
            Login::AwaitsFirst(_) | Login::AwaitsProof { .. } => true,
            Login::LooksUp { .. } | Login::Derives { .. } => false,
        }
    }
}

impl Session {
    /// An element in the namespace of SASL, before authentication.
    pub(super) fn handle_sasl(&mut self, now: Uptime, element: &Element) {
        let login = match std::mem::replace(&mut self.stage, Stage::Negotiating) {
            Stage::Login(login) => Some(login),
            Stage::Negotiating
            | Stage::Opening
            | Stage::Handshake
            | Stage::Binding { .. }
            | Stage::Resuming
            | Stage::Bound
            | Stage::Over => None,
        };
        let step = match (element.name(), login) {
            ("auth", None) => self.begin_login(element),
            ("response", Some(login)) => self.continue_login(now, login, element),
            ("abort", _) => Err(SaslError::Aborted),
            _ => Err(SaslError::MalformedRequest),
        };
        if let Err(error) = step {
            self.refuse_login(error);
        }
    }

    /// Answers a look-up of keys.
    pub(super) fn continue_with_keys(&mut self, answer: CredentialsAnswer) {
        let Stage::Login(Login::LooksUp { .. }) = &self.stage else { return };
        let Stage::Login(Login::LooksUp { account, mechanism, claim }) =
            std::mem::replace(&mut self.stage, Stage::Negotiating)
        else {
            return;
        };
        let keys = match answer {
            CredentialsAnswer::Found(keys) => keys,
            CredentialsAnswer::Unknown => {
                ScramKeys::decoy(mechanism.hash(), account.as_str(), &self.settings.decoy_secret)
            }
            CredentialsAnswer::Unavailable => {
                self.refuse_login(SaslError::TemporaryAuthFailure);
                return;
            }
        };
        match claim {
            Claim::Scram(first) => {
                let nonce = self.random_text::<18>();
                let (exchange, challenge) = ScramExchange::begin(first, keys, &nonce);
                self.send_sasl("challenge", &challenge);
                self.stage = Stage::Login(Login::AwaitsProof { account, exchange });
            }
            Claim::Plain(password) => {
                let derivation =
                    Derivation { hash: keys.hash, password, salt: keys.salt.clone(), iterations: keys.iterations };
                self.output.order(Order::DeriveKeys(derivation));
                self.stage = Stage::Login(Login::Derives { account, keys });
            }
        }
    }

    /// Answers an order to make keys of a password.
    pub(super) fn continue_with_derived(&mut self, now: Uptime, derived: &ScramKeys) {
        let Stage::Login(Login::Derives { account, keys }) = &self.stage else { return };
        if keys.matches(derived) {
            let account = account.clone();
            self.accept_login(now, account, "");
        } else {
            self.refuse_login(SaslError::NotAuthorized);
        }
    }

    fn begin_login(&mut self, element: &Element) -> Result<(), SaslError> {
        if self.settings.tls == TlsPolicy::Required && !self.encrypted {
            return Err(SaslError::EncryptionRequired);
        }
        let mechanism = element
            .attribute("mechanism")
            .and_then(Mechanism::named)
            .filter(|mechanism| self.mechanisms().contains(mechanism))
            .ok_or(SaslError::InvalidMechanism)?;
        match &*element.text() {
            "" => {
                self.send_sasl("challenge", "");
                self.stage = Stage::Login(Login::AwaitsFirst(mechanism));
                Ok(())
            }
            text => self.handle_first(mechanism, &decode(text)?),
        }
    }

    fn continue_login(&mut self, now: Uptime, login: Login, element: &Element) -> Result<(), SaslError> {
        let message = decode(&element.text())?;
        match login {
            Login::AwaitsFirst(mechanism) => self.handle_first(mechanism, &message),
            Login::AwaitsProof { account, exchange } => {
                let last = exchange.finish(&message)?;
                self.accept_login(now, account, &last);
                Ok(())
            }
            // Nothing of the client is read while it is the server's turn.
            Login::LooksUp { .. } | Login::Derives { .. } => Err(SaslError::MalformedRequest),
        }
    }

    fn handle_first(&mut self, mechanism: Mechanism, message: &[u8]) -> Result<(), SaslError> {
        let (username, authzid, claim) = match mechanism {
            Mechanism::ScramSha256 | Mechanism::ScramSha1 => {
                let first = ClientFirst::parse(message)?;
                (first.username.clone(), first.authzid.clone(), Claim::Scram(first))
            }
            Mechanism::Plain => {
                let message = PlainMessage::parse(message)?;
                (message.username, message.authzid, Claim::Plain(message.password))
            }
        };
        let node = NodePart::new(&username).map_err(|_| SaslError::NotAuthorized)?;
        let account = BareJid::from_parts(Some(&node), &self.settings.domain);
        // To act as somebody else is never allowed, whoever asks (RFC 6120 section 6.3.8).
        if authzid.is_some_and(|authzid| BareJid::new(&authzid).ok().as_ref() != Some(&account)) {
            return Err(SaslError::InvalidAuthzid);
        }
        self.output.order(Order::LookUpCredentials { account: account.clone(), mechanism });
        self.stage = Stage::Login(Login::LooksUp { account, mechanism, claim });
        Ok(())
    }

    /// The client is who it says it is. A new stream follows, on which it has as long again to bind.
    fn accept_login(&mut self, now: Uptime, account: BareJid, last: &str) {
        self.send_sasl("success", last);
        self.account = Some(account);
        self.deadline = Some(now + AUTHENTICATION_TIME_MAX);
        self.reader.set_limits(XmlLimits::AUTHENTICATED);
        self.restart_stream();
    }

    fn refuse_login(&mut self, error: SaslError) {
        self.output.text(&format!("<failure xmlns='{}'><{}/></failure>", names::SASL, error.name()));
        self.stage = Stage::Negotiating;
        self.failures += 1;
        if self.failures > AUTHENTICATION_FAILURES_MAX {
            self.fail(StreamErrorCondition::PolicyViolation, Some("too many failed attempts to authenticate"));
        }
    }

    fn send_sasl(&mut self, name: &str, message: &str) {
        let element = Element::new(name, names::SASL).with_text(&BASE64_STANDARD.encode(message));
        self.output.write(|out| element.write(out));
    }
}

/// Base64 as RFC 6120 section 6.3.7 has it: an empty message is written `=`, no other characters are allowed.
fn decode(text: &str) -> Result<Vec<u8>, SaslError> {
    match text {
        "=" => Ok(Vec::new()),
        text => BASE64_STANDARD.decode(text).map_err(|_| SaslError::IncorrectEncoding),
    }
}
