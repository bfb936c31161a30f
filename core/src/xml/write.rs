//! Writing XML that is not an [`Element`](super::Element): what opens and closes a stream, and the pieces of tags.

use smallvec::SmallVec;

use super::escape::{Output, escape_attribute, escape_text};
use super::ns;

/// What closes a stream.
pub const STREAM_CLOSE: &str = "</stream:stream>";

/// What opens a stream (RFC 6120 section 4.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct StreamOpen<'a> {
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
    pub id: Option<&'a str>,
    pub language: Option<&'a str>,
}

/// Writes the XML declaration and the start tag of a client's stream, version 1.0.
pub fn stream_open(out: &mut Vec<u8>, open: &StreamOpen<'_>) {
    out.put(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'",
    );
    attribute_if(out, "from", open.from);
    attribute_if(out, "to", open.to);
    attribute_if(out, "id", open.id);
    attribute_if(out, "xml:lang", open.language);
    out.put(" version='1.0'>");
}

/// Writes `<stream:features>` around what `content` writes, for which `jabber:client` is the default namespace. The
/// prefix is what some clients look for.
pub fn stream_features(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    out.put("<stream:features>");
    content(out);
    out.put("</stream:features>");
}

/// Writes `<stream:error>` with a defined condition and an optional text for people (RFC 6120 section 4.9.2). The
/// condition has text of its own only as `see-other-host`.
pub fn stream_error(out: &mut Vec<u8>, condition: &str, condition_text: Option<&str>, text: Option<&str>) {
    out.put("<stream:error><");
    out.put(condition);
    out.put(" xmlns='urn:ietf:params:xml:ns:xmpp-streams'");
    match condition_text {
        None => out.put("/>"),
        Some(inside) => {
            out.put(">");
            escape_text(out, inside);
            end_tag(out, condition);
        }
    }
    if let Some(text) = text {
        out.put("<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>");
        escape_text(out, text);
        out.put("</text>");
    }
    out.put("</stream:error>");
}

/// Writes an attribute with a blank before it. Characters that XML cannot carry become U+FFFD.
pub fn attribute(out: &mut Vec<u8>, name: &str, value: &str) {
    out.put(" ");
    out.put(name);
    out.put("='");
    escape_attribute(out, value);
    out.put("'");
}

/// Writes an attribute if there is a value for it.
pub fn attribute_if(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        attribute(out, name, value);
    }
}

/// Writes characters as text of an element. Characters that XML cannot carry become U+FFFD.
pub fn escaped(out: &mut Vec<u8>, text: &str) {
    escape_text(out, text);
}

/// Writes a start tag up to its attributes; the namespace only if it is not the one around it.
pub(super) fn start_tag(out: &mut impl Output, name: &str, namespace: &str, around: &str) {
    out.put("<");
    out.put(name);
    if namespace != around {
        out.put(" xmlns='");
        escape_attribute(out, namespace);
        out.put("'");
    }
}

pub(super) fn end_tag(out: &mut impl Output, name: &str) {
    out.put("</");
    out.put(name);
    out.put(">");
}

/// The prefixes that one start tag has declared for its attributes: `ns0`, `ns1` and so on.
#[derive(Default)]
pub(super) struct Prefixes<'a> {
    namespaces: SmallVec<[&'a str; 4]>,
}

impl<'a> Prefixes<'a> {
    /// Writes an attribute up to its value, quote included, and declares a prefix before it where it needs one.
    pub(super) fn name(&mut self, out: &mut impl Output, name: &str, namespace: &'a str) {
        match namespace {
            "" => out.put(" "),
            ns::XML => out.put(" xml:"),
            namespace => {
                let known = self.namespaces.iter().position(|known| *known == namespace);
                let number = known.unwrap_or_else(|| self.declare(out, namespace));
                out.put(" ns");
                put_number(out, number);
                out.put(":");
            }
        }
        out.put(name);
        out.put("='");
    }

    /// How many prefixes were declared.
    pub(super) fn count(&self) -> usize {
        self.namespaces.len()
    }

    fn declare(&mut self, out: &mut impl Output, namespace: &'a str) -> usize {
        let number = self.namespaces.len();
        self.namespaces.push(namespace);
        out.put(" xmlns:ns");
        put_number(out, number);
        out.put("='");
        escape_attribute(out, namespace);
        out.put("'");
        number
    }
}

fn put_number(out: &mut impl Output, number: usize) {
    out.put(&number.to_string());
}
