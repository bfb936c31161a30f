//! Which program this is (XEP-0092): name and version, and not the operating system, which is nobody's business.

use super::{Answer, Request, names};
use crate::xml::Element;

pub(super) fn version(request: &Request<'_>) -> Answer {
    Answer::Result(Some(
        Element::new("query", names::VERSION)
            .with_child(Element::new("name", names::VERSION).with_text("Cresset"))
            .with_child(Element::new("version", names::VERSION).with_text(request.facts.software_version)),
    ))
}
