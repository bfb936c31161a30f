//! Namespaces that sessions speak.

pub(super) const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
pub(super) const CARBONS: &str = "urn:xmpp:carbons:2";
pub(super) const DELAY: &str = "urn:xmpp:delay";
pub(super) const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
pub(super) const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// XEP-0160 has no namespace of its own; this is the feature it announces.
pub(super) const OFFLINE_FEATURE: &str = "msgoffline";
pub(super) const MAM: &str = "urn:xmpp:mam:2";
pub(super) const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
pub(super) const PING: &str = "urn:xmpp:ping";
pub(super) const ROSTER: &str = "jabber:iq:roster";
pub(super) const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Of RFC 3921, which clients still ask for.
pub(super) const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
pub(super) const STANZA_ID: &str = "urn:xmpp:sid:0";
pub(super) const STREAM_MANAGEMENT: &str = "urn:xmpp:sm:3";
pub(super) const TIME: &str = "urn:xmpp:time";
pub(super) const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
pub(super) const VERSION: &str = "jabber:iq:version";
