//! How a client authenticates (RFC 6120 section 6).
//!
//! ```text
//! <auth/> ─▶ first message ─▶ LookUp ─▶ SCRAM: challenge, proof ──▶ <success/> and a new stream
//!                                  └──▶ PLAIN: Derive, compare ──▶ or <failure/>, at most five times
//! ```
//!
//! An account that does not exist takes the same steps with keys that no password fits and that look like those of some
//! account that exists. Each attempt ends in one [`Order::ReportLogin`].

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::jid::{BareJid, DomainPart, NodePart};
use crate::limits::{AUTHENTICATION_FAILURES_MAX, AUTHENTICATION_TIME_MAX};
use crate::sasl::{
    ClientFirst, Derivation, Hash, KeyShape, Mechanism, Password, PlainMessage, SaslError, ScramExchange, ScramKeys,
    decoy_draw,
};
use crate::session::{
    CredentialsAnswer, LoginFailure, LoginName, LoginReport, Order, Session, Stage, StreamErrorCondition, TlsPolicy,
    names,
};
use crate::time::Uptime;
use crate::xml::Element;

/// An attempt to authenticate.
#[derive(Clone)]
pub(super) enum Login {
    /// The client has named a mechanism and said nothing else.
    AwaitsFirst(Mechanism),
    /// The account's keys are looked up.
    LooksUp { who: Who, claim: Claim },
    /// The client is to prove that it knows the password.
    AwaitsProof { who: Who, exchange: ScramExchange, if_wrong: LoginFailure },
    /// Keys are made of the password that the client has shown.
    Derives { who: Who, keys: ScramKeys, if_wrong: LoginFailure },
}

/// Who wants to be authenticated, and how.
#[derive(Clone)]
pub(super) struct Who {
    account: BareJid,
    mechanism: Mechanism,
}

/// What the client offers as proof.
#[derive(Clone)]
pub(super) enum Claim {
    Scram(ClientFirst),
    Plain(Password),
}

/// Why an attempt failed, and what is known of who made it.
struct Refusal {
    login: LoginName,
    mechanism: Option<Mechanism>,
    failure: LoginFailure,
}

impl Refusal {
    /// Of somebody who has not said his name.
    fn unsaid(mechanism: Option<Mechanism>, error: SaslError) -> Refusal {
        Refusal { login: LoginName::Unsaid, mechanism, failure: error.into() }
    }
}

impl Who {
    fn refused(&self, failure: impl Into<LoginFailure>) -> Refusal {
        let login = LoginName::Account(self.account.clone());
        Refusal { login, mechanism: Some(self.mechanism), failure: failure.into() }
    }
}

impl Login {
    /// Whether it is the client's turn.
    pub(super) fn awaits_client(&self) -> bool {
        match self {
            Login::AwaitsFirst(_) | Login::AwaitsProof { .. } => true,
            Login::LooksUp { .. } | Login::Derives { .. } => false,
        }
    }

    fn refused(&self, error: SaslError) -> Refusal {
        match self {
            Login::AwaitsFirst(mechanism) => Refusal::unsaid(Some(*mechanism), error),
            Login::LooksUp { who, .. } | Login::AwaitsProof { who, .. } | Login::Derives { who, .. } => {
                who.refused(error)
            }
        }
    }
}

impl Session {
    /// An element in the namespace of SASL, before authentication.
    pub(super) fn handle_sasl(&mut self, now: Uptime, element: &Element) {
        let login = match std::mem::replace(&mut self.stage, Stage::Negotiating) {
            Stage::Login(login) => Some(*login),
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
            ("abort", login) => {
                Err(login.map_or(Refusal::unsaid(None, SaslError::Aborted), |login| login.refused(SaslError::Aborted)))
            }
            (_, Some(login)) => Err(login.refused(SaslError::MalformedRequest)),
            (_, None) => Err(Refusal::unsaid(None, SaslError::MalformedRequest)),
        };
        if let Err(refusal) = step {
            self.refuse_login(refusal);
        }
    }

    /// Answers a look-up of keys.
    pub(super) fn continue_with_keys(&mut self, answer: CredentialsAnswer) {
        let Stage::Login(login) = &self.stage else { return };
        let Login::LooksUp { who, claim } = &**login else { return };
        let (who, claim) = (who.clone(), claim.clone());
        self.stage = Stage::Negotiating;
        let (keys, if_wrong) = match self.keys_to_check(&who, answer) {
            Ok(keys) => keys,
            Err(failure) => {
                self.refuse_login(who.refused(failure));
                return;
            }
        };
        match claim {
            Claim::Scram(first) => {
                let nonce = self.random_text::<18>();
                let (exchange, challenge) = ScramExchange::begin(first, keys, &nonce);
                self.send_sasl("challenge", &challenge);
                self.stage = Stage::Login(Box::new(Login::AwaitsProof { who, exchange, if_wrong }));
            }
            Claim::Plain(password) => {
                let derivation =
                    Derivation { hash: keys.hash, password, salt: keys.salt.clone(), iterations: keys.iterations };
                self.output.order(Order::DeriveKeys(derivation));
                self.stage = Stage::Login(Box::new(Login::Derives { who, keys, if_wrong }));
            }
        }
    }

    /// The keys against which the client is checked, and why it fails if it does not know the password. The same work
    /// whether the account exists or not.
    fn keys_to_check(&self, who: &Who, answer: CredentialsAnswer) -> Result<(ScramKeys, LoginFailure), LoginFailure> {
        let (own, shapes) = match answer {
            CredentialsAnswer::Known(keys) => {
                let shapes = keys.iter().map(KeyShape::of).collect();
                (Some(keys), shapes)
            }
            CredentialsAnswer::Unknown(shapes) => (None, shapes),
            CredentialsAnswer::Unavailable => return Err(SaslError::TemporaryAuthFailure.into()),
            CredentialsAnswer::TooManyTries => return Err(LoginFailure::TooManyTries),
        };
        let hashes = who.mechanism.hashes();
        let shape = hashes.iter().find_map(|hash| shapes.iter().find(|shape| shape.hash == *hash));
        // An account that lacks the keys of a mechanism looks the same for it as nobody does who is drawn like it.
        let usual = KeyShape::usual(hashes.first().copied().unwrap_or(Hash::Sha256));
        let decoy = ScramKeys::decoy(shape.unwrap_or(&usual), who.account.as_str(), &self.settings.decoy_secret);
        let Some(own) = own else { return Ok((decoy, LoginFailure::UnknownAccount)) };
        let own = own.into_iter().find(|keys| keys.hash == decoy.hash && shape.is_some());
        Ok(own.map_or((decoy, LoginFailure::NoKeys), |keys| (keys, LoginFailure::WrongPassword)))
    }

    /// Answers an order to make keys of a password.
    pub(super) fn continue_with_derived(&mut self, now: Uptime, derived: &ScramKeys) {
        let Stage::Login(login) = &self.stage else { return };
        let Login::Derives { who, keys, if_wrong } = &**login else { return };
        if keys.matches(derived) {
            let who = who.clone();
            self.accept_login(now, who, "");
        } else {
            let refusal = who.refused(*if_wrong);
            self.refuse_login(refusal);
        }
    }

    fn begin_login(&mut self, element: &Element) -> Result<(), Refusal> {
        if self.settings.tls == TlsPolicy::Required && !self.encrypted {
            return Err(Refusal::unsaid(None, SaslError::EncryptionRequired));
        }
        let mechanism = element
            .attribute("mechanism")
            .and_then(Mechanism::named)
            .filter(|mechanism| self.mechanisms().contains(mechanism))
            .ok_or_else(|| Refusal::unsaid(None, SaslError::InvalidMechanism))?;
        match &*element.text() {
            "" => {
                self.send_sasl("challenge", "");
                self.stage = Stage::Login(Box::new(Login::AwaitsFirst(mechanism)));
                Ok(())
            }
            text => {
                let message = decode(text).map_err(|error| Refusal::unsaid(Some(mechanism), error))?;
                self.handle_first(mechanism, &message)
            }
        }
    }

    fn continue_login(&mut self, now: Uptime, login: Login, element: &Element) -> Result<(), Refusal> {
        let message = decode(&element.text()).map_err(|error| login.refused(error))?;
        match login {
            Login::AwaitsFirst(mechanism) => self.handle_first(mechanism, &message),
            Login::AwaitsProof { who, exchange, if_wrong } => match exchange.finish(&message) {
                Ok(last) => {
                    self.accept_login(now, who, &last);
                    Ok(())
                }
                Err(SaslError::NotAuthorized) => Err(who.refused(if_wrong)),
                Err(error) => Err(who.refused(error)),
            },
            // Nothing of the client is read while it is the server's turn.
            Login::LooksUp { .. } | Login::Derives { .. } => Err(login.refused(SaslError::MalformedRequest)),
        }
    }

    fn handle_first(&mut self, mechanism: Mechanism, message: &[u8]) -> Result<(), Refusal> {
        let unsaid = |error| Refusal::unsaid(Some(mechanism), error);
        let (username, authzid, claim) = match mechanism {
            Mechanism::ScramSha256 | Mechanism::ScramSha1 => {
                let first = ClientFirst::parse(message).map_err(unsaid)?;
                (first.username.clone(), first.authzid.clone(), Claim::Scram(first))
            }
            Mechanism::Plain => {
                let message = PlainMessage::parse(message).map_err(unsaid)?;
                (message.username, message.authzid, Claim::Plain(message.password))
            }
        };
        let Some(account) = self.account_named(&username) else {
            let login = LoginName::nobodys(&username);
            return Err(Refusal { login, mechanism: Some(mechanism), failure: SaslError::NotAuthorized.into() });
        };
        let who = Who { account, mechanism };
        // To act as somebody else is never allowed, whoever asks (RFC 6120 section 6.3.8).
        if authzid.is_some_and(|authzid| BareJid::new(&authzid).ok().as_ref() != Some(&who.account)) {
            return Err(who.refused(SaslError::InvalidAuthzid));
        }
        let draw = decoy_draw(who.account.as_str(), &self.settings.decoy_secret);
        self.output.order(Order::LookUpCredentials { account: who.account.clone(), draw });
        self.stage = Stage::Login(Box::new(Login::LooksUp { who, claim }));
        Ok(())
    }

    /// The account that a client calls itself by: the localpart of its JID, or the whole bare JID, which many clients send
    /// if the user typed it (RFC 6120 section 6.3.7 leaves the form to the server). Of another domain there is none.
    fn account_named(&self, username: &str) -> Option<BareJid> {
        let localpart = match username.split_once('@') {
            None => username,
            Some((localpart, domain)) => {
                let is_ours = DomainPart::new(domain).is_ok_and(|domain| *domain == *self.settings.domain);
                is_ours.then_some(localpart)?
            }
        };
        let node = NodePart::new(localpart).ok()?;
        Some(BareJid::from_parts(Some(&node), &self.settings.domain))
    }

    /// The client is who it says it is. A new stream follows, on which it has as long again to bind.
    fn accept_login(&mut self, now: Uptime, who: Who, last: &str) {
        let login = LoginName::Account(who.account.clone());
        let report = LoginReport { login, mechanism: Some(who.mechanism), result: Ok(()) };
        self.output.order(Order::ReportLogin(report));
        self.send_sasl("success", last);
        self.account = Some(who.account);
        self.deadline = Some(now + AUTHENTICATION_TIME_MAX);
        self.framing.trust();
        self.restart_stream();
    }

    fn refuse_login(&mut self, refusal: Refusal) {
        let Refusal { login, mechanism, failure } = refusal;
        self.output.order(Order::ReportLogin(LoginReport { login, mechanism, result: Err(failure) }));
        let told = format!("<failure xmlns='{}'><{}/></failure>", names::SASL, failure.told().name());
        self.output.frame(|out| self.framing.text(out, &told));
        self.stage = Stage::Negotiating;
        self.failures += 1;
        if self.failures > AUTHENTICATION_FAILURES_MAX {
            self.fail(StreamErrorCondition::PolicyViolation, Some("too many failed attempts to authenticate"));
        }
    }

    fn send_sasl(&mut self, name: &str, message: &str) {
        let element = Element::new(name, names::SASL).with_text(&BASE64_STANDARD.encode(message));
        self.output.frame(|out| self.framing.element(out, &element));
    }
}

/// Base64 as RFC 6120 section 6.3.7 has it: an empty message is written `=`, no other characters are allowed.
fn decode(text: &str) -> Result<Vec<u8>, SaslError> {
    match text {
        "=" => Ok(Vec::new()),
        text => BASE64_STANDARD.decode(text).map_err(|_| SaslError::IncorrectEncoding),
    }
}
