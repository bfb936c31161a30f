//! Message, presence and iq as values (RFC 6120 section 8, RFC 6121).
//!
//! A stanza is read once, at the edge, from an [`Element`](crate::xml::Element); its addresses are JIDs from then on,
//! and its children are canonical XML that may be written to anybody as it stands. Everything that leaves the server
//! is written by [`Stanza::write`].

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::jid::Jid;

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
