//! Which characters XML allows where (XML 1.0, fourth edition, productions 2 to 7; Namespaces in XML 1.0).

use super::XmlError;
use super::names::{may_stand, may_start};

/// Whether XML may contain the character at all (production 2).
pub(super) fn is_char(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => false,
        _ => true,
    }
}

/// Production 3.
pub(super) fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The text without white space at its start.
pub(super) fn trim_start(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

/// The text without white space at its end.
pub(super) fn trim_end(text: &str) -> &str {
    text.trim_end_matches([' ', '\t', '\n', '\r'])
}

/// What a byte of ASCII may be in a name without colon: 0 nothing, 1 any but the first character, 2 any character.
const NAME_CLASS: [u8; 128] = {
    let mut class = [0; 128];
    let mut byte = 0;
    while byte < 128 {
        class[byte] = match byte as u8 {
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => 2,
            b'0'..=b'9' | b'-' | b'.' => 1,
            _ => 0,
        };
        byte += 1;
    }
    class
};

/// Whether this is a name without colon (NCName).
pub(super) fn is_local_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.iter().all(|byte| NAME_CLASS.get(usize::from(*byte)).is_some_and(|class| *class > 0)) {
        return bytes.first().is_some_and(|first| NAME_CLASS[usize::from(*first)] == 2);
    }
    let mut characters = name.chars();
    let class = |character: char| NAME_CLASS[usize::from(character as u8)];
    let is_start = |character: char| if character.is_ascii() { class(character) == 2 } else { may_start(character) };
    let is_other = |character: char| if character.is_ascii() { class(character) > 0 } else { may_stand(character) };
    characters.next().is_some_and(is_start) && characters.all(is_other)
}

/// A name with the prefix it was written with; an empty prefix is none.
#[derive(Clone, Copy)]
pub(super) struct QualifiedName<'a> {
    pub(super) prefix: &'a str,
    pub(super) local: &'a str,
}

/// Splits a name into prefix and local name.
pub(super) fn qualified_name(name: &str, bytes_max: usize) -> Result<QualifiedName<'_>, XmlError> {
    if name.len() > bytes_max {
        return Err(XmlError::PolicyViolation("a name is too long"));
    }
    let (prefix, local) = match name.bytes().position(|byte| byte == b':') {
        None => ("", name),
        Some(colon) => {
            let prefix = &name[..colon];
            if !is_local_name(prefix) {
                return Err(XmlError::NotWellFormed("not a name"));
            }
            (prefix, &name[colon + 1..])
        }
    };
    if !is_local_name(local) {
        return Err(XmlError::NotWellFormed("not a name"));
    }
    Ok(QualifiedName { prefix, local })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// U+0132, U+037F and everything beyond U+FFFF are allowed by the fifth edition only, and refused by expat.
    #[test]
    fn names_are_those_of_the_fourth_edition() {
        for name in ["a", "_", "a-b.c0", "é", "日本", "a\u{B7}", "x\u{300}", "\u{D7A3}", "a\u{3005}", "\u{131}"] {
            assert!(is_local_name(name), "{name:?}");
        }
        for name in [
            "",
            "0",
            "-a",
            ".a",
            "a b",
            "a:b",
            "a\u{D7}",
            "\u{300}",
            "a\0",
            "\u{37E}",
            "\u{F0000}",
            "a'",
            "a/",
            "\u{132}",
            "a\u{132}",
            "\u{37F}",
            "\u{10000}",
            "a\u{10000}",
            "\u{B7}",
            "\u{3005}",
            "\u{FF21}",
            "\u{2070}",
        ] {
            assert!(!is_local_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_name_has_at_most_one_colon_and_none_at_its_ends() {
        for name in [":", ":a", "a:", "a:b:c", "a::b", "a:0"] {
            assert!(qualified_name(name, 100).is_err(), "{name:?}");
        }
        let name = qualified_name("stream:features", 100).expect("a qualified name");
        assert_eq!((name.prefix, name.local), ("stream", "features"));
    }
}
