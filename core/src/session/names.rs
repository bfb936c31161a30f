//! Namespaces that sessions speak.

pub(super) use crate::services::names::{BIND, PING, ROSTER};

pub(super) const CARBONS: &str = "urn:xmpp:carbons:2";
pub(super) const DELAY: &str = "urn:xmpp:delay";
pub(super) const MAM: &str = "urn:xmpp:mam:2";
pub(super) const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
pub(super) const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
pub(super) const STANZA_ID: &str = "urn:xmpp:sid:0";
pub(super) const STREAM_MANAGEMENT: &str = "urn:xmpp:sm:3";
pub(super) const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
