//! Stanza errors (RFC 6120 section 8.3).

use serde::{Deserialize, Serialize};

use super::Stanza;
use crate::limits::STANZA_BYTES_MAX;
use crate::xml::write;

/// The conditions of RFC 6120 section 8.3.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum ErrorCondition {
    BadRequest,
    Conflict,
    FeatureNotImplemented,
    Forbidden,
    Gone,
    InternalServerError,
    ItemNotFound,
    JidMalformed,
    NotAcceptable,
    NotAllowed,
    NotAuthorized,
    PolicyViolation,
    RecipientUnavailable,
    Redirect,
    RegistrationRequired,
    RemoteServerNotFound,
    RemoteServerTimeout,
    ResourceConstraint,
    ServiceUnavailable,
    SubscriptionRequired,
    UndefinedCondition,
    UnexpectedRequest,
}

/// What the sender can do about an error (RFC 6120 section 8.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ErrorType {
    /// Provide credentials and try again.
    Auth,
    /// Do not try again.
    Cancel,
    /// Go on: it was a warning.
    Continue,
    /// Change what was sent and try again.
    Modify,
    /// Wait and try again.
    Wait,
}

impl ErrorCondition {
    /// The name of the condition's element.
    pub fn name(self) -> &'static str {
        match self {
            ErrorCondition::BadRequest => "bad-request",
            ErrorCondition::Conflict => "conflict",
            ErrorCondition::FeatureNotImplemented => "feature-not-implemented",
            ErrorCondition::Forbidden => "forbidden",
            ErrorCondition::Gone => "gone",
            ErrorCondition::InternalServerError => "internal-server-error",
            ErrorCondition::ItemNotFound => "item-not-found",
            ErrorCondition::JidMalformed => "jid-malformed",
            ErrorCondition::NotAcceptable => "not-acceptable",
            ErrorCondition::NotAllowed => "not-allowed",
            ErrorCondition::NotAuthorized => "not-authorized",
            ErrorCondition::PolicyViolation => "policy-violation",
            ErrorCondition::RecipientUnavailable => "recipient-unavailable",
            ErrorCondition::Redirect => "redirect",
            ErrorCondition::RegistrationRequired => "registration-required",
            ErrorCondition::RemoteServerNotFound => "remote-server-not-found",
            ErrorCondition::RemoteServerTimeout => "remote-server-timeout",
            ErrorCondition::ResourceConstraint => "resource-constraint",
            ErrorCondition::ServiceUnavailable => "service-unavailable",
            ErrorCondition::SubscriptionRequired => "subscription-required",
            ErrorCondition::UndefinedCondition => "undefined-condition",
            ErrorCondition::UnexpectedRequest => "unexpected-request",
        }
    }

    /// The type that RFC 6120 section 8.3.3 gives for the condition.
    pub fn default_type(self) -> ErrorType {
        match self {
            ErrorCondition::BadRequest
            | ErrorCondition::JidMalformed
            | ErrorCondition::NotAcceptable
            | ErrorCondition::PolicyViolation
            | ErrorCondition::Redirect => ErrorType::Modify,
            ErrorCondition::Conflict
            | ErrorCondition::FeatureNotImplemented
            | ErrorCondition::Gone
            | ErrorCondition::InternalServerError
            | ErrorCondition::ItemNotFound
            | ErrorCondition::NotAllowed
            | ErrorCondition::RemoteServerNotFound
            | ErrorCondition::ServiceUnavailable
            | ErrorCondition::UndefinedCondition => ErrorType::Cancel,
            ErrorCondition::Forbidden
            | ErrorCondition::NotAuthorized
            | ErrorCondition::RegistrationRequired
            | ErrorCondition::SubscriptionRequired => ErrorType::Auth,
            ErrorCondition::RecipientUnavailable
            | ErrorCondition::RemoteServerTimeout
            | ErrorCondition::ResourceConstraint
            | ErrorCondition::UnexpectedRequest => ErrorType::Wait,
        }
    }
}

impl ErrorType {
    /// The value of the attribute `type` of `<error/>`.
    pub fn name(self) -> &'static str {
        match self {
            ErrorType::Auth => "auth",
            ErrorType::Cancel => "cancel",
            ErrorType::Continue => "continue",
            ErrorType::Modify => "modify",
            ErrorType::Wait => "wait",
        }
    }
}

/// What `<error/>` says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StanzaError {
    /// What is wrong.
    pub condition: ErrorCondition,
    /// What the sender can do about it.
    pub error_type: ErrorType,
    /// For people, in English.
    pub text: Option<String>,
}

impl From<ErrorCondition> for StanzaError {
    fn from(condition: ErrorCondition) -> StanzaError {
        StanzaError { condition, error_type: condition.default_type(), text: None }
    }
}

impl StanzaError {
    /// Writes the element `<error/>`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<error");
        write::attribute(out, "type", self.error_type.name());
        out.extend_from_slice(b"><");
        out.extend_from_slice(self.condition.name().as_bytes());
        out.extend_from_slice(b" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>");
        if let Some(text) = &self.text {
            out.extend_from_slice(b"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>");
            write::escaped(out, text);
            out.extend_from_slice(b"</text>");
        }
        out.extend_from_slice(b"</error>");
    }
}

impl Stanza {
    /// The stanza that reports an error about this one to its sender; nothing if none may be sent
    /// ([`Kind::may_be_answered_with_error`](super::Kind::may_be_answered_with_error)).
    ///
    /// It contains what this stanza contains, followed by the error, unless that makes more than
    /// [`STANZA_BYTES_MAX`]: then the error alone.
    pub fn bounce(&self, condition: ErrorCondition, text: Option<&str>) -> Option<Stanza> {
        let error = StanzaError { text: text.map(str::to_owned), ..StanzaError::from(condition) };
        self.bounce_with(&error)
    }

    /// Like [`Stanza::bounce`], with every part of the error given.
    pub fn bounce_with(&self, error: &StanzaError) -> Option<Stanza> {
        if !self.kind.may_be_answered_with_error() {
            return None;
        }
        let mut written = Vec::new();
        error.write(&mut written);
        if self.payload.len() + written.len() <= STANZA_BYTES_MAX {
            written.splice(0..0, self.payload.iter().copied());
        }
        Some(Stanza {
            kind: self.kind.error(),
            from: self.to.clone(),
            to: self.from.clone(),
            id: self.id.clone(),
            language: self.language.clone(),
            payload: super::exact(written),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stanza::{IqType, Kind, MessageType, PresenceType};

    fn written(stanza: &Stanza) -> String {
        let mut out = Vec::new();
        stanza.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_bounce_goes_back_with_what_it_is_about() {
        let stanza = Stanza {
            from: Some("a@example.org/x".parse().unwrap()),
            to: Some("b@example.org".parse().unwrap()),
            id: Some("1".to_owned()),
            payload: "<body>hi</body>".into(),
            ..Stanza::new(Kind::Message(MessageType::Chat))
        };

        let bounce = stanza.bounce(ErrorCondition::ServiceUnavailable, Some("not <here>")).unwrap();

        assert_eq!(
            written(&bounce),
            "<message from='b@example.org' to='a@example.org/x' id='1' type='error'><body>hi</body>\
             <error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>not &lt;here&gt;</text></error></message>"
        );
    }

    /// Two servers, or a server and a client, would answer each other for ever.
    #[test]
    fn an_error_is_never_answered_with_an_error() {
        for kind in [
            Kind::Message(MessageType::Error),
            Kind::Presence(PresenceType::Error),
            Kind::Presence(PresenceType::Unavailable),
            Kind::Presence(PresenceType::Probe),
            Kind::Iq(IqType::Error),
            Kind::Iq(IqType::Result),
        ] {
            assert_eq!(Stanza::new(kind).bounce(ErrorCondition::BadRequest, None), None);
        }
    }

    #[test]
    fn a_bounce_that_would_be_too_large_has_the_error_only() {
        let payload = vec![b'a'; STANZA_BYTES_MAX];
        let stanza = Stanza { payload: payload.into(), ..Stanza::new(Kind::Iq(IqType::Get)) };

        let bounce = stanza.bounce(ErrorCondition::ResourceConstraint, None).unwrap();

        assert!(bounce.payload.starts_with(b"<error type='wait'>"));
    }
}
