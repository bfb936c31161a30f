//! An XML file as a tree of elements that know their places.
//!
//! Comments are skipped. A document type definition or a processing instruction is refused: the first can name other
//! files and grow without bound, the second is an order to a program that is not this one. Only the five predefined
//! entities and character references are resolved.

mod encoding;

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

use super::FILE_BYTES_MAX;
use super::problem::{Fault, Place, Problem, excerpt};

/// Nesting of elements, the root being 1. Beyond it: [`Fault::TooDeep`]. The deepest that has a meaning is 6.
const DEPTH_MAX: usize = 16;

/// Attributes of one element. Beyond it the file is refused; no element has a use for more than 4.
const ATTRIBUTES_MAX: usize = 32;

/// One element with everything in it.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) attributes: Vec<Attribute>,
    pub(super) children: Vec<Element>,
    /// All character data directly in the element, in order.
    pub(super) text: String,
    /// Where that data begins; the place of the element if there is none.
    pub(super) text_place: Place,
    /// Whose value the data holds, if it was written with variables.
    pub(super) note: Option<String>,
    /// What the element is called in the whole configuration, like `cluster/network/port`; a second one of the same
    /// name is `…[2]`. Empty until the whole is put together.
    pub(super) path: String,
}

/// One attribute of an element.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) place: Place,
    /// Whose value it holds, if it was written with variables.
    pub(super) note: Option<String>,
}

/// The root element of a file; `file` is its number among those that are read together.
pub(super) fn parse(bytes: &[u8], file: u16) -> Result<Element, Problem> {
    if bytes.len() > FILE_BYTES_MAX {
        let place = Place { file, line: 1, column: 1 };
        return Err(Problem { place, fault: Fault::TooLarge { bytes: bytes.len() } });
    }
    let text = encoding::text_of(bytes, file)?;
    let text = text.as_ref();
    if is_yaml(text) {
        let reason = "it is YAML: Hazelcast's configuration is read as XML alone, from a <hazelcast> file";
        return Err(Problem { place: Place { file, line: 1, column: 1 }, fault: not_xml(reason) });
    }
    if let Some((offset, character)) = text.char_indices().find(|(_, c)| !is_xml_character(*c)) {
        let fault = not_xml(&format!("the character U+{:04X}", u32::from(character)));
        return Err(Problem { place: Places::new(text, file).of(offset), fault });
    }
    Parser { places: Places::new(text, file), open: Vec::new(), root: None }.run()
}

/// Whether a text begins as YAML does: with `---`, or with a key. XML begins with `<`.
fn is_yaml(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let Some(first) = lines.next() else { return false };
    let is_key =
        |key: &str| key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') && !key.is_empty();
    let is_pair = |(key, value): (&str, &str)| is_key(key) && (value.is_empty() || value.starts_with(' '));
    first.trim_end() == "---" || first.split_once(':').is_some_and(is_pair)
}

/// Production 2 (`Char`) of XML 1.0.
fn is_xml_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

fn not_xml(reason: &str) -> Fault {
    Fault::NotXml { reason: excerpt(reason) }
}

/// Turns offsets into places. Offsets come in rising order, but for a few, so the whole file is walked about once.
struct Places<'a> {
    text: &'a str,
    offset: usize,
    place: Place,
}

impl<'a> Places<'a> {
    fn new(text: &'a str, file: u16) -> Self {
        Places { text, offset: 0, place: Place { file, line: 1, column: 1 } }
    }

    fn of(&mut self, offset: usize) -> Place {
        if offset < self.offset {
            (self.offset, self.place) = (0, Place { line: 1, column: 1, ..self.place });
        }
        for c in self.text.get(self.offset..offset).unwrap_or_default().chars() {
            if c == '\n' {
                self.place = Place { line: self.place.line + 1, column: 1, ..self.place };
            } else {
                self.place.column += 1;
            }
        }
        self.offset = offset;
        self.place
    }

    /// The offset of a piece of the text.
    fn offset_of(&self, piece: &str) -> usize {
        (piece.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len())
    }
}

struct Parser<'a> {
    places: Places<'a>,
    open: Vec<Element>,
    root: Option<Element>,
}

impl Parser<'_> {
    fn run(mut self) -> Result<Element, Problem> {
        let mut reader = Reader::from_str(self.places.text);
        loop {
            let offset = reader.buffer_position() as usize;
            let event = reader.read_event().map_err(|error| {
                let offset = reader.error_position() as usize;
                self.problem(offset, not_xml(&error.to_string()))
            })?;
            match event {
                Event::Start(tag) => self.begin(&tag, offset)?,
                Event::Empty(tag) => {
                    self.begin(&tag, offset)?;
                    self.end();
                }
                Event::End(_) => self.end(),
                Event::Text(text) => self.text(&text.xml10_content(), offset)?,
                Event::CData(text) => self.text(&text.xml10_content(), offset)?,
                Event::GeneralRef(reference) => {
                    let text = self.resolve(&reference, offset)?;
                    self.text(&text, offset)?;
                }
                Event::Comment(_) => {}
                // What it says about the encoding was followed already.
                Event::Decl(_) => {}
                Event::PI(_) => return Err(self.refused(offset, "a processing instruction was")),
                Event::DocType(_) => return Err(self.refused(offset, "a document type definition (DOCTYPE) was")),
                Event::Eof => return self.finish(offset),
            }
        }
    }

    fn begin(&mut self, tag: &BytesStart<'_>, offset: usize) -> Result<(), Problem> {
        if self.open.len() == DEPTH_MAX {
            return Err(self.problem(offset, Fault::TooDeep { max: DEPTH_MAX }));
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(self.problem(offset, not_xml("a second root element")));
        }
        let place = self.places.of(offset);
        let attributes = self.attributes(tag, offset)?;
        let name = tag.name().as_ref().to_owned();
        self.open.push(Element {
            name,
            place,
            attributes,
            children: Vec::new(),
            text: String::new(),
            text_place: place,
            note: None,
            path: String::new(),
        });
        Ok(())
    }

    fn attributes(&mut self, tag: &BytesStart<'_>, offset: usize) -> Result<Vec<Attribute>, Problem> {
        let mut attributes = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| self.problem(offset, not_xml(&error.to_string())))?;
            if attributes.len() == ATTRIBUTES_MAX {
                let reason = format!("more than {ATTRIBUTES_MAX} attributes");
                return Err(self.problem(offset, not_xml(&reason)));
            }
            let key = attribute.key.into_inner();
            let place = self.places.of(self.places.offset_of(key));
            let value = attribute.normalized_value(XmlVersion::Explicit1_0);
            let value = value.map_err(|error| Problem { place, fault: not_xml(&error.to_string()) })?;
            attributes.push(Attribute { name: key.to_owned(), value: value.into_owned(), place, note: None });
        }
        Ok(attributes)
    }

    fn text(&mut self, text: &str, offset: usize) -> Result<(), Problem> {
        let blank = text.len() - text.trim_start().len();
        let is_blank = blank == text.len();
        match self.open.last_mut() {
            Some(element) => {
                if !is_blank && element.text.trim().is_empty() {
                    element.text_place = self.places.of(offset + blank);
                }
                element.text.push_str(text);
                Ok(())
            }
            None if is_blank => Ok(()),
            None => Err(self.problem(offset + blank, not_xml("text outside the root element"))),
        }
    }

    fn resolve(&mut self, reference: &BytesRef<'_>, offset: usize) -> Result<String, Problem> {
        match reference.resolve_char_ref() {
            Ok(Some(c)) if is_xml_character(c) => return Ok(c.to_string()),
            Ok(None) => {
                if let Some(text) = resolve_predefined_entity(reference) {
                    return Ok(text.to_owned());
                }
            }
            Ok(Some(_)) | Err(_) => {}
        }
        Err(self.problem(offset, not_xml(&format!("the unknown entity &{};", &**reference))))
    }

    fn end(&mut self) {
        // The reader has compared the names: an end without a beginning does not get here.
        if let Some(element) = self.open.pop() {
            match self.open.last_mut() {
                Some(parent) => parent.children.push(element),
                None => self.root = Some(element),
            }
        }
    }

    fn finish(mut self, offset: usize) -> Result<Element, Problem> {
        if let Some(element) = self.open.last() {
            let fault = not_xml(&format!("<{}> is not closed", element.name));
            return Err(Problem { place: element.place, fault });
        }
        match self.root.take() {
            Some(root) => Ok(root),
            None => Err(self.problem(offset, not_xml("it holds no element"))),
        }
    }

    fn refused(&mut self, offset: usize, what: &'static str) -> Problem {
        self.problem(offset, Fault::Refused { what })
    }

    fn problem(&mut self, offset: usize, fault: Fault) -> Problem {
        Problem { place: self.places.of(offset), fault }
    }
}

#[cfg(test)]
mod tests;
