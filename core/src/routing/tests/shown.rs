//! What the tests of this module have in common: a view that shows what they say, and Juliet.

use std::sync::Arc;

use crate::cluster::{AccountRoutes, Route, RoutePresence, RouteView};
use crate::ids::{Incarnation, LogIndex, MemberId, RouteId, SessionId};
use crate::jid::{BareJid, DomainPart, Jid};
use crate::routing::errand::Errand;
use crate::routing::outgoing::Outgoing;
use crate::stanza::{Kind, MessageType, Stanza};
use crate::xml::Element;

const BARE: &str = "juliet@capulet.example";

/// A view of these routes.
pub(in crate::routing) struct Shown(pub(in crate::routing) Vec<Arc<Route>>);

impl RouteView for Shown {
    fn routes_of(&self, account: &BareJid) -> Option<AccountRoutes> {
        let routes: AccountRoutes = self.0.iter().filter(|route| route.jid.to_bare() == *account).cloned().collect();
        (!routes.is_empty()).then_some(routes)
    }
}

pub(in crate::routing) fn domain() -> DomainPart {
    DomainPart::new("capulet.example").unwrap()
}

pub(in crate::routing) fn juliet() -> BareJid {
    BARE.parse().unwrap()
}

/// A chat message to Juliet.
pub(in crate::routing) fn message() -> Stanza {
    said_to(BARE, "Wherefore?")
}

/// A chat message of Romeo.
pub(in crate::routing) fn said_to(to: &str, body: &str) -> Stanza {
    let body = Element::new("body", "jabber:client").with_text(body);
    let mut stanza = Stanza::new(Kind::Message(MessageType::Chat)).with_child(&body);
    stanza.from = Some(Jid::new("romeo@capulet.example/orchard").unwrap());
    stanza.to = Some(Jid::new(to).unwrap());
    stanza
}

pub(in crate::routing) fn id(number: u64) -> RouteId {
    RouteId { index: LogIndex(number), position: 0 }
}

/// A route of Juliet to another member.
pub(in crate::routing) fn route(number: u64, priority: Option<i8>) -> Arc<Route> {
    route_of("juliet@capulet.example/balcony", number, priority)
}

pub(in crate::routing) fn route_of(jid: &str, number: u64, priority: Option<i8>) -> Arc<Route> {
    Arc::new(Route {
        id: id(number),
        jid: jid.parse().unwrap(),
        member: MemberId(1),
        incarnation: Incarnation(1),
        session: SessionId(number),
        presence: RoutePresence { priority, interested: false },
    })
}

/// What is wanted, in words.
pub(in crate::routing) fn in_words<T>(errand: &Errand<T>) -> String {
    let body = |outgoing: &Outgoing<T>| outgoing.stanza.body().unwrap();
    match errand {
        Errand::Handled(_) => "handled".to_owned(),
        Errand::Deliver { outgoing, .. } if outgoing.stanza.kind == Kind::Message(MessageType::Error) => {
            "deliver an error".to_owned()
        }
        Errand::Deliver { outgoing, .. } => format!("deliver {}", body(outgoing)),
        Errand::Store { outgoing, .. } => format!("store {}", body(outgoing)),
        Errand::Await { what, .. } => {
            let what = format!("{what:?}");
            format!("await {}", what.split([' ', '(']).next().unwrap())
        }
    }
}
