//! Finds where a stanza ends in a stream of bytes, without parsing it.
//!
//! The socket writes into [`Framer::spare`]; [`Framer::poll`] hands out the stream's opening tag, whole stanzas as
//! byte ranges of the same buffer, and the stream's end. A byte is looked at once, wherever the reads were cut.
//!
//! Invariant: the bytes before `scanned` have been looked at, those before `start` have been handed out.
//! It checks nesting by depth only, not by name: names are [`super::Node`]'s affair.

use std::ops::Range;

/// The largest stanza that is taken from a server, in bytes. Servers allow 64 KiB to 512 KiB.
pub(crate) const STANZA_BYTES_MAX: usize = 1 << 20;
/// The deepest nesting that is taken from a server; real stanzas stay below twenty.
pub(crate) const DEPTH_MAX: u32 = 128;
/// First size of the buffer: a stanza of today fits, and ten thousand idle sessions stay small.
const BUFFER_BYTES_MIN: usize = 2 << 10;
/// The buffer grows up to this for throughput; beyond it only for a single large stanza.
const BUFFER_BYTES_BUSY: usize = 64 << 10;

/// What a server may not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FramingError {
    /// A stanza of more than [`STANZA_BYTES_MAX`].
    #[error("stanza larger than {STANZA_BYTES_MAX} bytes")]
    TooLarge,
    /// Elements nested deeper than [`DEPTH_MAX`].
    #[error("stanza nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// A comment, a document type or a processing instruction (RFC 6120, section 11.1).
    #[error("restricted XML")]
    RestrictedXml,
    /// Text outside of a stanza, or a stanza without a stream.
    #[error("not an XMPP stream")]
    NotAStream,
}

/// One piece of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// The opening tag of the stream.
    Open(&'a [u8]),
    /// A whole stanza, from its `<` to its last `>`.
    Stanza(&'a [u8]),
    /// The closing tag of the stream.
    Close,
}

/// Where in a document the scanner stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between tags.
    Text,
    /// Just behind a `<`.
    Less,
    /// Within an opening tag; the flag says that the last byte was a `/`.
    Tag { slash: bool },
    /// Within a quoted attribute value.
    Quote(u8),
    /// Within a closing tag.
    EndTag,
    /// Within `<? … ?>`; the flag says that the last byte was a `?`.
    Declaration { question: bool },
    /// Behind `<!`, this many bytes of `[CDATA[` were seen.
    Bang(u8),
    /// Within a CDATA section, behind this many `]` (at most two).
    Cdata(u8),
}

/// The buffer of one stream and the scanner over it.
#[derive(Debug)]
pub(crate) struct Framer {
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    end: usize,
    place: Place,
    depth: u32,
    closed: bool,
}

impl Framer {
    /// An empty buffer before the stream's opening tag.
    pub(crate) fn new() -> Self {
        Framer { buffer: Vec::new(), start: 0, scanned: 0, end: 0, place: Place::Text, depth: 0, closed: false }
    }

    /// Expects a new opening tag, as after STARTTLS and SASL; bytes that were read and not handed out stay.
    pub(crate) fn restart(&mut self) {
        self.scanned = self.start;
        self.place = Place::Text;
        self.depth = 0;
        self.closed = false;
    }

    /// Whether bytes were read that no frame has handed out yet.
    pub(crate) fn has_unread(&self) -> bool {
        self.start < self.end
    }

    /// Room for the next read, never empty. Moves an incomplete stanza to the front.
    ///
    /// # Errors
    /// The incomplete stanza is larger than [`STANZA_BYTES_MAX`].
    pub(crate) fn spare(&mut self) -> Result<&mut [u8], FramingError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.scanned -= self.start;
            self.start = 0;
        }
        if self.end >= STANZA_BYTES_MAX {
            return Err(FramingError::TooLarge);
        }
        if self.end == self.buffer.len() {
            let doubled = (self.buffer.len() * 2).clamp(BUFFER_BYTES_MIN, STANZA_BYTES_MAX);
            self.buffer.resize(doubled, 0);
        }
        Ok(&mut self.buffer[self.end..])
    }

    /// Says that `count` bytes were written to the start of [`Framer::spare`].
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
        let full = self.end == self.buffer.len();
        if full && self.buffer.len() < BUFFER_BYTES_BUSY {
            let doubled = self.buffer.len() * 2;
            self.buffer.resize(doubled, 0);
        }
    }

    /// The next whole piece of the stream, `None` until more bytes come.
    ///
    /// # Errors
    /// What the server sent is no XMPP stream, or beyond a bound; the stream is then of no further use.
    pub(crate) fn poll(&mut self) -> Result<Option<Frame<'_>>, FramingError> {
        while self.scanned < self.end && !self.closed {
            self.skip_plain();
            let Some(&byte) = self.buffer[..self.end].get(self.scanned) else { break };
            self.scanned += 1;
            if let Some(piece) = self.step(byte)? {
                let range = self.take();
                return Ok(Some(match piece {
                    Piece::Open => Frame::Open(&self.buffer[range]),
                    Piece::Stanza => Frame::Stanza(&self.buffer[range]),
                    Piece::Close => Frame::Close,
                }));
            }
        }
        Ok(None)
    }

    /// Jumps over bytes that cannot change the place: text within a stanza, a quoted value.
    fn skip_plain(&mut self) {
        let rest = &self.buffer[self.scanned..self.end];
        let skipped = match self.place {
            Place::Text if self.depth > 1 => rest.iter().position(|byte| *byte == b'<'),
            Place::Quote(quote) => rest.iter().position(|byte| *byte == quote),
            Place::Tag { slash: false } => rest.iter().position(|byte| matches!(byte, b'>' | b'/' | b'"' | b'\'')),
            Place::Text
            | Place::Less
            | Place::Tag { slash: true }
            | Place::EndTag
            | Place::Declaration { .. }
            | Place::Bang(_)
            | Place::Cdata(_) => Some(0),
        };
        self.scanned += skipped.unwrap_or(rest.len());
    }

    fn take(&mut self) -> Range<usize> {
        let range = self.start..self.scanned;
        self.start = self.scanned;
        range
    }

    fn step(&mut self, byte: u8) -> Result<Option<Piece>, FramingError> {
        match self.place {
            Place::Text => self.step_text(byte)?,
            Place::Less => self.step_less(byte)?,
            Place::Tag { slash } => match byte {
                b'>' => return self.tag_ends(slash),
                b'\'' | b'"' => self.place = Place::Quote(byte),
                _ => self.place = Place::Tag { slash: byte == b'/' },
            },
            Place::Quote(quote) if byte == quote => self.place = Place::Tag { slash: false },
            Place::Quote(_) => {}
            Place::EndTag if byte == b'>' => return Ok(self.element_ends()),
            Place::EndTag => {}
            Place::Declaration { question: true } if byte == b'>' => {
                self.place = Place::Text;
                self.start = self.scanned;
            }
            Place::Declaration { .. } => self.place = Place::Declaration { question: byte == b'?' },
            Place::Bang(seen) => {
                if self.depth < 2 || byte != b"[CDATA["[usize::from(seen)] {
                    return Err(FramingError::RestrictedXml);
                }
                self.place = if seen == 6 { Place::Cdata(0) } else { Place::Bang(seen + 1) };
            }
            Place::Cdata(brackets) => {
                self.place = match (brackets, byte) {
                    (2, b'>') => Place::Text,
                    (_, b']') => Place::Cdata((brackets + 1).min(2)),
                    _ => Place::Cdata(0),
                }
            }
        }
        Ok(None)
    }

    fn step_text(&mut self, byte: u8) -> Result<(), FramingError> {
        match byte {
            b'<' => {
                self.place = Place::Less;
                if self.depth < 2 {
                    self.start = self.scanned - 1;
                }
            }
            _ if self.depth > 1 => {}
            // White space between stanzas keeps a connection alive (RFC 6120, section 4.6.1).
            b' ' | b'\n' | b'\r' | b'\t' => self.start = self.scanned,
            _ => return Err(FramingError::NotAStream),
        }
        Ok(())
    }

    fn step_less(&mut self, byte: u8) -> Result<(), FramingError> {
        self.place = match byte {
            b'/' if self.depth > 0 => Place::EndTag,
            b'/' => return Err(FramingError::NotAStream),
            b'!' => Place::Bang(0),
            b'?' if self.depth == 0 => Place::Declaration { question: false },
            b'?' => return Err(FramingError::RestrictedXml),
            b'>' | b'<' | b' ' | b'\'' | b'"' => return Err(FramingError::NotAStream),
            _ => Place::Tag { slash: false },
        };
        Ok(())
    }

    fn tag_ends(&mut self, slash: bool) -> Result<Option<Piece>, FramingError> {
        self.place = Place::Text;
        if self.depth >= DEPTH_MAX {
            return Err(FramingError::TooDeep);
        }
        match (self.depth, slash) {
            (0, true) => Err(FramingError::NotAStream),
            (0, false) => {
                self.depth = 1;
                Ok(Some(Piece::Open))
            }
            (1, true) => Ok(Some(Piece::Stanza)),
            (_, true) => Ok(None),
            (_, false) => {
                self.depth += 1;
                Ok(None)
            }
        }
    }

    fn element_ends(&mut self) -> Option<Piece> {
        self.place = Place::Text;
        self.depth -= 1;
        match self.depth {
            0 => {
                self.closed = true;
                Some(Piece::Close)
            }
            1 => Some(Piece::Stanza),
            _ => None,
        }
    }
}

/// What has just ended.
#[derive(Debug, Clone, Copy)]
enum Piece {
    Open,
    Stanza,
    Close,
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "<?xml version='1.0'?>\n<stream:stream xmlns='jabber:client' id=\"a>b\">\
        <stream:features><bind xmlns='x'/></stream:features> \n\
        <message to='a@b'><body>1 &gt; 0 / 'x' <![CDATA[</message> ]]]></body><empty a='/>'/></message>\
        <r xmlns='urn:xmpp:sm:3'/></stream:stream>";

    #[test]
    fn a_stream_is_the_same_wherever_it_is_cut() {
        let whole = frames(&[STREAM.as_bytes()]).expect("a valid stream");
        assert_eq!(whole.len(), 5);
        assert_eq!(whole[3], "stanza <r xmlns='urn:xmpp:sm:3'/>");

        for cut in 0..=STREAM.len() {
            let (head, tail) = STREAM.as_bytes().split_at(cut);
            assert_eq!(frames(&[head, tail]).expect("a valid stream"), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = STREAM.as_bytes().chunks(1).collect();
        assert_eq!(frames(&bytes).expect("a valid stream"), whole);
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        let cases: [(&str, FramingError); 7] = [
            ("hello", FramingError::NotAStream),
            ("</stream>", FramingError::NotAStream),
            ("<stream/>", FramingError::NotAStream),
            ("<!DOCTYPE x>", FramingError::RestrictedXml),
            ("<s><a><!-- c --></a>", FramingError::RestrictedXml),
            ("<s><?php ?>", FramingError::RestrictedXml),
            ("<s>text<a/>", FramingError::NotAStream),
        ];
        for (input, expected) in cases {
            assert_eq!(frames(&[input.as_bytes()]), Err(expected), "{input}");
        }
    }

    #[test]
    fn a_stanza_may_be_neither_endless_nor_bottomless() {
        let deep = format!("<s>{}", "<a>".repeat(200));
        assert_eq!(frames(&[deep.as_bytes()]), Err(FramingError::TooDeep));

        let long = format!("<s><a>{}", "x".repeat(STANZA_BYTES_MAX + 1));
        assert_eq!(frames(&[long.as_bytes()]), Err(FramingError::TooLarge));
    }

    #[test]
    fn nothing_is_read_behind_the_end_of_a_stream() {
        let seen = frames(&[b"<s></s><s><a/>"]).expect("a valid stream");

        assert_eq!(seen, ["open <s>", "close"]);
    }

    #[test]
    fn a_restart_keeps_what_was_not_handed_out() {
        let mut framer = Framer::new();
        feed(&mut framer, b"<s><success/><t><b/>");
        assert_eq!(framer.poll(), Ok(Some(Frame::Open(b"<s>"))));
        assert_eq!(framer.poll(), Ok(Some(Frame::Stanza(b"<success/>"))));

        framer.restart();

        assert!(framer.has_unread());
        assert_eq!(framer.poll(), Ok(Some(Frame::Open(b"<t>"))));
    }

    fn frames(pieces: &[&[u8]]) -> Result<Vec<String>, FramingError> {
        let mut framer = Framer::new();
        let mut seen = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let spare = framer.spare()?;
                let count = spare.len().min(rest.len());
                spare[..count].copy_from_slice(&rest[..count]);
                framer.filled(count);
                rest = &rest[count..];
                while let Some(frame) = framer.poll()? {
                    seen.push(match frame {
                        Frame::Open(bytes) => format!("open {}", String::from_utf8_lossy(bytes)),
                        Frame::Stanza(bytes) => format!("stanza {}", String::from_utf8_lossy(bytes)),
                        Frame::Close => "close".to_owned(),
                    });
                }
            }
        }
        Ok(seen)
    }

    fn feed(framer: &mut Framer, bytes: &[u8]) {
        let spare = framer.spare().expect("room");
        spare[..bytes.len()].copy_from_slice(bytes);
        framer.filled(bytes.len());
    }
}
