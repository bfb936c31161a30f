//! The words by which databases keep what we have types for. Every store writes the same, and no word ever changes.

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
