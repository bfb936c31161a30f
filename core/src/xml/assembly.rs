//! Pieces of a document become an element, in one pass: each is checked and written in its canonical form at once.

use super::characters::trim_end;
use super::element::Element;
use super::scan::{Piece, PieceKind, Scan, utf8};
use super::scope::{Mark, Scope, Span};
use super::tag::{RawAttribute, RawAttributes, StartTag};
use super::text::{Decoded, EscapedAttribute, EscapedText, Place, read};
use super::{XmlError, XmlLimits, ns, write};

/// The elements that are open, and the canonical form of what they contain so far.
#[derive(Debug)]
pub(super) struct Assembly {
    scope: Scope,
    open: Vec<Open>,
    /// The outermost element: without its content while it is open, whole from its end until it is taken.
    element: Option<Element>,
    content: String,
}

/// An element whose end tag has not come.
#[derive(Debug)]
struct Open {
    /// As written in the start tag; in the text of the scope.
    written: Span,
    local_bytes: usize,
    /// In the text of the scope.
    namespace: Span,
    /// Where its start tag begins in the content, and where it ends; both 0 for the outermost.
    start: usize,
    inside: usize,
    mark: Mark,
}

/// Room for the namespaces of the children of a usual stanza, so that its head is allocated once.
const CHILD_NAMESPACES_BYTES: usize = 128;

/// A client that looks for such an element wherever it stands would take it for the end of its own stream.
const OF_STREAM: XmlError = XmlError::BadFormat("something of a stream within an element");

const ENDLESS: XmlError = XmlError::NotWellFormed("an element that does not end");

impl Assembly {
    /// An assembly of elements that stand where `namespace` is the default.
    pub(super) fn new(namespace: &str) -> Assembly {
        Assembly { scope: Scope::new(namespace), open: Vec::new(), element: None, content: String::new() }
    }

    /// What is declared around the elements.
    pub(super) fn scope_mut(&mut self) -> &mut Scope {
        &mut self.scope
    }

    /// Whether no element is open.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Bytes of memory kept for the next element.
    pub(super) fn spare(&self) -> usize {
        self.content.capacity() + self.open.capacity() * size_of::<Open>() + self.scope.capacity()
    }

    /// Gives memory back. To be called between elements.
    pub(super) fn shrink(&mut self) {
        self.content = String::new();
        self.open = Vec::new();
        self.scope.shrink();
    }

    /// The element that the last piece has ended, if it has ended one.
    pub(super) fn take(&mut self) -> Option<Element> {
        match self.is_idle() {
            true => self.element.take(),
            false => None,
        }
    }

    /// Takes the next piece in.
    pub(super) fn handle(&mut self, piece: Piece<'_>, limits: &XmlLimits) -> Result<(), XmlError> {
        match piece.kind {
            PieceKind::Start => self.start(piece.inside, limits),
            PieceKind::Empty => {
                self.start(piece.inside, limits)?;
                self.end();
                Ok(())
            }
            PieceKind::End => match self.open.last() {
                Some(open) if self.scope.text(open.written) == trim_end(piece.inside) => {
                    self.end();
                    Ok(())
                }
                Some(_) | None => Err(XmlError::NotWellFormed("an end tag without its start tag")),
            },
            PieceKind::Text => self.text(piece.inside, Place::Text, limits),
            PieceKind::Cdata => self.text(piece.inside, Place::Cdata, limits),
        }
    }

    /// Reads the element at the start of `bytes`; answers with its length too.
    pub(super) fn read(&mut self, bytes: &[u8], limits: &XmlLimits) -> Result<(Element, usize), XmlError> {
        let mut scan = Scan::default();
        let mut position = 0;
        loop {
            let (piece, length) = scan.piece(&bytes[position..])?.ok_or(ENDLESS)?;
            position += length;
            if self.is_idle() && !matches!(piece.kind, PieceKind::Start | PieceKind::Empty) {
                return Err(XmlError::NotWellFormed("no element"));
            }
            self.handle(piece, limits)?;
            if let Some(element) = self.take() {
                return Ok((element, position));
            }
        }
    }

    /// Reads `bytes` as what `element` contains.
    pub(super) fn read_content(mut self, element: Element, bytes: &[u8]) -> Result<Element, XmlError> {
        let mark = self.scope.mark();
        let namespace = self.scope.keep(element.namespace());
        self.open.push(Open { written: Span::default(), local_bytes: 0, namespace, start: 0, inside: 0, mark });
        self.element = Some(element);
        let mut scan = Scan::default();
        let mut position = 0;
        while position < bytes.len() {
            let rest = &bytes[position..];
            let (piece, length) = match scan.piece(rest)? {
                Some(found) => found,
                None if rest[0] != b'<' => (Piece { kind: PieceKind::Text, inside: utf8(rest)? }, rest.len()),
                None => return Err(ENDLESS),
            };
            if self.open.len() == 1 && piece.kind == PieceKind::End {
                return Err(XmlError::NotWellFormed("an end tag without its start tag"));
            }
            self.handle(piece, &XmlLimits::NONE)?;
            position += length;
        }
        if self.open.len() > 1 {
            return Err(ENDLESS);
        }
        self.end();
        self.take().ok_or(ENDLESS)
    }

    fn start(&mut self, tag: &str, limits: &XmlLimits) -> Result<(), XmlError> {
        if self.open.len() >= limits.depth_max {
            return Err(XmlError::PolicyViolation("elements are nested too deep"));
        }
        let mark = self.scope.mark();
        let mut attributes = RawAttributes::new();
        let bytes = tag.len();
        let tag = StartTag::read(tag, &mut attributes, &mut self.scope, limits)?;
        let start = self.content.len();
        match self.open.last().map(|parent| parent.namespace) {
            None => self.start_outermost(&tag, &attributes, bytes)?,
            Some(around) => self.start_inner(&tag, &attributes, around, limits)?,
        }
        let written = self.scope.keep(tag.written);
        let inside = self.content.len();
        let local_bytes = tag.name.local.len();
        self.open.push(Open { written, local_bytes, namespace: tag.namespace, start, inside, mark });
        self.check_size(limits)
    }

    fn start_outermost(
        &mut self,
        tag: &StartTag<'_>,
        attributes: &[RawAttribute<'_>],
        bytes: usize,
    ) -> Result<(), XmlError> {
        let namespace = self.scope.text(tag.namespace);
        let room = bytes + CHILD_NAMESPACES_BYTES;
        let element = self.element.insert(Element::with_room(tag.name.local, namespace, attributes.len(), room));
        for attribute in attributes {
            let head = element.head_mut();
            let start = head.len();
            read(attribute.value, Place::Attribute, &mut Decoded(head))?;
            let value = Span::between(start, head.len());
            element.index_attribute(attribute.name.local, self.scope.text(attribute.namespace), value);
        }
        Ok(())
    }

    fn start_inner(
        &mut self,
        tag: &StartTag<'_>,
        attributes: &[RawAttribute<'_>],
        around: Span,
        limits: &XmlLimits,
    ) -> Result<(), XmlError> {
        let Assembly { scope, content, .. } = self;
        let namespace = scope.text(tag.namespace);
        let around = scope.text(around);
        let is_of_stream = |namespace: &str| namespace == ns::STREAM;
        if is_of_stream(namespace) || attributes.iter().any(|it| is_of_stream(scope.text(it.namespace))) {
            return Err(OF_STREAM);
        }
        write::start_tag(content, tag.name.local, namespace, around);
        let mut prefixes = write::Prefixes::default();
        for attribute in attributes {
            prefixes.name(content, attribute.name.local, scope.text(attribute.namespace));
            read(attribute.value, Place::Attribute, &mut EscapedAttribute(content))?;
            content.push('\'');
            if content.len() > limits.element_bytes_max {
                return Err(TOO_LARGE);
            }
        }
        // The canonical form declares what the sender may have declared further out; it has to be acceptable too.
        if attributes.len() + prefixes.count() + usize::from(namespace != around) > limits.attributes_max {
            return Err(XmlError::PolicyViolation("too many attributes"));
        }
        content.push('>');
        Ok(())
    }

    /// Ends the innermost element.
    fn end(&mut self) {
        let Some(open) = self.open.pop() else { return };
        if self.open.is_empty() {
            self.scope.return_to(open.mark);
            if let Some(element) = &mut self.element {
                element.set_content(&self.content);
            }
            self.content.clear();
            return;
        }
        if self.content.len() == open.inside {
            self.content.pop();
            self.content.push_str("/>");
        } else {
            let written = self.scope.text(open.written);
            write::end_tag(&mut self.content, &written[written.len() - open.local_bytes..]);
        }
        if self.open.len() == 1
            && let Some(element) = &mut self.element
        {
            let whole = Span::between(open.start, self.content.len());
            element.index_child(whole, open.local_bytes, self.scope.text(open.namespace));
        }
        self.scope.return_to(open.mark);
    }

    fn text(&mut self, raw: &str, place: Place, limits: &XmlLimits) -> Result<(), XmlError> {
        read(raw, place, &mut EscapedText(&mut self.content))?;
        self.check_size(limits)
    }

    fn check_size(&self, limits: &XmlLimits) -> Result<(), XmlError> {
        match self.content.len() > limits.element_bytes_max {
            true => Err(TOO_LARGE),
            false => Ok(()),
        }
    }
}

const TOO_LARGE: XmlError = XmlError::PolicyViolation("an element is too large");
