//! From the bytes of a file to its text.
//!
//! A file is UTF-8, UTF-16 with a byte order mark, or ISO-8859-1 if it declares that. The other encodings of the
//! families ISO-8859 and windows-125x agree with ASCII, so a file that declares one of them and holds nothing else is
//! read, too. Of any other file the declaration is the reason why it is not.

use std::borrow::Cow;

use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::{Places, not_xml};
use crate::config::problem::{Place, Problem, excerpt};

/// Bytes in which a declaration ends. It has room for a version, an encoding and much white space.
const DECLARATION_BYTES_MAX: usize = 256;

/// The text of a file; `file` is its number among those that are read together.
pub(super) fn text_of(bytes: &[u8], file: u16) -> Result<Cow<'_, str>, Problem> {
    if let Some(units) = bytes.strip_prefix(b"\xFF\xFE") {
        return from_utf_16(units, u16::from_le_bytes, file);
    }
    if let Some(units) = bytes.strip_prefix(b"\xFE\xFF") {
        return from_utf_16(units, u16::from_be_bytes, file);
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let declared = declared(bytes).unwrap_or_else(|| "utf-8".to_owned());
    let name = declared.to_ascii_lowercase();
    if name == "iso-8859-1" {
        // Its bytes are the first 256 characters.
        return Ok(bytes.iter().map(|byte| char::from(*byte)).collect());
    }
    let is_like_ascii = ["us-ascii", "iso-8859-", "windows-125"].iter().any(|family| name.starts_with(family));
    if name != "utf-8" && !(is_like_ascii && bytes.is_ascii()) {
        let reason =
            format!("it declares the encoding '{}', which is not read here; save it as UTF-8", excerpt(&declared));
        return Err(Problem { place: start(file), fault: not_xml(&reason) });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        Problem { place: Places::new(valid, file).of(valid.len()), fault: not_xml("a byte that is not UTF-8") }
    })?;
    Ok(Cow::Borrowed(text))
}

fn from_utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16, file: u16) -> Result<Cow<'static, str>, Problem> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let decoded: Result<String, _> = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect();
    match decoded {
        Ok(text) if rest.is_empty() => Ok(Cow::Owned(text)),
        Ok(_) | Err(_) => {
            let reason = "half a character of UTF-16; save it as UTF-8";
            Err(Problem { place: start(file), fault: not_xml(reason) })
        }
    }
}

/// The encoding that a file declares.
fn declared(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(DECLARATION_BYTES_MAX)];
    let end = head.windows(2).position(|pair| pair == b"?>")? + 2;
    let declaration = std::str::from_utf8(&head[..end]).ok()?;
    match Reader::from_str(declaration).read_event() {
        Ok(Event::Decl(declaration)) => declaration.encoding()?.ok().map(|name| name.into_owned()),
        Ok(_) | Err(_) => None,
    }
}

fn start(file: u16) -> Place {
    Place { file, line: 1, column: 1 }
}
