//! Where the next piece of a document ends.
//!
//! A piece is a tag, a run of text, or a section; it is looked at when it is whole. The search goes on where it stopped
//! when more bytes come, so that a document costs the same in one chunk or byte by byte. That end is found by the
//! tokenizer of `quick-xml`; this room is what makes it strict.

use std::ops::Range;

use quick_xml::parser::{ElementParser, Parser};

use super::XmlError;

/// A piece of a document: what it is, and its inside as it was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece<'a> {
    pub(super) kind: PieceKind,
    pub(super) inside: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PieceKind {
    /// `<inside>`
    Start,
    /// `<inside/>`
    Empty,
    /// `</inside>`
    End,
    /// `inside`
    Text,
    /// `<![CDATA[inside]]>`
    Cdata,
}

/// How far the search for the end of a piece has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    searched: usize,
    quotes: ElementParser,
}

impl Default for Scan {
    fn default() -> Self {
        Scan { searched: 0, quotes: ElementParser::Outside }
    }
}

const CDATA: &[u8] = b"<![CDATA[";

impl Scan {
    /// The piece at the start of `bytes` and its length, or nothing if it is not whole yet: the next call must then
    /// pass the same bytes with more behind them.
    pub(super) fn piece<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(Piece<'a>, usize)>, XmlError> {
        let found = match bytes {
            [] | [b'<'] => None,
            [b'<', b'/', ..] => self.until(bytes, b'>').map(|end| (2..end, end + 1, PieceKind::End)),
            [b'<', b'?', ..] => return Err(XmlError::RestrictedXml("a processing instruction")),
            [b'<', b'!', ..] => self.section(bytes)?,
            [b'<', ..] => self.start_tag(bytes),
            _ => self.until(bytes, b'<').map(|end| (0..end, end, PieceKind::Text)),
        };
        let Some((inside, length, kind)) = found else { return Ok(None) };
        *self = Scan::default();
        Ok(Some((Piece { kind, inside: utf8(&bytes[inside])? }, length)))
    }

    fn until(&mut self, bytes: &[u8], end: u8) -> Option<usize> {
        let found = memchr::memchr(end, &bytes[self.searched..]).map(|at| self.searched + at);
        self.searched = bytes.len();
        found
    }

    fn start_tag(&mut self, bytes: &[u8]) -> Option<Found> {
        let from = self.searched.max(1);
        self.searched = bytes.len();
        let end = from + self.quotes.feed(&bytes[from..])?;
        match bytes[end - 1] {
            b'/' => Some((1..end - 1, end + 1, PieceKind::Empty)),
            _ => Some((1..end, end + 1, PieceKind::Start)),
        }
    }

    fn section(&mut self, bytes: &[u8]) -> Result<Option<Found>, XmlError> {
        let seen = bytes.len().min(CDATA.len());
        if bytes[..seen] != CDATA[..seen] {
            return Err(XmlError::RestrictedXml("a comment or a document type"));
        }
        // The end may have begun two bytes before the place to which the search has come.
        let from = self.searched.saturating_sub(2).max(CDATA.len());
        self.searched = bytes.len();
        let Some(rest) = bytes.get(from..) else { return Ok(None) };
        let end = memchr::memmem::find(rest, b"]]>");
        Ok(end.map(|at| (CDATA.len()..from + at, from + at + 3, PieceKind::Cdata)))
    }
}

/// Where the inside of a piece lies, how long the piece is, and what it is.
type Found = (Range<usize>, usize, PieceKind);

/// The bytes as text.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, XmlError> {
    std::str::from_utf8(bytes).map_err(|_| XmlError::NotWellFormed("not UTF-8"))
}
