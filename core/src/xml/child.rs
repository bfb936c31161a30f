//! A child element, seen from its parent.

use std::fmt;
use std::ops::Range;

use super::element::Element;
use super::scope::Span;

/// A child element that is not opened.
#[derive(Clone, Copy)]
pub struct Child<'a> {
    parent: &'a Element,
    indexed: &'a Indexed,
}

impl<'a> Child<'a> {
    pub(super) fn new(parent: &'a Element, indexed: &'a Indexed) -> Child<'a> {
        Child { parent, indexed }
    }

    /// The name, without prefix.
    pub fn name(&self) -> &'a str {
        self.indexed.name.of(self.parent.content())
    }

    /// The namespace; empty if there is none.
    pub fn namespace(&self) -> &'a str {
        self.indexed.namespace.of(self.parent.head())
    }

    /// Whether this is the element with this name and namespace.
    pub fn is(&self, name: &str, namespace: &str) -> bool {
        self.name() == name && self.namespace() == namespace
    }

    /// Where it lies in the parent's [`content`](Element::content).
    pub fn range(&self) -> Range<usize> {
        self.indexed.whole.range()
    }

    /// Its canonical XML, as it stands in the parent.
    pub fn raw(&self) -> &'a str {
        self.indexed.whole.of(self.parent.content())
    }

    /// Opens it.
    pub fn open(&self) -> Element {
        Element::parse(self.raw().as_bytes(), self.parent.namespace()).expect("the content of an element is canonical")
    }
}

impl fmt::Debug for Child<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw())
    }
}

/// Where a child lies in the content.
#[derive(Clone, Copy)]
pub(super) struct Indexed {
    pub(super) whole: Span,
    pub(super) name: Span,
    /// In the head of the element.
    pub(super) namespace: Span,
}

impl Indexed {
    /// The same child when its content moves from `from` to `to`.
    pub(super) fn moved(&self, from: usize, to: usize) -> Indexed {
        let shift = |span: Span| Span::between(span.range().start - from + to, span.range().end - from + to);
        Indexed { whole: shift(self.whole), name: shift(self.name), namespace: self.namespace }
    }
}
