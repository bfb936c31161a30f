//! What may be the name of a namespace: a URI (Namespaces in XML 1.0, section 2.1), in a form that every parser reads.
//!
//! Parsers join the namespace and the local name by a character that URIs do not have, `}` or a blank, and refuse or
//! misread a namespace that has it; others check that the whole is a URI. Refused is what RFC 3986 does not allow, and
//! what it allows and nobody writes in a namespace: an IP literal in brackets, a user before the host, and `&`, which
//! libxml2 keeps as `&#38;` and then takes for the beginning of a fragment.

/// Whether a byte may stand somewhere in such a URI.
const ALLOWED: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        allowed[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~!$'()*+,;=:@/?#%";
    let mut index = 0;
    while index < others.len() {
        allowed[others[index] as usize] = true;
        index += 1;
    }
    allowed
};

/// Whether this is a URI or a relative reference, and not empty.
pub(super) fn is_uri(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.is_empty() || !bytes.iter().all(|byte| ALLOWED[usize::from(*byte)]) || !are_percents_in_order(bytes) {
        return false;
    }
    let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
    let hierarchy = before.split_once('?').map_or(before, |(hierarchy, _)| hierarchy);
    let first = hierarchy.split('/').next().unwrap_or_default();
    let (is_scheme_in_order, rest) = match first.find(':') {
        Some(colon) => (is_scheme(&first[..colon]), &hierarchy[colon + 1..]),
        None => (true, hierarchy),
    };
    let is_authority_in_order = match rest.strip_prefix("//") {
        Some(rest) => is_authority(rest.split('/').next().unwrap_or_default()),
        None => true,
    };
    !fragment.contains('#') && is_scheme_in_order && is_authority_in_order
}

fn are_percents_in_order(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'%', bytes)
        .all(|at| bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// A host with or without port.
fn is_authority(authority: &str) -> bool {
    let (host, port) = authority.split_once(':').unwrap_or((authority, "0"));
    let is_port = (1..=4).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    is_port && !host.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_that_are_in_use_are_uris() {
        for namespace in [
            "jabber:client",
            "urn:xmpp:sm:3",
            "http://etherx.jabber.org/streams",
            "http://jabber.org/protocol/muc#user",
            "https://example.org:8080/a?b=c;d='e'#f",
            "eu.siacs.conversations.axolotl",
            "google:mail:notify",
            "vcard-temp:x:update",
            "urn:xmpp:jingle:apps:rtp:rtcp-fb:0",
            "storage:bookmarks",
            "//host/path",
            "file:///a",
            "a%20b",
        ] {
            assert!(is_uri(namespace), "{namespace}");
        }
    }

    #[test]
    fn what_parsers_misread_is_none() {
        for namespace in [
            "",
            "a}b",
            "a{b",
            "a b",
            "a\tb",
            "a\"b",
            "a<b",
            "a>b",
            "a\\b",
            "a^b",
            "a`b",
            "a&b",
            "a|b",
            "urn:ü",
            "a%b",
            "a%2",
            "a%zz",
            "a#b#c",
            "1:a",
            ":a",
            "http://a b",
            "http://[::1]/",
            "http://a@b",
            "http://a:b",
            "http://a:",
            "http://a:99999999999",
            "a\u{7f}",
        ] {
            assert!(!is_uri(namespace), "{namespace}");
        }
    }
}
