//! What there is, and what it can do (XEP-0030).
//!
//! An account and the domain have no items and no nodes. Another account has no items either, whether or not it exists and
//! whichever of its nodes the client asks for, so that nobody finds out which accounts there are (section 8).

use super::{Answer, DOMAIN, OWN, Request, features_of, names};
use crate::stanza::{ErrorCondition, Recipient};
use crate::xml::Element;

pub(super) fn info_of_domain(request: &Request<'_>) -> Answer {
    let identity = identity("server", "im").with_attribute("name", "Cresset");
    info(request, identity, DOMAIN)
}

pub(super) fn info_of_account(request: &Request<'_>) -> Answer {
    info(request, identity("account", "registered"), OWN)
}

pub(super) fn items(request: &Request<'_>) -> Answer {
    match request.child.open().attribute("node") {
        Some(_) => Answer::Refused(ErrorCondition::ItemNotFound),
        None => Answer::Result(Some(Element::new("query", names::DISCO_ITEMS))),
    }
}

pub(super) fn items_of_another(request: &Request<'_>) -> Answer {
    let items = Element::new("query", names::DISCO_ITEMS);
    Answer::Result(Some(match request.child.open().attribute("node") {
        Some(node) => items.with_attribute("node", node),
        None => items,
    }))
}

fn info(request: &Request<'_>, identity: Element, of: Recipient) -> Answer {
    if request.child.open().attribute("node").is_some() {
        return Answer::Refused(ErrorCondition::ItemNotFound);
    }
    let query = Element::new("query", names::DISCO_INFO).with_child(identity);
    Answer::Result(Some(features_of(of).into_iter().fold(query, |query, feature| {
        query.with_child(Element::new("feature", names::DISCO_INFO).with_attribute("var", feature))
    })))
}

fn identity(category: &str, kind: &str) -> Element {
    Element::new("identity", names::DISCO_INFO).with_attribute("category", category).with_attribute("type", kind)
}
