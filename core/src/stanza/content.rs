//! What a stanza contains, looked at when somebody asks.

use super::{Kind, MessageType, Stanza};
use crate::time::UnixMillis;
use crate::xml::{Child, Element, ns};

/// XEP-0203.
const DELAY: &str = "urn:xmpp:delay";
/// XEP-0334.
const HINTS: &str = "urn:xmpp:hints";
/// XEP-0085.
const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// XEP-0359.
const STANZA_IDS: &str = "urn:xmpp:sid:0";

impl Stanza {
    /// The stanza as an element without attributes, to look at its children. Empty if the payload is not what
    /// [`Stanza::from_element`] would have left there, which only a broken member could send.
    pub fn payload_element(&self) -> Element {
        let name = self.kind.name();
        Element::with_content(name, ns::CLIENT, &self.payload).unwrap_or_else(|_| Element::new(name, ns::CLIENT))
    }

    /// Whether the payload is what [`Stanza::from_element`] would leave there, and may be written to a client. A store may
    /// hold what another version accepted.
    pub fn is_canonical(&self) -> bool {
        Element::with_content(self.kind.name(), ns::CLIENT, &self.payload)
            .is_ok_and(|element| element.content().as_bytes() == self.payload)
    }

    /// The first child with this name and namespace.
    pub fn child(&self, name: &str, namespace: &str) -> Option<Element> {
        self.payload_element().child(name, namespace).map(|child| child.open())
    }

    /// Whether there is a child with this name and namespace.
    pub fn has_child(&self, name: &str, namespace: &str) -> bool {
        self.payload_element().child(name, namespace).is_some()
    }

    /// The first child element, which is the request of an iq.
    pub fn first_child(&self) -> Option<Element> {
        self.payload_element().children().next().map(|child| child.open())
    }

    /// The text of the first body.
    pub fn body(&self) -> Option<String> {
        self.child("body", ns::CLIENT).map(|body| body.text().into_owned())
    }

    /// The priority of a presence, 0 if it says nothing; nothing if what it says is no priority (RFC 6121
    /// section 4.7.2.3).
    pub fn priority(&self) -> Option<i8> {
        match self.child("priority", ns::CLIENT) {
            None => Some(0),
            Some(priority) => priority.text().trim().parse().ok(),
        }
    }

    /// Keeps only those children of which `keep` says so, and all text.
    pub fn retain_children(&mut self, keep: impl FnMut(Child<'_>) -> bool) {
        let mut element = self.payload_element();
        element.retain_children(keep);
        if element.content().len() != self.payload.len() {
            self.payload = element.into_content().into();
        }
    }

    /// The stanza with a note that it was sent at `sent` and kept by `by` until now (XEP-0203).
    #[must_use]
    pub fn with_delay(self, by: &str, sent: UnixMillis) -> Stanza {
        let delay = Element::new("delay", DELAY).with_attribute("from", by).with_attribute("stamp", &sent.to_xmpp());
        self.with_child(&delay)
    }

    /// Whether the stanza is worth keeping until its recipient is there: a message of type chat or normal, unless
    /// XEP-0160 or XEP-0334 says otherwise. They exclude a chat that says nothing but chat states, and a message that
    /// asks not to be stored. Receipts, markers, subjects and forms are kept as bodies are.
    ///
    /// A message that asks not to be stored for good (`no-permanent-store`) is kept: XEP-0334 section 3.3 lets it wait
    /// for its recipient. Of `store` and `no-store` in one message the latter counts, as what cannot be taken back.
    pub fn is_storable(&self) -> bool {
        let Ok(element) = Element::with_content(self.kind.name(), ns::CLIENT, &self.payload) else { return false };
        let asks = |hint| element.child(hint, HINTS).is_some();
        match self.kind {
            Kind::Message(MessageType::Normal) => !asks("no-store"),
            Kind::Message(MessageType::Chat) => !asks("no-store") && (asks("store") || says_something(&element)),
            Kind::Message(MessageType::Groupchat | MessageType::Headline | MessageType::Error)
            | Kind::Presence(_)
            | Kind::Iq(_) => false,
        }
    }
}

/// Whether a message has content besides chat states, the thread that may go with them (XEP-0085 section 5.3), and what
/// is about the message itself: hints and ids.
fn says_something(message: &Element) -> bool {
    let is_beside_the_point = |child: Child<'_>| {
        matches!(child.namespace(), CHAT_STATES | HINTS | STANZA_IDS) || child.is("thread", ns::CLIENT)
    };
    message.children().any(|child| !is_beside_the_point(child))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stanza::{IqType, PresenceType};

    fn with(kind: Kind, payload: &'static str) -> Stanza {
        Stanza { payload: payload.into(), ..Stanza::new(kind) }
    }

    const CHAT: Kind = Kind::Message(MessageType::Chat);

    const NORMAL: Kind = Kind::Message(MessageType::Normal);

    /// T15: only what XEP-0160 and XEP-0334 name is not worth storing.
    #[test]
    fn what_chat_and_normal_messages_say_is_stored() {
        for payload in [
            "<body>a</body>",
            "<body>a</body><active xmlns='http://jabber.org/protocol/chatstates'/>",
            "<body>a</body><no-permanent-store xmlns='urn:xmpp:hints'/>",
            "<body>a</body><no-copy xmlns='urn:xmpp:hints'/>",
            "<body xmlns='http://www.w3.org/1999/xhtml'>a</body>",
            "<subject>a</subject>",
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/><thread>t</thread>",
            "<x xmlns='jabber:x:data' type='submit'/>",
            "<encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl'/>",
            "<composing xmlns='http://jabber.org/protocol/chatstates'/><store xmlns='urn:xmpp:hints'/>",
        ] {
            for kind in [CHAT, NORMAL] {
                assert!(with(kind, payload).is_storable(), "{kind:?} {payload}");
            }
        }
    }

    #[test]
    fn a_chat_of_nothing_but_chat_states_is_not_stored() {
        for beside in [
            "",
            "<thread>t</thread>",
            "<no-copy xmlns='urn:xmpp:hints'/>",
            "<origin-id xmlns='urn:xmpp:sid:0' id='1'/>",
        ] {
            let payload = format!("<paused xmlns='http://jabber.org/protocol/chatstates'/>{beside}");
            let stanza = Stanza { payload: payload.clone().into(), ..Stanza::new(CHAT) };
            assert!(!stanza.is_storable(), "{payload}");
        }
        assert!(!with(CHAT, "").is_storable());
    }

    #[test]
    fn what_is_of_the_moment_is_not_stored() {
        for (kind, payload) in [
            (CHAT, "<body>a</body><no-store xmlns='urn:xmpp:hints'/>"),
            (NORMAL, "<x xmlns='jabber:x:data'/><no-store xmlns='urn:xmpp:hints'/><store xmlns='urn:xmpp:hints'/>"),
            (Kind::Message(MessageType::Headline), "<body>a</body>"),
            (Kind::Message(MessageType::Groupchat), "<body>a</body>"),
            (Kind::Message(MessageType::Error), "<body>a</body><store xmlns='urn:xmpp:hints'/>"),
            (Kind::Presence(PresenceType::Available), "<body>a</body>"),
            (Kind::Iq(IqType::Set), "<body>a</body>"),
        ] {
            assert!(!with(kind, payload).is_storable(), "{kind:?} {payload}");
        }
    }

    /// O10. Such messages would end the stream of their recipient at every log-in.
    #[test]
    fn what_some_parsers_refuse_is_not_canonical() {
        assert!(with(CHAT, "<body>a</body><x xmlns='urn:x'/>").is_canonical());
        assert!(with(CHAT, "").is_canonical());
        for payload in [
            "<body>x</body><\u{132} xmlns='urn:x'/>",
            "<a xmlns='a}b'/>",
            "<stream xmlns='http://etherx.jabber.org/streams'/>",
            "<b:a xmlns:b='urn:x'/>",
        ] {
            assert!(!with(CHAT, payload).is_canonical(), "{payload}");
        }
    }

    #[test]
    fn a_delay_is_noted_behind_the_content() {
        let stanza = with(CHAT, "<body>a</body>").with_delay("example.org", UnixMillis(0));

        assert_eq!(
            stanza.payload,
            "<body>a</body><delay xmlns='urn:xmpp:delay' from='example.org' stamp='1970-01-01T00:00:00.000Z'/>"
        );
    }

    #[test]
    fn forged_children_are_taken_out_and_the_rest_stays() {
        let mut stanza = with(CHAT, "a<delay xmlns='urn:xmpp:delay'/>&amp;<body>b</body><delay/>c");

        stanza.retain_children(|child| !child.is("delay", DELAY));

        assert_eq!(stanza.payload, "a&amp;<body>b</body><delay/>c");
    }

    #[test]
    fn a_priority_is_a_small_number_or_nothing() {
        let presence = |payload| with(Kind::Presence(PresenceType::Available), payload).priority();
        assert_eq!(presence(""), Some(0));
        assert_eq!(presence("<priority>-1</priority>"), Some(-1));
        assert_eq!(presence("<priority>128</priority>"), None);
        assert_eq!(presence("<priority/>"), None);
    }

    /// Stanzas come from other members too; what they contain was canonical there.
    #[test]
    fn a_payload_that_is_no_xml_is_as_good_as_none() {
        for payload in ["<body>", "</message>", "<body></x>", "a&b;", "<body><![CDATA["] {
            for kind in [CHAT, NORMAL] {
                let stanza = with(kind, payload);
                assert_eq!(stanza.body(), None);
                assert!(!stanza.is_storable());
                assert!(!stanza.is_canonical());
            }
        }
    }
}
