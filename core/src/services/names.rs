//! Namespaces of what is answered here.

pub(crate) const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
pub(crate) const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
pub(crate) const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// XEP-0160 has no namespace of its own; this is the feature it announces.
pub(crate) const OFFLINE_FEATURE: &str = "msgoffline";
pub(crate) const PING: &str = "urn:xmpp:ping";
pub(crate) const ROSTER: &str = "jabber:iq:roster";
/// Of RFC 3921, which clients still ask for.
pub(crate) const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
pub(crate) const TIME: &str = "urn:xmpp:time";
pub(crate) const VERSION: &str = "jabber:iq:version";
