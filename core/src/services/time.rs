//! What time it is (XEP-0202).

use super::{Answer, Request, names};
use crate::xml::Element;

pub(super) fn now(request: &Request<'_>) -> Answer {
    let utc = request.facts.wall.to_xmpp();
    Answer::Result(Some(
        Element::new("time", names::TIME)
            .with_child(Element::new("tzo", names::TIME).with_text("+00:00"))
            .with_child(Element::new("utc", names::TIME).with_text(&utc)),
    ))
}
