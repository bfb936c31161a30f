//! The XML declaration that may begin a document (XML 1.0, production 23).

use super::XmlError;
use super::characters::is_whitespace;
use super::scan::utf8;
use super::tag::next_attribute;

/// Bytes of the longest declaration that is read. The longest sensible one has 60.
const DECLARATION_BYTES_MAX: usize = 256;

const OPENING: &[u8] = b"<?xml";

/// What a document begins with.
pub(super) enum Beginning {
    /// A declaration of so many bytes.
    Declaration(usize),
    /// No declaration.
    Other,
    /// Too few bytes to tell.
    Unknown,
}

/// Looks for a declaration at the very start of a document, which has at least one byte.
pub(super) fn beginning(bytes: &[u8]) -> Result<Beginning, XmlError> {
    // The first bytes of UTF-16 and UTF-32, with byte order mark or without; none of them can begin UTF-8.
    if matches!(bytes, [0xFE | 0xFF | 0, ..] | [b'<', 0, ..]) {
        return Err(XmlError::UnsupportedEncoding("not UTF-8"));
    }
    let seen = bytes.len().min(2);
    if bytes[..seen] != OPENING[..seen] {
        return Ok(Beginning::Other);
    }
    let seen = bytes.len().min(OPENING.len());
    if bytes[..seen] != OPENING[..seen] || bytes.get(OPENING.len()).is_some_and(|byte| !is_whitespace(*byte)) {
        return Err(XmlError::RestrictedXml("a processing instruction"));
    }
    let bounded = &bytes[..bytes.len().min(DECLARATION_BYTES_MAX)];
    match bounded.windows(2).position(|window| window == b"?>") {
        Some(end) => {
            check(utf8(&bytes[OPENING.len()..end])?)?;
            Ok(Beginning::Declaration(end + 2))
        }
        None if bytes.len() > DECLARATION_BYTES_MAX => {
            Err(XmlError::PolicyViolation("the XML declaration is too long"))
        }
        None => Ok(Beginning::Unknown),
    }
}

/// Checks what stands between `<?xml` and `?>`.
fn check(mut rest: &str) -> Result<(), XmlError> {
    const WRONG: XmlError = XmlError::NotWellFormed("not an XML declaration");
    let mut place = 0;
    while let Some(((name, value), after)) = next_attribute(rest)? {
        place = match name {
            "version" if place == 0 && is_version(value) => 1,
            "encoding" if place == 1 && value.eq_ignore_ascii_case("utf-8") => 2,
            "encoding" if place == 1 => return Err(XmlError::UnsupportedEncoding("not UTF-8")),
            "standalone" if matches!(place, 1 | 2) && matches!(value, "yes" | "no") => 3,
            _ => return Err(WRONG),
        };
        rest = after;
    }
    if place == 0 { Err(WRONG) } else { Ok(()) }
}

/// Production 26: every 1.x is read as 1.0.
fn is_version(value: &str) -> bool {
    value.strip_prefix("1.").is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit()))
}
