//! Writing XML that is not an [`Element`](super::Element): the pieces of tags.

use smallvec::SmallVec;

use super::escape::{Output, escape_attribute, escape_text};
use super::ns;

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
