//! Message, presence and iq as values (RFC 6120 section 8, RFC 6121).
//!
//! ```text
//! Element ─▶ from_element ─▶ Stanza ─▶ write ─▶ bytes for a client
//!                 │            │ └───▶ serde ─▶ bytes for a member
//!            StanzaFault     bounce
//! ```
//!
//! A stanza is read once, at the edge, from an [`Element`]; its addresses are JIDs from then on,
//! and its children are canonical XML that may be written to anybody as it stands. Everything that leaves the server
//! is written by [`Stanza::write`].
//!
//! Whom a stanza is for is told by its address alone: that is a [`Recipient`].
//!
//! Deliberately not here: who may send what, and where it goes. Attributes of the stanza's own tag that RFC 6120 does
//! not define are not kept.

mod content;
mod error;
mod read;
mod recipient;
mod weight;
mod write;

pub use error::{ErrorCondition, ErrorType, StanzaError};
pub use read::{Refusal, StanzaFault};
pub use recipient::{Recipient, Service, Whose};
pub use weight::STANZA_OVERHEAD_BYTES;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::jid::Jid;
use crate::xml::Element;

/// One stanza in the namespace `jabber:client`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stanza {
    /// What it is, with its type.
    pub kind: Kind,
    /// Who sends it. Always there once a session has stamped it.
    pub from: Option<Jid>,
    /// Whom it is for; absent means the sender's own account (RFC 6120 section 10.3).
    pub to: Option<Jid>,
    /// The sender's id for it.
    pub id: Option<String>,
    /// `xml:lang`.
    pub language: Option<String>,
    /// The children and text of the stanza as canonical XML: default namespace `jabber:client`, no prefixes on
    /// elements. See [`crate::xml`].
    pub payload: Bytes,
}

/// Message, presence or iq, with the value of `type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// RFC 6121 section 5.
    Message(MessageType),
    /// RFC 6121 section 4.
    Presence(PresenceType),
    /// RFC 6120 section 8.2.3.
    Iq(IqType),
}

/// RFC 6121 section 5.2.2. An unknown type is `Normal`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum MessageType {
    Normal,
    Chat,
    Groupchat,
    Headline,
    Error,
}

/// RFC 6121 section 4.7.1. An unknown type is a fault of the sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum PresenceType {
    Available,
    Unavailable,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Probe,
    Error,
}

/// RFC 6120 section 8.2.3. An unknown type is a fault of the sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum IqType {
    Get,
    Set,
    Result,
    Error,
}

impl Stanza {
    /// A stanza without addresses, id or content.
    pub fn new(kind: Kind) -> Stanza {
        Stanza { kind, from: None, to: None, id: None, language: None, payload: Bytes::new() }
    }

    /// The result of an iq request, to its sender: `payload` or nothing.
    pub fn answer(&self, payload: Option<&Element>) -> Stanza {
        let mut written = Vec::new();
        if let Some(payload) = payload {
            payload.write(&mut written);
        }
        Stanza {
            kind: Kind::Iq(IqType::Result),
            from: self.to.clone(),
            to: self.from.clone(),
            id: self.id.clone(),
            language: None,
            payload: exact(written),
        }
    }

    /// The stanza with one more child behind its content.
    #[must_use]
    pub fn with_child(mut self, child: &Element) -> Stanza {
        let mut payload = Vec::from(self.payload);
        child.write(&mut payload);
        self.payload = exact(payload);
        self
    }
}

/// Content without room to spare: it may be kept for long, and counts only for what it is.
fn exact(mut written: Vec<u8>) -> Bytes {
    written.shrink_to_fit();
    written.into()
}

impl Kind {
    /// `message`, `presence` or `iq`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Message(_) => "message",
            Kind::Presence(_) => "presence",
            Kind::Iq(_) => "iq",
        }
    }

    /// The kind of a stanza that reports an error about this one.
    pub fn error(self) -> Kind {
        match self {
            Kind::Message(_) => Kind::Message(MessageType::Error),
            Kind::Presence(_) => Kind::Presence(PresenceType::Error),
            Kind::Iq(_) => Kind::Iq(IqType::Error),
        }
    }

    /// The value of `type`; nothing where none is written.
    pub fn type_name(self) -> Option<&'static str> {
        match self {
            Kind::Message(MessageType::Normal) | Kind::Presence(PresenceType::Available) => None,
            Kind::Message(MessageType::Chat) => Some("chat"),
            Kind::Message(MessageType::Groupchat) => Some("groupchat"),
            Kind::Message(MessageType::Headline) => Some("headline"),
            Kind::Message(MessageType::Error) | Kind::Presence(PresenceType::Error) | Kind::Iq(IqType::Error) => {
                Some("error")
            }
            Kind::Presence(PresenceType::Unavailable) => Some("unavailable"),
            Kind::Presence(PresenceType::Subscribe) => Some("subscribe"),
            Kind::Presence(PresenceType::Subscribed) => Some("subscribed"),
            Kind::Presence(PresenceType::Unsubscribe) => Some("unsubscribe"),
            Kind::Presence(PresenceType::Unsubscribed) => Some("unsubscribed"),
            Kind::Presence(PresenceType::Probe) => Some("probe"),
            Kind::Iq(IqType::Get) => Some("get"),
            Kind::Iq(IqType::Set) => Some("set"),
            Kind::Iq(IqType::Result) => Some("result"),
        }
    }

    /// The kind of the element with this name and `type`; nothing if there is none, as for an iq without `type`.
    pub fn of(name: &str, type_name: Option<&str>) -> Option<Kind> {
        match name {
            "message" => Some(Kind::Message(match type_name {
                Some("chat") => MessageType::Chat,
                Some("groupchat") => MessageType::Groupchat,
                Some("headline") => MessageType::Headline,
                Some("error") => MessageType::Error,
                Some(_) | None => MessageType::Normal,
            })),
            "presence" => Some(Kind::Presence(match type_name {
                None => PresenceType::Available,
                Some("unavailable") => PresenceType::Unavailable,
                Some("subscribe") => PresenceType::Subscribe,
                Some("subscribed") => PresenceType::Subscribed,
                Some("unsubscribe") => PresenceType::Unsubscribe,
                Some("unsubscribed") => PresenceType::Unsubscribed,
                Some("probe") => PresenceType::Probe,
                Some("error") => PresenceType::Error,
                Some(_) => return None,
            })),
            "iq" => Some(Kind::Iq(match type_name {
                Some("get") => IqType::Get,
                Some("set") => IqType::Set,
                Some("result") => IqType::Result,
                Some("error") => IqType::Error,
                Some(_) | None => return None,
            })),
            _ => None,
        }
    }

    /// Whether an error about it may be sent. Never about an error or the answer to an iq (RFC 6120 section 8.3.1),
    /// and not where the sender expects no answer: unavailable presence and probes.
    pub fn may_be_answered_with_error(self) -> bool {
        match self {
            Kind::Message(MessageType::Error)
            | Kind::Presence(PresenceType::Error | PresenceType::Unavailable | PresenceType::Probe)
            | Kind::Iq(IqType::Error | IqType::Result) => false,
            Kind::Message(MessageType::Normal | MessageType::Chat | MessageType::Groupchat | MessageType::Headline)
            | Kind::Presence(
                PresenceType::Available
                | PresenceType::Subscribe
                | PresenceType::Subscribed
                | PresenceType::Unsubscribe
                | PresenceType::Unsubscribed,
            )
            | Kind::Iq(IqType::Get | IqType::Set) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire;

    /// Members send each other nothing but stanzas, so each byte here is paid for every message.
    #[test]
    fn between_members_a_stanza_is_smaller_than_between_clients() {
        let xml = "<message from='romeo@example.org/orchard' to='juliet@example.org/balcony' id='b4d2f5a0' type='chat'>\
                   <body>It is the east, and Juliet is the sun.</body></message>";
        let stanza = Stanza::from_element(Element::parse(xml.as_bytes(), "jabber:client").unwrap()).unwrap();

        let encoded = wire::encode(&stanza);
        let decoded: Stanza = wire::decode(&encoded, encoded.len()).unwrap();

        let strings = "romeo@example.org/orchard".len() + "juliet@example.org/balcony".len() + "b4d2f5a0".len();
        // The version; kind and type; one byte for each of four options; one for the length of each of four strings.
        assert_eq!(encoded.len(), strings + stanza.payload.len() + 1 + 2 + 4 + 4);
        assert!(encoded.len() < xml.len());
        assert_eq!(decoded, stanza);
    }
}
