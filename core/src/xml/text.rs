//! Character data: references resolved, line ends and white space normalised, and escaped again in one way.
//!
//! Reading is strict (XML 1.0 sections 2.4, 2.11, 3.3.3, 4.1); writing escapes whatever a parser could take for markup
//! or normalise away, so that reading what was written gives the same characters.

use std::borrow::Cow;

use super::XmlError;
use super::characters::is_char;

/// Where written XML goes: a string while an element is put together, bytes when it leaves.
pub(super) trait Output {
    fn put(&mut self, text: &str);
}

impl Output for String {
    fn put(&mut self, text: &str) {
        self.push_str(text);
    }
}

impl Output for Vec<u8> {
    fn put(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }
}

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

/// `>` is escaped everywhere, so that `]]>` never appears; a carriage return because a parser would turn it into a
/// line feed.
fn text_escape(character: char) -> Option<&'static str> {
    match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '\r' => Some("&#13;"),
        _ => None,
    }
}

/// White space other than the space because a parser would turn it into one.
fn attribute_escape(character: char) -> Option<&'static str> {
    match character {
        '\'' => Some("&apos;"),
        '"' => Some("&quot;"),
        '\t' => Some("&#9;"),
        '\n' => Some("&#10;"),
        _ => text_escape(character),
    }
}

/// Whether a run of plain characters ends at this byte: controls, what has a meaning in markup, and the first byte of
/// U+FFFE and U+FFFF. Written without branches, so that the compiler looks at many bytes at once.
const fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'&') | (byte == b'<') | (byte == b'>') | (byte == b'\'') | (byte == b'"') | (byte == 0xEF)
}

/// [`is_special`] for the few bytes that are looked at one by one.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        special[byte] = is_special(byte as u8);
        byte += 1;
    }
    special
};

/// Bytes before the first special one.
fn plain_length(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<16>();
    let is_plain = |block: &&[u8; 16]| u128::from_ne_bytes(block.map(|byte| u8::from(is_special(byte)))) == 0;
    let plain = blocks.iter().take_while(is_plain).count() * 16;
    let rest = &bytes[plain..];
    plain + rest.iter().position(|byte| SPECIAL[usize::from(*byte)]).unwrap_or(rest.len())
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
            None if super::characters::is_local_name(name) => {
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

/// Writes characters as text of an element. Characters that XML cannot carry become U+FFFD.
pub(super) fn escape_text(out: &mut impl Output, text: &str) {
    escape(out, text, text_escape);
}

/// Writes characters as the value of an attribute, without its quotes. Characters that XML cannot carry become U+FFFD.
pub(super) fn escape_attribute(out: &mut impl Output, value: &str) {
    escape(out, value, attribute_escape);
}

/// Appends characters as they are, except for those that XML cannot carry, which become U+FFFD.
pub(super) fn replace_illegal(out: &mut String, text: &str) {
    out.extend(text.chars().map(|character| if is_char(character) { character } else { '\u{FFFD}' }));
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

fn escape(out: &mut impl Output, mut text: &str, escape_of: fn(char) -> Option<&'static str>) {
    loop {
        let (plain, rest) = text.split_at(plain_length(text.as_bytes()));
        out.put(plain);
        let Some(character) = rest.chars().next() else { return };
        let (this, after) = rest.split_at(character.len_utf8());
        match escape_of(character) {
            Some(escaped) => out.put(escaped),
            None if is_char(character) => out.put(this),
            None => out.put("\u{FFFD}"),
        }
        text = after;
    }
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

    #[test]
    fn what_xml_cannot_carry_is_written_as_a_replacement_character() {
        let mut out = String::new();
        escape_text(&mut out, "a\0b\u{FFFF}c");
        assert_eq!(out, "a\u{FFFD}b\u{FFFD}c");
    }
}
