//! An element becomes a stanza, or it is said why not.

use bytes::Bytes;

use super::{ErrorCondition, IqType, Kind, PresenceType, Stanza};
use crate::jid::Jid;
use crate::limits::STANZA_TEXT_BYTES_MAX;
use crate::xml::{Element, ns};

/// Why an element is no stanza that could be handled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StanzaFault {
    /// Neither message nor presence nor iq in `jabber:client`: stream error `unsupported-stanza-type` (or what the
    /// session makes of it, if the element belongs to the stream).
    NotAStanza,
    /// A stanza that breaks the rules of RFC 6120 section 8.
    Refused(Box<Refusal>),
}

/// A stanza that breaks the rules, and what its sender is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What is wrong.
    pub condition: ErrorCondition,
    /// The stanza for the sender, without addresses; nothing if none may be sent.
    pub answer: Option<Stanza>,
}

impl Stanza {
    /// Reads an element as a stanza. A message of unknown type is a normal one (RFC 6121 section 5.2.2).
    ///
    /// # Errors
    ///
    /// [`StanzaFault`]: not a stanza, an address that is no JID, an unknown type of presence or iq, an iq without id, a
    /// request without exactly one child element (RFC 6120 section 8.2.3), or an id or a language of more than
    /// [`STANZA_TEXT_BYTES_MAX`], which then is not in the answer.
    pub fn from_element(element: Element) -> Result<Stanza, StanzaFault> {
        if element.namespace() != ns::CLIENT {
            return Err(StanzaFault::NotAStanza);
        }
        let attributes = Attributes::of(&element);
        let (kind, known) = match Kind::of(element.name(), attributes.type_name) {
            Some(kind) => (kind, true),
            // An answer to a stanza of unknown type is to be an error of its kind.
            None => match element.name() {
                "presence" => (Kind::Presence(PresenceType::Available), false),
                "iq" => (Kind::Iq(IqType::Get), false),
                _ => return Err(StanzaFault::NotAStanza),
            },
        };
        let mut stanza = Stanza::new(kind);
        let texts = [attributes.id, attributes.language];
        let [id, language] = texts.map(|text| text.filter(|text| text.len() <= STANZA_TEXT_BYTES_MAX));
        let are_texts_short = texts == [id, language];
        stanza.id = id.map(str::to_owned);
        stanza.language = language.map(str::to_owned);
        let from = address(attributes.from);
        let to = address(attributes.to);
        let is_iq_in_order = is_iq_in_order(kind, attributes.id, element.children().len());
        stanza.payload = Bytes::from(element.into_content());
        match (known && is_iq_in_order && are_texts_short, from, to) {
            (true, Ok(from), Ok(to)) => Ok(Stanza { from, to, ..stanza }),
            (false, _, _) => Err(stanza.refuse(ErrorCondition::BadRequest)),
            (true, _, _) => Err(stanza.refuse(ErrorCondition::JidMalformed)),
        }
    }

    fn refuse(self, condition: ErrorCondition) -> StanzaFault {
        StanzaFault::Refused(Box::new(Refusal { condition, answer: self.bounce(condition, None) }))
    }
}

/// The attributes that all stanzas have in common (RFC 6120 section 8.1).
#[derive(Default)]
struct Attributes<'a> {
    from: Option<&'a str>,
    to: Option<&'a str>,
    id: Option<&'a str>,
    type_name: Option<&'a str>,
    language: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    fn of(element: &'a Element) -> Attributes<'a> {
        let mut attributes = Attributes::default();
        for (name, namespace, value) in element.attributes() {
            match (name, namespace) {
                ("from", "") => attributes.from = Some(value),
                ("to", "") => attributes.to = Some(value),
                ("id", "") => attributes.id = Some(value),
                ("type", "") => attributes.type_name = Some(value),
                ("lang", ns::XML) => attributes.language = Some(value),
                _ => {}
            }
        }
        attributes
    }
}

/// An empty address is one that is not there: some clients write it so.
fn address(value: Option<&str>) -> Result<Option<Jid>, ()> {
    match value {
        None | Some("") => Ok(None),
        Some(jid) => Jid::new(jid).map(Some).map_err(|_| ()),
    }
}

fn is_iq_in_order(kind: Kind, id: Option<&str>, children: usize) -> bool {
    let right_count = match kind {
        Kind::Message(_) | Kind::Presence(_) => return true,
        Kind::Iq(IqType::Get | IqType::Set) => children == 1,
        Kind::Iq(IqType::Result) => children <= 1,
        Kind::Iq(IqType::Error) => true,
    };
    right_count && id.is_some_and(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stanza::MessageType;

    fn read(xml: &str) -> Result<Stanza, StanzaFault> {
        Stanza::from_element(Element::parse(xml.as_bytes(), ns::CLIENT).unwrap())
    }

    fn refusal(xml: &str) -> Refusal {
        match read(xml).unwrap_err() {
            StanzaFault::Refused(refusal) => *refusal,
            StanzaFault::NotAStanza => panic!("{xml} is a stanza"),
        }
    }

    #[test]
    fn a_message_is_read_whole() {
        let stanza =
            read("<message to='B@Example.org/x' type='chat' id='1' xml:lang='de'><body>a</body></message>").unwrap();

        assert_eq!(stanza.kind, Kind::Message(MessageType::Chat));
        assert_eq!(stanza.to.unwrap().as_str(), "b@example.org/x");
        assert_eq!(stanza.id.unwrap(), "1");
        assert_eq!(stanza.language.unwrap(), "de");
        assert_eq!(stanza.payload, "<body>a</body>");
    }

    #[test]
    fn a_message_of_unknown_type_is_a_normal_one() {
        assert_eq!(read("<message type='telepathy'/>").unwrap().kind, Kind::Message(MessageType::Normal));
    }

    #[test]
    fn requests_that_break_the_rules_are_bad_requests() {
        for xml in [
            "<iq type='get'><q xmlns='a'/></iq>",
            "<iq type='get' id=''><q xmlns='a'/></iq>",
            "<iq id='1'><q xmlns='a'/></iq>",
            "<iq id='1' type='ask'><q xmlns='a'/></iq>",
            "<iq id='1' type='get'/>",
            "<iq id='1' type='set'><q xmlns='a'/><q xmlns='b'/></iq>",
            "<presence type='telepathy'/>",
        ] {
            let refusal = refusal(xml);
            assert_eq!(refusal.condition, ErrorCondition::BadRequest, "{xml}");
            assert!(refusal.answer.is_some(), "{xml}");
        }
    }

    #[test]
    fn an_address_that_is_no_jid_is_said_to_be_malformed() {
        let long = format!("<message to='{}@example.org'/>", "a".repeat(1024));
        for xml in ["<message to='@example.org'/>", "<presence to='a@b@c'/>", "<message to='a b@c'/>", &long] {
            assert_eq!(refusal(xml).condition, ErrorCondition::JidMalformed, "{xml}");
        }
    }

    #[test]
    fn a_broken_error_or_result_is_not_answered() {
        for xml in ["<iq type='result'/>", "<iq type='error' id='1' to='@'/>", "<message type='error' to='@'/>"] {
            assert_eq!(refusal(xml).answer, None, "{xml}");
        }
    }

    #[test]
    fn other_elements_and_other_namespaces_are_no_stanzas() {
        for xml in ["<body/>", "<message xmlns='jabber:server'/>", "<stream xmlns='http://etherx.jabber.org/streams'/>"]
        {
            assert_eq!(read(xml), Err(StanzaFault::NotAStanza), "{xml}");
        }
    }

    /// O9. Whoever gets the stanza has to keep its id, and its answer has it too.
    #[test]
    fn an_id_or_a_language_that_is_too_long_is_refused_and_not_echoed() {
        let (longest, longer) = ("x".repeat(STANZA_TEXT_BYTES_MAX), "x".repeat(STANZA_TEXT_BYTES_MAX + 1));
        for attribute in ["id", "xml:lang"] {
            assert!(read(&format!("<message {attribute}='{longest}'/>")).is_ok());

            let refusal = refusal(&format!("<message {attribute}='{longer}'/>"));
            let answer = refusal.answer.unwrap();
            assert_eq!(refusal.condition, ErrorCondition::BadRequest);
            assert!(answer.weight() < 1024 + crate::stanza::STANZA_OVERHEAD_BYTES);
        }
    }

    #[test]
    fn a_prefix_makes_no_difference() {
        let plain = read("<presence type='subscribe' to='a@b'><x xmlns='y'/></presence>").unwrap();
        let prefixed =
            read("<c:presence xmlns:c='jabber:client' xmlns:z='y' type='subscribe' to='a@b'><z:x/></c:presence>");

        assert_eq!(prefixed.unwrap(), plain);
        assert_eq!(plain.kind, Kind::Presence(PresenceType::Subscribe));
    }
}
