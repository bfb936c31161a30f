//! A stanza parsed whole: for everything that is rare (features, errors, answers to an iq).
//!
//! The parser is quick-xml; the stream's opening tag is put before the stanza, so that its prefixes resolve.
//! Bounded by the framer (size, depth) and by [`NODES_MAX`].

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// Most elements of one stanza; a features element has about twenty, an answer of disco a few hundred.
const NODES_MAX: usize = 10_000;
/// Most attributes of one element.
const ATTRIBUTES_MAX: usize = 64;

/// An element with everything in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// The local name.
    pub(crate) name: String,
    /// The namespace, empty if there is none.
    pub(crate) namespace: String,
    /// The attributes by their written names, unescaped; declarations of namespaces are left out.
    pub(crate) attributes: Vec<(String, String)>,
    /// The children in their order.
    pub(crate) children: Vec<Node>,
    /// All text directly within this element.
    pub(crate) text: String,
}

impl Node {
    /// Parses a stanza that stands within the stream that `header` opened; `None` if it is not well formed.
    pub(crate) fn parse(header: &str, stanza: &[u8]) -> Option<Node> {
        let stanza = std::str::from_utf8(stanza).ok()?;
        let document = format!("{header}{stanza}");
        let mut reader = NsReader::from_str(&document);
        let mut open: Vec<Node> = Vec::new();
        let mut nodes = 0;
        if !header.is_empty() {
            reader.read_event().ok()?;
        }
        loop {
            let (namespace, event) = reader.read_resolved_event().ok()?;
            let finished = match event {
                Event::Start(start) => {
                    nodes += 1;
                    open.push(Node::begin(namespace, &start)?);
                    None
                }
                Event::Empty(start) => {
                    nodes += 1;
                    Some(Node::begin(namespace, &start)?)
                }
                Event::End(_) => Some(open.pop()?),
                Event::Text(text) => {
                    open.last_mut()?.text.push_str(&text);
                    None
                }
                Event::CData(text) => {
                    open.last_mut()?.text.push_str(&text);
                    None
                }
                Event::GeneralRef(reference) => {
                    let written = format!("&{};", &*reference);
                    let resolved = quick_xml::escape::unescape(&written).ok()?;
                    open.last_mut()?.text.push_str(&resolved);
                    None
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Eof => return None,
            };
            if nodes > NODES_MAX {
                return None;
            }
            match (finished, open.last_mut()) {
                (Some(node), Some(parent)) => parent.children.push(node),
                (Some(node), None) => return Some(node),
                (None, _) => {}
            }
        }
    }

    /// The first child of this name and namespace.
    pub(crate) fn child(&self, name: &str, namespace: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.is(name, namespace))
    }

    /// Whether the element has this name and namespace.
    pub(crate) fn is(&self, name: &str, namespace: &str) -> bool {
        self.name == name && self.namespace == namespace
    }

    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The condition of an error: the name of the first child that is no text (RFC 6120, sections 4.9.2, 6.5, 8.3.2).
    /// Called on a stream error or a SASL failure; on a stanza it looks into its `<error/>`.
    pub(crate) fn condition(&self) -> &str {
        let holder = self.children.iter().find(|child| child.name == "error").unwrap_or(self);
        let first = holder.children.iter().find(|child| child.name != "text");
        first.map_or("undefined-condition", |child| child.name.as_str())
    }

    /// The words beside a condition, empty if there are none.
    pub(crate) fn condition_text(&self) -> &str {
        let holder = self.children.iter().find(|child| child.name == "error").unwrap_or(self);
        holder.children.iter().find(|child| child.name == "text").map_or("", |child| child.text.as_str())
    }

    fn begin(namespace: ResolveResult<'_>, start: &BytesStart<'_>) -> Option<Node> {
        let namespace = match namespace {
            ResolveResult::Bound(namespace) => namespace.into_inner().to_owned(),
            ResolveResult::Unbound => String::new(),
            ResolveResult::Unknown(_) => return None,
        };
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.ok()?;
            if attribute.key.as_namespace_binding().is_none() {
                let value = quick_xml::escape::unescape(&attribute.value).ok()?.into_owned();
                attributes.push((attribute.key.into_inner().to_owned(), value));
            }
            if attributes.len() > ATTRIBUTES_MAX {
                return None;
            }
        }
        let name = start.local_name().into_inner().to_owned();
        Some(Node { name, namespace, attributes, ..Node::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

    #[test]
    fn prefixes_of_the_stream_resolve_in_a_stanza() {
        let node = Node::parse(
            HEADER,
            b"<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text>a &amp; &#98;</text></stream:error>",
        )
        .expect("well formed");

        assert!(node.is("error", "http://etherx.jabber.org/streams"));
        assert_eq!(node.condition(), "conflict");
        assert_eq!(node.condition_text(), "a & b");
    }

    #[test]
    fn a_stanza_error_tells_its_condition() {
        let node = Node::parse(
            HEADER,
            b"<iq type='error' id='b&apos;'><bind xmlns='b'/><error type='modify'><not-allowed xmlns='s'/></error></iq>",
        )
        .expect("well formed");

        assert_eq!(node.condition(), "not-allowed");
        assert_eq!(node.attribute("id"), Some("b'"));
        assert_eq!(node.namespace, "jabber:client");
    }

    #[test]
    fn what_is_not_well_formed_is_no_node() {
        for stanza in ["<a></b>", "<a", "<a:b/>", "<a>&nope;</a>", "<a><!-- c --></a>", "", "text"] {
            assert_eq!(Node::parse(HEADER, stanza.as_bytes()), None, "{stanza}");
        }
        assert_eq!(Node::parse(HEADER, b"<a>\xff</a>"), None);
    }

    #[test]
    fn the_number_of_elements_is_bounded() {
        let stanza = format!("<a>{}</a>", "<b/>".repeat(NODES_MAX));

        assert_eq!(Node::parse(HEADER, stanza.as_bytes()), None);
    }
}
