//! A glance at a stanza's first tag, in place: enough for the hot path, where a message is counted and forgotten.
//!
//! What needs the content of a stanza parses it into a [`super::Node`]. Attribute values are handed out raw (still
//! escaped); our own ids and the names of types contain nothing that would be.

/// A whole stanza as it came from the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stanza<'a>(pub(crate) &'a [u8]);

impl<'a> Stanza<'a> {
    /// The name of the element with its prefix, such as `message` or `stream:error`.
    pub(crate) fn name(&self) -> &'a [u8] {
        let rest = self.0.get(1..).unwrap_or_default();
        let end = rest.iter().position(|byte| matches!(byte, b' ' | b'>' | b'/' | b'\n' | b'\r' | b'\t'));
        &rest[..end.unwrap_or(rest.len())]
    }

    /// The raw value of an attribute of the first tag.
    pub(crate) fn attribute(&self, name: &[u8]) -> Option<&'a [u8]> {
        let mut rest = self.0.get(1 + self.name().len()..)?;
        loop {
            let begin = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
            rest = &rest[begin..];
            let equals = rest.iter().position(|byte| matches!(byte, b'=' | b'>' | b'/'))?;
            if rest[equals] != b'=' {
                return None;
            }
            let key = rest[..equals].trim_ascii_end();
            let quoted = rest[equals + 1..].trim_ascii_start();
            let quote = *quoted.first().filter(|byte| matches!(byte, b'\'' | b'"'))?;
            let end = quoted[1..].iter().position(|byte| *byte == quote)? + 1;
            if key == name {
                return Some(&quoted[1..end]);
            }
            rest = &quoted[end + 1..];
        }
    }

    /// Whether a child of any depth has this name and no prefix.
    pub(crate) fn mentions(&self, child: &[u8]) -> bool {
        let mut rest = self.0.get(1..).unwrap_or_default();
        while let Some(less) = rest.iter().position(|byte| *byte == b'<') {
            rest = &rest[less + 1..];
            let ends = rest.get(child.len()).is_some_and(|byte| matches!(byte, b' ' | b'/' | b'>'));
            if ends && rest.starts_with(child) {
                return true;
            }
        }
        false
    }
}

/// Writes text so that it can stand in an attribute or between tags.
pub(crate) fn escape_into(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'\'' => out.extend_from_slice(b"&apos;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tag_tells_name_and_attributes() {
        let stanza = Stanza(b"<message from=\"a@b/it's\"  type = 'error' id='7'><body id='8'/></message>");

        assert_eq!(stanza.name(), b"message");
        assert_eq!(stanza.attribute(b"from"), Some(b"a@b/it's".as_slice()));
        assert_eq!(stanza.attribute(b"type"), Some(b"error".as_slice()));
        assert_eq!(stanza.attribute(b"id"), Some(b"7".as_slice()));
        assert_eq!(stanza.attribute(b"to"), None);
    }

    #[test]
    fn a_crippled_tag_has_no_attributes_and_breaks_nothing() {
        for bytes in [&b""[..], b"<", b"<a", b"<a b", b"<a b=", b"<a b='", b"<a b=c>", b"<a/>", b"<a b>"] {
            assert_eq!(Stanza(bytes).attribute(b"b"), None);
        }
    }

    #[test]
    fn a_delay_is_seen_among_the_children() {
        assert!(Stanza(b"<message><body>x</body><delay xmlns='urn:xmpp:delay'/></message>").mentions(b"delay"));
        assert!(!Stanza(b"<message><body>delay</body><delayed/></message>").mentions(b"delay"));
    }

    #[test]
    fn escaped_text_has_no_markup() {
        let mut out = Vec::new();

        escape_into(&mut out, "<a b='&\">é");

        assert_eq!(out, "&lt;a b=&apos;&amp;&quot;&gt;é".as_bytes());
    }
}
