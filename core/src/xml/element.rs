//! One element, opened one level.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use smallvec::SmallVec;

use super::assembly::Assembly;
use super::child::{Child, Indexed};
use super::escape::{Output, escape_attribute, escape_text, replace_illegal};
use super::scope::Span;
use super::text::unescape;
use super::{XmlError, XmlLimits, ns, write};

/// One element: its name, its attributes, and its content as canonical XML with an index of the child elements.
///
/// The content is canonical with regard to the element's own namespace: a child of the same namespace has no `xmlns`.
#[derive(Clone)]
pub struct Element {
    /// Names, namespaces and values, unescaped.
    head: String,
    name: Span,
    namespace: Span,
    attributes: Vec<Attribute>,
    content: String,
    children: Vec<Indexed>,
}

#[derive(Clone, Copy)]
struct Attribute {
    /// Empty for an attribute without namespace.
    namespace: Span,
    name: Span,
    value: Span,
}

impl Element {
    /// An element without attributes or content. The name must be an XML name without prefix.
    pub fn new(name: &str, namespace: &str) -> Element {
        Element::with_room(name, namespace, 0, 0)
    }

    /// An element that has room for so many attributes with so many bytes in all.
    pub(super) fn with_room(name: &str, namespace: &str, attributes: usize, bytes: usize) -> Element {
        let mut head = String::with_capacity(name.len() + namespace.len() + bytes);
        let name = Span::append(&mut head, name);
        let namespace = Span::append(&mut head, namespace);
        Element {
            head,
            name,
            namespace,
            attributes: Vec::with_capacity(attributes),
            content: String::new(),
            children: Vec::new(),
        }
    }

    /// Reads one element that stands where `namespace` is the default.
    ///
    /// # Errors
    ///
    /// Whatever a stream would refuse, except for its size; and anything behind the element.
    pub fn parse(bytes: &[u8], namespace: &str) -> Result<Element, XmlError> {
        let mut assembly = Assembly::new(namespace);
        let (element, length) = assembly.read(bytes, &XmlLimits::NONE)?;
        if length < bytes.len() {
            return Err(XmlError::NotWellFormed("something follows the element"));
        }
        Ok(element)
    }

    /// An element with the given content, which stands in the element's own namespace.
    ///
    /// # Errors
    ///
    /// Whatever a stream would refuse within an element, except for its size.
    pub fn with_content(name: &str, namespace: &str, content: &[u8]) -> Result<Element, XmlError> {
        let assembly = Assembly::new(namespace);
        assembly.read_content(Element::new(name, namespace), content)
    }

    /// The name, without prefix.
    pub fn name(&self) -> &str {
        self.name.of(&self.head)
    }

    /// The namespace; empty if there is none.
    pub fn namespace(&self) -> &str {
        self.namespace.of(&self.head)
    }

    /// Whether this is the element with this name and namespace.
    pub fn is(&self, name: &str, namespace: &str) -> bool {
        self.name() == name && self.namespace() == namespace
    }

    /// The value of an attribute that has no namespace, as almost all of XMPP's.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attribute_in(name, "")
    }

    /// The value of an attribute in a namespace.
    pub fn attribute_in(&self, name: &str, namespace: &str) -> Option<&str> {
        self.attributes().find(|(n, ns, _)| *n == name && *ns == namespace).map(|(_, _, value)| value)
    }

    /// `xml:lang`.
    pub fn language(&self) -> Option<&str> {
        self.attribute_in("lang", ns::XML)
    }

    /// Name, namespace (empty if none) and value of every attribute, in the order in which they were written.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.attributes.iter().map(|attribute| {
            (attribute.name.of(&self.head), attribute.namespace.of(&self.head), attribute.value.of(&self.head))
        })
    }

    /// The child elements in order.
    pub fn children(&self) -> impl DoubleEndedIterator<Item = Child<'_>> + ExactSizeIterator {
        self.children.iter().map(|indexed| Child::new(self, indexed))
    }

    /// The first child element with this name and namespace.
    pub fn child(&self, name: &str, namespace: &str) -> Option<Child<'_>> {
        self.children().find(|child| child.is(name, namespace))
    }

    /// The text between the child elements, all of it.
    pub fn text(&self) -> Cow<'_, str> {
        if self.children.is_empty() {
            return unescape(&self.content);
        }
        let mut all = String::new();
        let mut from = 0;
        for child in self.children() {
            all.push_str(&unescape(&self.content[from..child.range().start]));
            from = child.range().end;
        }
        all.push_str(&unescape(&self.content[from..]));
        Cow::Owned(all)
    }

    /// The canonical XML between the tags.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// The canonical XML between the tags, which is not copied.
    pub fn into_content(mut self) -> String {
        // What was taken out has left room.
        self.content.shrink_to_fit();
        self.content
    }

    /// Keeps only those child elements of which `keep` says so, and all text.
    pub fn retain_children(&mut self, mut keep: impl FnMut(Child<'_>) -> bool) {
        let kept: SmallVec<[bool; 8]> = self.children().map(&mut keep).collect();
        if kept.iter().all(|kept| *kept) {
            return;
        }
        let old = std::mem::take(&mut self.content);
        let mut from = 0;
        let mut children = Vec::new();
        for (indexed, kept) in self.children.iter().zip(kept) {
            let Range { start, end } = indexed.whole.range();
            self.content.push_str(&old[from..start]);
            if kept {
                children.push(indexed.moved(start, self.content.len()));
                self.content.push_str(&old[start..end]);
            }
            from = end;
        }
        self.content.push_str(&old[from..]);
        self.children = children;
    }

    /// Adds an attribute without namespace. The name must be an XML name without prefix that the element does not have
    /// yet; characters that XML cannot carry become U+FFFD.
    #[must_use]
    pub fn with_attribute(self, name: &str, value: &str) -> Element {
        self.with_attribute_in(name, "", value)
    }

    /// Adds an attribute in a namespace, under the conditions of [`Element::with_attribute`].
    #[must_use]
    pub fn with_attribute_in(mut self, name: &str, namespace: &str, value: &str) -> Element {
        debug_assert!(self.attribute_in(name, namespace).is_none(), "an attribute twice");
        let namespace = Span::append(&mut self.head, namespace);
        let name = Span::append(&mut self.head, name);
        let start = self.head.len();
        replace_illegal(&mut self.head, value);
        let value = Span::between(start, self.head.len());
        self.attributes.push(Attribute { namespace, name, value });
        self
    }

    /// Adds `xml:lang`.
    #[must_use]
    pub fn with_language(self, language: &str) -> Element {
        self.with_attribute_in("lang", ns::XML, language)
    }

    /// Adds text behind the content. Characters that XML cannot carry become U+FFFD.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Element {
        escape_text(&mut self.content, text);
        self
    }

    /// Adds a child element behind the content.
    #[must_use]
    pub fn with_child(mut self, child: Element) -> Element {
        self.push_child(&child);
        self
    }

    /// Adds a child element behind the content.
    pub fn push_child(&mut self, child: &Element) {
        let start = self.content.len();
        let mut content = std::mem::take(&mut self.content);
        child.write_to(&mut content, self.namespace());
        self.content = content;
        let whole = Span::between(start, self.content.len());
        self.index_child(whole, child.name().len(), child.namespace());
    }

    /// Writes the element as it stands at the top level of a client's stream, where `jabber:client` is the default
    /// namespace.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_to(out, ns::CLIENT);
    }

    /// Writes the element as it stands where `namespace` is the default.
    pub fn write_within(&self, out: &mut Vec<u8>, namespace: &str) {
        self.write_to(out, namespace);
    }

    fn write_to(&self, out: &mut impl Output, namespace: &str) {
        write::start_tag(out, self.name(), self.namespace(), namespace);
        let mut prefixes = write::Prefixes::default();
        for (name, namespace, value) in self.attributes() {
            prefixes.name(out, name, namespace);
            escape_attribute(out, value);
            out.put("'");
        }
        if self.content.is_empty() {
            out.put("/>");
            return;
        }
        out.put(">");
        out.put(&self.content);
        write::end_tag(out, self.name());
    }

    /// The string in which the namespaces of children are kept.
    pub(super) fn head(&self) -> &str {
        &self.head
    }

    /// Where the value of an attribute is appended before [`Element::index_attribute`].
    pub(super) fn head_mut(&mut self) -> &mut String {
        &mut self.head
    }

    /// Enters an attribute whose value was appended to the head at `value`.
    pub(super) fn index_attribute(&mut self, name: &str, namespace: &str, value: Span) {
        let namespace = Span::append(&mut self.head, namespace);
        let name = Span::append(&mut self.head, name);
        self.attributes.push(Attribute { namespace, name, value });
    }

    /// Enters the child that lies, or will lie, at `whole` in the content.
    pub(super) fn index_child(&mut self, whole: Span, name_bytes: usize, namespace: &str) {
        let namespace = match namespace == self.namespace() {
            true => self.namespace,
            false => Span::append(&mut self.head, namespace),
        };
        let name_start = whole.range().start + 1;
        let name = Span::between(name_start, name_start + name_bytes);
        self.children.push(Indexed { whole, name, namespace });
    }

    /// Gives the element its content, of which the children are known already.
    pub(super) fn set_content(&mut self, content: &str) {
        self.content = content.to_owned();
    }
}

/// Two elements are equal if they mean the same: the order of attributes does not matter.
impl PartialEq for Element {
    fn eq(&self, other: &Element) -> bool {
        self.is(other.name(), other.namespace())
            && self.content == other.content
            && self.attributes.len() == other.attributes.len()
            && self.attributes().all(|(name, namespace, value)| other.attribute_in(name, namespace) == Some(value))
    }
}

impl Eq for Element {}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string())
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = String::new();
        self.write_to(&mut written, ns::CLIENT);
        f.write_str(&written)
    }
}
