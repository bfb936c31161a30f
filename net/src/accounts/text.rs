//! The words by which databases keep what we have types for. Every store writes the same, and no word ever changes.

use cresset_core::jid::BareJid;
use cresset_core::sasl::Hash;
use cresset_core::session::Subscription;
use cresset_core::stanza::{IqType, Kind, MessageType, PresenceType};

use super::StoreError;

/// How kinds are written.
const KINDS: [(Kind, &str); 17] = [
    (Kind::Message(MessageType::Normal), "message/normal"),
    (Kind::Message(MessageType::Chat), "message/chat"),
    (Kind::Message(MessageType::Groupchat), "message/groupchat"),
    (Kind::Message(MessageType::Headline), "message/headline"),
    (Kind::Message(MessageType::Error), "message/error"),
    (Kind::Presence(PresenceType::Available), "presence/available"),
    (Kind::Presence(PresenceType::Unavailable), "presence/unavailable"),
    (Kind::Presence(PresenceType::Subscribe), "presence/subscribe"),
    (Kind::Presence(PresenceType::Subscribed), "presence/subscribed"),
    (Kind::Presence(PresenceType::Unsubscribe), "presence/unsubscribe"),
    (Kind::Presence(PresenceType::Unsubscribed), "presence/unsubscribed"),
    (Kind::Presence(PresenceType::Probe), "presence/probe"),
    (Kind::Presence(PresenceType::Error), "presence/error"),
    (Kind::Iq(IqType::Get), "iq/get"),
    (Kind::Iq(IqType::Set), "iq/set"),
    (Kind::Iq(IqType::Result), "iq/result"),
    (Kind::Iq(IqType::Error), "iq/error"),
];

/// All there are.
const SUBSCRIPTIONS: [Subscription; 4] = [Subscription::None, Subscription::To, Subscription::From, Subscription::Both];

/// Groups as they are written: a JSON array.
pub(super) fn groups_text(groups: &[String]) -> String {
    serde_json::to_string(groups).expect("a list of strings can be written as JSON")
}

/// How many bytes an item of a roster has as it is stored.
pub(super) fn roster_bytes(contact: &BareJid, name: Option<&str>, groups_text: &str) -> usize {
    contact.as_str().len() + name.map_or(0, str::len) + groups_text.len()
}

pub(super) fn kind_text(kind: Kind) -> &'static str {
    KINDS.iter().find(|(one, _)| *one == kind).expect("every kind is in the table").1
}

pub(super) fn kind_of(text: &str) -> Option<Kind> {
    KINDS.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind)
}

pub(super) fn subscription_of(text: &str) -> Option<Subscription> {
    SUBSCRIPTIONS.into_iter().find(|subscription| subscription.name() == text)
}

pub(super) fn to_hash(text: &str) -> Result<Hash, StoreError> {
    let found = Hash::ALL.into_iter().find(|hash| hash.name() == text);
    found.ok_or_else(|| StoreError::Unreadable(format!("the hash function {text:?}")))
}
