//! Character data as it comes in: references resolved, line ends and white space normalised (XML 1.0 sections 2.4,
//! 2.11, 3.3.3 and 4.1).

use std::borrow::Cow;

use super::XmlError;
use super::characters::{is_char, is_local_name};
use super::escape::{attribute_escape, plain_length, text_escape};

/// Takes characters that were read.
pub(super) trait Sink {
    /// Characters that need no escape in text or in attributes.
    fn plain(&mut self, text: &str);
    /// Any character that XML allows.
    fn character(&mut self, character: char);
}

/// Keeps characters as they are.
pub(super) struct Decoded<'a>(pub(super) &'a mut String);

/// Writes characters as text of an element.
pub(super) struct EscapedText<'a>(pub(super) &'a mut String);

/// Writes characters as the value of an attribute, without its quotes.
pub(super) struct EscapedAttribute<'a>(pub(super) &'a mut String);

impl Sink for Decoded<'_> {
    fn plain(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn character(&mut self, character: char) {
        self.0.push(character);
    }
}

impl Sink for EscapedText<'_> {
    fn plain(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn character(&mut self, character: char) {
        match text_escape(character) {
            Some(escape) => self.0.push_str(escape),
            None => self.0.push(character),
        }
    }
}

impl Sink for EscapedAttribute<'_> {
    fn plain(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn character(&mut self, character: char) {
        match attribute_escape(character) {
            Some(escape) => self.0.push_str(escape),
            None => self.0.push(character),
        }
    }
}

/// What kind of text is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Between tags.
    Text,
    /// Between `<![CDATA[` and `]]>`.
    Cdata,
    /// The value of an attribute.
    Attribute,
}

/// Reads character data as it was received into `sink`.
pub(super) fn read(mut raw: &str, place: Place, sink: &mut impl Sink) -> Result<(), XmlError> {
    let whole = raw;
    loop {
        let plain = plain_length(raw.as_bytes());
        let (before, rest) = raw.split_at(plain);
        if plain > 0 {
            sink.plain(before);
        }
        let Some(character) = rest.chars().next() else { return Ok(()) };
        let mut taken = character.len_utf8();
        match (character, place) {
            ('&', Place::Text | Place::Attribute) => {
                let (meant, length) = reference(rest)?;
                sink.character(meant);
                taken = length;
            }
            ('<', Place::Text | Place::Attribute) => {
                return Err(XmlError::NotWellFormed("'<' in an attribute"));
            }
            ('>', Place::Text) if whole[..whole.len() - rest.len()].ends_with("]]") => {
                return Err(XmlError::NotWellFormed("']]>' in text"));
            }
            ('\r', Place::Text | Place::Cdata) => {
                taken = line_end(rest);
                sink.character('\n');
            }
            ('\r' | '\n' | '\t', Place::Attribute) => {
                taken = line_end(rest);
                sink.character(' ');
            }
            (character, Place::Text | Place::Cdata | Place::Attribute) if is_char(character) => {
                sink.character(character);
            }
            (_, Place::Text | Place::Cdata | Place::Attribute) => {
                return Err(XmlError::NotWellFormed("a character that XML does not allow"));
            }
        }
        raw = &rest[taken..];
    }
}

/// Bytes of the white space at the start of `rest`; a carriage return and the line feed after it are one line end.
fn line_end(rest: &str) -> usize {
    if rest.starts_with("\r\n") { 2 } else { 1 }
}

/// The character meant by the reference at the start of `rest`, and the bytes of the reference.
fn reference(rest: &str) -> Result<(char, usize), XmlError> {
    let end = rest.bytes().position(|byte| byte == b';').ok_or(XmlError::NotWellFormed("'&' without ';'"))?;
    let name = &rest[1..end];
    let meant = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "apos" => '\'',
        "quot" => '"',
        _ => match name.strip_prefix('#') {
            Some(number) => numbered_character(number)?,
            None if is_local_name(name) => {
                return Err(XmlError::RestrictedXml("an entity that XML does not predefine"));
            }
            None => return Err(XmlError::NotWellFormed("'&' that begins no reference")),
        },
    };
    Ok((meant, end + 1))
}

/// The character of a reference like `&#65;` or `&#x41;`, given what stands between `&#` and `;`.
fn numbered_character(number: &str) -> Result<char, XmlError> {
    const WRONG: XmlError = XmlError::NotWellFormed("a reference to no character");
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    if digits.is_empty() {
        return Err(WRONG);
    }
    let mut code: u32 = 0;
    for digit in digits.chars() {
        let digit = digit.to_digit(radix).ok_or(WRONG)?;
        code = code * radix + digit;
        if code > u32::from(char::MAX) {
            return Err(WRONG);
        }
    }
    char::from_u32(code).filter(|character| is_char(*character)).ok_or(WRONG)
}

/// The characters meant by text in the canonical form.
pub(super) fn unescape(canonical: &str) -> Cow<'_, str> {
    if !canonical.contains('&') {
        return Cow::Borrowed(canonical);
    }
    let mut meant = String::with_capacity(canonical.len());
    read(canonical, Place::Text, &mut Decoded(&mut meant)).expect("the content of an element is canonical");
    Cow::Owned(meant)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text(raw: &str) -> Result<String, XmlError> {
        let mut out = String::new();
        read(raw, Place::Text, &mut Decoded(&mut out)).map(|()| out)
    }

    fn attribute(raw: &str) -> Result<String, XmlError> {
        let mut out = String::new();
        read(raw, Place::Attribute, &mut Decoded(&mut out)).map(|()| out)
    }

    #[test]
    fn line_ends_become_line_feeds_unless_they_are_written_as_references() {
        assert_eq!(text("a\r\nb\rc\nd&#13;e").unwrap(), "a\nb\nc\nd\re");
    }

    #[test]
    fn white_space_in_attributes_becomes_spaces_unless_it_is_written_as_references() {
        assert_eq!(attribute("a\r\nb\rc\nd\te&#9;f&#xA;g&#13;").unwrap(), "a b c d e\tf\ng\r");
    }

    #[test]
    fn references_to_what_is_no_character_are_refused() {
        for raw in
            ["&#0;", "&#8;", "&#xFFFE;", "&#xD800;", "&#x110000;", "&#99999999999;", "&#;", "&#x;", "&#X41;", "&#-1;"]
        {
            assert!(matches!(text(raw), Err(XmlError::NotWellFormed(_))), "{raw}");
        }
        assert_eq!(text("&#x10FFFF;&#00000000000065;").unwrap(), "\u{10FFFF}A");
    }

    #[test]
    fn entities_that_are_not_predefined_are_restricted() {
        assert!(matches!(text("&nbsp;"), Err(XmlError::RestrictedXml(_))));
        assert!(matches!(text("a & b; c"), Err(XmlError::NotWellFormed(_))));
        assert!(matches!(text("a &amp"), Err(XmlError::NotWellFormed(_))));
    }

    #[test]
    fn the_end_of_a_cdata_section_is_refused_in_text_only() {
        assert!(matches!(text("a]]>b"), Err(XmlError::NotWellFormed(_))));
        assert_eq!(text("a]>b]] >").unwrap(), "a]>b]] >");
        assert_eq!(attribute("]]>").unwrap(), "]]>");
    }
}
