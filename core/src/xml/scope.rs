//! Which namespace each prefix means at one place of a document (Namespaces in XML 1.0).

use std::ops::Range;

use super::characters::QualifiedName;
use super::uri::is_uri;
use super::{XmlError, ns};

/// A part of a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// Appends `text` to `string`; the part that it is from then on. Strings here are bounded far below 4 GiB.
    pub(super) fn append(string: &mut String, text: &str) -> Span {
        let start = string.len();
        string.push_str(text);
        Span::between(start, string.len())
    }

    pub(super) fn between(start: usize, end: usize) -> Span {
        let narrow = |position| u32::try_from(position).expect("an element is far smaller than 4 GiB");
        Span { start: narrow(start), end: narrow(end) }
    }

    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) fn of(self, string: &str) -> &str {
        &string[self.range()]
    }
}

/// The declarations that hold at one place. Whatever it keeps as text is kept in one string that shrinks when an
/// element ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    text: String,
    bindings: Vec<Binding>,
    default: Span,
}

#[derive(Clone, Copy, Debug)]
struct Binding {
    prefix: Span,
    namespace: Span,
}

/// A place to which a scope can return.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    text: usize,
    bindings: usize,
    default: Span,
}

impl Scope {
    /// A scope in which `namespace` is the default.
    pub(super) fn new(namespace: &str) -> Scope {
        let mut scope = Scope::default();
        scope.default = Span::append(&mut scope.text, namespace);
        scope
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { text: self.text.len(), bindings: self.bindings.len(), default: self.default }
    }

    /// Forgets what was declared and kept since `mark`.
    pub(super) fn return_to(&mut self, mark: Mark) {
        self.text.truncate(mark.text);
        self.bindings.truncate(mark.bindings);
        self.default = mark.default;
    }

    /// Keeps a piece of text until the scope returns to an earlier mark.
    pub(super) fn keep(&mut self, text: &str) -> Span {
        Span::append(&mut self.text, text)
    }

    pub(super) fn text(&self, span: Span) -> &str {
        span.of(&self.text)
    }

    /// The string into which a namespace is read before it is declared with [`Scope::declare`].
    pub(super) fn text_mut(&mut self) -> &mut String {
        &mut self.text
    }

    /// Binds a prefix (empty: the default) to the namespace that was put at the end of the text at `namespace`. `since`
    /// is where the element begins, which may declare a prefix only once.
    pub(super) fn declare(
        &mut self,
        prefix: &str,
        namespace: Span,
        since: Mark,
        bindings_max: usize,
    ) -> Result<(), XmlError> {
        self.check_reserved(prefix, namespace.of(&self.text))?;
        if namespace.start != namespace.end && !is_uri(namespace.of(&self.text)) {
            return Err(XmlError::NotWellFormed("a namespace that is no URI"));
        }
        if prefix.is_empty() {
            self.default = namespace;
            return Ok(());
        }
        if namespace.start == namespace.end {
            return Err(XmlError::NotWellFormed("a prefix is bound to nothing"));
        }
        if self.bindings[since.bindings..].iter().any(|binding| binding.prefix.of(&self.text) == prefix) {
            return Err(XmlError::NotWellFormed("an attribute twice"));
        }
        if self.bindings.len() >= bindings_max {
            return Err(XmlError::PolicyViolation("too many namespace prefixes"));
        }
        let prefix = self.keep(prefix);
        self.bindings.push(Binding { prefix, namespace });
        Ok(())
    }

    /// Namespaces in XML, section 3: `xml` means what it means, `xmlns` cannot be bound, and their namespaces have no
    /// other prefix.
    fn check_reserved(&self, prefix: &str, namespace: &str) -> Result<(), XmlError> {
        if prefix == "xmlns" || namespace == ns::XMLNS {
            return Err(XmlError::BadNamespacePrefix("'xmlns' cannot be bound"));
        }
        if (prefix == "xml") != (namespace == ns::XML) {
            return Err(XmlError::BadNamespacePrefix("'xml' cannot be bound otherwise"));
        }
        Ok(())
    }

    /// The namespace of an element.
    pub(super) fn of_element(&mut self, name: QualifiedName<'_>) -> Result<Span, XmlError> {
        match name.prefix {
            "" => Ok(self.default),
            prefix => self.of_prefix(prefix),
        }
    }

    /// The namespace of a prefix.
    pub(super) fn of_prefix(&mut self, prefix: &str) -> Result<Span, XmlError> {
        if prefix == "xml" {
            return Ok(self.keep(ns::XML));
        }
        let bound = self.bindings.iter().rev().find(|binding| binding.prefix.of(&self.text) == prefix);
        bound.map(|binding| binding.namespace).ok_or(XmlError::NotWellFormed("a prefix that is not bound"))
    }

    /// The default namespace; empty means none.
    pub(super) fn default_namespace(&self) -> &str {
        self.default.of(&self.text)
    }

    /// Gives memory back that is not needed for what is declared.
    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.bindings.shrink_to_fit();
    }

    /// Bytes of memory kept.
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity() + self.bindings.capacity() * size_of::<Binding>()
    }
}
