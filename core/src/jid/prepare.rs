//! Node and domain are prepared: nodeprep (RFC 6122 appendix A), and IDNA with nameprep (RFC 6122 section 2.2).
//!
//! What is ASCII, as almost everything is, takes a path without tables. What is not is prepared, and prepared once more
//! if that has changed it: `🄰lice` (U+1F130) becomes `Alice`, which becomes `alice`, and so would be two accounts.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use stringprep::{nameprep, nodeprep};
use unicode_normalization::UnicodeNormalization;

use super::{JidError, JidPart};
use crate::limits::{JID_DOMAIN_CHARACTERS_MAX, JID_LABEL_CHARACTERS_MAX, JID_PART_BYTES_MAX};

/// Checks the length of a part before it is looked at.
pub(super) fn measured(text: &str, part: JidPart) -> Result<(), JidError> {
    match text.len() {
        0 => Err(JidError::Empty(part)),
        1..=JID_PART_BYTES_MAX => Ok(()),
        _ => Err(JidError::TooLong(part)),
    }
}

/// The most bytes that compatibility decomposition makes of one (U+FDFA: three become 33).
const EXPANSION_MAX: usize = 11;

/// Refuses text of which compatibility decomposition makes more than a part may have.
pub(super) fn measured_when_decomposed(text: &str, part: JidPart) -> Result<(), JidError> {
    match decomposes_beyond(text, JID_PART_BYTES_MAX) {
        true => Err(JidError::TooLong(part)),
        false => Ok(()),
    }
}

/// Whether compatibility decomposition makes more than so many bytes of text. The tables of stringprep would be asked
/// about each character of that: this stops at the bound.
pub(crate) fn decomposes_beyond(text: &str, bytes_max: usize) -> bool {
    if text.len() * EXPANSION_MAX <= bytes_max {
        return false;
    }
    let mut bytes = 0;
    text.nfkc().any(|character| {
        bytes += character.len_utf8();
        bytes > bytes_max
    })
}

/// Prepares once more what preparing has changed, which has to give the same.
pub(super) fn stable<'a>(
    text: &'a str,
    part: JidPart,
    once: impl Fn(&str) -> Result<String, JidError>,
) -> Result<Cow<'a, str>, JidError> {
    let prepared = once(text)?;
    measured(&prepared, part)?;
    if prepared == text {
        return Ok(Cow::Borrowed(text));
    }
    match once(&prepared) {
        Ok(again) if again == prepared => Ok(Cow::Owned(prepared)),
        Ok(_) | Err(_) => Err(JidError::Unstable(part)),
    }
}

/// Prepares what stands before the `@`.
pub(super) fn node(text: &str) -> Result<Cow<'_, str>, JidError> {
    measured(text, JidPart::Node)?;
    if text.is_ascii() {
        return ascii_node(text);
    }
    measured_when_decomposed(text, JidPart::Node)?;
    stable(text, JidPart::Node, |text| match nodeprep(text) {
        Ok(prepared) => Ok(prepared.into_owned()),
        Err(_) => Err(JidError::NotAllowed(JidPart::Node)),
    })
}

/// What nodeprep makes of ASCII: letters become small, and blanks, controls and eight characters are refused.
fn ascii_node(text: &str) -> Result<Cow<'_, str>, JidError> {
    let is_refused = |byte: u8| !byte.is_ascii_graphic() || b"\"&'/:<>@".contains(&byte);
    if text.bytes().any(is_refused) {
        return Err(JidError::NotAllowed(JidPart::Node));
    }
    Ok(small(text))
}

fn small(text: &str) -> Cow<'_, str> {
    match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => Cow::Borrowed(text),
    }
}

/// Prepares a domain: a host name, of which the final dot is left out, or an IP address.
pub(super) fn domain(text: &str) -> Result<Cow<'_, str>, JidError> {
    measured(text, JidPart::Domain)?;
    if let Some(address) = ip_address(text) {
        return address;
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    measured(name, JidPart::Domain)?;
    if is_plain_name(name) {
        return Ok(small(name));
    }
    measured_labels(name)?;
    stable(name, JidPart::Domain, international)
}

/// Whether text looks like an IP address, and what is made of it then.
fn ip_address(text: &str) -> Option<Result<Cow<'_, str>, JidError>> {
    if let Some(inside) = text.strip_prefix('[') {
        let address: Option<Ipv6Addr> = inside.strip_suffix(']').and_then(|inside| inside.parse().ok());
        let refused = JidError::NotAllowed(JidPart::Domain);
        return Some(address.map(|address| Cow::Owned(format!("[{address}]"))).ok_or(refused));
    }
    text.parse::<Ipv4Addr>().is_ok().then_some(Ok(Cow::Borrowed(text)))
}

/// Whether this is a host name of ASCII of which IDNA says nothing but that its letters are small.
fn is_plain_name(name: &str) -> bool {
    let is_plain_label = |label: &[u8]| {
        matches!(label.len(), 1..=63)
            && label[0] != b'-'
            && label[label.len() - 1] != b'-'
            && label.get(2..4) != Some(b"--")
            && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    name.len() <= JID_DOMAIN_CHARACTERS_MAX && name.as_bytes().split(|byte| *byte == b'.').all(is_plain_label)
}

/// Refuses a name that is too long for DNS whatever it is converted to: a label of more than 63 characters has more than
/// 63 bytes in its A-form, unless characters vanish, which nobody has a reason for. The conversion takes time by the
/// square of a label's length.
fn measured_labels(name: &str) -> Result<(), JidError> {
    let mut of_label = 0;
    for (index, character) in name.chars().enumerate() {
        of_label = if is_dot(character) { 0 } else { of_label + 1 };
        if of_label > JID_LABEL_CHARACTERS_MAX || index >= JID_DOMAIN_CHARACTERS_MAX {
            return Err(JidError::TooLong(JidPart::Domain));
        }
    }
    Ok(())
}

/// What separates labels (RFC 3490 section 3.1).
fn is_dot(character: char) -> bool {
    matches!(character, '.' | '\u{3002}' | '\u{FF0E}' | '\u{FF61}')
}

/// Prepares a host name, which must be one that IDNA can write in ASCII.
fn international(name: &str) -> Result<String, JidError> {
    let refused = JidError::NotAllowed(JidPart::Domain);
    to_ascii(name).ok_or(refused)?;
    let prepared = nameprep(name).map_err(|_| refused)?;
    let labels: Vec<Cow<'_, str>> = prepared.split(is_dot).map(readable).collect();
    Ok(labels.join("."))
}

fn to_ascii(name: &str) -> Option<Cow<'_, str>> {
    Uts46::new().to_ascii(name.as_bytes(), AsciiDenyList::URL, Hyphens::Check, DnsLength::Verify).ok()
}

/// The label for people where it was written for DNS (`xn--mnchen-3ya`), so that both ways to write it are one address;
/// the label as it is if nameprep, whose tables are older, would make another one of that.
fn readable(label: &str) -> Cow<'_, str> {
    if !label.starts_with("xn--") {
        return Cow::Borrowed(label);
    }
    let (converted, outcome) = Uts46::new().to_unicode(label.as_bytes(), AsciiDenyList::URL, Hyphens::Check);
    let is_same = outcome.is_ok()
        && nameprep(&converted).is_ok_and(|prepared| prepared == converted)
        && to_ascii(&converted).is_some_and(|ascii| ascii == label);
    if is_same { Cow::Owned(converted.into_owned()) } else { Cow::Borrowed(label) }
}
