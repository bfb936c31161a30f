//! Characters on their way out: what a parser could take for markup or normalise away is escaped, in one way.

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

/// `>` is escaped everywhere, so that `]]>` never appears; a carriage return because a parser would turn it into a
/// line feed.
pub(super) fn text_escape(character: char) -> Option<&'static str> {
    match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '\r' => Some("&#13;"),
        _ => None,
    }
}

/// White space other than the space because a parser would turn it into one.
pub(super) fn attribute_escape(character: char) -> Option<&'static str> {
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
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<16>();
    let is_plain = |block: &&[u8; 16]| u128::from_ne_bytes(block.map(|byte| u8::from(is_special(byte)))) == 0;
    let plain = blocks.iter().take_while(is_plain).count() * 16;
    let rest = &bytes[plain..];
    plain + rest.iter().position(|byte| SPECIAL[usize::from(*byte)]).unwrap_or(rest.len())
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
    use super::*;

    #[test]
    fn what_xml_cannot_carry_is_written_as_a_replacement_character() {
        let mut out = String::new();
        escape_text(&mut out, "a\0b\u{FFFF}c");
        assert_eq!(out, "a\u{FFFD}b\u{FFFD}c");
    }
}
