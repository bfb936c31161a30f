//! What the server answers for itself and for the client's account: XEP-0030, XEP-0092, XEP-0199, XEP-0202, and what
//! is left of the session request of RFC 3921. For other accounts it answers one question, the one for their items.

use crate::ids::Sequence;
use crate::session::stanzas::Responder;
use crate::session::{Session, names};
use crate::stanza::{ErrorCondition, IqType, Kind, Stanza};
use crate::time::{UnixMillis, Uptime};
use crate::xml::Element;

/// What the server says it can do (XEP-0030).
const SERVER_FEATURES: [&str; 7] = [
    names::DISCO_INFO,
    names::DISCO_ITEMS,
    names::ROSTER,
    names::OFFLINE_FEATURE,
    names::PING,
    names::TIME,
    names::VERSION,
];

/// What an account says it can do.
const ACCOUNT_FEATURES: [&str; 3] = [names::DISCO_INFO, names::DISCO_ITEMS, names::PING];

/// How a request is answered.
enum Answer {
    Empty,
    With(Element),
    Refused(ErrorCondition),
}

impl Session {
    /// A request of the client to its account or to the server.
    pub(super) fn answer_request(&mut self, now: Uptime, number: Sequence, responder: Responder, iq: Stanza) {
        let Some(request) = iq.first_child() else {
            self.refuse(now, number, &iq, ErrorCondition::BadRequest);
            return;
        };
        if request.is("query", names::ROSTER) && responder == Responder::Account {
            self.handle_roster_request(now, number, iq, &request);
            return;
        }
        match self.answer_to(iq.kind, responder, &request) {
            Answer::Empty => self.reply(iq.answer(None)),
            Answer::With(element) => self.reply(iq.answer(Some(&element))),
            Answer::Refused(condition) => {
                self.refuse(now, number, &iq, condition);
                return;
            }
        }
        self.handled(now, number);
    }

    /// Another account has no items, whether or not it exists and whichever of its nodes the client asks for, so that
    /// nobody finds out which accounts there are (XEP-0030 section 8).
    pub(super) fn answer_foreign_items(&mut self, now: Uptime, number: Sequence, iq: &Stanza) {
        let asked = iq.child("query", names::DISCO_ITEMS);
        let items = Element::new("query", names::DISCO_ITEMS);
        let items = match asked.as_ref().and_then(|asked| asked.attribute("node")) {
            Some(node) => items.with_attribute("node", node),
            None => items,
        };
        self.reply(iq.answer(Some(&items)));
        self.handled(now, number);
    }

    fn answer_to(&self, kind: Kind, responder: Responder, request: &Element) -> Answer {
        let is_get = kind == Kind::Iq(IqType::Get);
        match (request.name(), request.namespace(), responder) {
            ("ping", names::PING, _) if is_get => Answer::Empty,
            ("query", names::DISCO_INFO | names::DISCO_ITEMS, _) if is_get && request.attribute("node").is_some() => {
                Answer::Refused(ErrorCondition::ItemNotFound)
            }
            ("query", names::DISCO_INFO, Responder::Server) if is_get => {
                Answer::With(disco_info(Some("Cresset"), "server", "im", &SERVER_FEATURES))
            }
            ("query", names::DISCO_INFO, Responder::Account) if is_get => {
                Answer::With(disco_info(None, "account", "registered", &ACCOUNT_FEATURES))
            }
            ("query", names::DISCO_ITEMS, _) if is_get => Answer::With(Element::new("query", names::DISCO_ITEMS)),
            ("query", names::VERSION, Responder::Server) if is_get => Answer::With(self.version()),
            ("time", names::TIME, Responder::Server) if is_get => Answer::With(time(self.wall)),
            ("session", names::SESSION, _) if !is_get => Answer::Empty,
            ("bind", names::BIND, _) => Answer::Refused(ErrorCondition::NotAllowed),
            _ => Answer::Refused(ErrorCondition::ServiceUnavailable),
        }
    }

    /// Name and version, and not the operating system, which is nobody's business.
    fn version(&self) -> Element {
        Element::new("query", names::VERSION)
            .with_child(Element::new("name", names::VERSION).with_text("Cresset"))
            .with_child(Element::new("version", names::VERSION).with_text(&self.settings.software_version))
    }
}

fn disco_info(name: Option<&str>, category: &str, kind: &str, features: &[&str]) -> Element {
    let mut identity =
        Element::new("identity", names::DISCO_INFO).with_attribute("category", category).with_attribute("type", kind);
    if let Some(name) = name {
        identity = identity.with_attribute("name", name);
    }
    features.iter().fold(Element::new("query", names::DISCO_INFO).with_child(identity), |query, feature| {
        query.with_child(Element::new("feature", names::DISCO_INFO).with_attribute("var", feature))
    })
}

fn time(now: UnixMillis) -> Element {
    Element::new("time", names::TIME)
        .with_child(Element::new("tzo", names::TIME).with_text("+00:00"))
        .with_child(Element::new("utc", names::TIME).with_text(&now.to_xmpp()))
}
